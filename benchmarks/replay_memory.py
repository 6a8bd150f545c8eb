"""What a full replay costs in resident memory, against its payload.

python benchmarks/replay_memory.py
"""

from __future__ import annotations

import numpy as np
import psutil
import torch

from rlcont.core.types import Transitions
from rlcont.memory.replay import Replay
from rlcont.memory.sizes import replay_bytes

CAPACITY, OBS_DIM, ACTION_DIM, CHUNK = 1_000_000, 17, 6, 1000


def main() -> None:
    """Fills a replay of HalfCheetah's sizes and prints payload, growth of resident memory and their ratio."""
    process = psutil.Process()
    obs, action = np.ones((CHUNK, OBS_DIM), np.float32), np.ones((CHUNK, ACTION_DIM), np.float32)
    scalar = np.ones(CHUNK, np.float32)
    Replay(CHUNK, OBS_DIM, ACTION_DIM, torch.Generator()).add(Transitions(obs, action, scalar, scalar, obs))
    before = process.memory_info().rss
    replay = Replay(CAPACITY, OBS_DIM, ACTION_DIM, torch.Generator())
    for _ in range(CAPACITY // CHUNK):
        replay.add(Transitions(obs, action, scalar, scalar, obs))
    grown = process.memory_info().rss - before
    payload = replay_bytes(CAPACITY, OBS_DIM, ACTION_DIM)
    print(f"payload {payload / 2**20:.1f} MiB, resident {grown / 2**20:.1f} MiB, ratio {grown / payload:.3f}")


if __name__ == "__main__":
    main()
