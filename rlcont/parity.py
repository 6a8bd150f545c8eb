"""A spare part for a file that is kept once: with it, damage within a sixteenth of the file can be undone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlcont.core import Array

PARTS = 16


def parity(content: bytes) -> bytes:
    """The exclusive or of the sixteen equal parts of `content`, which is filled up with zeros."""
    spare: Array = np.bitwise_xor.reduce(_parts(content), axis=0)
    return spare.tobytes()


def mended(content: bytes, size: int, spare: bytes, is_whole: Callable[[bytes], bool]) -> bytes | None:
    """What `content`, of `size` bytes once, was before one of its parts was damaged; None if that is not all.

    Args:
        spare: the `parity` of the undamaged content.
        is_whole: recognises it.
    """
    parts = _parts(content[:size].ljust(size, b"\0"))
    if len(spare) != parts.shape[1]:
        return None
    difference = np.bitwise_xor.reduce(parts, axis=0) ^ np.frombuffer(spare, np.uint8)
    for part in parts:
        part ^= difference
        candidate = parts.tobytes()[:size]
        if is_whole(candidate):
            return candidate
        part ^= difference
    return None


def _parts(content: bytes) -> Array:
    """[16, width] uint8."""
    width = -(-len(content) // PARTS)
    return np.frombuffer(content.ljust(PARTS * width, b"\0"), np.uint8).reshape(PARTS, width).copy()
