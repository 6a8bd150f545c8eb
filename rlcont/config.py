"""The configuration of a run: from a plain container to frozen, validated dataclasses."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import ArgsKwargs, ErrorDetails

from rlcont import fields
from rlcont.actors.config import ActorsConfig, RayActors
from rlcont.algos import load_algorithm
from rlcont.core import UserError
from rlcont.names import did_you_mean, nearest, nearest_key, shown
from rlcont.noise import NoiseConfig
from rlcont.schema import Count, EnvConfig, Flag, NonNegativeInt, Text, schema

T = TypeVar("T")


@schema
class EvalConfig:
    """Deterministic evaluation on environments of its own."""

    every: Count
    """Environment steps between two evaluations."""
    episodes: Annotated[Count, Field(le=100_000)]
    """Episodes of one evaluation, the same seeds each time."""
    save_policies: Flag
    """Keep the policy of every evaluation, besides the last and the best."""


@schema
class LogConfig:
    """What is written while training."""

    every: Count
    """Environment steps between two log lines."""


@schema
class CheckpointConfig:
    """What is kept to go on from after an interruption."""

    every: Count | None
    """Environment steps between two checkpoints; null: none; auto: a number that suits the algorithm."""
    keep: Count
    """Checkpoints that stay; older ones are deleted."""


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
    actors: ActorsConfig
    """Who acts."""
    seed: NonNegativeInt
    """The one seed of all randomness."""
    total_steps: Count
    """Environment steps, summed over the environments."""
    num_envs: Annotated[Count, Field(le=4096)]
    """Environments stepped side by side, by each actor; auto: as many as suit the algorithm."""
    workers: Literal["auto"] | Count
    """Processes that step them; auto: one, or one per core where the environments take long enough."""
    device: Literal["auto", "cpu", "cuda"]
    """Where networks and replay live; auto: cuda where there is one."""
    compile: Literal["auto"] | Flag
    """Compile the update; auto: where a compiler is found and the run is long enough."""
    precision: Literal["auto", "fp32", "bf16"]
    """Of matrix products in updates; auto: fp32, since bf16 was measured to learn later."""
    eval: EvalConfig
    """Evaluation."""
    log: LogConfig
    """Logging."""
    checkpoint: CheckpointConfig
    """Checkpoints."""
    output: Annotated[Text, Field(min_length=1)]
    """Folder that runs are made in."""

    @property
    def total_envs(self) -> int:
        """Environments of all actors."""
        return self.num_envs * (self.actors.num if isinstance(self.actors, RayActors) else 1)


def _as_keys(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of keys, as in [algo.actor.lr,algo.critic.lr]")
    return tuple(value)


@schema
class SweepConfig:
    """What concerns a sweep as a whole and none of its jobs."""

    jobs: Literal["auto"] | Count
    """Jobs that run at once; auto: one per core."""
    zip: Annotated[tuple[Text, ...], BeforeValidator(_as_keys)]
    """Keys whose values are paired, first with first and so on, in place of every combination."""


@schema
class SearchConfig:
    """What concerns a search as a whole and none of its runs."""

    trials: Count
    """Settings to try, those included that are cut short or fail."""
    sampler: Literal["tpe", "random"]
    """How settings are proposed: tpe learns from the trials before."""
    pruner: Literal["median", "asha", "none"]
    """Cuts a trial short, after a quarter of its steps at the earliest: median, if its best evaluation since then is
    below the median of the others; asha, if it is not in the better half after a quarter or a half; none, never."""
    seed: NonNegativeInt
    """Of the proposals."""


def validate_sweep(values: dict[str, Any]) -> SweepConfig:
    """Turns the composed values under `sweep` into a SweepConfig.

    Raises:
        UserError: one line for the first value that is missing, unknown or not allowed.
    """
    return _validated(SweepConfig, "sweep", values, fields.sweep_fields())


def validate_search(values: dict[str, Any]) -> SearchConfig:
    """Turns the composed values under `search` into a SearchConfig.

    Raises:
        UserError: as `validate_sweep`.
    """
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
        origins: the file each key is from, to be named in a complaint about it.

    Raises:
        UserError: one line for the first value that is missing, unknown, of the wrong type or out of range.
    """
    algorithm = load_algorithm(container["algo_name"])
    try:
        algo = algorithm.Config(**{str(key): value for key, value in container["algo"].items()})
    except ValidationError as error:
        raise _one_line(error, "algo.", container, origins or {}) from None
    try:
        config = RunConfig(**{str(key): value for key, value in container.items()} | {"algo": algo})
    except ValidationError as error:
        raise _one_line(error, "", container, origins or {}) from None
    if config.workers != "auto" and config.workers > config.num_envs:
        raise UserError(f"workers={config.workers}: must be at most num_envs={config.num_envs}")
    _check_actors(config, on_policy=algorithm.on_policy)
    config.algo.check_run(config.total_steps, config.total_envs, config.noise)
    return config


def _check_actors(config: RunConfig, *, on_policy: bool) -> None:
    """Refuses actors elsewhere where they cannot be."""
    if not isinstance(config.actors, RayActors):
        return
    if on_policy:
        raise UserError(
            f"actors=ray: {config.algo_name} learns from what its policy of the moment draws; allowed: inline, "
            "where num_envs=N plays in N environments"
        )
    if config.workers not in ("auto", 1):
        raise UserError(f"workers={config.workers}: must be auto or 1 with actors=ray; actors.num=N makes N processes")
    length = config.actors.steps_at_once(config.num_envs, config.algo.updates_per_step)
    at_once = config.num_envs * (length + config.algo.n_step)
    if at_once > config.algo.replay_size:
        raise UserError(
            f"algo.replay_size={config.algo.replay_size}: must hold what an actor sends at once, {at_once} transitions "
            f"(num_envs={config.num_envs} times actors.rollout_length={length} and algo.n_step)"
        )


def to_container(config: Any) -> dict[str, Any]:
    """The plain values of a RunConfig, as `validate` takes them."""
    return {key: _plain(value) for key, value in dataclasses.asdict(config).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _one_line(error: ValidationError, prefix: str, container: dict[str, Any], origins: dict[str, str]) -> UserError:
    """The first complaint of pydantic as one line: the file it is in, key, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    kinds = {group: fields.kind_of(container[group]) for group in fields.KINDS}
    # pydantic puts the kind, such as that of noise, between the key's parts.
    path = [str(part) for part in first["loc"] if part != kinds.get(str(first["loc"][0]))]
    key = ".".join([*prefix.split(".")[:-1], *path])
    known = [
        *fields.general_fields(),
        *fields.algorithm_fields(container["algo_name"]),
        *(field for group, kind in kinds.items() for field in fields.kind_fields(group, kind)),
    ]
    # A complaint about several values at once is not about one file.
    file = "" if first["type"] == "value_error" and _of_several(first) else _origin(key, origins)
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
        case "value_error":
            value = "" if _of_several(first) else f"={shown(first['input'])}"
            return f"{key}{value}: {first['ctx']['error']}"
    while "." in key and key not in known and not any(name.startswith(f"{key}.") for name in known):
        key = key.rpartition(".")[0]
    value = _at(container, key)
    if key not in known:
        below = [f"{name}=VALUE" for name in known if name.startswith(f"{key}.")]
        return f"{key}={shown(value)}: stands for several keys; set {' or '.join(below) or 'them'}"
    field = known[key]
    hint = nearest(value, field.choices, 0.7) if isinstance(value, str) else ""
    return f"{key}={shown(value)}: must be {field.article}{field.allowed}{hint or _as_number(key, value)}"


def _of_several(first: ErrorDetails) -> bool:
    """Whether a complaint is about several values at once."""
    return isinstance(first["input"], dict | ArgsKwargs)


def _as_number(key: str, value: Any) -> str:
    """What 1M and 20k are taken for."""
    abbreviated = re.fullmatch(r"([0-9.]+)([kKmM])", str(value))
    return did_you_mean([f"{key}={abbreviated[1]}e{3 if abbreviated[2] in 'kK' else 6}"] if abbreviated else [])


def _at(container: Any, key: str) -> Any:
    for part in key.split("."):
        container = container[part]
    return container


def _origin(key: str, origins: dict[str, str]) -> str:
    """'FILE: ' where a file gave `key`, what it is part of, or part of it; nothing where it was typed."""
    for name, file in origins.items():
        if f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}."):
            return f"{file}: "
    return ""
