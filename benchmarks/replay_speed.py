"""What prioritised sampling of a million rows costs, against uniform sampling and against an update.

python benchmarks/replay_speed.py    # one thread, a minute
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rlcont.config.compose import make_plan
from rlcont.core.types import Transitions
from rlcont.envs.box import BoxEnv
from rlcont.memory.prioritized import PrioritizedReplay
from rlcont.memory.replay import Replay
from rlcont.training.build import make_agent

ROWS, BATCH, ROUNDS, CALLS = 1_000_000, 256, 15, 100


def main() -> None:
    """Times what a step does to each replay, in turns, and prints a Markdown table."""
    torch.set_num_threads(1)
    config = make_plan(["algo=d4pg", "env=HalfCheetah-v4", "tuned=none", f"algo.batch_size={BATCH}"]).config
    spec = BoxEnv(config.env).spec
    generator = torch.Generator().manual_seed(0)
    dims = (spec.obs_dim, spec.action_dim)
    uniform = Replay(ROWS, *dims, generator)
    prioritized = PrioritizedReplay(ROWS, *dims, generator, alpha=0.6, beta=0.4, num_batches=10**6)
    rows = transitions(10_000, *dims)
    for replay in (uniform, prioritized):
        for _ in range(ROWS // len(rows.reward)):
            replay.add(rows)
    prioritized.sums.rebuild(torch.rand(ROWS, dtype=torch.float64, generator=generator).numpy())
    one, priority = transitions(1, *dims), torch.rand(BATCH)
    agent: Any = make_agent(config, spec)

    def draw(replay: Replay) -> Callable[[], object]:
        return lambda: replay.sample(BATCH)

    batch = prioritized.sample(BATCH)
    calls: dict[str, Callable[[], object]] = {
        "uniform: draw 256": draw(uniform),
        "prioritised: draw 256": draw(prioritized),
        "prioritised: draw 256, set 256 priorities": lambda: prioritized.prioritize(
            prioritized.sample(BATCH), priority
        ),
        "prioritised: add a row": lambda: prioritized.add(one),
        "an eager update of D4PG": lambda: agent.update(batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.thread_time()
            for _ in range(CALLS):
                call()
            seconds[name].append((time.thread_time() - start) / CALLS)
    print(f"| {ROWS} rows, ms of CPU time | median | quartiles |\n|---|---:|---:|")
    for name, found in seconds.items():
        low, middle, high = (1000 * value for value in statistics.quantiles(found, n=4))
        print(f"| {name} | {middle:.3f} | {low:.3f} to {high:.3f} |")


def transitions(num: int, obs_dim: int, action_dim: int) -> Transitions:
    obs, action, scalar = (np.ones(shape, np.float32) for shape in ((num, obs_dim), (num, action_dim), num))
    return Transitions(obs, action, scalar, scalar, obs)


if __name__ == "__main__":
    main()
