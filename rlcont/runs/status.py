"""How a run is doing: status.json in its folder, for whoever watches from outside."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from rlcont.core.errors import UserError
from rlcont.runs.files import write_json
from rlcont.runs.provenance import timestamp

NAME = "status.json"
INTERVAL = 1.0
"""Seconds between two writes while a run goes well."""
LIVE = ("waiting", "running")
CLOCK_TOLERANCE = 60.0
"""Seconds by which the start of one process may seem to move when the clock is set."""


@dataclasses.dataclass(frozen=True)
class Status:
    """What is known of a run. None: not yet."""

    state: str
    """waiting, running, finished, failed, interrupted, killed, or pruned by a search."""
    pid: int
    """The process that answers for the state: the run's own, or its sweep's while it waits."""
    pid_started: float
    """When that process began, since numbers of processes are used again."""
    host: str
    started: str
    updated: str
    total_steps: int
    step: int = 0
    train_return: float | None = None
    evaluation_step: int | None = None
    return_mean: float | None = None
    """Of the last evaluation, as is `return_std`."""
    return_std: float | None = None
    steps_per_second: float | None = None
    error: str | None = None
    """One line about what ended the run early."""


class StatusFile:
    """Keeps the status of this process's run up to date, at no cost to a fast run."""

    def __init__(self, folder: Path, state: str, total_steps: int):
        now = timestamp()
        self.folder = folder
        self.status = Status(
            state=state,
            pid=os.getpid(),
            pid_started=psutil.Process().create_time(),
            host=socket.gethostname(),
            started=now,
            updated=now,
            total_steps=total_steps,
        )
        self._write()

    def update(self, **changes: Any) -> None:
        """Takes in new values and writes them, unless it wrote a moment ago."""
        self.status = dataclasses.replace(self.status, **changes)
        if time.monotonic() - self._written >= INTERVAL:
            self._write()

    def end(self, error: BaseException | None) -> None:
        """Writes how the run ended: by `error`, or well."""
        if error is None:
            self.status = dataclasses.replace(self.status, state="finished")
        elif isinstance(error, KeyboardInterrupt):
            self.status = dataclasses.replace(self.status, state="interrupted")
        else:
            self.status = dataclasses.replace(self.status, state="failed", error=one_line(error))
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        self.status = dataclasses.replace(self.status, updated=timestamp())
        write_status(self.folder, self.status)


def write_status(folder: Path, status: Status) -> None:
    """Puts `status` in the place of what was known."""
    write_json(folder / NAME, dataclasses.asdict(status))


def read_status(folder: Path) -> Status | None:
    """The status of the run in `folder`, None if it keeps none.

    A run that says it goes on, although its process on this host is gone, was killed.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / NAME
    try:
        status = Status(**json.loads(path.read_text()))
        if status.state in LIVE and status.host == socket.gethostname() and not _lives(status):
            return dataclasses.replace(status, state="killed")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: damaged ({one_line(error)}); without this file the run can still go on") from None
    return status


def one_line(error: BaseException) -> str:
    """The kind of an error, unless it is a user's mistake, and the first line of what it says."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _lives(status: Status) -> bool:
    try:
        process = psutil.Process(status.pid)
        same = abs(process.create_time() - status.pid_started) < CLOCK_TOLERANCE
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
