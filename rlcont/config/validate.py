"""Validation: a plain container becomes dataclasses, or one line about the first mistake."""

import functools
import operator
import re
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ArgsKwargs, ErrorDetails

from rlcont.algos.find import config_class
from rlcont.config import fields
from rlcont.config.actors import RayActors
from rlcont.config.foreign import key_hint
from rlcont.config.names import origin
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.core.spelling import did_you_mean, nearest, spelled

T = TypeVar("T")


def validate_settings(kind: type[T], group: str, values: dict[str, Any]) -> T:
    """Turns the composed values under `sweep` or `search` into its dataclass."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise _mistake(error, group, {group: values}, {}) from None


def validate(container: dict[str, Any], origins: dict[str, str] | None = None) -> RunConfig:
    """Turns a composed container into a RunConfig; `origins` is the file that gave each key, named in a complaint."""
    try:
        algo = config_class(container["algorithm"])(**{str(key): value for key, value in container["algo"].items()})
    except ValidationError as error:
        raise _mistake(error, "algo", container, origins or {}) from None
    try:
        config = RunConfig(**{str(key): value for key, value in container.items()} | {"algo": algo})
    except ValidationError as error:
        raise _mistake(error, "", container, origins or {}) from None
    if config.workers != "auto" and config.workers > config.num_envs:
        raise UserError(f"workers={config.workers}: must be at most num_envs={config.num_envs}")
    if config.stop_at is not None and config.eval.every is None:
        raise UserError(f"stop_at={spelled(config.stop_at)}: goes by evaluations; there is none with eval.every=null")
    config.algo.check_run(config.total_steps, config.total_envs, config.noise)
    if isinstance(config.actors, RayActors):
        _check_actors(config, config.actors)
    return config


def _check_actors(config: RunConfig, actors: RayActors) -> None:
    """Refuses remote actors for an algorithm or settings that cannot use them."""
    if config.algo.on_policy:
        raise UserError(
            f"actors=ray: {config.algo_name} learns only from data of its current policy; allowed: inline, "
            "with num_envs=N for N environments side by side"
        )
    if config.workers not in ("auto", 1):
        raise UserError(f"workers={config.workers}: must be auto or 1 with actors=ray; actors.num=N makes N processes")
    length = actors.steps_at_once(config.num_envs, config.algo.update_rate(config.num_envs))
    config.algo.check_rollout(config.num_envs, length)


def _mistake(error: ValidationError, group: str, container: dict[str, Any], origins: dict[str, str]) -> UserError:
    """The first complaint of pydantic as one line: the file it is in, key, value, what is allowed."""
    errors = error.errors(include_url=False)
    first = errors[0]
    kinds = {name: fields.kind_of(container.get(name)) for name in fields.KINDS}
    # pydantic inserts the kind, such as that of noise, between the parts of the key.
    path = [str(part) for part in first["loc"] if part != kinds.get(str(first["loc"][0]))]
    key = ".".join([group, *path] if group else path)
    if group == "algo" and first["type"].startswith("missing"):
        lacking = [".".join(map(str, ("algo", *each["loc"]))) for each in errors if each["type"] == first["type"]]
        strays = [str(each["loc"][-1]) for each in errors if each["type"] == "unexpected_keyword_argument"]
        why = f"; it has no key {' or '.join(strays)}" if strays else ""
        return UserError(f"{', '.join(lacking)}: must be given, in the YAML file of algo={container['algo_name']}{why}")
    known = [*fields.general_fields(), *fields.sweep_fields(), *fields.search_fields()]
    if "algorithm" in container:
        known += fields.class_fields(container["algorithm"])
        known += [field for name, kind in kinds.items() for field in fields.kind_fields(name, kind)]
    # A complaint about several values at once is not about one file.
    file = "" if first["type"] == "value_error" and _of_several(first) else origin(key, origins)
    return UserError(file + _complaint(key, first, {field.key: field for field in known}, container))


def _complaint(key: str, first: ErrorDetails, known: dict[str, fields.Field], container: dict[str, Any]) -> str:
    """What is wrong with the value of `key`, without the file it is in."""
    match first["type"]:
        case "unexpected_keyword_argument":
            return f"{key}: no such key{key_hint(key, known)}"
        case "missing" | "missing_argument":
            return f"{key}: must be given"
        case "union_tag_invalid":
            return f"{key}.kind={first['ctx']['tag']}: must be one of {first['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{key}.kind: must be given"
        case "value_error":
            typed = "" if _of_several(first) else f"={spelled(first['input'])}"
            return f"{key}{typed}: {first['ctx']['error']}"
    while "." in key and key not in known and not any(name.startswith(f"{key}.") for name in known):
        key = key.rpartition(".")[0]
    value: Any = functools.reduce(operator.getitem, key.split("."), container)
    if key not in known:
        below = [f"{name}=VALUE" for name in known if name.startswith(f"{key}.")]
        return f"{key}={spelled(value)}: stands for several keys; set {' or '.join(below) or 'them'}"
    field = known[key]
    hint = nearest(value, field.choices, 0.7) if isinstance(value, str) else ""
    if span := re.fullmatch(r"(\d+)-(\d+)", str(value)):
        hint = did_you_mean([f"{key}=range({span[1]},{int(span[2]) + 1})"])
    if abbreviated := re.fullmatch(r"([0-9.]+)([kKmM])", str(value)):
        hint = did_you_mean([f"{key}={abbreviated[1]}e{3 if abbreviated[2] in 'kK' else 6}"])
    return f"{key}={spelled(value)}: must be {field.article}{field.allowed}{hint}"


def _of_several(first: ErrorDetails) -> bool:
    """Whether a complaint is about several values at once."""
    return isinstance(first["input"], dict | ArgsKwargs)
