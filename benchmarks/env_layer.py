"""What a step of the environment layer costs beside Gymnasium's own, in one process, in turns.

    python benchmarks/env_layer.py    # one thread, a minute

rlcont's layer scales and clips actions, checks what comes back, looks for breakdowns of the simulator and resets.
Against it stand the environments of `gymnasium.make` stepped in a loop, which is the least that a step can cost, and
Gymnasium's SyncVectorEnv, which does about what the layer does. Medians of single steps: a step that is interrupted by
another process, or followed by a reset, does not count.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import gymnasium
import numpy as np

from rlcont.core.types import Array
from rlcont.envs.config import EnvConfig
from rlcont.envs.vector import Environments

CASES = (("Pendulum-v1", 1), ("Pendulum-v1", 16), ("HalfCheetah-v4", 1), ("HalfCheetah-v4", 16))
BLOCKS, STEPS = 30, 960
"""Blocks of each layer, in turns, and environment steps of a block."""

Step = Callable[[Array], object]


def main() -> None:
    print("| environments | layer, µs | alone, µs | SyncVectorEnv, µs | alone / layer | SyncVectorEnv / layer |")
    print("|---|---:|---:|---:|---:|---:|")
    for env_id, num_envs in CASES:
        layer, *others = timed(env_id, num_envs)
        cells = [f"{micros:.1f}" for micros in (layer, *others)] + [f"{other / layer:.2f}" for other in others]
        print(f"| {num_envs} x {env_id} | {' | '.join(cells)} |")


def timed(env_id: str, num_envs: int) -> list[float]:
    """Microseconds of a step of one environment: of the layer, of the environments alone, of SyncVectorEnv."""
    envs = Environments(
        EnvConfig(id=env_id, kwargs={}, max_episode_steps=None, wrappers=(), info=()), list(range(num_envs))
    )
    make = functools.partial(gymnasium.make, env_id)
    bare = [make() for _ in range(num_envs)]
    sync = gymnasium.vector.SyncVectorEnv([make] * num_envs)
    space = bare[0].action_space
    assert isinstance(space, gymnasium.spaces.Box)
    low, high = space.low, space.high
    actions = np.random.default_rng(0).uniform(-1, 1, (64, num_envs, len(low))).astype(np.float32)
    in_units = (low + (actions + 1) / 2 * (high - low)).astype(np.float32)

    def step_bare(action: Array) -> None:
        for env, row in zip(bare, action, strict=True):
            env.step(row)

    def reset_bare() -> None:
        for env in bare:
            env.reset()

    layers: list[tuple[Step, Callable[[], object], Array]] = [
        (envs.step, envs.reset, actions),
        (step_bare, reset_bare, in_units),
        (sync.step, sync.reset, in_units),
    ]
    seconds: list[list[float]] = [[] for _ in layers]
    for _ in range(BLOCKS):
        for (step, reset, given), times in zip(layers, seconds, strict=True):
            reset()
            for count in range(STEPS // num_envs):
                start = time.perf_counter()
                step(given[count % 64])
                times.append(time.perf_counter() - start)
    return [1e6 * statistics.median(times) / num_envs for times in seconds]


if __name__ == "__main__":
    main()
