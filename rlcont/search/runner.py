"""Runs a search: each trial is one run per seed, all at once, and is pruned if it lags behind."""

import dataclasses
import math
import shutil
import time
from pathlib import Path

from optuna.trial import Trial

from rlcont.core.spelling import counted
from rlcont.core.typed import way_on
from rlcont.runs.console import format_return, print_table
from rlcont.runs.evaluations import read_evaluations
from rlcont.runs.folder import in_use
from rlcont.runs.provenance import provenance
from rlcont.runs.status import StatusFile, read_status
from rlcont.search.plan import SearchPlan
from rlcont.search.study import Study
from rlcont.search.winner import write_tuned
from rlcont.sweep.job import GRACE
from rlcont.sweep.plan import describe_job
from rlcont.sweep.process import Job
from rlcont.sweep.runner import Runner, Stop
from rlcont.sweep.show import LineShow, make_show

SHOWN = 5  # Trials in the final table.


@dataclasses.dataclass
class _Attempt:
    """A trial and its runs."""

    trial: Trial
    jobs: list[Job]
    given_up: str | None = None  # pruned or failed, once the trial cannot become complete.
    given_up_at: float = math.inf


def run_search(plan: SearchPlan, folder: Path, at_once: int, stop: Stop) -> int:
    """Starts or resumes the search in `folder`; returns 0, 1 if no trial is complete, or 128 + signal."""
    with in_use(folder):
        study = Study(folder, plan.space, plan.search, plan.config.total_steps)
        num_jobs = study.num_trials * len(plan.space.seeds)
        present = plan.present()
        study.begin_with(present)
        first = "the first with the present settings" if present else "the present settings are not in the space"
        trials = counted(study.num_trials, "trial")
        show = make_show(f"{trials}, {first}; {num_jobs} runs at most, {at_once} at once; {folder}", num_jobs)
        _SearchRunner(plan, folder, study, at_once, show).run(stop)
    _print_summary(plan, folder, study)
    if stop.received is not None:
        print(way_on(folder), flush=True)
        return 128 + stop.received
    return 0 if study.best() else 1


class _SearchRunner(Runner):
    """Starts a trial whenever there are slots for all its seeds, and ends trials that lag behind."""

    def __init__(self, plan: SearchPlan, folder: Path, study: Study, at_once: int, show: LineShow):
        super().__init__([], at_once, show)
        self.plan = plan
        self.folder = folder
        self.study = study
        self.origin = provenance()
        self.attempts = [self.attempt(trial) for trial in study.interrupted_trials()]
        for attempt in self.attempts:
            self.waiting += [job for job in attempt.jobs if job.status.state != "finished"]
        for attempt in list(self.attempts):
            self.settle_if_over(attempt)

    @property
    def has_more(self) -> bool:
        return super().has_more or (self.study.has_more and not self.told_to_end)

    def start_waiting(self) -> None:
        while not self.waiting and len(self.free) >= len(self.plan.space.seeds) and self.study.has_more:
            attempt = self.attempt(self.study.ask())
            self.attempts.append(attempt)
            self.waiting += attempt.jobs
        super().start_waiting()

    def attempt(self, trial: Trial) -> _Attempt:
        """A trial with its runs; creates the folders that do not exist yet."""
        jobs = []
        for place, seed in enumerate(self.plan.space.seeds, 1):
            folder = self.folder / f"trial-{trial.number:03}_s{seed}"
            status = read_status(folder)
            if status is None or status.state != "finished":
                if not (folder / "config.yaml").exists():
                    describe_job(folder, self.plan.run(trial.params, seed), self.origin)
                status = StatusFile(folder, "waiting", self.plan.config.total_steps).status
            jobs.append(Job(trial.number * len(self.plan.space.seeds) + place, folder, status))
        return _Attempt(trial, jobs)

    def refresh(self) -> None:
        super().refresh()
        for attempt in list(self.attempts):
            if attempt.given_up is None:
                if self.study.report(attempt.trial, _means(attempt.jobs)):
                    self.give_up(attempt, "pruned")
                    self.settle_if_over(attempt)  # All its runs may have been waiting.
            elif time.monotonic() - attempt.given_up_at > GRACE:
                for job in attempt.jobs:
                    if job in self.running:
                        job.kill()

    def give_up(self, attempt: _Attempt, why: str) -> None:
        attempt.given_up, attempt.given_up_at = why, time.monotonic()
        for job in attempt.jobs:
            if job in self.waiting:
                self.waiting.remove(job)
                job.conclude("pruned")
            elif job in self.running:
                job.interrupt()

    def ended(self, job: Job) -> None:
        attempt = next(attempt for attempt in self.attempts if job in attempt.jobs)
        if not self.told_to_end:
            if job.status.state in ("failed", "killed", "interrupted") and attempt.given_up is None:
                self.give_up(attempt, "failed")
            elif attempt.given_up and job.status.state != "finished":
                job.conclude("pruned")
        super().ended(job)
        self.settle_if_over(attempt)

    def settle_if_over(self, attempt: _Attempt) -> None:
        """Reports a trial to the study once all its runs have ended; an interrupted trial resumes later instead."""
        if any(job in self.running or job in self.waiting for job in attempt.jobs) or self.told_to_end:
            return
        self.attempts.remove(attempt)
        if attempt.given_up is not None:
            self.study.give_up(attempt.trial, attempt.given_up)
        else:
            means = _means(attempt.jobs)
            self.study.report(attempt.trial, means)
            self.study.finish(attempt.trial, means[max(means)] if means else math.nan)
        # Checkpoints take far more space than the rest, and the runs of a trial are not resumed.
        for job in attempt.jobs:
            shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)


def _means(jobs: list[Job]) -> dict[int, float]:
    """The mean return over the runs, by step, at the steps at which all were evaluated."""
    evaluations = [read_evaluations(job.folder) for job in jobs]
    curves = [{int(row["step"]): float(row["return_mean"]) for row in rows} for rows in evaluations]
    common = set.intersection(*(set(curve) for curve in curves))
    return {step: sum(curve[step] for curve in curves) / len(curves) for step in sorted(common)}


def _print_summary(plan: SearchPlan, folder: Path, study: Study) -> None:
    counts = study.counts()
    best = study.best(SHOWN)
    rows = []
    for trial in best:
        values = [trial.params[key] for key in plan.space.varied]
        cells = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
        rows.append([str(trial.number), format_return(trial.value), *cells])
    if rows:
        print_table(["trial", "return", *plan.space.varied], rows)
    print(", ".join(f"{count} {name}" for name, count in counts.items()), flush=True)
    if best:
        tuned = write_tuned(plan, folder, best[0], counts)
        print(f"the best settings: {tuned}", flush=True)
