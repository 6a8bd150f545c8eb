"""Validation: a plain container becomes dataclasses, or one line about the first mistake."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ArgsKwargs, ErrorDetails

from rlcont.algos.find import config_class
from rlcont.config import fields
from rlcont.config.actors import RayActors
from rlcont.config.names import origin
from rlcont.config.run import RunConfig, SearchConfig, SweepConfig
from rlcont.core.errors import UserError
from rlcont.core.spelling import did_you_mean, nearest, nearest_key, spelled

T = TypeVar("T")


def validate_sweep(values: dict[str, Any]) -> SweepConfig:
    """Turns the composed values under `sweep` into a SweepConfig."""
    return _validated(SweepConfig, "sweep", values, fields.sweep_fields())


def validate_search(values: dict[str, Any]) -> SearchConfig:
    """Turns the composed values under `search` into a SearchConfig."""
    return _validated(SearchConfig, "search", values, fields.search_fields())


def _validated(kind: type[T], prefix: str, values: dict[str, Any], known: list[fields.Field]) -> T:
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join([prefix, *map(str, first["loc"])])
        raise UserError(_complaint(key, first, {field.key: field for field in known}, {prefix: values})) from None


def validate(container: dict[str, Any], origins: dict[str, str] | None = None) -> RunConfig:
    """Turns a composed container into a RunConfig.

    Args:
        container: the values.
        origins: the file that gave each key, named in a complaint about the key.
    """
    try:
        algo = config_class(container["algorithm"])(**{str(key): value for key, value in container["algo"].items()})
    except ValidationError as error:
        raise _one_line(error, "algo.", container, origins or {}) from None
    try:
        config = RunConfig(**{str(key): value for key, value in container.items()} | {"algo": algo})
    except ValidationError as error:
        raise _one_line(error, "", container, origins or {}) from None
    if config.workers != "auto" and config.workers > config.num_envs:
        raise UserError(f"workers={config.workers}: must be at most num_envs={config.num_envs}")
    _check_actors(config)
    config.algo.check_run(config.total_steps, config.total_envs, config.noise)
    return config


def _check_actors(config: RunConfig) -> None:
    """Refuses remote actors for an algorithm or settings that cannot use them."""
    if not isinstance(config.actors, RayActors):
        return
    if config.algo.on_policy:
        raise UserError(
            f"actors=ray: {config.algo_name} learns only from data of its current policy; allowed: inline, "
            "with num_envs=N for N environments side by side"
        )
    if config.workers not in ("auto", 1):
        raise UserError(f"workers={config.workers}: must be auto or 1 with actors=ray; actors.num=N makes N processes")
    length = config.actors.steps_at_once(config.num_envs, config.algo.update_rate(config.num_envs))
    config.algo.check_rollout(config.num_envs, length)


def _one_line(error: ValidationError, prefix: str, container: dict[str, Any], origins: dict[str, str]) -> UserError:
    """The first complaint of pydantic as one line: the file it is in, key, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    kinds = {group: fields.kind_of(container[group]) for group in fields.KINDS}
    # pydantic inserts the kind, such as that of noise, between the parts of the key.
    path = [str(part) for part in first["loc"] if part != kinds.get(str(first["loc"][0]))]
    key = ".".join([*prefix.split(".")[:-1], *path])
    known = [
        *fields.general_fields(),
        *fields.class_fields(container["algorithm"]),
        *(field for group, kind in kinds.items() for field in fields.kind_fields(group, kind)),
    ]
    # A complaint about several values at once is not about one file.
    file = "" if first["type"] == "value_error" and _of_several(first) else origin(key, origins)
    return UserError(file + _complaint(key, first, {field.key: field for field in known}, container))


def _complaint(key: str, first: ErrorDetails, known: dict[str, fields.Field], container: dict[str, Any]) -> str:
    """What is wrong with the value of `key`, without the file it is in."""
    match first["type"]:
        case "unexpected_keyword_argument":
            return f"{key}: no such key{nearest_key(key, known)}"
        case "missing" | "missing_argument":
            return f"{key}: must be given"
        case "union_tag_invalid":
            return f"{key}.kind={first['ctx']['tag']}: must be one of {first['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{key}.kind: must be given"
        case "value_error":
            value = "" if _of_several(first) else f"={spelled(first['input'])}"
            return f"{key}{value}: {first['ctx']['error']}"
    while "." in key and key not in known and not any(name.startswith(f"{key}.") for name in known):
        key = key.rpartition(".")[0]
    value = _at(container, key)
    if key not in known:
        below = [f"{name}=VALUE" for name in known if name.startswith(f"{key}.")]
        return f"{key}={spelled(value)}: stands for several keys; set {' or '.join(below) or 'them'}"
    field = known[key]
    hint = nearest(value, field.choices, 0.7) if isinstance(value, str) else ""
    return f"{key}={spelled(value)}: must be {field.article}{field.allowed}{hint or _as_number(key, value)}"


def _of_several(first: ErrorDetails) -> bool:
    """Whether a complaint is about several values at once."""
    return isinstance(first["input"], dict | ArgsKwargs)


def _as_number(key: str, value: Any) -> str:
    """A hint for values such as 1M and 20k."""
    abbreviated = re.fullmatch(r"([0-9.]+)([kKmM])", str(value))
    return did_you_mean([f"{key}={abbreviated[1]}e{3 if abbreviated[2] in 'kK' else 6}"] if abbreviated else [])


def _at(container: Any, key: str) -> Any:
    for part in key.split("."):
        container = container[part]
    return container
