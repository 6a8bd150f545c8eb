"""Every field of a configuration: key, what it may be, what it means.

Read from the source of the dataclasses: importing them loads numpy and pydantic, half a second that `--help` and the
Tab key would wait for. A test compares what is read here with pydantic's own account.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import NamedTuple

from rlcont import names

_PACKAGE = Path(__file__).parent
KINDS = {"noise": ("noise", "NoiseConfig"), "actors": ("actors.config", "ActorsConfig")}
"""Groups whose options differ in their keys, and where the union of their dataclasses is."""
_WORDS = {
    "StrictBool": "true or false",
    "StrictFloat": "number",
    "StrictInt": "whole number",
    "StrictStr": "text",
    "dict": "NAME=VALUE pairs",
}


class Field(NamedTuple):
    """One field of a configuration dataclass."""

    key: str
    """Dotted, as typed."""
    allowed: str
    """What it may be."""
    choices: list[str]
    """All it may be, where that can be listed."""
    meaning: str

    @property
    def article(self) -> str:
        """What goes before `allowed` in a sentence."""
        return "a " if self.allowed.startswith(("number", "whole number", "list")) else ""


class _Type(NamedTuple):
    """What an annotation says."""

    word: str
    bounds: dict[str, float]
    """By the names pydantic has for them: ge, gt, le, lt."""
    choices: list[str]

    def __str__(self) -> str:
        bounds = self.bounds
        if "ge" in bounds and "le" in bounds:
            return f"{self.word} from {bounds['ge']} to {bounds['le']}"
        phrases = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        said = ", ".join(f"{phrase} {bounds[name]}" for name, phrase in phrases.items() if name in bounds)
        return f"{self.word} {said}".rstrip()


def general_fields() -> list[Field]:
    """The keys of every run, but for those of its algorithm, its noise and its actors."""
    chosen_by_groups = ("algo_name", "algo", "env.id", *KINDS)
    fields = [field for field in _fields("config", "RunConfig", "") if field.key not in chosen_by_groups]
    # Composing puts the algorithm's own number in place of auto, so the dataclass never sees it.
    return [
        field._replace(allowed=f"auto or a {field.allowed}", choices=["auto"]) if field.key == "num_envs" else field
        for field in fields
    ]


def sweep_fields() -> list[Field]:
    """The keys of a sweep as a whole."""
    return _fields("config", "SweepConfig", "sweep.")


def search_fields() -> list[Field]:
    """The keys of a search as a whole."""
    return _fields("config", "SearchConfig", "search.")


def algorithm_fields(name: str) -> list[Field]:
    """The keys of `algo=name`."""
    module = f"algos.{name}"
    agent = next(defined for defined in _definitions(module) if defined.lower() == name)
    fields = _fields(*_config_of(module, agent), "algo.")
    auto_noise = names.file_values(f"algo/{name}").get("auto_noise", {})
    by_key = {field.key.removeprefix("noise."): field for field in kind_fields("noise", auto_noise.get("kind", "none"))}
    by_key["kind"] = by_key["kind"]._replace(meaning="What noise=auto stands for.")
    return fields + [by_key[key]._replace(key=f"algo.auto_noise.{key}") for key in names.flat_keys(auto_noise)]


def kind_fields(group: str, kind: str) -> list[Field]:
    """The keys of a group of KINDS with the kind chosen; none for noise=auto, which is no noise of its own."""
    module, name = KINDS[group]
    _, union = _find(module, name)
    found = {}
    for node in ast.walk(union):
        if isinstance(node, ast.Name) and isinstance(_find(module, node.id)[1], ast.ClassDef):
            fields = _fields(module, node.id, f"{group}.")
            found[fields[0].choices[0]] = fields
    kinds = sorted(found)
    return [
        field._replace(allowed=_one_of(kinds), choices=kinds) if field.key == f"{group}.kind" else field
        for field in found.get(kind, [])
    ]


def kind_of(values: object) -> str:
    """The kind that the values of a group of KINDS are of."""
    return str(values.get("kind")) if isinstance(values, dict) else ""


def _fields(module: str, name: str, prefix: str) -> list[Field]:
    """The fields of a dataclass, its parents' first, those of nested dataclasses in their place."""
    module, node = _find(module, name)
    assert isinstance(node, ast.ClassDef)
    fields = [field for base in node.bases for field in _fields(module, ast.unparse(base), prefix)]
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign):
            continue
        key = prefix + ast.unparse(statement.target)
        annotation = statement.annotation
        if isinstance(annotation, ast.Name) and isinstance(_find(module, annotation.id)[1], ast.ClassDef):
            fields += _fields(module, annotation.id, f"{key}.")
            continue
        kind = _type(module, annotation)
        meaning = ast.literal_eval(after.value) if isinstance(after, ast.Expr) else ""
        fields.append(Field(key, str(kind), kind.choices, " ".join(meaning.split())))
    return fields


def _type(module: str, node: ast.AST | None) -> _Type:
    match node:
        case ast.Name(id=name):
            if name in _WORDS:
                return _Type(_WORDS[name], {}, ["true", "false"] if name == "StrictBool" else [])
            found_in, definition = _find(module, name)
            return _type(found_in, definition.value) if isinstance(definition, ast.Assign) else _Type(name, {}, [])
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *marks])):
            kind = _type(module, inner)
            return kind._replace(bounds=kind.bounds | _bounds(marks))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            literals = ast.literal_eval(values)
            choices = list(literals) if isinstance(literals, tuple) else [literals]
            return _Type(_one_of(choices), {}, choices)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, *_])):
            return _Type(f"list, each item a {_type(module, item)}", {}, [])
        case ast.BinOp(left=left, right=ast.Constant(value=None)):
            kind = _type(module, left)
            return _Type(f"{kind}, or null", {}, [*kind.choices, "null"])
        case ast.BinOp(left=left, right=right):
            one, other = _type(module, left), _type(module, right)
            listed = [*one.choices, *other.choices]
            return _Type(_one_of(listed) if one.choices and other.choices else f"{one} or a {other}", {}, listed)
        case ast.Subscript(value=inner):
            return _type(module, inner)
    return _Type("any value", {}, [])


def _bounds(marks: list[ast.expr]) -> dict[str, float]:
    return {
        keyword.arg: ast.literal_eval(keyword.value)
        for mark in marks
        if isinstance(mark, ast.Call)
        for keyword in mark.keywords
        if keyword.arg in ("ge", "gt", "le", "lt")
    }


def _one_of(choices: list[str]) -> str:
    return " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]


def _config_of(module: str, name: str) -> tuple[str, str]:
    """Module and name of the dataclass that an agent's class, or the first of its parents that does, calls Config."""
    module, node = _find(module, name)
    assert isinstance(node, ast.ClassDef)
    for statement in node.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="Config")], value=value)
                | ast.AnnAssign(target=ast.Name(id="Config"), value=ast.Name() as value)
            ):
                return module, ast.unparse(value)
    return _config_of(module, ast.unparse(node.bases[0]))


def _find(module: str, name: str) -> tuple[str, ast.stmt]:
    """Where `name` of `module` is defined, imports within rlcont followed."""
    definition = _definitions(module).get(name, ast.Pass())
    if isinstance(definition, ast.ImportFrom) and (definition.module or "").startswith("rlcont."):
        return _find((definition.module or "").removeprefix("rlcont."), name)
    return module, definition


@functools.cache
def _definitions(module: str) -> dict[str, ast.stmt]:
    """Classes, assignments and imported names of a module's top level."""
    path = _PACKAGE / f"{module.replace('.', '/')}.py"
    found: dict[str, ast.stmt] = {}
    for statement in ast.parse(path.read_text()).body:
        match statement:
            case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = statement
            case ast.ImportFrom(names=aliases):
                found |= {alias.name: statement for alias in aliases}
    return found
