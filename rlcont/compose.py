"""Hydra: from what the user typed and the YAML files to one plain container per job."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlcont.config import flat_keys, nearest
from rlcont.core import UserError

_PACKAGE = Path(__file__).parent
CONFIG_DIR = next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())
GROUPS = ("algo", "env", "noise", "tuned", "experiment")


class Composed(NamedTuple):
    """One job: its values, the option chosen in each group (None: no file), and what it says of its sweep."""

    container: dict[str, Any]
    choices: dict[str, str | None]
    sweep: dict[str, Any]


class GymnasiumSource(ConfigSource):
    """Makes `env=<id>` a config for every registered id that has no YAML file."""

    @staticmethod
    def scheme() -> str:
        return "gymnasium"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path == "env"

    def is_config(self, config_path: str) -> bool:
        env_id = _env_id(config_path)
        if env_id is None:
            return False
        from rlcont.envs import find_env

        try:
            find_env(env_id)
        except UserError:
            return False
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        values: dict[str, Any] = {"id": _env_id(config_path), "kwargs": {}, "max_episode_steps": None}
        return ConfigResult(self.provider, self.full_path(), OmegaConf.create(values), {"package": None})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []


class GymnasiumSearchPath(SearchPathPlugin):
    """Puts the generated environment configs behind the YAML files."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("rlcont", "gymnasium://")


def options(group: str) -> list[str]:
    """The names of a group's YAML files."""
    folder = CONFIG_DIR / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


@contextlib.contextmanager
def _hydra() -> Iterator[ConfigLoader]:
    """Hydra over configs/, with every registered environment id known to it."""
    for plugin in (GymnasiumSource, GymnasiumSearchPath):
        Plugins.instance().register(plugin)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIG_DIR), job_name="rlcont", version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def expand_sweep(overrides: list[str]) -> list[list[str]]:
    """The jobs of a grid sweep, each as its own overrides, in Hydra's order."""
    overrides = [free_kwargs(override) for override in overrides]
    with _hydra() as loader:
        try:
            return BasicSweeper.split_arguments(_parse(overrides, loader), None)[0]
        except HydraException as error:
            raise UserError(_first_line(error)) from None


def compose_job(overrides: list[str]) -> Composed:
    """Composes one job.

    Raises:
        UserError: one line for the first override that cannot be meant.
    """
    overrides = [free_kwargs(override) for override in overrides]
    parsed = _parse(overrides)
    for override in parsed:
        _check_option(override)
    with _hydra():
        try:
            config = compose("config", overrides, return_hydra_config=True)
            return _composed(config, dict(config.hydra.runtime.choices), parsed)
        except (HydraException, OmegaConfBaseException) as error:
            raise _explain(parsed, error) from None


def composed_by_hydra(config: DictConfig) -> Composed:
    """The job that a Hydra launcher has composed and is running."""
    runtime = HydraConfig.get()
    return _composed(config, dict(runtime.runtime.choices), _parse(list(runtime.overrides.task)))


def _composed(config: DictConfig, chosen: dict[str, str | None], parsed: list[Override]) -> Composed:
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    values: Any = OmegaConf.to_container(own, resolve=True)
    sweep = values.pop("sweep")
    choices = {group: _existing(group, chosen.get(group)) for group in GROUPS}
    if values["env"]["id"] != choices["env"]:
        raise UserError(f"env.id={values['env']['id']}: choose the environment with env={values['env']['id']}")
    container = {"algo_name": choices["algo"], **values}
    _resolve_auto_noise(container, parsed)
    return Composed(container, choices, sweep)


def free_kwargs(override: str) -> str:
    """`env.kwargs.x=1` as Hydra wants it for a key that no YAML file declares."""
    return re.sub(r"^\+{0,2}(?=env\.kwargs\.)", "++", override)


def _env_id(config_path: str) -> str | None:
    return config_path.removeprefix("env/").removesuffix(".yaml") if config_path.startswith("env/") else None


def _parse(overrides: list[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Parses one by one, so that a complaint names the override it is about."""
    parser = OverridesParser.create(loader)
    parsed = []
    for override in overrides:
        try:
            parsed += parser.parse_overrides([override])
        except HydraException as error:
            raise UserError(f"{override}: {_first_line(error)}") from None
    return parsed


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _check_option(override: Override) -> None:
    """Refuses a sweep outside -m, an unknown option of a group, and a group taken away."""
    key, value = override.key_or_group, override.value()
    if override.is_sweep_override():
        raise UserError(f"{override.input_line}: several values make a sweep; add -m")
    if override.is_delete() and key in ("algo", "env", "noise"):
        raise UserError(f"{override.input_line}: a run needs one; choose another with {key}=...")
    if key not in GROUPS or override.is_delete():
        return None
    allowed = options(key)
    if value in allowed or (key == "experiment" and value is None):
        return None
    if key == "env" and isinstance(value, str):
        from rlcont.envs import find_env

        return find_env(value)
    raise UserError(f"{key}={value}: allowed: {', '.join(allowed)}{nearest(str(value), allowed)}")


def _existing(group: str, choice: str | None) -> str | None:
    """The chosen option, or None where an optional file does not exist."""
    return choice if group == "env" or choice in options(group) else None


def _explain(parsed: list[Override], error: Exception) -> UserError:
    """Finds the override that names a key no file declares; failing that, Hydra's own first line."""
    groups = [o.input_line for o in parsed if o.key_or_group in GROUPS and o.input_line]
    defaults: Any = OmegaConf.to_container(compose("config", groups))
    keys = flat_keys(defaults)
    known = [*keys, *(key.rpartition(".")[0] for key in keys), *GROUPS]
    for override in parsed:
        key = override.key_or_group
        if key in known or override.is_add() or key.startswith("hydra"):
            continue
        if key.startswith("noise.") and not any(o.key_or_group == "noise" for o in parsed):
            return UserError(
                f"{override.input_line}: noise=auto takes its kind and values from the algorithm's settings; "
                f"choose one, as in noise=gaussian {override.input_line}"
            )
        return UserError(f"{override.input_line}: no such key{nearest(key, known)}")
    return UserError(_first_line(error))


def _resolve_auto_noise(container: dict[str, Any], parsed: list[Override]) -> None:
    """Replaces noise=auto by the algorithm's own choice; a typed noise makes that choice void."""
    auto_noise = container["algo"].pop("auto_noise", {"kind": "none"})
    if container["noise"]["kind"] == "auto":
        kind = auto_noise["kind"]
        if kind not in options("noise") or kind == "auto":
            raise UserError(f"algo.auto_noise.kind={kind}: allowed: gaussian, none, ou")
        defaults = OmegaConf.load(CONFIG_DIR / "noise" / f"{kind}.yaml")
        container["noise"] = OmegaConf.to_container(OmegaConf.merge(defaults, auto_noise))
        return
    for override in parsed:
        if override.key_or_group.startswith("algo.auto_noise"):
            raise UserError(f"{override.input_line}: counts only with noise=auto")
