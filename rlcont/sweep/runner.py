"""Runs the jobs of a sweep, each in a process of its own, so many at once, and leaves none behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rlcont.resources import available_cores
from rlcont.status import LIVE, read_status, write_status
from rlcont.sweep.job import GRACE
from rlcont.sweep.plan import Job, Plan, make_folders
from rlcont.sweep.shares import job_environment, jobs_at_once, visible_gpus
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

    def __call__(self, *_: object) -> None:
        self.requests += 1
        self.since = min(self.since, time.monotonic())

    @property
    def has_waited(self) -> bool:
        return self.requests > 1 or time.monotonic() - self.since > GRACE


def run_sweep(plans: Sequence[Plan], jobs: str | int) -> int:
    """Runs a sweep and returns the exit code: 0, 1 where a job did not finish, 130 where the user ended it.

    Args:
        plans: its jobs.
        jobs: how many run at once, or auto.

    Raises:
        UserError: the folders cannot be made.
    """
    cores = available_cores()
    at_once = jobs_at_once(jobs, len(plans), cores)
    with _signals_stop() as stop:
        folder, made = make_folders(plans)
        show = make_show(folder, made, at_once)
        try:
            _run(made, at_once, cores, stop, show)
        finally:
            _kill(job for job in made if job.process and job.process.poll() is None)
            show.close()
    print_summary(made)
    if stop.requests:
        return 130
    return 0 if all(job.status.state == "finished" for job in made) else 1


def _run(jobs: Sequence[Job], at_once: int, cores: int, stop: _Stop, show: Show) -> None:
    gpus = visible_gpus(os.environ)
    waiting, running, free = list(jobs), list[Job](), list(range(at_once))
    told_to_end = False
    refreshed = 0.0
    while running or waiting:
        while waiting and free and not stop.requests:
            job = waiting.pop(0)
            job.slot = free.pop(0)
            _start(job, job_environment(job.slot, at_once, cores, gpus, os.environ))
            running.append(job)
            show.started(job)
        if stop.requests and not told_to_end:
            told_to_end = True
            show.stopping(len(running))
            for job in waiting:
                _conclude(job, "interrupted", None)
            waiting.clear()
            _signal(running, signal.SIGINT)
        if stop.has_waited:
            _kill(running)
        for job in [job for job in running if _process(job).poll() is not None]:
            _settle(job, bool(stop.requests))
            running.remove(job)
            free.append(job.slot)
            show.ended(job)
        if time.monotonic() - refreshed > REFRESH:
            refreshed = time.monotonic()
            for job in running:
                job.status = read_status(job.folder) or job.status
            show.refresh(running, len(waiting))
        time.sleep(POLL)


def _start(job: Job, environment: dict[str, str]) -> None:
    """Starts a job's process.

    Its session is its own, so that a terminal's Ctrl-C reaches it once, through the sweep. Its standard input is a
    pipe that nobody writes into: it closes when the sweep's process is gone. It imports what this process imports.
    """
    with (job.folder / "output.log").open("wb") as output:
        job.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rlcont.sweep.job", str(job.folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
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
    if stopped or code == 130:
        _conclude(job, "interrupted", None)
    elif code < 0:
        _conclude(job, "killed", signal.Signals(-code).name)
    else:
        _conclude(job, "failed", _last_line(job.folder / "output.log"))


def _conclude(job: Job, state: str, error: str | None) -> None:
    job.status = dataclasses.replace(job.status, state=state, error=error)
    write_status(job.folder, job.status)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def _process(job: Job) -> subprocess.Popen[bytes]:
    assert job.process is not None
    return job.process


def _signal(jobs: Sequence[Job], number: signal.Signals) -> None:
    for job in jobs:
        _process(job).send_signal(number)


def _kill(jobs: Iterator[Job] | Sequence[Job]) -> None:
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
