"""The Python values that compiled code holds as constants, and whether one of them has changed."""

import contextlib
import dataclasses
import enum
import re
import types
from typing import Any

import torch

STRUCTURE = r"__import_(torch|contextlib)|__builtins_|hooks|^G\['torch'\]|\.(torch|math|functional_call)\b"
"""Guards on the code of libraries, and on hooks, which nothing here sets."""
INSIDE_NETWORKS = r"\._(modules|parameters|buffers)\b"
IDENTITIES = {
    "CLASS_MATCH",
    "CLOSURE_MATCH",
    "BUILTIN_MATCH",
    "ID_MATCH",
    "FUNCTION_MATCH",
    "MODULE_MATCH",
    "EQUALS_MATCH",
}


class WatchedValues:
    """The Python values that compiled code holds as constants, by the expressions it read them by.

    Tuples and frozen dataclasses of plain values are watched as a whole, since what is in them cannot change.

    Args:
        addresses: whether to watch where the tensors lie too, since a recorded graph reads fixed addresses.
    """

    def __init__(self, update: Any, *, addresses: bool):
        function: Any = getattr(update, "__func__", update)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        names = {name: cell.cell_contents for name, cell in cells}
        if hasattr(update, "__self__"):
            names[function.__code__.co_varnames[0]] = update.__self__
        self.scope = {"L": names, "G": function.__globals__}
        self.addresses = addresses
        self.values: dict[str, Any] = {}
        self.code: types.CodeType | None = None

    def take_over(self, guards: Any) -> list[bool]:
        """Keeps the compiler's guards on tensors alone, and watches what the others are about."""
        for guard in guards:
            expression = _as_attribute(guard.orig_guard.name)
            is_structure = re.search(INSIDE_NETWORKS, expression) and guard.guard_type != "CONSTANT_MATCH"
            if not expression or is_structure or re.search(STRUCTURE, expression):
                continue
            if guard.guard_type == "TENSOR_MATCH":
                if self.addresses:
                    self._watch(f"{expression}.data_ptr()")
            elif isinstance(guard.value, dict):
                self._watch(f"tuple({expression})")
            elif isinstance(guard.value, list):
                self._watch(f"len({expression})")
            elif isinstance(guard.value, set):
                self._watch(f"frozenset({expression})")
            elif _is_plain(guard.value):
                self._watch(expression)
            elif guard.guard_type == "TYPE_MATCH":
                self._watch(f"type({expression})")
            elif guard.guard_type in IDENTITIES and expression.startswith("L[") and "__call__" not in expression:
                self._watch(expression)  # A function or class that is kept in an attribute.
        self.code = compile(f"({''.join(f'{each},' for each in self.values)})", "watched values", "eval")
        return torch.compiler.keep_tensor_guards_unsafe(guards)

    def change(self) -> str:
        """What has changed since the update was compiled, or nothing."""
        if self.code is None:
            return ""
        with contextlib.suppress(AttributeError, LookupError):  # Something is gone.
            if eval(self.code, self.scope) == tuple(self.values.values()):
                return ""
        for expression, before in self.values.items():
            try:
                now = eval(expression, self.scope)
            except (AttributeError, LookupError):
                now = "nothing"
            if now != before:
                return f"{_readable(expression)}, which has changed from {before!r} to {now!r}"
        return ""

    def _watch(self, expression: str) -> None:
        owner = re.fullmatch(r"(?:\w+\()?(.+?)(?:\.\w+|\[[^\[\]]+\])\)?", expression)
        try:
            value = eval(expression, self.scope)
            holder = eval(owner[1], self.scope) if owner else None
        except Exception:  # An expression of the compiler's own that only it can evaluate.
            return
        if not (isinstance(holder, tuple) or _is_frozen(holder)) or not _is_plain(holder):
            self.values[expression] = value


def _as_attribute(expression: str) -> str:
    """`x.name` where the compiler reads `name` from the class of x: copying the class's dictionary takes long, and an
    attribute of x itself would come first.
    """
    expression = re.sub(r"dict\((.+)\.__dict__\)\['(\w+)'\]", r"\1.\2", expression)
    return re.sub(r"^type\((.+)\)(?:\.__mro__\[\d+\])?\.(\w+)$", r"\1.\2", expression)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_plain, value))
    if _is_frozen(value):
        return all(_is_plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    return isinstance(value, bool | int | float | complex | str | bytes | enum.Enum | torch.dtype | torch.device | None)


def _is_frozen(value: Any) -> bool:
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _readable(expression: str) -> str:
    """An expression of the compiler's as it stands in the update."""
    return re.sub(r"L\['(\w+)'\]|G\['(\w+)'\]", lambda match: match[1] or match[2], expression)
