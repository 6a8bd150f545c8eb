"""One seed, many independent generators, each known by its name.

A generator's stream depends on the seed and its own name alone, so adding one, or drawing more from
one, never moves another.

rlcont draws from no process-wide generator. Environments may, so whoever steps some seeds these too.
"""

from __future__ import annotations

import contextlib
import random
import sys
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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


def seed_globals(seed: int) -> None:
    """Seeds the process-wide generators of random, of numpy and, where it is loaded, of torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (environments draw from it)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(seed)


def global_state() -> dict[str, Any]:
    """The state of what `seed_globals` seeds."""
    state = {"random": random.getstate(), "numpy": np.random.get_state(legacy=False)}  # noqa: NPY002 (environments draw from it)
    if "torch" in sys.modules:
        state["torch"] = sys.modules["torch"].get_rng_state().numpy()
    return state


def set_global_state(state: dict[str, Any]) -> None:
    """Restores what `global_state` gave."""
    random.setstate(state["random"])
    np.random.set_state(state["numpy"])  # noqa: NPY002 (environments draw from it)
    if "torch" in state and "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.set_rng_state(torch.from_numpy(state["torch"]))


@contextlib.contextmanager
def globals_seeded(seed: int) -> Iterator[None]:
    """A context in which the process-wide generators run from `seed`; afterwards they are what they were before."""
    before = global_state()
    seed_globals(seed)
    try:
        yield
    finally:
        set_global_state(before)
