"""State that no checkpoint would hold, found when an agent is built and not when it resumes wrongly."""

from __future__ import annotations

import copy
import functools
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from rlcont.core.state import Parts, has_state, is_generator

_FOREIGN = ("torch", "numpy", "builtins")


def check_parts(owner: Parts) -> None:
    """Looks for generators, tensors and stateful objects that are no parts of `owner`, or of its parts.

    From now on `owner` and its parts also notice when a number, or a collection of numbers, changes that is not saved.

    Raises:
        TypeError: there is one, in an object or a function that is no part; or two parts would be saved under one name.
    """
    saved: set[int] = set()
    _collect(owner, saved)
    for holder in _holders(owner):
        ignored = {*holder.named("counters"), *holder.named("unsaved"), "_constants"}
        attributes = {name: value for name, value in vars(holder).items() if name not in ignored}
        for name, value in attributes.items():
            if not has_state(value):
                _refuse_hidden(value, f"{type(holder).__name__}.{name}", saved)
        constants = {name: copy.deepcopy(value) for name, value in attributes.items() if _is_numeric(value)}
        vars(holder)["_constants"] = constants
        saved_as = [name.lstrip("_") for name in (*holder.named("counters"), *attributes)]
        doubled = {name for name in saved_as if saved_as.count(name) > 1}
        if doubled:
            raise TypeError(f"{type(holder).__name__}: {', '.join(doubled)} with and without an underscore; rename one")


def _is_numeric(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_numeric, value.values()))
    if isinstance(value, list | tuple | set | deque):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float | np.number)


def _holders(owner: Parts) -> Iterator[Parts]:
    """`owner` and all below it whose state comes from parts."""
    yield owner
    for part in owner.leaves():
        if isinstance(part, Parts):
            yield from _holders(part)


def _collect(value: Any, saved: set[int]) -> None:
    """Adds a part and all that has a state below it, for which the part answers."""
    if id(value) in saved:
        return
    saved.add(id(value))
    if isinstance(value, dict | list | tuple):
        inside = list(value.values() if isinstance(value, dict) else value)
    else:
        inside = list(vars(value).values()) if hasattr(value, "__dict__") else []
    for inner in inside:
        if has_state(inner):
            _collect(inner, saved)


def _refuse_hidden(value: Any, place: str, saved: set[int]) -> None:
    """Raises where a value that is no part leads to state that is saved nowhere."""
    if id(value) in saved or isinstance(value, type | types.ModuleType | np.ndarray):
        return
    saved.add(id(value))
    if is_generator(value) or (has_state(value) and not isinstance(value, dict | list | tuple)):
        raise TypeError(
            f"{place} is a {type(value).__name__} that no checkpoint would hold; assign it to the agent itself, or "
            "derive the class of what holds it from rlcont.core.state.Parts"
        )
    for how, inner in _inside(value):
        _refuse_hidden(inner, place + how, saved)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value refers to, each with how it is reached."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", inner) for key, inner in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{place}]", inner) for place, inner in enumerate(value))
    elif isinstance(value, functools.partial):
        yield from ((f" with {key}", inner) for key, inner in [*enumerate(value.args), *value.keywords.items()])
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, types.FunctionType):
        if not (value.__module__ or "").startswith("torch"):
            cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
            yield from ((f" with {name}", cell.cell_contents) for name, cell in cells if _is_filled(cell))
    elif hasattr(value, "__dict__") and not type(value).__module__.startswith(_FOREIGN):
        yield from ((f".{name}", inner) for name, inner in vars(value).items())


def _is_filled(cell: types.CellType) -> bool:
    """Whether a variable that a function refers to has a value yet."""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
