"""A run's folder: made exclusively, with all that is needed to know and to use the run."""

from __future__ import annotations

import contextlib
import csv
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlcont.config import RunConfig, to_container, validate
from rlcont.core import UserError
from rlcont.names import nearest

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "gymnasium", "mujoco", "numpy", "hydra-core", "omegaconf", "pydantic", "tensorboard")


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
    parent = Path(config.output) / re.sub(r"[^\w.+-]", "-", config.env.id) / config.algo_name
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


def read_json(path: Path) -> dict[str, Any]:
    """What a description says.

    Raises:
        UserError: it is not there, or broken.
    """
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no description of a run ({error})") from None
    if not isinstance(facts, dict):
        raise UserError(f"{path}: no description of a run")
    return facts


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


def provenance() -> dict[str, Any]:
    """What was typed, when, and which code and packages it runs on."""
    return {
        "command": shlex.join(["rlcont", *sys.argv[1:]]),
        "started": timestamp(),
        "commit": _git_commit(),
        "python": platform.python_version(),
        "packages": _package_versions(),
    }


def make_exclusively(parent: Path, name: str) -> Path:
    """Makes a folder that nobody else made, with a number behind its name where that is taken."""
    parent.mkdir(parents=True, exist_ok=True)
    folder, number = parent / name, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = parent / f"{name}-{number}"
        else:
            return folder


@contextlib.contextmanager
def writing_to(output: str) -> Iterator[None]:
    """Makes a user's mistake of an output folder that cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"output={output}: cannot be written ({error.strerror})") from None


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


def save_policy(folder: Path, name: str, state: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Writes policies/<name>.safetensors and .json, each whole or not at all."""
    from safetensors.torch import save

    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    write_whole(policies / f"{name}.safetensors", save(tensors))
    write_json(policies / f"{name}.json", facts)


def policy_path(folder: Path, name: str) -> Path:
    """The file of a kept policy.

    Raises:
        UserError: the run kept no policy of that name.
    """
    path = folder / "policies" / f"{name}.safetensors"
    kept = sorted(file.stem for file in path.parent.glob("*.safetensors"))
    if name not in kept:
        raise UserError(f"checkpoint={name}: {folder} keeps {', '.join(kept) or 'none'}{nearest(name, kept)}")
    return path


def load_policy(folder: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a kept policy, and the step and evaluation it was kept at."""
    from safetensors.torch import load_file

    path = policy_path(folder, name)
    return load_file(path), json.loads(path.with_suffix(".json").read_text())


def write_json(path: Path, value: Any) -> None:
    """Writes `value`, whole or not at all, for people and programs to read."""
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def timestamp() -> str:
    """Now, to the second, with its time zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def folder_time() -> str:
    """Now, as it stands in the name of a folder."""
    return datetime.datetime.now().strftime("%Y%m%d-%H%M%S")


def _git_commit() -> str | None:
    """Commit of the checkout that rlcont runs from, marked where it has changes; None if it runs from none."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = _git("status", "--porcelain", "--untracked-files=no")
        return _git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _package_versions() -> dict[str, str]:
    versions = {"rlcont": importlib.metadata.version("rlcont")}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
