"""Checks of the machine before a run is created, without torch: environment, memory, output folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rlcont.config.actors import RayActors
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError, require
from rlcont.core.resources import available_memory, check_memory
from rlcont.core.types import EnvSpec
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.envs.spaces import difference
from rlcont.runs.files import shown
from rlcont.runs.folder import description, load_config
from rlcont.runs.policies import policy_path


def check_runs(configs: Iterable[RunConfig], at_once: int = 1) -> None:
    """Checks output folder, packages, environment and memory of each run; makes each distinct environment once.

    Args:
        at_once: number of runs that share the memory.
    """
    specs: list[tuple[EnvConfig, EnvSpec]] = []
    # On a GPU the replay may be, whose memory only torch knows.
    may_have_gpu = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
    for config in configs:
        check_output(config.output)
        check_packages(config)
        if config.init is not None:
            _check_init(config.init)
        spec = next((spec for env, spec in specs if env == config.env), None)
        if spec is None:
            spec = check_env(config.env)
            specs.append((config.env, spec))
        if config.device == "cpu" or not may_have_gpu:
            key, needed = config.algo.memory_demand(spec, config.total_steps, config.num_envs)
            check_memory(key, needed, available_memory() // at_once)


def _check_init(init: str) -> None:
    """Checks that a run to start from is one and has a policy."""
    try:
        load_config(Path(init))
        policy_path(Path(init), "last")
    except UserError as error:
        raise UserError(f"init={init}: {error}") from None


def check_output(output: str) -> None:
    """Checks that `output` can be written, and creates nothing: the temporary file has no name."""
    existing = next(path for path in (Path(output), *Path(output).absolute().parents) if os.path.lexists(path))
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        at = "" if existing == Path(output) else f" at {existing}"
        raise UserError(f"output={output}: cannot be written ({error.strerror}{at})") from None


def check_packages(config: RunConfig) -> None:
    """Checks that Ray and Weights & Biases are installed if the run needs them."""
    if config.log.wandb is not None:
        require(f"log.wandb={config.log.wandb}", "wandb", "wandb")
    if isinstance(config.actors, RayActors):
        require("actors=ray", "ray", "ray")


def check_env(config: EnvConfig, run: Path | None = None) -> EnvSpec:
    """Makes an environment, resets it and takes a step, because some arguments matter only then.

    Args:
        run: folder of a run that the environment has to fit.
    """
    with contextlib.chdir("."):  # The environment may change the working directory.
        env = BoxEnv(config)
        if run is not None:
            check_spaces(run, env.facts())
        env.reset(seed=0)
        env.step(np.zeros(env.spec.action_dim, np.float32))
        env.close()
    return env.spec


def check_spaces(folder: Path, spaces: dict[str, Any]) -> None:
    """Refuses an environment whose spaces are not those that the run in `folder` was made for.

    Runs of rlcont 0.1 have no spaces in their description.
    """
    differing = difference(description(folder).get("spaces", spaces), spaces)
    if differing:
        raise UserError(f"{shown(folder)}: the environment is not the one that the run was made for: {differing}")
