"""The search space: what varies, the seeds to average over, and what is fixed."""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rlcont.config.compose import parse_sweep
from rlcont.config.overrides import line_of
from rlcont.core.errors import UserError
from rlcont.core.spelling import stands_for

VARIED = ("algo.", "noise", "num_envs")
"""Prefixes of the keys that a search may vary. Returns under different values of others cannot be compared."""


class Dimension(NamedTuple):
    """The values of one key: an interval, or a list of choices. Optuna, which is slow to load, comes in study.py."""

    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[str, ...] = ()

    def extremes(self) -> tuple[Any, ...]:
        """Values to validate: if they are allowed, all values are."""
        return self.choices or (self.low, self.high)

    def values(self) -> Sequence[Any] | None:
        """All values, where they can be listed."""
        if self.choices:
            return self.choices
        return range(self.low, self.high + 1) if isinstance(self.low, int) and isinstance(self.high, int) else None

    def own(self, value: Any) -> Any:
        """`value` as one of this dimension's; None if it is none of them."""
        if self.choices:
            return next((choice for choice in self.choices if stands_for(choice, value)), None)
        return value if isinstance(value, int | float) and self.low <= value <= self.high else None


class Space(NamedTuple):
    """A search space, read from overrides."""

    fixed: list[str]
    seeds: list[str]
    varied: dict[str, Dimension]

    def overrides(self, values: Mapping[str, Any], seed: str) -> list[str]:
        """The overrides of one run."""
        return [*self.fixed, *(f"{key}={value}" for key, value in values.items()), f"seed={seed}"]

    def settings(self, most: int, seed: int) -> list[dict[str, Any]]:
        """All settings, shuffled; none where there are more than `most`."""
        listed = [dimension.values() for dimension in self.varied.values()]
        if any(values is None for values in listed) or math.prod(len(values or ()) for values in listed) > most:
            return []
        found = [dict(zip(self.varied, values, strict=True)) for values in itertools.product(*filter(None, listed))]
        random.Random(seed).shuffle(found)  # So that the first ones tell something of every key.
        return found

    def corners(self) -> list[dict[str, Any]]:
        """Settings with each extreme of each key, and the first extreme of all other keys."""
        first = {key: dimension.extremes()[0] for key, dimension in self.varied.items()}
        return [{**first, key: value} for key, dimension in self.varied.items() for value in dimension.extremes()]


def read_space(overrides: list[str]) -> Space:
    """Reads Hydra's grammar: interval(a,b), int(interval(a,b)), tag(log,interval(a,b)), range(a,b), and lists."""
    fixed, seeds, varied = [], ["0"], {}
    for override in parse_sweep(overrides):
        key, line = override.key_or_group, line_of(override)
        if override.is_hydra_override():
            raise UserError(f"{line}: Hydra's own settings do not count in a search")
        if not override.is_sweep_override():
            if key == "seed":
                seeds = [str(override.value())]
            else:
                fixed.append(line)
        elif key == "seed":
            if not override.is_discrete_sweep():
                raise UserError(f"{line}: a search averages over its seeds; list them, as in seed=0,1,2")
            seeds = list(dict.fromkeys(map(str, override.sweep_string_iterator())))
        elif not key.startswith(VARIED):
            raise UserError(f"{line}: a search varies algo.*, noise and num_envs, so that returns can be compared")
        else:
            varied[key] = _dimension(line, override)
    if not varied:
        raise UserError(
            "search: nothing to search over; give a key an interval or a list, as in "
            "'algo.actor.lr=tag(log,interval(1e-5,1e-2))' algo.batch_size=128,256"
        )
    return Space(fixed, seeds, varied)


def _dimension(line: str, override: Any) -> Dimension:
    if not override.is_interval_sweep():
        choices = tuple(dict.fromkeys(map(str, override.sweep_string_iterator())))
        if not choices:
            raise UserError(f"{line}: stands for no value at all")
        return Dimension(choices=choices)
    interval = override.value()
    if interval.tags - {"log"}:
        raise UserError(f"{line}: the only tag is log, as in tag(log,interval(1e-5,1e-2))")
    log = "log" in interval.tags
    if not interval.start < interval.end:
        raise UserError(f"{line}: an interval goes from the smaller number to the larger")
    if log and interval.start <= 0:
        raise UserError(f"{line}: an interval on a log scale must begin above 0")
    return Dimension(interval.start, interval.end, log)
