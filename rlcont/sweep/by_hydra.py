"""A sweep that is handed to a launcher or sweeper of Hydra's."""

import re
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rlcont.config.compose import make_plan
from rlcont.config.names import CONFIG_DIR
from rlcont.core.resources import prepare_threads


def sweep_by_hydra(overrides: list[str]) -> None:
    """Runs every job of the sweep that the overrides describe, by the launcher or sweeper they name."""
    # Hydra needs the ++ for a key that is in no YAML file.
    sys.argv[1:] = ["--multirun", *(re.sub(r"^\+{0,2}(?=env\.kwargs\.)", "++", word) for word in overrides)]
    hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")(_job)()


def _job(config: DictConfig) -> None:
    """One job, called by a Hydra launcher: composed from its overrides as any other job is."""
    prepare_threads()
    from rlcont.training.run import run

    plan = make_plan(list(HydraConfig.get().overrides.task))
    run(plan.config, plan.choices)
