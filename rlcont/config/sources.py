"""Hydra's sources of configurations: folders of YAML files, and generated ones for names without a file there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from rlcont.config import names
from rlcont.config.names import existing_file, folders, is_path, read_yaml
from rlcont.core.errors import UserError


class GeneratedSource(ConfigSource):
    """Configurations without a file in a folder: env=ID of registered ids, algo=module:Class of importable classes."""

    @staticmethod
    def scheme() -> str:
        return "rlcont"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path in ("env", "algo") or config_path.partition("/")[0] in ("tuned", "experiment")

    def is_config(self, config_path: str) -> bool:
        try:
            return self._values(config_path) is not None
        except UserError:
            return False

    def load_config(self, config_path: str) -> ConfigResult:
        values = self._values(config_path) or OmegaConf.create()
        package = "_global_" if config_path.startswith(("tuned/", "experiment/")) else None
        return ConfigResult(self.provider, self.full_path(), values, {"package": package})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []

    @staticmethod
    def _values(config_path: str) -> DictConfig | None:
        group, _, option = config_path.removesuffix(".yaml").partition("/")
        if group == "env":
            from rlcont.envs.door import find_env

            find_env(option)
            return OmegaConf.create({"id": option})
        if group == "algo" and ":" in option:
            return OmegaConf.create(read_yaml(existing_file(group, option)))
        if is_path(group, f"{option}.yaml") and Path(f"{option}.yaml").is_file():
            return OmegaConf.create(read_yaml(Path(f"{option}.yaml")))
        return None


class SearchPath(SearchPathPlugin):
    """Searches a user's own folders before rlcont's, and GeneratedSource last."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(folders()[:-1]):
            search_path.prepend("user", f"file://{folder}")
        search_path.append("rlcont", "rlcont://")


@contextlib.contextmanager
def hydra_loader() -> Iterator[ConfigLoader]:
    """Hydra, initialised with all sources."""
    for plugin in (GeneratedSource, SearchPath):
        Plugins.instance().register(plugin)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(names.CONFIG_DIR), job_name="rlcont", version_base="1.3"):
        yield GlobalHydra.instance().config_loader()
