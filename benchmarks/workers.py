"""How fast environments are stepped in one process, in several, and in threads: what workers=auto is decided from.

Prints a Markdown table of steps per second under random actions, summed over the environments. The ways take turns, so
that a machine that slows down or speeds up meanwhile does not favour one. About a minute.

    python benchmarks/workers.py
    python benchmarks/workers.py --envs Hopper-v4 --num-envs 16
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from speed import describe_machine

from rlcont.core.resources import available_cores
from rlcont.core.types import Array
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments, useful_workers

ENVS = ["Pendulum-v1", "HalfCheetah-v4", "Humanoid-v4"]
NUM_ACTIONS = 1000
WARMUP_SECONDS = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", nargs="+", default=ENVS, metavar="ID", help=" ".join(ENVS))
    parser.add_argument("--num-envs", type=int, default=8, help="environments stepped together (8)")
    parser.add_argument("--rounds", type=int, default=7, help="times that every way is measured (7)")
    parser.add_argument("--seconds", type=float, default=0.4, help="length of one measurement (0.4)")
    arguments = parser.parse_args()
    cores = available_cores()

    machine, load = describe_machine(), os.getloadavg()[0]
    medians: dict[str, dict[str, float]] = {}
    chosen: dict[str, int] = {}
    for env_id in arguments.envs:
        config = EnvConfig(id=env_id, kwargs={}, max_episode_steps=None, wrappers=(), info=())
        chosen[env_id] = useful_workers(config, arguments.num_envs, cores)
        medians[env_id] = measure_ways(config, arguments.num_envs, cores, arguments.rounds, arguments.seconds)
        print(f"{env_id} done", file=sys.stderr, flush=True)
    print(table(medians, chosen))
    print(f"\n{arguments.num_envs} environments, medians of {arguments.rounds} measurements of {arguments.seconds} s.")
    versions = f"gymnasium {gymnasium.__version__}, mujoco {mujoco.__version__}"
    print(f"{datetime.date.today()}, {machine}, {versions}; load average {load:.2f} at the start.")


def measure_ways(config: EnvConfig, num_envs: int, cores: int, rounds: int, seconds: float) -> dict[str, float]:
    """Median steps per second of each way to step `num_envs` environments."""
    with contextlib.ExitStack() as stack:
        ways = make_ways(config, num_envs, cores)
        space = ways["SyncVectorEnv"].single_action_space
        actions = {way: random_actions(envs, num_envs, space) for way, envs in ways.items()}
        for way, envs in ways.items():
            stack.callback(envs.close)
            envs.reset()
            steps_per_second(envs, actions[way], WARMUP_SECONDS)
        speeds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, envs in ways.items():
                speeds[way].append(steps_per_second(envs, actions[way], seconds))
    return {way: statistics.median(values) for way, values in speeds.items()}


def make_ways(config: EnvConfig, num_envs: int, cores: int) -> dict[str, Any]:
    """By name, what steps the environments: everything has reset, step and close."""
    seeds = list(range(num_envs))
    makers = [partial(gymnasium.make, config.id, disable_env_checker=True)] * num_envs
    # Reset in the step that ends the episode, as rlcont does; else some steps would be none.
    autoreset: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return {
        "one process": Environments(config, seeds),
        f"{cores} processes": WorkerEnvironments(config, seeds, cores),
        f"{cores} threads": ThreadedEnvironments(config, seeds, cores),
        "SyncVectorEnv": SyncVectorEnv(makers, **autoreset),
        # Not forked, for there are threads already.
        "AsyncVectorEnv": AsyncVectorEnv(makers, context="spawn", **autoreset),
    }


class ThreadedEnvironments:
    """Environments of one process, stepped by several threads: MuJoCo lets go of the interpreter while it steps."""

    def __init__(self, config: EnvConfig, seeds: list[int], num_threads: int):
        self.envs = [BoxEnv(config) for _ in seeds]
        self.seeds = seeds
        self.pool = ThreadPoolExecutor(num_threads)

    def reset(self) -> Array:
        return np.stack([env.reset(seed) for env, seed in zip(self.envs, self.seeds, strict=True)])

    def step(self, action: Array) -> tuple[Array, Array]:
        """Observations to act on [E, O] and rewards [E]."""
        observations, rewards = zip(*self.pool.map(_step, self.envs, action), strict=True)
        return np.stack(observations), np.array(rewards, np.float32)

    def close(self) -> None:
        self.pool.shutdown()
        for env in self.envs:
            env.close()


def _step(env: BoxEnv, action: Array) -> tuple[Array, float]:
    obs, reward, terminated, truncated, _ = env.step(action)
    return env.reset() if terminated or truncated else obs, reward


def random_actions(envs: Any, num_envs: int, space: Box) -> Array:
    """Actions [N, E, A], uniform in what `envs` takes: Gymnasium's the environment's own bounds, rlcont's [-1, 1]."""
    low, high = (space.low, space.high) if isinstance(envs, VectorEnv) else (-1.0, 1.0)
    actions = np.random.default_rng(0).uniform(low, high, (NUM_ACTIONS, num_envs, *space.shape))
    return actions.astype(np.float32)


def steps_per_second(envs: Any, actions: Array, seconds: float) -> float:
    """Environment steps per second, summed over the environments."""
    rounds, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        envs.step(actions[rounds % len(actions)])
        rounds += 1
    return rounds * actions.shape[1] / elapsed


def table(medians: dict[str, dict[str, float]], chosen: dict[str, int]) -> str:
    """One line per environment; each way with its speed in that of the first."""
    ways = list(next(iter(medians.values())))
    lines = [f"| steps/s | {' | '.join(ways)} | workers=auto takes |", f"|---|{'---:|' * (len(ways) + 1)}"]
    for env_id, speeds in medians.items():
        first = speeds[ways[0]]
        cells = [f"{speeds[way]:.0f} ({speeds[way] / first:.2f} ×)" for way in ways]
        lines.append(f"| {env_id} | {' | '.join(cells)} | {chosen[env_id]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
