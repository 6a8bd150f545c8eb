"""Spaces of Gymnasium: what an environment's observations and actions are, as flat vectors, and as words in a file."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Dict, Space, Tuple, flatdim, flatten

from rlcont.core.types import Array

LONGEST = 300
"""Letters of a space in a message; of a longer one, what differs."""


class ActionBox:
    """A space of continuous actions.

    Raises:
        ValueError: the space is another, or its bounds are no box.
    """

    def __init__(self, space: Any):
        if not isinstance(space, Box):
            kind = type(space).__name__ if isinstance(space, Space) else described(space)
            raise ValueError(f"its actions are {kind}, not continuous (Box)")
        if not np.issubdtype(space.dtype, np.floating):
            raise ValueError(f"its actions are {space.dtype}, not floating-point")
        if not space.low.size:
            raise ValueError(f"its actions are empty, {space}")
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise ValueError("its action bounds are infinite")
        if not (space.low < space.high).all():
            raise ValueError("an action dimension has zero width")
        self.shape, self.dtype = space.shape, space.dtype
        self.low, self.high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))

    def facts(self) -> dict[str, Any]:
        """Shape and bounds, for a file; a bound that is the same everywhere is one number."""
        return {"shape": list(self.shape), "low": _bound(self.low), "high": _bound(self.high)}


class _Leaf(NamedTuple):
    """A part of an observation that is no Dict or Tuple itself."""

    path: tuple[Any, ...]
    """Keys that lead to it."""
    space: Space[Any]
    part: slice
    """Its place in the flat vector."""

    @property
    def name(self) -> str:
        return ".".join(map(str, self.path))


class Observations:
    """Writes observations of any space as flat vectors.

    Raises:
        ValueError: the space's observations have no fixed number of values.
    """

    def __init__(self, space: Any):
        if not isinstance(space, Space):
            raise ValueError(f"its observation_space is {described(space)}, not a space of Gymnasium")
        if not space.is_np_flattenable:
            raise ValueError(f"its observations ({space}) cannot be flattened")
        self.leaves: list[_Leaf] = []
        self.size = 0
        for path, leaf in _leaves(space):
            self.leaves.append(_Leaf(path, leaf, slice(self.size, self.size + flatdim(leaf))))
            self.size += flatdim(leaf)
        if not self.size:
            raise ValueError(f"its observations ({space}) are empty")
        self._shape = space.shape if isinstance(space, Box) else None
        self.flat_shape = self._shape if self._shape is not None and len(self._shape) == 1 else None
        """Shape of observations that are flat vectors already."""

    def write(self, raw: Any, out: Array) -> None:
        """Writes an observation into `out` [O], a copy: environments may overwrite what they returned.

        Raises:
            ValueError: it is none of the space; the message goes on after "gives".
        """
        if type(raw) is np.ndarray and raw.shape == self._shape and raw.dtype.kind in "fiub":
            out[:] = raw.ravel()
            return
        for leaf in self.leaves:
            out[leaf.part] = _flat(leaf, _at(leaf, raw))

    def flat(self, obs: Any) -> tuple[Array, bool]:
        """Flat observations [B, O], and whether `obs` was a batch, as vector environments give it.

        Raises:
            ValueError: as of `write`.
        """
        parts = [_at(leaf, obs) for leaf in self.leaves]
        first = numbers(parts[0])
        is_batch = first is not None and first.ndim > len(self.leaves[0].space.shape or ())
        flat = np.empty((len(parts[0]) if is_batch else 1, self.size))
        for leaf, part in zip(self.leaves, parts, strict=True):
            rows = numbers(part) if is_batch else [part]
            if rows is None or (is_batch and np.shape(rows)[:1] != flat.shape[:1]):
                raise ValueError(f"an observation {leaf.name!r} that is {described(part)}, in a batch of {len(flat)}")
            for row, value in zip(flat, rows, strict=True):
                row[leaf.part] = _flat(leaf, value)
        return flat, is_batch

    def facts(self) -> list[dict[str, Any]]:
        """Name, kind, shape and bounds of each part, in the order of the flat vector, for a file."""
        return [
            {"name": leaf.name, "size": leaf.part.stop - leaf.part.start, **_facts(leaf.space)} for leaf in self.leaves
        ]

    def place(self, index: int) -> str:
        """The number of a value in the flat vector, with the name of its part where that has one."""
        name = next(leaf.name for leaf in self.leaves if leaf.part.start <= index < leaf.part.stop)
        return f"{index} ({name!r})" if name else f"{index}"

    def images(self) -> list[str]:
        """Parts that look like images."""
        return [f"{leaf.name or 'the observation'} {leaf.space.shape}" for leaf in self.leaves if _is_image(leaf.space)]


def _is_image(space: Space[Any]) -> bool:
    """Whether its values go from 0 to 255 in several dimensions, or from 0 to 1 in three, the last one of colours."""
    if not isinstance(space, Box) or len(space.shape) < 2 or space.low.min() != 0:
        return False
    is_coloured = len(space.shape) == 3 and space.shape[-1] in (1, 3, 4)
    return bool(space.high.max() == 255 or (space.high.max() == 1 and is_coloured))


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In which spaces two sets of facts differ, as words; nothing if they are the same."""
    differing = {key: _told(before.get(key), now[key]) for key in now if before.get(key) != now[key]}
    return "; ".join(f"its {key} were {was} and are {are}" for key, (was, are) in differing.items())


def described(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"  # Python writes none of more than 4300 digits.
    if value is None or isinstance(value, bool | int | float | str):
        return f"{value!r:.60}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, tuple):
        return f"({', '.join(_word(item) for item in value[:6])}{', ...' if len(value) > 6 else ''})"
    return _word(value)


def _word(value: Any) -> str:
    return f"{value}" if value is None or isinstance(value, bool) else f"a {type(value).__name__}"


def _leaves(space: Space[Any], path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Space[Any]]]:
    inner: Any = getattr(space, "spaces", None)
    if isinstance(space, Dict | Tuple):
        for key, part in inner.items() if isinstance(inner, dict) else enumerate(inner):
            yield from _leaves(part, (*path, key))
    else:
        yield path, space


def _at(leaf: _Leaf, raw: Any) -> Any:
    """A leaf's part of an observation."""
    for key in leaf.path:
        try:
            raw = raw[key]
        except (LookupError, TypeError):
            raise ValueError(f"an observation without {leaf.name!r}, which is in its space") from None
    return raw


def numbers(value: Any) -> Array | None:
    """Numbers as an array; None if they are none."""
    try:
        array = np.asarray(value)
    except Exception:  # Of a ragged list, or of a foreign __array__ method.
        return None
    return array if array.dtype.kind in "biuf" else None


def _flat(leaf: _Leaf, value: Any) -> Array:
    where = f" {leaf.name!r}" if leaf.path else ""
    if not isinstance(leaf.space, Box):
        item = value.item() if isinstance(value, np.ndarray) and value.size == 1 and not leaf.space.shape else value
        if not leaf.space.contains(item):
            raise ValueError(f"an observation{where} that is {described(item)}, its space is {leaf.space}")
        return np.ravel(np.asarray(flatten(leaf.space, item)))
    array = numbers(value)
    if array is None:
        raise ValueError(f"an observation{where} that is {described(value)}, its space is {leaf.space}")
    # Axes of length 1 change no order.
    if [n for n in array.shape if n != 1] != [n for n in leaf.space.shape if n != 1]:
        raise ValueError(f"an observation{where} of shape {array.shape}, its space has {leaf.space.shape}")
    return array.ravel()


def _facts(space: Space[Any]) -> dict[str, Any]:
    if isinstance(space, Box):
        return {"kind": "Box", "shape": list(space.shape), "low": _bound(space.low), "high": _bound(space.high)}
    return {"kind": str(space)}


def _bound(values: Array) -> Any:
    """One number where all are equal; an infinity as text, since JSON has none."""
    listed = [x if np.isfinite(x) else str(x) for x in values.astype(np.float64).ravel().tolist()]
    return listed[0] if len(set(listed)) == 1 else listed


def _told(before: Any, now: Any, at: str = "") -> list[str]:
    """Two facts that differ, as words: whole, or where they are long the first part that differs, with its place."""
    texts = [str(facts).replace("'", "") for facts in (before, now)]
    if max(map(len, texts)) <= LONGEST:
        return [at + text for text in texts]
    for name, one, other in _pairs(before, now):
        if one != other:
            return _told(one, other, f"{at}{name} ")
    alike = [one == other for one, other in zip(*texts, strict=False)]
    same = alike.index(False) if False in alike else len(alike)
    return [f"{at}... {text[max(0, same - 20) :][:LONGEST]} ..." for text in texts]


def _pairs(before: Any, now: Any) -> list[tuple[Any, Any, Any]]:
    """Name, former and present value of each part of two facts; none where their parts are others."""
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        return [(key, before[key], now[key]) for key in now]
    length = max(len(facts) if isinstance(facts, list) else 0 for facts in (before, now))
    # A bound that is the same everywhere is one number.
    rows = [facts if isinstance(facts, list) else [facts] * length for facts in (before, now)]
    if isinstance(before, dict | str) or isinstance(now, dict | str) or len(rows[0]) != len(rows[1]):
        return []
    return [(f"[{i}]", *pair) for i, pair in enumerate(zip(*rows, strict=True))]
