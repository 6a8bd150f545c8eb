"""`rlcont runs`: a table of all runs below a folder."""

import datetime
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys, nearest, nearest_key, spelled, stands_for
from rlcont.runs.console import format_return, print_table
from rlcont.runs.find import run_folders
from rlcont.runs.labels import distinguishing_settings
from rlcont.runs.status import Status, read_status

COLUMNS = ["algo", "env", "what differs", "step", "state", "last return", "age", "folder"]
NAMES = {"algo": "algo_name", "env": "env.id"}
# The C loader is ten times as fast; PyYAML may have been built without it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Run(NamedTuple):
    """A run as its folder describes it."""

    folder: Path
    config: dict[str, Any]  # Values by dotted key.
    status: Status | None
    state: str  # That of `status`; unknown if there is none, unreadable if a file is damaged.
    started: datetime.datetime


def list_runs(root: Path, sort: str, where: Sequence[tuple[str, str]]) -> None:
    """Prints the runs below `root` in the order of a column, of equal ones the newest last.

    Args:
        where: keys and the values that a run must have, as they are typed; a key's last part will do.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    runs = sorted((read_run(folder) for folder in run_folders(root)), key=lambda run: (run.started, run.folder))
    if not runs:
        raise UserError(f"{root}: no run in it (a run's folder holds config.yaml and run.json)")
    for key, typed in where:
        found = [run for run in runs if any(stands_for(typed, value) for value in _values(run, key))]
        if not found:
            there = {spelled(value) for run in runs for value in _values(run, key)}
            keys = dict.fromkeys(key for run in runs for key in ("state", *NAMES, *run.config))
            near = nearest(typed, there) if there else nearest_key(key, keys)
            named = f"{root} has that" if len(where) == 1 else f"{root} has all of that"
            raise UserError(f"where={','.join(map('='.join, where))}: no run in {named}{near}")
        runs = found
    runs.sort(key=lambda run: _place(run, sort))
    now = datetime.datetime.now().astimezone()
    differing = distinguishing_settings([run.config for run in runs])
    print_table(COLUMNS, [_row(run, text, now) for run, text in zip(runs, differing, strict=True)], True)


def _values(run: Run, key: str) -> list[Any]:
    """What a run has under `key`, `algo`, `env`, `state`, or keys that end so."""
    if key == "state":
        return [run.state]
    whole, end = NAMES.get(key, key), f".{key}"
    return [value for name, value in run.config.items() if name == whole or name.endswith(end)]


def _place(run: Run, column: str) -> Any:
    """What the runs are ordered by."""
    if column in ("step", "return"):
        value = run.status and (run.status.step if column == "step" else run.status.return_mean)
        return -math.inf if value is None else value
    return run.state if column == "state" else str(run.config.get(NAMES[column], "")) if column in NAMES else 0


def read_run(folder: Path) -> Run:
    try:
        config = flat_keys(yaml.load((folder / "config.yaml").read_text(), LOADER))
        description = json.loads((folder / "run.json").read_text())
        status = read_status(folder)
        started = datetime.datetime.fromisoformat(status.started if status else description["started"])
    except (UserError, OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError):
        changed = datetime.datetime.fromtimestamp(folder.stat().st_mtime).astimezone()
        return Run(folder, {}, None, "unreadable", changed)
    return Run(folder, config, status, status.state if status else "unknown", started)


def _row(run: Run, differing: str, now: datetime.datetime) -> list[str]:
    status = run.status
    return [
        run.config.get("algo_name", "-"),
        run.config.get("env.id", "-"),
        differing,
        f"{status.step}/{status.total_steps}" if status else "-",
        run.state,
        format_return(status.return_mean if status else None),
        age((now - run.started).total_seconds()),
        str(run.folder),
    ]


def age(seconds: float) -> str:
    """A time span in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(int(seconds), 0)} s"
