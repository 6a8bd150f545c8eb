"""Hydra: from the YAML files and what the user typed to one plain container per job."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from rlcont.config import names
from rlcont.config.names import (
    GROUPS,
    algorithm,
    broken_yaml,
    existing_file,
    folders,
    option_file,
    options,
    short,
)
from rlcont.config.overrides import (
    Chosen,
    check_decay,
    check_form,
    check_key,
    check_option,
    free_kwargs,
    line_of,
    parse,
    refuse_doubles,
)
from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys, nearest, spelled


class Composed(NamedTuple):
    """One job: its values, the option chosen in each group (None: no file), what it says of its sweep and search, and
    the file that gave each key."""

    container: dict[str, Any]
    choices: dict[str, str | None]
    sweep: dict[str, Any]
    search: dict[str, Any]
    origins: dict[str, str]


class GeneratedSource(ConfigSource):
    """The configs that lie in no folder: env=ID of every registered id, algo=module:Class of every importable one."""

    @staticmethod
    def scheme() -> str:
        return "rlcont"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path in ("env", "algo")

    def is_config(self, config_path: str) -> bool:
        try:
            return self._values(config_path) is not None
        except UserError:
            return False

    def load_config(self, config_path: str) -> ConfigResult:
        return ConfigResult(
            self.provider, self.full_path(), self._values(config_path) or OmegaConf.create(), {"package": None}
        )

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []

    @staticmethod
    def _values(config_path: str) -> DictConfig | None:
        group, _, option = config_path.removesuffix(".yaml").partition("/")
        if group == "env":
            from rlcont.envs.box import find_env

            find_env(option)
            return OmegaConf.create({"id": option, "kwargs": {}, "max_episode_steps": None})
        if group == "algo" and ":" in option:
            return cast(DictConfig, OmegaConf.create(existing_file(group, option).read_text()))
        return None


class SearchPath(SearchPathPlugin):
    """A user's own folders before rlcont's, and what is generated behind it."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(folders()[:-1]):
            search_path.prepend("user", f"file://{folder}")
        search_path.append("rlcont", "rlcont://")


@contextlib.contextmanager
def _hydra() -> Iterator[ConfigLoader]:
    """Hydra over the folders of YAML files, with every registered environment id known to it."""
    for plugin in (GeneratedSource, SearchPath):
        Plugins.instance().register(plugin)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(names.CONFIG_DIR), job_name="rlcont", version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def parse_sweep(overrides: list[str]) -> list[Override]:
    """What was typed for a sweep or a search, in which a key may stand for several values, a glob of options included.

    Raises:
        UserError: an override that cannot be read, or is typed twice.
    """
    with _hydra() as loader:
        parsed = parse([free_kwargs(override) for override in overrides], loader)
    refuse_doubles(parsed)
    return parsed


def expand_sweep(overrides: list[str]) -> list[list[str]]:
    """The jobs of a sweep, each as its own overrides, in Hydra's order: every combination of the values that were
    listed. The values of the keys in sweep.zip belong together, first with first and so on.

    Raises:
        UserError: an override that cannot be read, is typed twice, or stands for no value at all; keys that cannot be
            paired.
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
        try:
            _chosen(tuple(folders()), tuple(hydras))
        except UserError as error:
            raise UserError(f"{' '.join(hydras)}: {error}") from None
    paired = _paired(own)
    combinations = BasicSweeper.split_arguments([override for override in own if override not in paired], None)[0]
    rows = zip(
        *([f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()] for o in paired), strict=True
    )
    together = [list(row) for row in rows] or [[]]
    return [combination + row for combination in combinations for row in together]


def _paired(overrides: list[Override]) -> list[Override]:
    """Those of the keys in sweep.zip."""
    typed = next((override for override in overrides if override.key_or_group == "sweep.zip"), None)
    keys = typed.value() if typed is not None and not typed.is_sweep_override() else []
    if typed is None or not isinstance(keys, list):
        return []  # What is wrong with it, its type says.
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


def compose_job(overrides: list[str]) -> Composed:
    """Composes one job.

    Raises:
        UserError: one line for the first override or file that cannot be meant.
    """
    parsed = parse([free_kwargs(override) for override in overrides])
    for override in parsed:
        check_form(override)
    refuse_doubles(parsed)
    groups = [override for override in parsed if override.key_or_group in GROUPS]
    groups = [override for override in groups if line_of(override) != "experiment=null"]
    values = [override for override in parsed if override.key_or_group not in GROUPS]

    def algo() -> str:
        typed = [str(override.value()) for override in groups if override.key_or_group == "algo"]
        return typed[0] if typed else str(_chosen(tuple(folders()), ()).choices["algo"])

    for override in groups:
        check_option(override, algo)
    # Twice the same option is harmless, but not to Hydra.
    chosen = _chosen(tuple(folders()), tuple(dict.fromkeys(line_of(override) for override in groups)))
    for override in values:
        check_key(override, chosen)
    typed = tuple(override.key_or_group for override in values)
    origins = {
        key: file for key, file in chosen.origins.items() if not f"{key}.".startswith(tuple(f"{t}." for t in typed))
    }
    config = copy.deepcopy(chosen.config)
    try:
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        composed = _composed(config, chosen.choices, origins)
    except OmegaConfBaseException as error:
        key = str(error.full_key)
        raise UserError(f"{_from(key, origins)}{key}: {_first_line(error)}") from None
    except HydraException as error:
        raise UserError(f"{' '.join(overrides)}: {_first_line(error)}") from None
    except RecursionError:
        raise UserError(f"{' '.join(overrides)}: a value refers to itself") from None
    check_decay(values, composed.container["noise"])
    return composed


def composed_by_hydra(config: DictConfig) -> Composed:
    """The job that a Hydra launcher has composed and is running."""
    runtime = HydraConfig.get()
    choices = {group: _existing(group, runtime.runtime.choices.get(group)) for group in GROUPS}
    return _composed(_without_hydra(config), choices, {})


@functools.cache
def _chosen(config_folders: tuple[Path, ...], groups: tuple[str, ...]) -> Chosen:
    """Composes the chosen files; the jobs of a sweep that choose the same ones share the result."""
    with _hydra() as loader:
        try:
            defaults = loader.compute_defaults_list("config", list(groups), RunMode.RUN).defaults
            origins = _origins([(str(default.config_path), default.package or "") for default in defaults])
            config = compose("config", list(groups), return_hydra_config=True)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise broken_yaml(Path(mark.name if mark else config_folders[0]), error) from None
        except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
            raise UserError(f"configs: {_first_line(error)}") from None
    choices = {group: _existing(group, config.hydra.runtime.choices.get(group)) for group in GROUPS}
    return Chosen(_without_hydra(config), choices, origins)


def _origins(files: list[tuple[str, str]]) -> dict[str, str]:
    """The file that has the last word on each key, of files (name, package) in the order they are merged."""
    origins: dict[str, str] = {}
    for name, package in files:
        group, _, option = name.partition("/")
        path = option_file(group, option) if option else names.CONFIG_DIR / f"{name}.yaml"
        if path is None or not path.is_file():
            continue
        values = yaml.load(path.read_text(), get_yaml_loader()) or {}
        if not isinstance(values, dict):
            raise UserError(f"{short(path)}: must hold keys and values, not a {type(values).__name__}")
        values.pop("defaults", None)
        for key, value in values.items():
            if not package and key in ("algo", "env", "noise", "actors") and not isinstance(value, dict):
                raise UserError(f"{short(path)}: {key}={spelled(value)}: must hold keys and values")
        if group in ("tuned", "experiment") and package:
            raise UserError(f"{short(path)}: must begin with # @package _global_")
        for key in flat_keys(values, f"{package}." * bool(package)):
            origins = {earlier: file for earlier, file in origins.items() if not earlier.startswith(f"{key}.")}
            origins[key] = short(path)
    return origins


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _composed(config: DictConfig, choices: dict[str, str | None], origins: dict[str, str]) -> Composed:
    values: Any = OmegaConf.to_container(config, resolve=True)
    env_id = values["env"]["id"]
    if env_id != choices["env"]:
        raise UserError(f"{_from('env.id', origins)}env.id={env_id}: choose the environment with env={env_id}")
    sweep, search = values.pop("sweep"), values.pop("search")
    assert choices["algo"] is not None
    container = {"algo_name": choices["algo"], "algorithm": algorithm(choices["algo"]), **values}
    _resolve_auto_noise(container, origins)
    _resolve_auto(container, origins)
    return Composed(container, choices, sweep, search, origins)


def _from(key: str, origins: dict[str, str]) -> str:
    return f"{origins[key]}: " if key in origins else ""


def _existing(group: str, choice: str | None) -> str | None:
    """The chosen option, or None where an optional file does not exist."""
    return choice if group == "env" or (choice is not None and option_file(group, choice)) else None


def _resolve_auto_noise(container: dict[str, Any], origins: dict[str, str]) -> None:
    """Replaces noise=auto by the algorithm's own choice."""
    auto_noise = container["algo"].pop("auto_noise", {"kind": "none"})
    if container["noise"]["kind"] != "auto":
        return
    for key in container["noise"]:
        if key != "kind":
            raise UserError(f"{_from(f'noise.{key}', origins)}noise.{key}: noise is auto; set algo.auto_noise.{key}")
    kind = auto_noise.get("kind") if isinstance(auto_noise, dict) else auto_noise
    allowed = [option for option in options("noise") if option != "auto"]
    if kind not in allowed:
        file = _from("algo.auto_noise.kind", origins) or _from("algo.auto_noise", origins)
        hint = nearest(str(kind), allowed)
        raise UserError(f"{file}algo.auto_noise.kind={spelled(kind)}: allowed: {', '.join(allowed)}{hint}")
    defaults = OmegaConf.load(existing_file("noise", kind))
    container["noise"] = OmegaConf.to_container(OmegaConf.merge(defaults, auto_noise))
    origins |= {
        key.removeprefix("algo.auto_"): file for key, file in origins.items() if key.startswith("algo.auto_noise")
    }


def _resolve_auto(container: dict[str, Any], origins: dict[str, str]) -> None:
    """Replaces num_envs=auto and checkpoint.every=auto by the algorithm's own numbers."""
    num_envs = container["algo"].pop("auto_num_envs", 1)
    if container["num_envs"] == "auto":
        container["num_envs"] = num_envs
        if "algo.auto_num_envs" in origins:
            origins["num_envs"] = origins["algo.auto_num_envs"]
    every = container["algo"].pop("auto_checkpoint_every", 10_000)
    if container["checkpoint"]["every"] == "auto":
        container["checkpoint"]["every"] = every


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
