"""Values as they are typed, and suggestions for misspelt names."""

import contextlib
import difflib
from collections.abc import Iterable
from typing import Any

import yaml


def flat_keys(container: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in container.items():
        if isinstance(value, dict) and value:
            flat |= flat_keys(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def nested_keys(flat: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flat_keys`."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = value
    return nested


def spelled(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(spelled(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{spelled(item)}' for key, item in value.items())}}}"
    return "null" if value is None else str(value).lower()


def stands_for(typed: str, value: Any) -> bool:
    """Whether a typed word is this value, however a number or a list is written."""
    if typed == spelled(value):
        return True
    try:
        return bool(float(typed) == value)
    except ValueError:
        with contextlib.suppress(yaml.YAMLError):
            return bool(yaml.safe_load(typed) == yaml.safe_load(spelled(value)))
        return False


def counted(number: int, noun: str) -> str:
    """1 job, 2 jobs."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def nearest(name: str, allowed: Iterable[str], cutoff: float = 0.5) -> str:
    """'; did you mean …?' with the closest allowed name; empty if none is close."""
    return did_you_mean(closest(name, allowed, cutoff))


def nearest_key(key: str, known: Iterable[str]) -> str:
    """Like `nearest` for a dotted key: suggests all keys with the same last part, else the closest key."""
    leaves: dict[str, list[str]] = {}
    for name in known:
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    leaf = key.rpartition(".")[2].lower()
    if leaf in leaves:
        return did_you_mean(leaves[leaf])
    whole = closest(key, [name for names in leaves.values() for name in names], 0.7)
    return did_you_mean(whole or leaves.get("".join(closest(leaf, leaves, 0.6)), []))


def closest(name: str, allowed: Iterable[str], cutoff: float, most: int = 1) -> list[str]:
    """The closest allowed names, ignoring case; none if none is close."""
    by_lower = {option.lower(): option for option in allowed}
    return [by_lower[near] for near in difflib.get_close_matches(name.lower(), by_lower, most, cutoff)]


def did_you_mean(names: list[str]) -> str:
    """'; did you mean …?' with `names`; empty without names."""
    return f"; did you mean {' or '.join(names)}?" if names else ""
