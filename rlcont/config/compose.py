"""Composition: YAML files that Hydra chooses, perhaps a run, and overrides in; one plan per job out."""

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlcont.config import names
from rlcont.config.fields import kinds
from rlcont.config.names import GROUPS, file_values, merged, option_file, origin, short
from rlcont.config.overrides import check_decay, check_key, check_option, line_of, parse, parse_one_run
from rlcont.config.run import BY_ALGORITHM, RunConfig, SearchConfig, SweepConfig
from rlcont.config.sources import hydra_loader
from rlcont.config.validate import validate, validate_settings
from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys, nearest, nested_keys, spelled


class Chosen(NamedTuple):
    """The chosen files, merged, before any typed value."""

    config: DictConfig
    choices: dict[str, str | None]  # The option of each group; None where it has no file.
    origins: dict[str, str]  # The file that gave each key.


class Plan(NamedTuple):
    """One valid job."""

    overrides: list[str]
    config: RunConfig
    choices: dict[str, str | None]
    sweep: SweepConfig
    search: SearchConfig


def parse_sweep(overrides: list[str]) -> list[Override]:
    """Parses the overrides of a sweep or a search, in which a key may list several values or a glob of options."""
    with hydra_loader() as loader:
        return parse(overrides, loader)


def expand_sweep(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order: one job per combination of the listed values.

    The values of the keys in sweep.zip are paired, first with first and so on.
    """
    parsed = parse_sweep(overrides)
    hydras = [line_of(override) for override in parsed if override.is_hydra_override()]
    own = [override for override in parsed if not override.is_hydra_override()]
    for override in own:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(f"{line_of(override)}: a sweep needs a list of values, as in seed=0,1 or seed=range(5)")
        if override.is_sweep_override() and not any(True for _ in override.sweep_string_iterator()):
            raise UserError(f"{line_of(override)}: stands for no value at all, so there is nothing to run")
    if hydras:
        with hydra_loader():
            try:
                compose("config", hydras)
            except (HydraException, OmegaConfBaseException) as error:
                raise UserError(f"{' '.join(hydras)}: {_first_line(error)}") from None
    paired = _paired(own)
    combinations = BasicSweeper.split_arguments([override for override in own if override not in paired], None)[0]
    rows = zip(
        *([f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()] for o in paired), strict=True
    )
    together = [list(row) for row in rows] or [[]]
    return [combination + row for combination in combinations for row in together]


def _paired(overrides: list[Override]) -> list[Override]:
    """The overrides of the keys in sweep.zip."""
    typed = next((override for override in overrides if override.key_or_group == "sweep.zip"), None)
    keys = typed.value() if typed is not None and not typed.is_sweep_override() else []
    if typed is None or not isinstance(keys, list):
        return []  # Validation says what is wrong with it.
    by_key = {override.key_or_group: override for override in overrides}
    counts = {}
    for key in map(str, keys):
        if key not in by_key or not by_key[key].is_sweep_override():
            raise UserError(f"{line_of(typed)}: {key} lists no values, as in {key}=VALUE,VALUE")
        counts[key] = len(list(by_key[key].sweep_string_iterator()))
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {key}" for key, count in counts.items())
        raise UserError(f"{line_of(typed)}: as many values of each key are needed; there are {listed}")
    return [by_key[key] for key in counts]


def make_plan(overrides: list[str]) -> Plan:
    """Composes and validates one job."""
    parsed, begun = _begun(parse_one_run(overrides))
    groups = [override for override in parsed if override.key_or_group in GROUPS]
    groups = [override for override in groups if line_of(override) != "experiment=null"]
    values = [override for override in parsed if override.key_or_group not in GROUPS]
    typed_groups = {override.key_or_group for override in groups}
    groups += _begun_choices(begun, typed_groups) if begun else []
    algo = next((str(override.value()) for override in groups if override.key_or_group == "algo"), "")
    for override in groups:
        check_option(override, algo or names.default_option("algo"))
    chosen = chosen_files(tuple(names.folders()), tuple(line_of(override) for override in groups))
    typed = flat_keys({override.key_or_group: override.value() for override in values})
    config, choices, origins = copy.deepcopy(chosen.config), chosen.choices, dict(chosen.origins)
    if begun:
        _put_onto(config, begun, typed_groups)
    kind, before = typed.get("algo.auto_noise.kind"), OmegaConf.select(config, "algo.auto_noise.kind")
    if kind in kinds("noise") and before not in (None, kind):
        # Another kind of noise has other keys.
        OmegaConf.update(config, "algo.auto_noise", names.complete_noise({"kind": kind}), merge=False)
    for override in values:
        check_key(override, config, choices)
        _forget(origins, override.key_or_group)
    try:
        for override in values:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        container: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        key = str(error.full_key)
        raise UserError(f"{origin(key, origins)}{key}: {_first_line(error)}") from None
    except RecursionError:
        raise UserError(f"{' '.join(overrides)}: a value refers to itself") from None
    _check_env(container["env"].get("id"), str(choices["env"]), origins)
    _resolve_auto(container, origins)
    check_decay(values, container["noise"])
    assert choices["algo"] is not None
    of_sweep, of_search = container.pop("sweep"), container.pop("search")
    container |= {"algo_name": choices["algo"], "algorithm": names.algorithm(choices["algo"])}
    settings = validate(container, origins)
    sweep = validate_settings(SweepConfig, "sweep", of_sweep)
    if sweep.zip and (file := origin("sweep.zip", origins)):
        raise UserError(f"{file}sweep.zip={spelled(sweep.zip)}: counts only where it is typed")
    return Plan(overrides, settings, choices, sweep, validate_settings(SearchConfig, "search", of_search))


def _begun(overrides: list[Override]) -> tuple[list[Override], dict[str, Any]]:
    """The overrides without from=RUN, and the configuration of that run; {} without it."""
    typed = next((override for override in overrides if override.key_or_group == "from"), None)
    if typed is None:
        return overrides, {}
    path = Path(str(typed.value()), "config.yaml")
    if not path.is_file():
        raise UserError(f"from={typed.value()}: no run (it has no config.yaml)")
    config = names.read_yaml(path)
    if not {"algo_name", "env", "algo", "noise", "actors"} <= config.keys():
        raise UserError(f"from={typed.value()}: no configuration of a run")
    if any(override.key_or_group == "algo" for override in overrides):
        _leave_to_algorithm(config)
    return [override for override in overrides if override is not typed], config


def _leave_to_algorithm(config: dict[str, Any]) -> None:
    """Drops from a run's configuration what its algorithm decided for it, where another algorithm is to decide."""
    values = file_values("algo", config["algo_name"])
    for key, (name, default) in BY_ALGORITHM.items():
        place, _, leaf = key.rpartition(".")
        part = config[place] if place else config
        if part.get(leaf) == values.get(name, default):
            del part[leaf]
    if config["noise"] == names.complete_noise(values.get("auto_noise", {"kind": "none"})):
        config["noise"] = {"kind": "auto"}


def _begun_choices(config: dict[str, Any], typed: set[str]) -> list[Override]:
    """The choices of a run's configuration in the groups that were not typed; its tuned file is part of its values."""
    env = config["env"]["id"]
    chosen = {"algo": config["algo_name"], "env": env, "tuned": "none"}
    chosen |= {group: config[group]["kind"] for group in ("noise", "actors")}
    return parse([f"{group}={choice}" for group, choice in chosen.items() if group not in typed])


def _put_onto(onto: DictConfig, config: dict[str, Any], typed: set[str]) -> None:
    """Puts the values of a run's configuration onto composed ones, but for those of the groups that were typed."""
    for key, value in config.items():
        if key not in ("algo_name", "algorithm", "output", *typed):
            OmegaConf.update(onto, key, value, merge=isinstance(value, dict), force_add=True)


def _forget(origins: dict[str, str], key: str) -> None:
    """Drops the files of a key that was typed, and of all below it."""
    for known in [known for known in origins if f"{known}.".startswith(f"{key}.")]:
        del origins[known]


@functools.cache
def chosen_files(config_folders: tuple[Path, ...], groups: tuple[str, ...]) -> Chosen:
    """Merges the chosen files; the jobs of a sweep that choose the same ones share the result."""
    with hydra_loader() as loader:
        try:
            found = loader.compute_defaults_list("config", list(groups), RunMode.RUN)
        except (yaml.YAMLError, HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
            for path in (path for folder in config_folders for path in folder.rglob("*.yaml")):
                names.read_yaml(path)  # One of them may be broken; this says which, and where.
            raise UserError(f"configs: {_first_line(error)}") from None
    choices = {group: found.overrides.known_choices.get(group) for group in GROUPS}
    whole: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, values in _layers([(str(default.config_path), default.package or "") for default in found.defaults]):
        whole = merged(whole, values)
        for key in flat_keys(values):
            _forget(origins, key)
            if name:
                origins[key] = name
    for group, choice in choices.items():
        if group != "env" and (choice is None or not option_file(group, choice)):
            choices[group] = None
    # A noise has the values of its kind's file.
    whole["noise"] = names.complete_noise(whole["noise"])
    if "auto_noise" in whole["algo"]:
        whole["algo"]["auto_noise"] = names.complete_noise(whole["algo"]["auto_noise"])
    del whole["hydra"]
    return Chosen(OmegaConf.create(whole), choices, origins)


def _layers(files: list[tuple[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and values, under its package, of each file (name, package) in the order of merging."""
    for name, package in files:
        group, _, option = name.partition("/")
        path = option_file(group, option) if option else names.CONFIG_DIR / f"{name}.yaml"
        if path is None or not path.is_file():
            if group == "env":
                yield "", {"env": {"id": option}}  # Of a registered environment.
            continue
        values = names.read_yaml(path)
        values.pop("defaults", None)
        for key, value in values.items():
            if not package and key in ("algo", "env", "noise", "actors") and not isinstance(value, dict):
                raise UserError(f"{short(path)}: {key}={spelled(value)}: must hold keys and values")
        if group in ("tuned", "experiment") and package:
            raise UserError(f"{short(path)}: must begin with # @package _global_")
        yield short(path), nested_keys({package: values}) if package else values


def _check_env(env_id: str | None, env: str, origins: dict[str, str]) -> None:
    """Refuses an environment that a file names past the file of `env`."""
    values: dict[str, Any] = file_values("env", env) if option_file("env", env) else {"id": env}
    if env_id != values.get("env", values).get("id"):  # A file of the whole configuration has it under env.
        raise UserError(f"{origin('env.id', origins)}env.id={env_id}: choose the environment with env={env_id}")


def _resolve_auto(container: dict[str, Any], origins: dict[str, str]) -> None:
    """Replaces each `auto` that is the algorithm's to decide by what its YAML file says, and each origin likewise.

    These are num_envs, checkpoint.every and noise. The file says it under `auto_num_envs`, `auto_checkpoint_every` and
    `auto_noise`, which no dataclass has.
    """
    auto_noise = container["algo"].pop("auto_noise", {"kind": "none"})
    if container["noise"].get("kind") == "auto":
        for key in flat_keys(container["noise"], "noise."):
            if key != "noise.kind":
                raise UserError(f"{origin(key, origins)}{key}: noise is auto; set algo.auto_{key}")
        kind = auto_noise.get("kind") if isinstance(auto_noise, dict) else auto_noise
        if kind not in kinds("noise"):
            key = "algo.auto_noise.kind"
            hint = nearest(str(kind), kinds("noise"))
            allowed = ", ".join(kinds("noise"))
            raise UserError(f"{origin(key, origins)}{key}={spelled(kind)}: allowed: {allowed}{hint}")
        container["noise"] = auto_noise
        moved = {key: file for key, file in origins.items() if key.startswith("algo.auto_noise")}
        origins |= {key.removeprefix("algo.auto_"): file for key, file in moved.items()}
    for key, (name, default) in BY_ALGORITHM.items():
        number = container["algo"].pop(name, default)
        place, _, leaf = key.rpartition(".")
        values = container[place] if place else container
        if values[leaf] == "auto":
            values[leaf] = number
            if f"algo.{name}" in origins:
                origins[key] = origins[f"algo.{name}"]


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
