"""A run's folder: made exclusively, with all that is needed to know and to use the run."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlcont.config.run import RunConfig, to_container
from rlcont.config.validate import validate
from rlcont.core.errors import UserError
from rlcont.core.spelling import nearest

if TYPE_CHECKING:
    pass
from rlcont.runs.files import folder_time, make_exclusively, read_json, write_json, writing_to
from rlcont.runs.provenance import provenance


def check_output(output: str) -> None:
    """Asks whether runs can be made in `output`, and makes nothing: not even the file it opens has a name.

    Raises:
        UserError: they cannot.
    """
    existing = next(path for path in (Path(output), *Path(output).absolute().parents) if os.path.lexists(path))
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        at = "" if existing == Path(output) else f" at {existing}"
        raise UserError(f"output={output}: cannot be written ({error.strerror}{at})") from None


def create_run_folder(config: RunConfig, choices: dict[str, str | None]) -> Path:
    """Makes outputs/<env>/<algo>/<time>-s<seed> and describes the run in it.

    The last folder is made exclusively: of two launches in one second, the later gets a number behind its name.

    Raises:
        UserError: the folder cannot be made.
    """
    parent = Path(config.output, *(re.sub(r"[^\w.+-]", "-", name) for name in (config.env.id, config.algo_name)))
    with writing_to(config.output):
        folder = make_exclusively(parent, f"{folder_time()}-s{config.seed}")
        describe_run(folder, config, {**provenance(), "choices": choices})
    return folder


def add_to_description(folder: Path, facts: dict[str, Any]) -> None:
    """Adds to run.json what is known only once the run has begun."""
    path = folder / "run.json"
    write_json(path, json.loads(path.read_text()) | facts)


def description(folder: Path) -> dict[str, Any]:
    """What run.json says.

    Raises:
        UserError: it is not there, or broken.
    """
    return read_json(folder / "run.json")


def forget(folder: Path) -> None:
    """Deletes what a run left that had no checkpoint yet; it begins anew."""
    for path in (*folder.glob("events.out.tfevents.*"), folder / "evaluations.csv"):
        path.unlink(missing_ok=True)
    for name in ("policies", "checkpoints"):
        shutil.rmtree(folder / name, ignore_errors=True)


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Keeps a run's folder for this process; the lock goes with the process, however it ends.

    Raises:
        UserError: another process has it.
    """
    with (folder / ".lock").open("a+") as file:
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
    """Writes config.yaml and run.json, all that is needed to run it in `folder`."""
    (folder / "config.yaml").write_text(config_text(config))
    write_json(folder / "run.json", description)


def load_config(folder: Path) -> RunConfig:
    """The configuration a run was made with.

    Raises:
        UserError: `folder` holds no run, or a broken one.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise UserError(f"{folder}: no run (it has no config.yaml){_nearest_run(folder)}")
    try:
        container = yaml.safe_load(path.read_text())
        container.setdefault("algorithm", container["algo_name"])  # Runs of rlcont 0.1 do not say it.
        return validate(container)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, ImportError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no configuration of a run ({error})") from None


def _nearest_run(folder: Path) -> str:
    """Suggests the newest run below `folder`, or the run whose name is closest to it."""
    below = sorted(folder.glob("**/config.yaml"), key=lambda path: path.stat().st_mtime)
    if below:
        return f"; did you mean {below[-1].parent}?"
    return nearest(str(folder), [str(path.parent) for path in folder.parent.glob("*/config.yaml")])


def config_text(config: RunConfig) -> str:
    """The resolved configuration as YAML."""
    return yaml.safe_dump(to_container(config), sort_keys=False)


def read_evaluations(folder: Path) -> list[dict[str, str]]:
    """The rows of evaluations.csv, none where it is not there yet; one that is being written is left out."""
    try:
        lines = (folder / "evaluations.csv").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return list(csv.DictReader(line for line in lines if line.endswith("\n")))
