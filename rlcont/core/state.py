"""The state of an object, gathered from its parts and given back to them."""

from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np


class Parts:
    """An object whose state is that of its parts.

    A part is any attribute that has a state: an object with `state_dict` and `load_state_dict` (such as a network, an
    optimiser or a memory), a generator of numpy or torch, an array, a tensor, and a list, tuple or dictionary of such.
    An attribute becomes a part by being assigned. Its state is saved under its name, without a leading underscore. An
    object under two names is saved once.
    """

    counters: ClassVar[tuple[str, ...]] = ()
    """Attributes that are plain numbers and change, besides those that the parent classes name."""
    unsaved: ClassVar[tuple[str, ...]] = ()
    """Attributes that are no parts, besides those that the parent classes name: constants, scratch space, and parts of
    another object, which saves them."""

    def parts(self) -> dict[str, Any]:
        """The parts, by name."""
        ignored, found, seen = {*self.named("counters"), *self.named("unsaved")}, {}, set()
        for name, value in vars(self).items():
            if name not in ignored and id(value) not in seen and has_state(value):
                seen.add(id(value))
                found[name.lstrip("_")] = value
        return found

    def leaves(self) -> list[Any]:
        """The parts, those in lists, tuples and dictionaries one by one."""
        return [leaf for part in self.parts().values() for leaf in _leaves(part)]

    def holders(self) -> Iterator["Parts"]:
        """This object, and all below it whose state comes from parts."""
        yield self
        for part in self.leaves():
            if isinstance(part, Parts):
                yield from part.holders()

    def state_dict(self) -> dict[str, Any]:
        """The state of every part and every counter; live.

        Raises:
            TypeError: a number or text, or a collection of numbers, has changed, or has come up, that is not one of
                `counters`.
        """
        for name in self._changed_constants():
            raise TypeError(f"{type(self).__name__}.{name} changes and is not saved; name it in `counters`")
        counters = {name.lstrip("_"): getattr(self, name) for name in self.named("counters")}
        return {name: _state(part) for name, part in self.parts().items()} | counters

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what `state_dict` gave.

        Raises:
            KeyError: the state is of an object with other parts.
        """
        parts, counters = self.parts(), {name.lstrip("_"): name for name in self.named("counters")}
        other = sorted(state.keys() ^ (parts.keys() | counters.keys()))
        if other:
            raise KeyError(f"{type(self).__name__}: {', '.join(other)}")
        for name, part in parts.items():
            _load(part, state[name])
        for name, attribute in counters.items():
            setattr(self, attribute, state[name])

    def plain_values(self) -> dict[str, Any]:
        """Attributes that are no parts and are numbers, collections of numbers, texts or None, by name."""
        ignored = {*self.named("counters"), *self.named("unsaved"), "_constants"}
        return {name: value for name, value in vars(self).items() if name not in ignored and _is_plain(value)}

    def _changed_constants(self) -> list[str]:
        """Plain values that have changed, or have come up, since `check_parts` looked at this object, if it has."""
        before, now = vars(self).get("_constants"), self.plain_values()
        if before is None:
            return []
        # What was None or a text may have become a part, which is saved.
        gone = [name for name, value in before.items() if name not in now and _is_numeric(value)]
        return [*gone, *(name for name, value in now.items() if not same_numbers(value, before.get(name, self)))]

    @classmethod
    def named(cls, kind: str) -> list[str]:
        """`counters` or `unsaved` of this class and its parents."""
        return [name for parent in cls.__mro__ for name in vars(parent).get(kind, ())]


def has_state(value: Any) -> bool:
    """Whether a value is a part, or a container of parts."""
    if isinstance(value, dict):
        return any(map(has_state, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_state, value))
    if isinstance(value, type):
        return False
    if isinstance(value, np.ndarray) or of_torch(value, "Tensor") or is_generator(value):
        return True
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def is_generator(value: Any) -> bool:
    """Whether a value is a generator of numpy or torch."""
    return isinstance(value, np.random.Generator) or of_torch(value, "Generator")


def of_torch(value: Any, name: str) -> bool:
    """Whether a value is of a class of torch's. Processes that only step environments work without torch."""
    return any(cls.__name__ == name and cls.__module__.partition(".")[0] == "torch" for cls in type(value).__mro__)


def same_numbers(one: Any, other: Any) -> bool:
    """Whether two numbers, or collections of numbers, are the same; anything else is another."""
    try:
        return type(one) is type(other) and (one is other or one != one or bool(one == other))
    except (ValueError, RuntimeError):
        return False


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str) or _is_numeric(value)


def _is_numeric(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_numeric, value.values()))
    if isinstance(value, list | tuple | set | deque):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float | np.number)


def contained(container: Any) -> dict[str, Any]:
    """The parts in a list, tuple or dictionary, by place or key."""
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    return {str(key): value for key, value in pairs if has_state(value)}


def _leaves(part: Any) -> list[Any]:
    if isinstance(part, dict | list | tuple):
        return [leaf for inner in contained(part).values() for leaf in _leaves(inner)]
    return [part]


def flat_state(**parts: Any) -> dict[str, Any]:
    """The states of the parts that are not None in one dictionary of tensors, by part.key; live."""
    states = {name: part.state_dict() for name, part in parts.items() if part is not None}
    return {f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}


def load_flat_state(state: dict[str, Any], **parts: Any) -> None:
    """Gives each part what `flat_state` had of it."""
    nested: dict[str, dict[str, Any]] = {name: {} for name, part in parts.items() if part is not None}
    for name, value in state.items():
        part, _, key = name.partition(".")
        nested[part][key] = value
    for name, own in nested.items():
        parts[name].load_state_dict(own)


def _state(part: Any) -> Any:
    if isinstance(part, dict | list | tuple):
        return {key: _state(value) for key, value in contained(part).items()}
    if isinstance(part, np.random.Generator):
        return part.bit_generator.state
    if isinstance(part, np.ndarray):
        return part.copy()
    if is_generator(part):
        return part.get_state()
    return part if of_torch(part, "Tensor") else part.state_dict()


def _load(part: Any, state: Any) -> None:
    if isinstance(part, dict | list | tuple):
        parts = contained(part)
        if parts.keys() != state.keys():
            raise KeyError(f"a collection of {len(parts)} parts where {len(state)} were saved")
        for key, value in parts.items():
            _load(value, state[key])
    elif isinstance(part, np.random.Generator):
        part.bit_generator.state = state
    elif is_generator(part):
        part.set_state(state)
    elif isinstance(part, np.ndarray) or of_torch(part, "Tensor"):
        if (part.shape, part.dtype) != (state.shape, state.dtype):
            raise ValueError(f"{tuple(part.shape)} {part.dtype} where {tuple(state.shape)} {state.dtype} was saved")
        if isinstance(part, np.ndarray):
            part[...] = state
        else:
            part.data.copy_(state)
    else:
        part.load_state_dict(state)
