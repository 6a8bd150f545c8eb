"""Runs the jobs of a sweep, each in its own process; no process outlives the sweep."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from rlcont.core.errors import one_line
from rlcont.core.resources import available_cores, available_memory
from rlcont.core.spelling import counted
from rlcont.core.typed import way_on
from rlcont.runs.status import read_status
from rlcont.sweep.job import GRACE
from rlcont.sweep.process import Job
from rlcont.sweep.shares import job_environment, visible_gpus
from rlcont.sweep.show import LineShow, make_show, print_summary
from rlcont.training.interrupt import Interrupt

POLL = 0.1  # Seconds between two polls of the processes.
REFRESH = 0.5  # Seconds between two reads of the jobs' status files.


class Stop(Interrupt):
    """A context in which Ctrl-C, SIGTERM and SIGHUP raise nothing: whoever runs in it asks."""

    is_urgent = False

    def take_again(self, number: int) -> None:
        self.is_urgent = True

    @property
    def has_waited(self) -> bool:
        """Whether the jobs have had the time that they get to end."""
        return self.received is not None and (self.is_urgent or time.monotonic() - self.since > GRACE)


def run_jobs(folder: Path, jobs: Sequence[Job], at_once: int, stop: Stop) -> int:
    """Runs the waiting jobs of a sweep, `at_once` at a time; returns 0, 1 if one did not finish, or 128 + signal."""
    waiting = [job for job in jobs if job.status.state == "waiting"]
    part = "" if len(waiting) == len(jobs) else f"{len(waiting)} of "
    show = make_show(f"{part}{counted(len(jobs), 'job')}, {at_once} at once; {folder}", len(jobs))
    Runner(waiting, at_once, show).run(stop)
    print_summary(jobs)
    if stop.received is not None:
        print(way_on(folder), flush=True)
        return 128 + stop.received
    return 0 if all(job.status.state == "finished" for job in jobs) else 1


class Runner:
    """Runs jobs in `at_once` slots until none is waiting or running."""

    def __init__(self, jobs: Sequence[Job], at_once: int, show: LineShow):
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

    @property
    def has_more(self) -> bool:
        return bool(self.running or self.waiting)

    def run(self, stop: Stop) -> None:
        try:
            while self.has_more:
                if stop.received is None:
                    self.start_waiting()
                elif not self.told_to_end:
                    self.end_all()
                if stop.has_waited:
                    self.kill_all()
                self.collect()
                if time.monotonic() - self.refreshed > REFRESH:
                    self.refresh()
                time.sleep(POLL)
        finally:
            self.kill_all()
            self.show.close()

    def start_waiting(self) -> None:
        while self.waiting and self.free:
            job = self.waiting.pop(0)
            try:
                job.start(job_environment(self.free[0], self.at_once, self.cores, self.memory, self.gpus, os.environ))
            except OSError as error:
                job.conclude("failed", one_line(error))
                self.ended(job)
            else:
                job.slot = self.free.pop(0)
                self.running.append(job)
                self.show.started(job)

    def end_all(self) -> None:
        self.told_to_end = True
        self.show.stopping(len(self.running))
        for job in self.waiting:
            job.conclude("not started")
        self.waiting.clear()
        for job in self.running:
            job.interrupt()

    def kill_all(self) -> None:
        for job in self.running:
            job.kill()

    def collect(self) -> None:
        for job in [job for job in self.running if job.process.poll() is not None]:
            job.settle(self.told_to_end)
            self.running.remove(job)
            self.free.append(job.slot)
            self.ended(job)

    def ended(self, job: Job) -> None:
        self.show.ended(job)

    def refresh(self) -> None:
        self.refreshed = time.monotonic()
        for job in self.running:
            job.status = read_status(job.folder) or job.status
        self.show.refresh(self.running, len(self.waiting))
