"""The Python values that compiled code holds as constants, and whether one of them has changed."""

import contextlib
import dataclasses
import enum
import inspect
import re
import sys
import types
from collections.abc import Iterable
from typing import Any

import torch

LIBRARIES = r"^(G|sys\.modules)\['((torch|contextlib)(\.[\w.]+)?'\]|__builtins_)|^sys\.modules\['[\w.]+'\]\.torch\b"
"""Expressions for the code of libraries, by the name that a module has for it."""
SURROUNDINGS = {"EMPTY_NN_MODULE_HOOKS_DICT", "NOT_PRESENT_IN_GENERIC_DICT"}
"""Guards on hooks, which rlcont never sets, and on methods that no attribute of the object hides."""
REGISTRY = r"(.+)\._(modules|parameters|buffers)(\[[^\[\]]+\])?"
"""Where a network of torch keeps its layers and weights, or one of these."""
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
        given = (update.__self__,) if hasattr(update, "__self__") else ()
        self.names = dict(inspect.signature(function, follow_wrapped=False).bind_partial(*given).arguments)
        self.cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self.scope = {"L": self.names, "G": function.__globals__, "sys": sys}
        self.addresses = addresses
        self.values: dict[str, Any] = {}
        self.unwatched: set[str] = set()
        self.left: set[str] = set()
        """Expressions that only the compiler can evaluate; its own guards on them stay."""
        self.code: types.CodeType | None = None
        self._look_into_cells()

    def take_over(self, guards: Any) -> list[bool]:
        """Watches what the compiler's guards are about; of these, it keeps those on tensors and those in `left`."""
        self._look_into_cells()
        watched = [self._watch_what_is_guarded(guard) for guard in guards]
        self._compile()
        on_tensors = torch.compiler.keep_tensor_guards_unsafe(guards)
        return [on_tensor or not here for on_tensor, here in zip(on_tensors, watched, strict=True)]

    def _watch_what_is_guarded(self, guard: Any) -> bool:
        """Whether what a guard is about is watched from now on, or need not be."""
        expression = _as_attribute(guard.orig_guard.name)
        if not expression or guard.guard_type in SURROUNDINGS or re.search(LIBRARIES, expression):
            return True
        in_network = self._is_of_a_network(expression) and guard.guard_type != "CONSTANT_MATCH"
        # A function or class that is kept in an attribute is watched, code that is called by its name is not.
        is_code = guard.guard_type in IDENTITIES and (not expression.startswith("L[") or "__call__" in expression)
        if guard.guard_type == "TENSOR_MATCH":
            return not self.addresses or in_network or self._watch(f"{expression}.data_ptr()", expression)
        if guard.guard_type == "DUPLICATE_INPUT":
            if expression.startswith("L["):
                other = _as_attribute(guard.orig_guard.create_fn.keywords["source_b"].name)
                self.values[f"({expression} is {other})"] = True
            return True
        read = _what_is_read(guard, expression)
        if read is None:
            self.left.add(expression)
            return False
        if in_network or (is_code and not _is_plain(guard.value)):
            self.unwatched.add(read)
            return True
        return self._watch(read, expression)

    def _is_of_a_network(self, expression: str) -> bool:
        """Whether this is a layer or weight of a network: layers stay, and weights are tensors."""
        found = re.fullmatch(REGISTRY, expression)
        return found is not None and isinstance(eval(found[1], self.scope), torch.nn.Module)

    def change(self) -> str:
        """What has changed since the update was compiled, or nothing."""
        if self.code is None:
            return ""
        self._look_into_cells()
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

    def constants(self) -> dict[str, str]:
        """The values as texts that mean the same in another process.

        Raises:
            ValueError: there is none for one of them.
        """
        return {expression: _text(value) for expression, value in self.values.items()}

    def structure(self) -> dict[str, str]:
        """What else the update depends on and is not watched, networks and functions, as far as there is a text."""
        texts = {}
        for expression in sorted(self.unwatched):
            with contextlib.suppress(Exception):  # Only the compiler can evaluate it, or it has no text.
                texts[expression] = _text(eval(expression, self.scope))
        return texts

    def are(self, texts: dict[str, str]) -> bool:
        """Whether these are the values now; what raises is an expression that this update does not have."""
        return all(_text(eval(expression, self.scope)) == text for expression, text in texts.items())

    def watch(self, expressions: Iterable[str]) -> None:
        """Watches the values of these expressions from now on."""
        self.values |= {expression: eval(expression, self.scope) for expression in expressions}
        self._compile()

    def _compile(self) -> None:
        self.code = compile(f"({''.join(f'{each},' for each in self.values)})", "watched values", "eval")

    def _look_into_cells(self) -> None:
        """Takes the closure's variables as they are now."""
        for name, cell in self.cells.items():
            self.names[name] = cell.cell_contents

    def _watch(self, read: str, expression: str) -> bool:
        """Watches what is read of an expression, unless that is a part of what is watched as a whole.

        Returns:
            Whether it has a value here.
        """
        owner = re.fullmatch(r"(.+?)(?:\.(\w+)|\[[^\[\]]+\])", expression)
        try:
            value = eval(read, self.scope)
            holder = eval(owner[1], self.scope) if owner else None
        except Exception:  # An expression of the compiler's own that only it can evaluate.
            self.left.add(read)
            return False
        is_part = isinstance(holder, tuple) or (owner is not None and owner[2] in _fields_of_frozen(holder))
        if not is_part or not _is_plain(holder):
            self.values[read] = value
        return True


def _as_attribute(expression: str) -> str:
    """An expression of the compiler's as one that Python evaluates quickly, in any process.

    `x.name` where the compiler reads `name` from the class of x: copying the class's dictionary takes long, and an
    attribute of x itself would come first.
    """
    # The compiler's own name for a module, which it puts among the globals.
    expression = re.sub(
        r"G\['__import_(\w+)'\]", lambda match: f"sys.modules[{match[1].replace('_dot_', '.')!r}]", expression
    )
    expression = re.sub(r"dict\((.+)\.__dict__\)\['(\w+)'\]", r"\1.\2", expression)
    return re.sub(r"^type\((.+)\)(?:\.__mro__\[\d+\])?\.(\w+)$", r"\1.\2", expression)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(_text, value)))}}}"
    if _is_frozen(value):
        fields = [f"{field.name}={_text(getattr(value, field.name))}" for field in dataclasses.fields(value)]
        return f"{_text(type(value))}({', '.join(fields)})"
    if isinstance(value, enum.Enum):
        return f"{_text(type(value))}.{value.name}"
    if _is_plain(value):
        return repr(value)
    name = f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None)}"
    if isinstance(value, types.FunctionType | types.MethodType):
        # Two functions may have one name, as lambdas do; the file they stand in is known by its digest.
        return f"{name}, line {value.__code__.co_firstlineno}"
    if isinstance(value, type | types.BuiltinFunctionType):
        return name
    raise ValueError(repr(value))


def _what_is_read(guard: Any, expression: str) -> str | None:
    """An expression for what a guard is about, where its value can be compared later."""
    if guard.guard_type == "HASATTR":
        owner, _, attribute = expression.rpartition(".")  # Older versions of torch name the attribute itself.
        if named := getattr(guard.orig_guard.create_fn, "keywords", {}).get("attr"):
            owner, attribute = expression, named
        return f"hasattr({owner}, {attribute!r})"
    if guard.guard_type == "SEQUENCE_LENGTH" and not _is_plain(guard.value):
        return f"len({expression})"
    if isinstance(guard.value, dict):
        return f"tuple({expression})"
    if isinstance(guard.value, list):
        return f"len({expression})"
    if isinstance(guard.value, set):
        return f"frozenset({expression})"
    if _is_plain(guard.value) or guard.guard_type in IDENTITIES:
        return expression
    return f"type({expression})" if guard.guard_type == "TYPE_MATCH" else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_plain, value))
    if _is_frozen(value):
        return all(_is_plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    return isinstance(value, bool | int | float | complex | str | bytes | enum.Enum | torch.dtype | torch.device | None)


def _is_frozen(value: Any) -> bool:
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _fields_of_frozen(value: Any) -> list[str]:
    """The fields of a frozen dataclass; what its class has besides may change."""
    return [field.name for field in dataclasses.fields(value)] if _is_frozen(value) else []


def _readable(expression: str) -> str:
    """An expression of the compiler's as it stands in the update."""
    return re.sub(r"L\['(\w+)'\]|G\['(\w+)'\]", lambda match: match[1] or match[2], expression)
