"""Every key of a configuration: allowed values and meaning, read off the dataclasses.

Error messages, help and completion all use these descriptions.
"""

import ast
import dataclasses
import functools
import inspect
import textwrap
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from rlcont.algos.find import config_class
from rlcont.config.actors import ActorsConfig
from rlcont.config.names import algorithm, file_values, options
from rlcont.config.run import BY_ALGORITHM, CHANGEABLE, RunConfig, SearchConfig, SweepConfig
from rlcont.exploration.config import NoiseConfig

KINDS = {"noise": NoiseConfig, "actors": ActorsConfig}
"""Groups whose options differ in their keys, each a union of dataclasses with a `kind`."""
_WORDS = {bool: "true or false", float: "number", int: "whole number", str: "text", dict: "NAME=VALUE pairs"}
_PHRASES = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


class Field(NamedTuple):
    """One key of a configuration."""

    key: str  # Dotted, as typed.
    allowed: str  # What the value may be, in words.
    choices: list[str]  # All allowed values, where they can be listed.
    meaning: str

    @property
    def article(self) -> str:
        """The word before `allowed` in a sentence."""
        return "a " if self.allowed.startswith(("number", "whole number", "list")) else ""


def general_fields() -> list[Field]:
    """The keys of every run, but for those of its algorithm, its noise and its actors."""
    chosen_by_groups = ("algo_name", "algorithm", "algo", "env.id", *KINDS)
    return [
        field._replace(allowed=f"auto or a {field.allowed}", choices=["auto", *field.choices])
        if field.key in BY_ALGORITHM
        else field
        for field in _fields(RunConfig, "")
        if field.key not in chosen_by_groups
    ]


def sweep_fields() -> list[Field]:
    return _fields(SweepConfig, "sweep.")


def search_fields() -> list[Field]:
    return _fields(SearchConfig, "search.")


def resume_fields() -> list[Field]:
    """The keys that may change when a run, a sweep or a search is resumed."""
    keys = (*CHANGEABLE, "sweep.jobs", "search.trials")
    fields = [*general_fields(), *kind_fields("actors", "ray"), *sweep_fields(), *search_fields()]
    return [field for field in fields if field.key in keys]


def algorithm_fields(name: str) -> list[Field]:
    """The keys of `algo=name`, with those of the noise that noise=auto stands for."""
    auto_noise = kind_fields("noise", kind_of(file_values("algo", name).get("auto_noise")))
    if auto_noise:
        auto_noise[0] = auto_noise[0]._replace(meaning="What noise=auto stands for.")
    return class_fields(algorithm(name)) + [field._replace(key=f"algo.auto_{field.key}") for field in auto_noise]


def class_fields(algorithm: str) -> list[Field]:
    """The hyper-parameters of an algorithm, as its dataclass has them."""
    return _fields(config_class(algorithm), "algo.")


def option_fields(group: str, option: str) -> list[Field]:
    """The keys of an option of a group of KINDS without its kind; noise=auto has none."""
    fields = kind_fields(group, kind_of(file_values(group, option)))
    return [field for field in fields if field.key != f"{group}.kind"]


def run_fields(choices: Mapping[str, str]) -> list[Field]:
    """The keys of a run with an option chosen in algo and in each group of KINDS."""
    own = [field for group in KINDS for field in option_fields(group, choices[group])]
    return [*general_fields(), *algorithm_fields(choices["algo"]), *own]


def kind_fields(group: str, kind: str) -> list[Field]:
    """The keys of a group of KINDS with a kind chosen."""
    by_kind = _by_kind(group)
    if kind not in by_kind:
        return []
    return [
        field._replace(allowed=_one_of(kinds(group)), choices=kinds(group)) if field.key == f"{group}.kind" else field
        for field in _fields(by_kind[kind], f"{group}.")
    ]


def kinds(group: str) -> list[str]:
    return sorted(_by_kind(group))


def kinds_with(group: str, key: str) -> list[str]:
    """Options of a group of KINDS that have the key."""
    return [option for option in options(group) if key in (field.key for field in option_fields(group, option))]


def kind_of(values: object) -> str:
    """The kind of the values of a group of KINDS; empty where they name none."""
    return str(values.get("kind", "")) if isinstance(values, dict) else ""


def _by_kind(group: str) -> dict[str, type]:
    union = get_args(KINDS[group])[0]
    return {get_args(get_type_hints(cls)["kind"])[0]: cls for cls in get_args(union)}


@functools.cache
def _fields(cls: type, prefix: str) -> list[Field]:
    """The fields of a dataclass, its parents' first, those of nested dataclasses in their place."""
    hints = get_type_hints(cls, include_extras=True)
    meanings = _meanings(cls)
    fields = []
    for field in dataclasses.fields(cls):
        hint, key = hints[field.name], prefix + field.name
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            fields += _fields(hint, f"{key}.")
        else:
            allowed, choices = _described(hint)
            fields.append(Field(key, allowed, choices, meanings.get(field.name, "")))
    return fields


def _described(hint: Any, bounds: dict[str, Any] | None = None) -> tuple[str, list[str]]:
    """What a type allows, in words, and all of its values where they can be listed."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner, *marks = arguments
        if texts := [mark.description for mark in marks if getattr(mark, "description", None)]:
            return texts[-1], []
        own = {name: value for mark in marks for name in _PHRASES for value in _bounds(mark, name)}
        return _described(inner, {**own, **(bounds or {})})
    if origin is Literal:
        choices = [str(argument) for argument in arguments]
        return _one_of(choices), choices
    if origin in (Union, types.UnionType):
        parts = [_described(argument) for argument in arguments if argument is not type(None)]
        choices = [choice for _, listed in parts for choice in listed]
        if len(parts) > 1 and all(listed for _, listed in parts):
            text = _one_of(choices)
        else:
            text = parts[0][0] + "".join(f" or {_article(words)}{words}" for words, _ in parts[1:])
        return (f"{text}, or null", [*choices, "null"]) if type(None) in arguments else (text, choices)
    if origin is tuple:
        item = _described(arguments[0])[0]
        return f"list, each item {_article(item)}{item}", []
    limits = bounds or {}
    words = ", ".join(f"{_PHRASES[name]} {limits[name]}" for name in _PHRASES if name in limits)
    if {"ge", "le"} <= limits.keys():
        words = f"from {limits['ge']} to {limits['le']}"
    word = _WORDS.get(origin or hint, "any value")
    return f"{word} {words}".rstrip(), ["true", "false"] if hint is bool else []


def _article(words: str) -> str:
    return "" if words == _WORDS[dict] else "a "


def _bounds(mark: Any, name: str) -> list[Any]:
    """The bound `name` that an annotation sets, which pydantic's Field keeps in a list of its own."""
    return [getattr(one, name) for one in (mark, *getattr(mark, "metadata", [])) if hasattr(one, name)]


def _one_of(choices: list[str]) -> str:
    return ", ".join(choices[:-1]) + f" or {choices[-1]}" if len(choices) > 1 else choices[0]


def _meanings(cls: type) -> dict[str, str]:
    """The string under each field of a dataclass and its parents, on one line."""
    found: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        if "__dataclass_fields__" not in vars(parent):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        assert isinstance(tree, ast.ClassDef)
        for statement, after in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr):
                found[ast.unparse(statement.target)] = " ".join(ast.literal_eval(after.value).split())
    return found
