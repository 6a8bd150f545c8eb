"""status.json in a run's folder: the state of the run, for other processes to read."""

import dataclasses
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from rlcont.core.errors import UserError, one_line, raised_at
from rlcont.runs.files import write_json
from rlcont.runs.provenance import timestamp

NAME = "status.json"
INTERVAL = 1.0
"""Least seconds between two writes of a running run."""
LIVE = ("waiting", "running")
CLOCK_TOLERANCE = 60.0
"""Seconds by which the start time of a process may appear to move when the clock is adjusted."""


@dataclasses.dataclass(frozen=True)
class Status:
    """The state of a run; None where a value is not known yet."""

    state: str
    """waiting, running, finished, failed, interrupted, killed, pruned by a search, or not started, of a sweep's job."""
    pid: int
    """Process that owns the state: the run's own, or its sweep's while the run waits."""
    pid_started: float
    """Start time of that process, because process ids are reused."""
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
    seconds_left: float | None = None
    """By the speed since learning began."""
    error: str | None = None
    """One line that says why the run ended early; of a finished run, that it reached `stop_at`."""


class StatusFile:
    """Writes the status of this process's run, at most once in INTERVAL."""

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
        """Sets values, and writes the file if the last write is long enough ago."""
        self.status = dataclasses.replace(self.status, **changes)
        if time.monotonic() - self._written >= INTERVAL:
            self._write()

    def end(self, error: BaseException | None) -> None:
        """Writes the final state: failed or interrupted by `error`, or finished."""
        if error is None:
            self.status = dataclasses.replace(self.status, state="finished")
        elif isinstance(error, KeyboardInterrupt):
            self.status = dataclasses.replace(self.status, state="interrupted")
        else:
            where = "" if isinstance(error, UserError) else raised_at(error)
            self.status = dataclasses.replace(self.status, state="failed", error=one_line(error) + where)
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        self.status = dataclasses.replace(self.status, updated=timestamp())
        write_status(self.folder, self.status)


def write_status(folder: Path, status: Status) -> None:
    write_json(folder / NAME, dataclasses.asdict(status))


def read_status(folder: Path) -> Status | None:
    """The status of the run in `folder`; None if there is no status.json.

    A live state whose process no longer exists on this host is reported as killed.
    """
    path = folder / NAME
    try:
        status = Status(**json.loads(path.read_text()))
        if status.state in LIVE and status.host == socket.gethostname() and not _lives(status):
            return dataclasses.replace(status, state="killed")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: damaged ({one_line(error)}); delete it to resume the run") from None
    return status


def _lives(status: Status) -> bool:
    try:
        process = psutil.Process(status.pid)
        same = abs(process.create_time() - status.pid_started) < CLOCK_TOLERANCE
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
