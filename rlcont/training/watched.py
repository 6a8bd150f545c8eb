"""The Python values that compiled code holds as constants, and whether one of them has changed."""

from __future__ import annotations

import re
import types
from typing import Any

import torch


class WatchedValues:
    """The Python values that compiled code holds as constants, by the expressions it read them by.

    Tuples and frozen dataclasses are watched as a whole, since what is in them cannot change.
    """

    def __init__(self, update: Any):
        function: Any = getattr(update, "__func__", update)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        names = {name: cell.cell_contents for name, cell in cells}
        if hasattr(update, "__self__"):
            names[function.__code__.co_varnames[0]] = update.__self__
        self.scope = {"L": names, "G": function.__globals__}
        self.values: dict[str, Any] = {}
        self.code: types.CodeType | None = None

    def take_over(self, guards: Any) -> list[bool]:
        """Keeps the compiler's guards on tensors alone, and watches the plain values that the others are about."""
        for guard in guards:
            # The compiler copies the dictionary of a class for each attribute, which takes long.
            expression = re.sub(r"dict\((.+)\.__dict__\)\['(\w+)'\]", r"\1.\2", guard.orig_guard.name)
            if re.search(r"__import_|\._(modules|parameters|buffers|\w*hooks\w*)\b|__mro__", expression):
                continue  # Code of libraries and the structure of networks: they do not change as training goes on.
            if isinstance(guard.value, list | dict):
                self._watch(f"len({expression})")
            elif _is_plain(guard.value):
                self._watch(expression)
            elif isinstance(guard.value, types.FunctionType) and "type(" not in expression:
                self._watch(expression)  # A function kept in an attribute; methods of classes do not change.
        self.code = compile(f"({''.join(f'{each},' for each in self.values)})", "watched values", "eval")
        return torch.compiler.keep_tensor_guards_unsafe(guards)

    def change(self) -> str:
        """What has changed since the update was compiled, or nothing."""
        if self.code is None or self._now() == tuple(self.values.values()):
            return ""
        for expression, before in self.values.items():
            try:
                now = eval(expression, self.scope)
            except (AttributeError, LookupError):
                now = "nothing"
            if now != before:
                return f"{_readable(expression)}, which has changed from {before!r} to {now!r}"
        return ""

    def _now(self) -> Any:
        assert self.code is not None
        try:
            return eval(self.code, self.scope)
        except (AttributeError, LookupError):  # Something is gone.
            return None

    def _watch(self, expression: str) -> None:
        owner = re.fullmatch(r"(?:len\()?(.+?)(?:\.\w+|\[[^\[\]]+\])\)?", expression)
        try:
            value = eval(expression, self.scope)
            holder = eval(owner[1], self.scope) if owner else None
        except Exception:  # An expression of the compiler's own that only it can evaluate.
            return
        if not _is_frozen(holder) and not isinstance(holder, tuple):
            self.values[expression] = value


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str | None) or _is_frozen(value)


def _is_frozen(value: Any) -> bool:
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _readable(expression: str) -> str:
    """An expression of the compiler's as it stands in the update."""
    return re.sub(r"L\['(\w+)'\]|G\['(\w+)'\]", lambda match: match[1] or match[2], expression)
