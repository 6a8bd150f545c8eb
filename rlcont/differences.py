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
    """For each dotted key the shortest end of it that is the end of no other: lr, or actor.lr and critic.lr."""
    return {key: next(end for end in _ends(key) if end == key or _belongs_to_one(end, keys)) for key in keys}


def _ends(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[first:]) for first in reversed(range(len(parts)))]


def _belongs_to_one(end: str, keys: Collection[str]) -> bool:
    return sum(end in _ends(key) for key in keys) == 1
