"""Runs the jobs of a sweep, each in a process of its own, so many at once, and leaves none behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rlcont.resources import available_cores, available_memory
from rlcont.status import LIVE, one_line, read_status, write_status
from rlcont.sweep.job import GRACE
from rlcont.sweep.plan import Job, Plan, make_folders
from rlcont.sweep.shares import job_environment, visible_gpus
from rlcont.sweep.show import Show, make_show, print_summary

POLL = 0.1
"""Seconds between two looks at the processes."""
REFRESH = 0.5
"""Seconds between two looks at what the jobs say."""


class _Stop:
    """How often the user has asked for the end, by Ctrl-C or SIGTERM, and when first."""

    def __init__(self) -> None:
        self.requests = 0
        self.since = float("inf")
        self.exit_code = 0

    def __call__(self, number: int, *_: object) -> None:
        if not self.requests:
            self.since = time.monotonic()
            self.exit_code = 128 + number
        self.requests += 1

    @property
    def has_waited(self) -> bool:
        return self.requests > 1 or time.monotonic() - self.since > GRACE


def run_sweep(plans: Sequence[Plan], at_once: int) -> int:
    """Makes the folders of a sweep and runs its jobs, as `run_jobs` does.

    Raises:
        UserError: the folders cannot be made.
    """
    return run_jobs(*make_folders(plans), at_once)


def run_jobs(folder: Path, jobs: Sequence[Job], at_once: int) -> int:
    """Runs those jobs of the sweep in `folder` that are waiting, `at_once` side by side.

    Returns:
        The exit code: 0, 1 where a job did not finish, 130 or 143 where Ctrl-C or SIGTERM ended it.
    """
    with _signals_stop() as stop:
        waiting = [job for job in jobs if job.status.state == "waiting"]
        show = make_show(folder, jobs, len(waiting), at_once)
        runner = _Runner(waiting, at_once, show)
        try:
            runner.run(stop)
        finally:
            _kill(runner.running)
            show.close()
    print_summary(jobs)
    if stop.requests:
        return stop.exit_code
    return 0 if all(job.status.state == "finished" for job in jobs) else 1


class _Runner:
    """Keeps every place filled while jobs wait."""

    def __init__(self, jobs: Sequence[Job], at_once: int, show: Show):
        self.waiting = list(jobs)
        self.running: list[Job] = []
        self.free = list(range(at_once))
        self.at_once = at_once
        self.cores = available_cores()
        self.memory = available_memory()
        self.gpus = visible_gpus(os.environ)
        self.show = show
        self.told_to_end = False
        self.refreshed = 0.0

    def run(self, stop: _Stop) -> None:
        while self.running or self.waiting:
            if not stop.requests:
                self.start_waiting()
            elif not self.told_to_end:
                self.end_all()
            if stop.has_waited:
                _kill(self.running)
            self.collect()
            if time.monotonic() - self.refreshed > REFRESH:
                self.refresh()
            time.sleep(POLL)

    def start_waiting(self) -> None:
        while self.waiting and self.free:
            job = self.waiting.pop(0)
            try:
                _start(job, self.environment(self.free[0]))
            except OSError as error:
                _conclude(job, "failed", one_line(error))
                self.show.ended(job)
            else:
                job.slot = self.free.pop(0)
                self.running.append(job)
                self.show.started(job)

    def environment(self, slot: int) -> dict[str, str]:
        return job_environment(slot, self.at_once, self.cores, self.memory, self.gpus, os.environ)

    def end_all(self) -> None:
        self.told_to_end = True
        self.show.stopping(len(self.running))
        for job in self.waiting:
            _conclude(job, "interrupted", None)
        self.waiting.clear()
        for job in self.running:
            _process(job).send_signal(signal.SIGINT)

    def collect(self) -> None:
        for job in [job for job in self.running if _process(job).poll() is not None]:
            _settle(job, self.told_to_end)
            self.running.remove(job)
            self.free.append(job.slot)
            self.show.ended(job)

    def refresh(self) -> None:
        self.refreshed = time.monotonic()
        for job in self.running:
            job.status = read_status(job.folder) or job.status
        self.show.refresh(self.running, len(self.waiting))


def _start(job: Job, environment: dict[str, str]) -> None:
    """Starts a job's process.

    Its session is its own, so that a terminal's Ctrl-C reaches it once, through the sweep. Its standard input is a
    pipe that nobody writes into: it closes when the sweep's process is gone. Modules in the working directory count
    only if they do for this process.
    """
    safe_path = [] if os.getcwd() in sys.path else ["-P"]
    with (job.folder / "output.log").open("wb") as output:
        job.process = subprocess.Popen(
            [sys.executable, *safe_path, "-m", "rlcont.sweep.job", str(job.folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _settle(job: Job, stopped: bool) -> None:
    """Takes in how a job ended: as it said itself, else as its process did."""
    process = _process(job)
    assert process.stdin is not None
    process.stdin.close()
    code = process.returncode
    job.status = read_status(job.folder) or job.status
    if job.status.state not in (*LIVE, "killed"):
        return
    if stopped or code in (130, 143):
        _conclude(job, "interrupted", None)
    elif code < 0:
        _conclude(job, "killed", _signal_name(-code))
    else:
        _conclude(job, "failed", _last_line(job.folder / "output.log"))


def _conclude(job: Job, state: str, error: str | None) -> None:
    job.status = dataclasses.replace(job.status, state=state, error=error)
    # Whoever deletes the folder of one job must not end the others; the table tells how it went all the same.
    with suppress(OSError):
        write_status(job.folder, job.status)


def _signal_name(number: int) -> str:
    return {known.value: known.name for known in signal.Signals}.get(number, f"signal {number}")


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError as error:
        return one_line(error)
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _process(job: Job) -> subprocess.Popen[bytes]:
    assert job.process is not None
    return job.process


def _kill(jobs: Sequence[Job]) -> None:
    """Ends processes at once, with whatever they started."""
    for job in jobs:
        process = _process(job)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _signals_stop() -> Iterator[_Stop]:
    """While it lasts, Ctrl-C and SIGTERM are counted, not obeyed."""
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
