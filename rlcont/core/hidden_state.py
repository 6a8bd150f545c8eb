"""State that no checkpoint would hold, found when an agent is built and not when it resumes wrongly."""

import contextlib
import copy
import functools
import io
import random
import types
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from rlcont.core.state import Parts, has_state, is_generator, of_torch

_FOREIGN = ("torch", "numpy", "builtins")  # Packages whose objects and functions are not looked into.
_REFUSED = (
    "{place} is a {kind} that no checkpoint would hold; assign it to the agent itself, or derive the class of what "
    "holds it from rlcont.core.state.Parts"
)


def check_parts(owner: Parts) -> None:
    """Looks for generators, tensors and stateful objects that are no parts of `owner`, or of its parts.

    From now on `owner` and its parts also notice when a plain value changes, or comes up, that is not saved.

    Raises:
        TypeError: there is one, in an object or a function that is no part; or two parts would be saved under one name.
    """
    saved: set[int] = set()
    _collect(owner, saved)
    for holder in owner.holders():
        ignored = {*holder.named("counters"), *holder.named("unsaved"), "_constants"}
        attributes = {name: value for name, value in vars(holder).items() if name not in ignored}
        for name, value in attributes.items():
            if not has_state(value):
                _refuse_hidden(value, f"{type(holder).__name__}.{name}", saved)
        vars(holder)["_constants"] = copy.deepcopy(holder.plain_values())
        saved_as = [*holder.named("counters"), *(name for name, value in attributes.items() if has_state(value))]
        doubled = {name for name, count in Counter(name.lstrip("_") for name in saved_as).items() if count > 1}
        if doubled:
            raise TypeError(f"{type(holder).__name__}: {', '.join(doubled)} with and without an underscore; rename one")


def _collect(value: Any, saved: set[int]) -> None:
    """Adds a part and all that has a state below it: the part's own `state_dict` is trusted to be complete.

    Raises:
        TypeError: a network holds a generator, or a tensor that is neither a parameter nor a buffer.
    """
    if id(value) in saved:
        return
    saved.add(id(value))
    if isinstance(value, dict | list | tuple):
        inside = dict(enumerate(value.values() if isinstance(value, dict) else value))
    else:
        inside = dict(vars(value)) if hasattr(value, "__dict__") else {}
    for name, inner in inside.items():
        is_hidden = is_generator(inner) or of_torch(inner, "Tensor")
        if is_hidden and of_torch(value, "Module") and not str(name).startswith("_"):
            raise TypeError(_REFUSED.format(place=f"{type(value).__name__}.{name}", kind=type(inner).__name__))
        if has_state(inner):
            _collect(inner, saved)


def _refuse_hidden(value: Any, place: str, saved: set[int]) -> None:
    """Raises where a value that is no part leads to state that is saved nowhere."""
    if id(value) in saved or isinstance(value, type | types.ModuleType | np.ndarray):
        return
    saved.add(id(value))
    is_random = is_generator(value) or isinstance(value, np.random.RandomState | random.Random)
    if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
        raise TypeError(
            f"{place} is a {type(value).__name__}, whose place no checkpoint would hold; count it in `counters`"
        )
    if _arranges_layers(value, saved):
        return
    if is_random or (has_state(value) and not isinstance(value, dict | list | tuple)):
        raise TypeError(_REFUSED.format(place=place, kind=type(value).__name__))
    for how, inner in _inside(value):
        _refuse_hidden(inner, place + how, saved)


def _arranges_layers(value: Any, saved: set[int]) -> bool:
    """Whether a value is one of torch's containers, of nothing but layers that are saved."""
    if not of_torch(value, "Module") or type(value).__module__.partition(".")[0] != "torch":
        return False
    layers = list(value.children())
    return bool(layers) and all(id(inner) in saved for inner in (*layers, *value.parameters(), *value.buffers()))


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value refers to, each with how it is reached."""
    if isinstance(value, dict):
        if "__builtins__" not in value:  # No namespace of a module.
            yield from ((f"[{key!r}]", inner) for key, inner in value.items())
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from ((f"[{place}]", inner) for place, inner in enumerate(value))
    elif isinstance(value, functools.partial):
        arguments = [("func", value.func), *enumerate(value.args), *value.keywords.items()]
        yield from ((f" with {key}", inner) for key, inner in arguments)
    elif isinstance(value, types.MethodType | types.BuiltinMethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, types.FunctionType):
        if (value.__module__ or "").partition(".")[0] not in _FOREIGN:
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                with contextlib.suppress(ValueError):  # A variable without a value yet.
                    yield f" with {name}", cell.cell_contents
            defaults = [*enumerate(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items()]
            yield from ((f" with default {name}", inner) for name, inner in defaults)
    elif type(value).__module__.partition(".")[0] not in _FOREIGN:
        names = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
        slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
        yield from ((f".{name}", inner) for name, inner in {**slots, **getattr(value, "__dict__", {})}.items())
