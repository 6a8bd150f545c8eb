"""How values are spelt, and the nearest name to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def flat_keys(container: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in container.items():
        if isinstance(value, dict) and value:
            flat |= flat_keys(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def spelled(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(spelled(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{spelled(item)}' for key, item in value.items())}}}"
    return "null" if value is None else str(value).lower()


def nearest(name: str, allowed: Iterable[str], cutoff: float = 0.5) -> str:
    """'; did you mean …?' for the closest allowed name, or nothing."""
    return did_you_mean(close(name, allowed, cutoff))


def nearest_key(key: str, known: Iterable[str]) -> str:
    """Like `nearest` for a dotted key: all keys that end like `key`, or the closest, last part against last part."""
    leaves: dict[str, list[str]] = {}
    for name in known:
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    leaf = key.rpartition(".")[2].lower()
    if leaf in leaves:
        return did_you_mean(leaves[leaf])
    whole = close(key, [name for names in leaves.values() for name in names], 0.7)
    return did_you_mean(whole or leaves.get("".join(close(leaf, leaves, 0.6)), []))


def close(name: str, allowed: Iterable[str], cutoff: float, most: int = 1) -> list[str]:
    """The closest allowed names, whatever their case; none if none is close."""
    by_lower = {option.lower(): option for option in allowed}
    return [by_lower[near] for near in difflib.get_close_matches(name.lower(), by_lower, most, cutoff)]


def did_you_mean(names: list[str]) -> str:
    """The end of a message that suggests `names`."""
    return f"; did you mean {' or '.join(names)}?" if names else ""
