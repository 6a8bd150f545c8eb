"""Resuming a sweep: which of its jobs are left to run."""

from pathlib import Path
from typing import NamedTuple

from rlcont.config.compose import Plan, make_plan
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.files import read_json
from rlcont.runs.folder import in_use, load_config
from rlcont.runs.provenance import provenance
from rlcont.runs.status import LIVE, Status, StatusFile, read_status
from rlcont.sweep.plan import config_identity, describe_job
from rlcont.sweep.process import Job


class Unfinished(NamedTuple):
    """A job of a sweep that is left to run."""

    config: RunConfig
    plan: Plan | None  # From which to make its folder again, where that is gone.


class Sweep(NamedTuple):
    """A sweep as its folder describes it."""

    at_once: str | int
    folders: list[Path]  # One for each job.
    unfinished: dict[Path, Unfinished]


def read_sweep(folder: Path) -> Sweep:
    """Reads the sweep in `folder`, and changes nothing there. A job is identified by its configuration."""
    description = read_json(folder / "sweep.json")
    try:
        listed = [(str(job["folder"]), list(job["overrides"]), str(job["config"])) for job in description["jobs"]]
        at_once = description["at_once"]
    except (KeyError, TypeError):
        raise UserError(f"{folder / 'sweep.json'}: no description of a sweep") from None
    unfinished = {}
    for name, overrides, identity in listed:
        place = folder / name
        status = read_status(place) if place.is_dir() else None
        if status is None or status.state != "finished":
            unfinished[place] = _unfinished(place, overrides, identity, status)
    return Sweep(at_once, [folder / name for name, _, _ in listed], unfinished)


def make_ready(sweep: Sweep) -> list[Job]:
    """The jobs of a sweep, the unfinished ones waiting; folders that are gone are made again."""
    jobs = []
    for number, place in enumerate(sweep.folders, 1):
        job = sweep.unfinished.get(place)
        if job is not None and job.plan is not None:
            describe_job(place, job.plan, provenance())
        status = read_status(place) if job is None else StatusFile(place, "waiting", job.config.total_steps).status
        assert status is not None
        jobs.append(Job(number, place, status))
    return jobs


def _unfinished(place: Path, overrides: list[str], identity: str, status: Status | None) -> Unfinished:
    """An unfinished job; refuses one that is running, or that is no longer the one that the sweep made."""
    if status is not None and status.state in LIVE:
        raise UserError(f"{place}: is running (process {status.pid})")
    if not (place / "config.yaml").is_file():
        plan = make_plan(overrides)
        if config_identity(plan.config) != identity:
            typed = " ".join(overrides)
            raise UserError(f"{place}: is gone and cannot be made again: {typed} gives another configuration now")
        return Unfinished(plan.config, plan)
    with in_use(place):
        pass
    Checkpoints(place, 1).check_format()
    config = load_config(place)
    if config_identity(config) != identity:
        raise UserError(
            f"{place}: its config.yaml is not the one that the sweep made; rlcont resume {place} resumes it alone"
        )
    return Unfinished(config, None)
