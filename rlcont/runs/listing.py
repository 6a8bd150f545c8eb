"""Which runs there are, and how they are doing: `rlcont runs`."""

from __future__ import annotations

import datetime
import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys
from rlcont.runs.console import print_table, shown
from rlcont.runs.labels import short_names, varying
from rlcont.runs.status import Status, read_status

COLUMNS = ["algo", "env", "what differs", "step", "state", "last return", "age", "folder"]
# In C where PyYAML was built with it: ten times as fast.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Run(NamedTuple):
    """What a run's folder says of itself."""

    folder: Path
    config: dict[str, Any]
    """Values by dotted key."""
    status: Status | None
    state: str
    started: datetime.datetime


def list_runs(root: Path) -> None:
    """Prints every run below `root`, the newest last.

    Raises:
        UserError: there is none.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    runs = sorted((read_run(folder) for folder in run_folders(root)), key=lambda run: (run.started, run.folder))
    if not runs:
        raise UserError(f"{root}: no run in it (a run's folder holds config.yaml and run.json)")
    now = datetime.datetime.now().astimezone()
    differing = differences(runs)
    print_table(COLUMNS, [_row(run, text, now) for run, text in zip(runs, differing, strict=True)])


def run_folders(root: Path) -> Iterator[Path]:
    """Folders of runs, `root` or below it."""
    for folder, inner, files in os.walk(root):
        if "config.yaml" in files and "run.json" in files:
            inner.clear()
            yield Path(folder)


def read_run(folder: Path) -> Run:
    """What a run's folder says; the state is unknown where it keeps none, unreadable where its files are damaged."""
    try:
        config = flat_keys(yaml.load((folder / "config.yaml").read_text(), LOADER))
        description = json.loads((folder / "run.json").read_text())
        status = read_status(folder)
        started = datetime.datetime.fromisoformat(status.started if status else description["started"])
    except (UserError, OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError):
        changed = datetime.datetime.fromtimestamp(folder.stat().st_mtime).astimezone()
        return Run(folder, {}, None, "unreadable", changed)
    return Run(folder, config, status, status.state if status else "unknown", started)


def differences(runs: list[Run], but_for: Collection[str] = ("output",)) -> list[str]:
    """For each run what tells it from the others of the same algorithm on the same environment, but for some keys."""
    alike: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    for i, run in enumerate(runs):
        alike[run.config.get("algo_name"), run.config.get("env.id")].append(i)
    texts = [""] * len(runs)
    for group in alike.values():
        configs = [{key: value for key, value in runs[i].config.items() if key not in but_for} for i in group]
        _fill_kwargs(configs)
        keys = varying(configs)
        short = short_names(keys)
        for i, config in zip(group, configs, strict=True):
            texts[i] = " ".join(f"{short[key]}={_value(config[key])}" for key in keys if key in config)
    return texts


def _fill_kwargs(configs: list[dict[str, Any]]) -> None:
    """An argument that only some runs give to their environment tells them apart too."""
    kwargs = {key for config in configs for key in config if key.startswith("env.kwargs.")}
    for config in configs:
        config.pop("env.kwargs", None)
        for key in kwargs:
            config.setdefault(key, "default")


def _row(run: Run, differing: str, now: datetime.datetime) -> list[str]:
    status = run.status
    return [
        run.config.get("algo_name", "-"),
        run.config.get("env.id", "-"),
        differing,
        f"{status.step}/{status.total_steps}" if status else "-",
        run.state,
        f"{shown(status.train_return)} ({shown(status.return_mean)})" if status else "-",
        age((now - run.started).total_seconds()),
        str(run.folder),
    ]


def _value(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def age(seconds: float) -> str:
    """A time span in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(int(seconds), 0)} s"
