"""How fast rlcont trains on a device, by network, batch, precision and compilation: a row for each, as it is measured.

    python benchmarks/gpu_speed.py --device cuda --limit 110

A row has the steps per second of the training loop in one environment (A2C: 16), those of updates of one batch alone,
and the microseconds of acting for one observation. Cases that the limit leaves no time for are not measured.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gpu_rows import say

from rlcont.config.compose import make_plan
from rlcont.core.resources import prepare_threads
from rlcont.core.seeding import integers
from rlcont.envs.vector import Environments

SETTLED = 20
"""Updates before the first figure: compiling and recording are over."""


class Case(NamedTuple):
    """What is measured; `batch` is 0 for A2C, whose batch is its rollout's."""

    algo: str
    width: int
    batch: int
    precision: str
    compile: bool

    def settings(self, device: str) -> list[str]:
        common = [f"algo={self.algo}", f"device={device}", f"precision={self.precision}", f"compile={self.compile}"]
        common += ["env=HalfCheetah-v4", "tuned=none", "total_steps=1000000"]
        hidden = f"[{self.width},{self.width}]"
        if self.algo == "a2c":
            return [*common, f"algo.network.hidden={hidden}"]
        sizes = [f"algo.batch_size={self.batch}", "algo.replay_size=100000", "algo.warmup_steps=1100"]
        nets = [f"algo.actor.hidden={hidden}", f"algo.critic.hidden={hidden}"]
        return [*common, *sizes, *nets, *(["algo.replay=prioritized"] if self.algo == "d4pg" else [])]


def pairs(algo: str, width: int, batch: int, precision: str = "fp32") -> list[Case]:
    return [Case(algo, width, batch, precision, compiled) for compiled in (False, True)]


CASES = {
    "cuda": [
        *pairs("ddpg", 256, 256),
        *pairs("ddpg", 1024, 256),
        *pairs("d4pg", 256, 256),
        *pairs("ddpg", 1024, 1024),
        *pairs("ddpg", 1024, 1024, "bf16"),
        *pairs("a2c", 64, 0),
        *pairs("ddpg", 256, 256, "bf16"),
        *pairs("ddpg", 256, 1024),
        *pairs("d4pg", 1024, 1024),
        *pairs("d4pg", 1024, 1024, "bf16"),
        *pairs("td3", 256, 256),
        *pairs("sac", 256, 256),
    ],
    "cpu": [
        *pairs("ddpg", 256, 256),
        *pairs("ddpg", 1024, 256),
        *pairs("d4pg", 256, 256),
        *pairs("a2c", 64, 0),
        *pairs("ddpg", 1024, 1024),
        *pairs("ddpg", 256, 256, "bf16"),
    ],
}


def measure(overrides: Sequence[str], seconds: float) -> dict[str, Any]:
    """The figures of one case, each from calls that fill `seconds`."""
    import torch

    from rlcont.algos.off_policy.agent import OffPolicy
    from rlcont.training.build import choose_acceleration, make_agent

    config = make_plan(list(overrides)).config
    envs = Environments(config.env, integers(config.seed, "environments", config.num_envs))
    agent = make_agent(config, envs.spec, choose_acceleration(config))
    obs = envs.reset()

    def step() -> None:
        nonlocal obs
        env_step = envs.step(agent.act(obs, explore=True))
        agent.observe(env_step)
        agent.learn()
        obs = env_step.obs_to_act_on

    start = time.perf_counter()
    while agent.num_updates < SETTLED:
        step()
    settled = time.perf_counter() - start
    figures: dict[str, float] = {"steps/s": round(config.num_envs * rate(step, agent.device, seconds))}
    if isinstance(agent, OffPolicy):
        batch = agent.replay.sample(config.algo.batch_size)
        figures["updates/s"] = round(rate(lambda: agent.accelerated_update(batch), agent.device, seconds))
    acts = rate(lambda: agent.act(obs, explore=False), agent.device, seconds / 4)
    figures |= {"act, µs": round(1e6 / acts), "begun after, s": round(settled, 1)}
    if agent.device == "cuda":
        figures["GPU memory, MiB"] = torch.cuda.max_memory_allocated() // 2**20
        torch.cuda.reset_peak_memory_stats()
    envs.close()
    return figures


def rate(function: Callable[[], object], device: str, seconds: float) -> float:
    """Calls per second over about `seconds`, of one call at least; the work that they asked for is done by then."""
    import torch

    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for count in itertools.count(1):
        function()
        if count % 10 == 0:
            wait()
        if time.perf_counter() - start >= seconds:
            wait()
            return count / (time.perf_counter() - start)
    raise AssertionError


def main() -> int:
    prepare_threads()
    import torch  # It reads how its threads wait when it is imported.

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(CASES), required=True)
    parser.add_argument("--limit", type=float, default=600, help="seconds after which no case is begun (600)")
    parser.add_argument("--seconds", type=float, default=1.5, help="seconds of each figure (1.5)")
    arguments = parser.parse_args()
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    start, failed = time.monotonic(), False
    for case in CASES[arguments.device]:
        if time.monotonic() - start > arguments.limit:
            break
        try:
            figures = measure(case.settings(arguments.device), arguments.seconds)
        except Exception as error:
            traceback.print_exc()
            figures, failed = {"error": (str(error).strip() or repr(error)).splitlines()[0]}, True
        say(f"speed on {name}", **case._asdict(), **figures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
