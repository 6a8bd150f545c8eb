"""Short labels for runs: the settings in which they differ."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rlcont.core.spelling import spelled

MAX_LENGTH = 100  # Characters of a file's name, without the number appended to a duplicate.


def distinguishing_settings(configs: Sequence[dict[str, Any]], but_for: Collection[str] = ("output",)) -> list[str]:
    """For each run the settings that tell it from the others of its algorithm and environment, as in "lr=0.01 seed=1".

    `configs` has the runs' values by dotted key; the keys in `but_for` are ignored.
    """
    alike: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    for i, config in enumerate(configs):
        alike[config.get("algo_name"), config.get("env.id")].append(i)
    texts = [""] * len(configs)
    for group in alike.values():
        compared = [{key: value for key, value in configs[i].items() if key not in but_for} for i in group]
        # An argument that only some runs give to their environment tells the others apart too.
        kwargs = dict.fromkeys(key for config in compared for key in config if key.startswith("env.kwargs."))
        for config in compared:
            config.pop("env.kwargs", None)
            config.update({key: "default" for key in kwargs if key not in config})
        keys = varying_keys(compared)
        short = short_names(keys, {key for config in compared for key in config})
        for i, config in zip(group, compared, strict=True):
            texts[i] = " ".join(f"{short[key]}={_brief(config[key])}" for key in keys if key in config)
    return texts


def _brief(value: Any) -> str:
    """A value as typed, a number with six digits at most."""
    return f"{value:.6g}" if isinstance(value, float) else spelled(value)


def varying_keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Keys whose values differ among the rows that have them, in order of appearance, with the seed last."""
    keys = dict.fromkeys(key for row in rows for key in row)
    found = [key for key in keys if len({repr(row[key]) for row in rows if key in row}) > 1]
    return sorted(found, key=lambda key: key == "seed")


def short_names(keys: Collection[str], known: Collection[str] = ()) -> dict[str, str]:
    """The shortest ending of each dotted key that no other one has, of `known` ones neither: tau, but actor.lr.

    `noise.kind` is shortened to noise.
    """
    parts = {key: key.removesuffix(".kind").split(".") for key in (*keys, *known)}
    ends = {key: [".".join(own[-number:]) for number in range(1, len(own) + 1)] for key, own in parts.items()}
    taken = Counter(end for own in ends.values() for end in own)
    return {key: next((end for end in ends[key] if taken[end] == 1), ends[key][-1]) for key in keys}


def unique_names(texts: Iterable[str]) -> list[str]:
    """A file name for each text: cut in its middle where it is long, and unique where names ignore case."""
    names: dict[str, str] = {}
    for text in texts:
        name = first = text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH // 2] + text[-(MAX_LENGTH // 2) :]
        number = 2
        while name.casefold() in names:
            name, number = f"{first}-{number}", number + 1
        names[name.casefold()] = name
    return list(names.values())
