"""Short labels for runs: the settings in which they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from rlcont.core.spelling import spelled


def distinguishing_settings(configs: Sequence[dict[str, Any]], but_for: Collection[str] = ("output",)) -> list[str]:
    """For each run the settings that tell it from the others of its algorithm and environment, as in "lr=0.01 seed=1".

    Args:
        configs: the runs' values by dotted key.
        but_for: keys that are ignored.
    """
    alike: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    for i, config in enumerate(configs):
        alike[config.get("algo_name"), config.get("env.id")].append(i)
    texts = [""] * len(configs)
    for group in alike.values():
        compared = [{key: value for key, value in configs[i].items() if key not in but_for} for i in group]
        _fill_kwargs(compared)
        keys = varying_keys(compared)
        short = short_names(keys)
        for i, config in zip(group, compared, strict=True):
            texts[i] = " ".join(f"{short[key]}={spelled(config[key])}" for key in keys if key in config)
    return texts


def _fill_kwargs(configs: list[dict[str, Any]]) -> None:
    """Adds what some runs give to their environment to the others, as "default", so that it tells them apart too."""
    kwargs = {key for config in configs for key in config if key.startswith("env.kwargs.")}
    for config in configs:
        config.pop("env.kwargs", None)
        for key in kwargs:
            config.setdefault(key, "default")


def varying_keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Keys whose values differ among the rows that have them, in order of appearance, with the seed last."""
    keys = dict.fromkeys(key for row in rows for key in row)
    found = [key for key in keys if len({repr(row[key]) for row in rows if key in row}) > 1]
    return sorted(found, key=lambda key: key == "seed")


def short_names(keys: Collection[str]) -> dict[str, str]:
    """The shortest unambiguous ending of each dotted key: lr, or actor.lr and critic.lr.

    `noise.kind` is shortened to noise.
    """
    return {key: next(end for end in _ends(key) if _belongs_to_one(end, keys) or end == _ends(key)[-1]) for key in keys}


def _ends(key: str) -> list[str]:
    parts = key.removesuffix(".kind").split(".")
    return [".".join(parts[first:]) for first in reversed(range(len(parts)))]


def _belongs_to_one(end: str, keys: Collection[str]) -> bool:
    return sum(end in _ends(key) for key in keys) == 1
