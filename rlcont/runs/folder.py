"""A run's folder: its creation, its description (config.yaml, run.json) and its lock."""

import contextlib
import dataclasses
import fcntl
import functools
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rlcont.algos.find import config_class
from rlcont.config.names import file_values, main_values, merged
from rlcont.config.run import RunConfig
from rlcont.config.validate import validate
from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys, nearest, spelled
from rlcont.runs.files import folder_time, make_exclusively, read_json, write_json, write_whole, writing_to
from rlcont.runs.provenance import provenance


def create_run_folder(output: Path, config: RunConfig, choices: dict[str, str | None]) -> Path:
    """Creates <output>/<env>/<algo>/<time>-s<seed> and describes the run in it.

    Of two runs that start in the same second, the second one's folder gets a number appended.
    """
    parent = Path(output, *(re.sub(r"[^\w.+-]", "-", name) for name in (config.env.id, config.algo_name)))
    with writing_to(f"output={config.output}"):
        folder = make_exclusively(parent, f"{folder_time()}-s{config.seed}")
        describe_run(folder, config, {**provenance(), "choices": choices})
    return folder


def add_to_description(folder: Path, facts: dict[str, Any]) -> None:
    write_json(folder / "run.json", description(folder) | facts)


def description(folder: Path) -> dict[str, Any]:
    return read_json(folder / "run.json")


def forget(folder: Path) -> None:
    """Deletes the results of a run that has no checkpoint, so that it can start again in the same folder."""
    for path in (*folder.glob("events.out.tfevents.*"), folder / "evaluations.csv"):
        path.unlink(missing_ok=True)
    for name in ("policies", "checkpoints"):
        shutil.rmtree(folder / name, ignore_errors=True)


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Locks a run's folder for this process. The system releases the lock when the process ends, even by a kill."""
    with writing_to(str(folder)):
        lock = (folder / ".lock").open("a+")
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(f"{folder}: in use by process {file.read().strip() or 'unknown'}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def describe_run(folder: Path, config: RunConfig, description: dict[str, Any]) -> None:
    """Writes config.yaml and run.json: all that is needed to start the run in `folder`."""
    write_json(folder / "run.json", description)
    write_whole(folder / "config.yaml", config_text(config).encode())  # Last: a folder that has it is a run.


def load_config(folder: Path) -> RunConfig:
    path = folder / "config.yaml"
    if not path.is_file():
        raise UserError(f"{folder}: no run (it has no config.yaml){_nearest_run(folder)}")
    try:
        container = yaml.safe_load(path.read_text())
        # The values of config.yaml, for the keys that an older rlcont did not have.
        known = {field.name for field in dataclasses.fields(RunConfig)}
        general = {key: value for key, value in main_values().items() if key in known}
        return validate(_with_later_keys(merged(general, container), path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, ImportError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no configuration of a run ({error})") from None


def _with_later_keys(container: dict[str, Any], path: Path) -> dict[str, Any]:
    """Adds keys that an older rlcont did not have, with what they would have been, and names them."""
    algorithm = container.get("algorithm", container["algo_name"])
    cls = config_class(algorithm)
    fields = {field.name for field in dataclasses.fields(cls)}
    values = {key: value for key, value in file_values("algo", algorithm).items() if key in fields}
    whole = merged(merged(values, dict(cls.values_before)), container["algo"])
    before = flat_keys(container["algo"])
    added = {key: value for key, value in flat_keys(whole).items() if key not in before}
    if added:
        listed = " ".join(f"algo.{key}={spelled(value)}" for key, value in added.items())
        _print_once(f"{path}: written by an older rlcont, without {listed}; these values are used")
    return container | {"algorithm": algorithm, "algo": whole}


@functools.cache
def _print_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _nearest_run(folder: Path) -> str:
    """Suggests the newest run below `folder`, else the run beside it with the closest name."""
    below = sorted(folder.glob("**/config.yaml"), key=lambda path: path.stat().st_mtime)
    if below:
        return f"; did you mean {below[-1].parent}?"
    return nearest(str(folder), [str(path.parent) for path in folder.parent.glob("*/config.yaml")])


def config_text(config: RunConfig) -> str:
    """The resolved configuration as YAML."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)
