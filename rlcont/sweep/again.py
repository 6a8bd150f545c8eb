"""Resuming a sweep: which of its jobs are left to run."""

from pathlib import Path

from rlcont.config.compose import make_plan
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.files import read_json
from rlcont.runs.folder import in_use, load_config
from rlcont.runs.provenance import provenance
from rlcont.runs.status import LIVE, Status, StatusFile, read_status
from rlcont.sweep.plan import config_identity, describe_job
from rlcont.sweep.process import Job


def jobs_of(folder: Path) -> tuple[str | int, list[Job], list[RunConfig]]:
    """Reads the sweep in `folder`: how many jobs run at once, its jobs, and the configurations of the unfinished ones.

    A job is identified by its configuration. If its folder is gone, it is recreated from its overrides.
    """
    description = read_json(folder / "sweep.json")
    try:
        listed = [(str(job["folder"]), list(job["overrides"]), str(job["config"])) for job in description["jobs"]]
        at_once = description["at_once"]
    except (KeyError, TypeError):
        raise UserError(f"{folder / 'sweep.json'}: no description of a sweep") from None
    jobs, unfinished = [], []
    for number, (name, overrides, identity) in enumerate(listed, 1):
        place = folder / name
        status = read_status(place) if place.is_dir() else None
        if status is None or status.state != "finished":
            config = _unfinished(place, overrides, identity, status)
            status = StatusFile(place, "waiting", config.total_steps).status
            unfinished.append(config)
        jobs.append(Job(number, place, status))
    return at_once, jobs, unfinished


def _unfinished(place: Path, overrides: list[str], identity: str, status: Status | None) -> RunConfig:
    """The configuration of an unfinished job; recreates its folder if that is gone."""
    if status is not None and status.state in LIVE:
        raise UserError(f"{place}: is running (process {status.pid})")
    if not (place / "config.yaml").is_file():
        plan = make_plan(overrides)
        if config_identity(plan.config) != identity:
            typed = " ".join(overrides)
            raise UserError(f"{place}: is gone, and {typed} now gives another configuration than in the sweep")
        describe_job(place, plan, provenance())
        return plan.config
    with in_use(place):
        pass
    Checkpoints(place, 1).check_format()
    config = load_config(place)
    if config_identity(config) != identity:
        raise UserError(
            f"{place}: its config.yaml is not the one that the sweep made; rlcont resume {place} resumes it alone"
        )
    return config
