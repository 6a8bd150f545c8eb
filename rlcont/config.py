"""The configuration of a run: from a plain container to frozen, validated dataclasses."""

from __future__ import annotations

import dataclasses
import difflib
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, Field, ValidationError

from rlcont.algos import load_algorithm
from rlcont.core import UserError
from rlcont.noise import NoiseConfig
from rlcont.schema import Count, EnvConfig, Flag, NonNegativeInt, Text, schema


@schema
class EvalConfig:
    """Deterministic evaluation on environments of its own."""

    every: Count
    """Environment steps between two evaluations."""
    episodes: Count
    """Episodes of one evaluation, the same seeds each time."""
    save_policies: Flag
    """Keep the policy of every evaluation, besides the last and the best."""


@schema
class LogConfig:
    """What is written while training."""

    every: Count
    """Environment steps between two log lines."""


@schema
class RunConfig:
    """One run, complete."""

    algo_name: Text
    """Name of the algorithm: a file in configs/algo."""
    algo: Any
    """Hyper-parameters, of the algorithm's own dataclass."""
    env: EnvConfig
    """The environment."""
    noise: NoiseConfig
    """Exploration noise."""
    seed: NonNegativeInt
    """The one seed of all randomness."""
    total_steps: Count
    """Environment steps, summed over the environments."""
    num_envs: Annotated[Count, Field(le=4096)]
    """Environments stepped side by side."""
    device: Literal["auto", "cpu", "cuda"]
    """Where networks and replay live; auto: cuda where there is one."""
    eval: EvalConfig
    """Evaluation."""
    log: LogConfig
    """Logging."""
    output: Text
    """Folder that runs are made in."""


def _jobs(value: Any) -> Any:
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError("must be auto or a whole number of at least 1")


@schema
class SweepConfig:
    """What concerns a sweep as a whole and none of its jobs."""

    jobs: Annotated[Any, BeforeValidator(_jobs)]
    """Jobs that run at once; auto: one per core."""


def validate_sweep(container: dict[str, Any]) -> SweepConfig:
    """Turns the composed values under `sweep` into a SweepConfig.

    Raises:
        UserError: one line for the first value that is missing, unknown or not allowed.
    """
    try:
        return SweepConfig(**container)
    except ValidationError as error:
        raise _one_line(error, SweepConfig, ("sweep",)) from None


def validate(container: dict[str, Any]) -> RunConfig:
    """Turns a composed container into a RunConfig.

    Raises:
        UserError: one line for the first value that is missing, unknown, of the wrong type or out of range.
    """
    container = dict(container)
    algorithm = load_algorithm(container["algo_name"])
    try:
        container["algo"] = algorithm.Config(**container["algo"])
    except ValidationError as error:
        raise _one_line(error, algorithm.Config, ("algo",)) from None
    try:
        config = RunConfig(**container)
    except ValidationError as error:
        raise _one_line(error, RunConfig, ()) from None
    config.algo.check_run(config.total_steps, config.num_envs)
    return config


def to_container(config: Any) -> dict[str, Any]:
    """The plain values of a RunConfig, as `validate` takes them."""
    return {key: _plain(value) for key, value in dataclasses.asdict(config).items()}


def flat_keys(container: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in container.items():
        if isinstance(value, dict) and value:
            flat |= flat_keys(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def nearest(name: str, allowed: list[str]) -> str:
    """'; did you mean …?' for the closest allowed name, or nothing."""
    near = difflib.get_close_matches(name, allowed, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _one_line(error: ValidationError, root: type, prefix: tuple[str, ...]) -> UserError:
    """The first complaint of pydantic as one line: key, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    path = [part for part in first["loc"] if part not in ("ou", "gaussian", "none") or part == "kind"]
    key = ".".join(str(part) for part in (*prefix, *path))
    match first["type"]:
        case "unexpected_keyword_argument":
            siblings = _field_names(root, [str(part) for part in path[:-1]])
            return UserError(f"{key}: no such key{nearest(str(path[-1]), siblings)}")
        case "missing" | "missing_argument":
            return UserError(f"{key}: must be given")
        case "union_tag_invalid":
            return UserError(f"{key}.kind={first['ctx']['tag']}: allowed: {first['ctx']['expected_tags']}")
        case "value_error":
            shown = "" if isinstance(first["input"], dict) else f"={first['input']}"
            return UserError(f"{key}{shown}: {first['ctx']['error']}")
        case _:
            message = first["msg"][0].lower() + first["msg"][1:]
            return UserError(f"{key}={first['input']}: {message.removeprefix('input ')}")


def _field_names(cls: Any, path: list[str]) -> list[str]:
    """Field names of the dataclass found by walking `path` from `cls`; all members of a union count."""
    if get_origin(cls) is Annotated:
        return _field_names(get_args(cls)[0], path)
    if get_origin(cls) in (Union, types.UnionType):
        return sorted({name for member in get_args(cls) for name in _field_names(member, path)})
    if not dataclasses.is_dataclass(cls):
        return []
    hints = get_type_hints(cls, include_extras=True)
    if not path:
        return list(hints)
    return _field_names(hints[path[0]], path[1:]) if path[0] in hints else []
