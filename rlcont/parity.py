"""A spare part for a file that is kept once: with it, damage no longer than a 32nd of the file can be undone.

So can any within one of its sixteen parts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlcont.core.types import Array

PARTS = 16


def parity(content: bytes) -> bytes:
    """The exclusive or of the sixteen equal parts of `content`, which is filled up with zeros."""
    spare: Array = np.bitwise_xor.reduce(_bytes(content).reshape(PARTS, -1), axis=0)
    return spare.tobytes()


def mended(content: bytes, size: int, spare: bytes, is_whole: Callable[[bytes], bool]) -> bytes | None:
    """What `content`, of `size` bytes once, was before some of it was damaged; None if that cannot be found.

    The difference between the spare part and what it should be shows how bytes were changed, but not in which part they
    lie. So each part is tried as the one where the damage begins.

    Args:
        spare: the `parity` of the undamaged content.
        is_whole: recognises it.
    """
    damaged = _bytes(content[:size].ljust(size, b"\0"))
    width = len(damaged) // PARTS
    if len(spare) != width:
        return None
    change = np.bitwise_xor.reduce(damaged.reshape(PARTS, width), axis=0) ^ np.frombuffer(spare, np.uint8)
    (columns,) = np.nonzero(change)
    for start in dict.fromkeys([0, _after_the_largest_gap(columns, width)]):
        for part in range(PARTS):
            places = (part + (columns < start)) * width + columns
            if places.max(initial=-1) >= len(damaged):
                continue
            attempt = damaged.copy()
            attempt[places] ^= change[columns]
            candidate = attempt.tobytes()[:size]
            if is_whole(candidate):
                return candidate
    return None


def _after_the_largest_gap(columns: Array, width: int) -> int:
    """Where a stretch begins that covers all `columns` and may go on from the last of `width` columns to the first."""
    if len(columns) == 0:
        return 0
    gaps = np.diff(columns, prepend=columns[-1] - width)
    return int(columns[gaps.argmax()])


def _bytes(content: bytes) -> Array:
    """[16 w] uint8, filled up with zeros."""
    width = -(-len(content) // PARTS)
    return np.frombuffer(content.ljust(PARTS * width, b"\0"), np.uint8)
