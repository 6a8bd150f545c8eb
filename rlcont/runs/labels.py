"""What tells runs apart, in few words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


def varying(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Keys whose values differ among the rows that have them, in order of appearance, the seed last."""
    keys = dict.fromkeys(key for row in rows for key in row)
    found = [key for key in keys if len({repr(row[key]) for row in rows if key in row}) > 1]
    return sorted(found, key=lambda key: key == "seed")


def short_names(keys: Collection[str]) -> dict[str, str]:
    """For each dotted key the shortest end of it that is the end of no other: lr, or actor.lr and critic.lr.

    A kind goes by the name of what it is a kind of: noise for noise.kind.
    """
    return {key: next(end for end in _ends(key) if _belongs_to_one(end, keys) or end == _ends(key)[-1]) for key in keys}


def _ends(key: str) -> list[str]:
    parts = key.removesuffix(".kind").split(".")
    return [".".join(parts[first:]) for first in reversed(range(len(parts)))]


def _belongs_to_one(end: str, keys: Collection[str]) -> bool:
    return sum(end in _ends(key) for key in keys) == 1
