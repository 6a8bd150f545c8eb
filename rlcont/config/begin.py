"""from=RUN: the configuration of a run as the start, with the command line on top."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from rlcont.config.names import read_yaml
from rlcont.core.errors import UserError


def split(overrides: list[Override]) -> tuple[list[Override], dict[str, Any]]:
    """The overrides without from=RUN, and the configuration of that run; {} without it."""
    typed = next((override for override in overrides if override.key_or_group == "from"), None)
    if typed is None:
        return overrides, {}
    path = Path(str(typed.value()), "config.yaml")
    if not path.is_file():
        raise UserError(f"from={typed.value()}: no run (it has no config.yaml)")
    config = read_yaml(path)
    if not {"algo_name", "env", "algo", "noise", "actors"} <= config.keys():
        raise UserError(f"from={typed.value()}: no configuration of a run")
    return [override for override in overrides if override is not typed], config


def choices(config: dict[str, Any], typed: set[str]) -> list[Override]:
    """The choices of a run's configuration in the groups that were not typed; its tuned file is part of its values."""
    env = config["env"]["id"]
    chosen = {"algo": config["algo_name"], "env": env, "tuned": "none"}
    chosen |= {group: config[group]["kind"] for group in ("noise", "actors")}
    lines = [f"{group}={choice}" for group, choice in chosen.items() if group not in typed]
    overrides: list[Override] = OverridesParser.create().parse_overrides(lines)
    return overrides


def apply(config: dict[str, Any], onto: DictConfig, typed: set[str]) -> None:
    """Puts the values of a run's configuration onto composed ones, but for those of the groups that were typed."""
    for key, value in config.items():
        if key not in ("algo_name", "algorithm", "output", *typed):
            OmegaConf.update(onto, key, value, merge=isinstance(value, dict), force_add=True)
