"""One seed, many independent generators, each known by its name.

A generator's stream depends on the seed and its own name alone, so adding one, or drawing more from
one, never moves another.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _sequence(seed: int, name: str) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),))


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """A numpy generator for the stream `name` of `seed`."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, name)))


def torch_generator(seed: int, name: str, device: str = "cpu") -> torch.Generator:
    """A torch generator on `device` for the stream `name` of `seed`."""
    import torch

    return torch.Generator(device).manual_seed(integers(seed, name, 1)[0])


def integers(seed: int, name: str, count: int) -> list[int]:
    """`count` 31-bit seeds, for what takes an integer (environments, torch)."""
    return [int(word >> 1) for word in _sequence(seed, name).generate_state(count, np.uint32)]
