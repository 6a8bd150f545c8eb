"""The plan of a sweep: its jobs, each with a folder."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlcont.config.compose import compose_job, expand_sweep
from rlcont.config.run import RunConfig, SearchConfig, SweepConfig
from rlcont.config.validate import validate, validate_settings
from rlcont.core.errors import UserError
from rlcont.runs.files import folder_time, make_exclusively, write_json, writing_to
from rlcont.runs.folder import config_text, describe_run
from rlcont.runs.provenance import provenance
from rlcont.runs.status import Status, StatusFile
from rlcont.sweep.names import job_names, varying_overrides


class Plan(NamedTuple):
    """A job whose configuration is valid, before it has a folder."""

    overrides: list[str]
    config: RunConfig
    choices: dict[str, str | None]
    sweep: SweepConfig
    search: SearchConfig


@dataclasses.dataclass
class Job:
    """A job with a folder."""

    number: int
    folder: Path
    status: Status
    slot: int = 0
    process: subprocess.Popen[bytes] | None = None


def make_plans(overrides: list[str]) -> list[Plan]:
    """Composes and validates all jobs of a grid sweep."""
    return [make_plan(job) for job in expand_sweep(overrides)]


def make_plan(overrides: list[str]) -> Plan:
    """Composes and validates one job."""
    composed = compose_job(overrides)
    config = validate(composed.container, composed.origins)
    sweep = validate_settings(SweepConfig, "sweep", composed.sweep)
    return Plan(overrides, config, composed.choices, sweep, validate_settings(SearchConfig, "search", composed.search))


def config_identity(config: RunConfig) -> str:
    """Hash of the resolved configuration, by which a sweep recognises a job."""
    return hashlib.sha256(config_text(config).encode()).hexdigest()


def check_agreement(plans: Sequence[Plan]) -> None:
    """Refuses jobs with different values of what a sweep has once."""
    once = {"sweep.jobs": [str(plan.sweep.jobs) for plan in plans], "output": [plan.config.output for plan in plans]}
    for key, values in once.items():
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            raise UserError(f"{key}={','.join(different)}: must be one value for the whole sweep")


def describe_job(folder: Path, plan: Plan, origin: dict[str, Any]) -> None:
    """Writes the files that a job's process needs to run in `folder`."""
    describe_run(folder, plan.config, {**origin, "overrides": plan.overrides, "choices": plan.choices})


def make_folders(plans: Sequence[Plan]) -> tuple[Path, list[Job]]:
    """Creates <output>/sweeps/<time> with a folder for each job."""
    output = plans[0].config.output
    differing = varying_overrides([plan.overrides for plan in plans])
    names = job_names(differing, [plan.config.seed for plan in plans])
    origin = provenance()
    with writing_to(output):
        sweep = make_exclusively(Path(output) / "sweeps", folder_time())
        listed = zip(names, differing, plans, strict=True)
        jobs = [
            {
                "folder": name,
                "differs": differs,
                "overrides": plan.overrides,
                "config": config_identity(plan.config),
            }
            for name, differs, plan in listed
        ]
        write_json(sweep / "sweep.json", {**origin, "at_once": plans[0].sweep.jobs, "jobs": jobs})
        made = []
        for number, (name, plan) in enumerate(zip(names, plans, strict=True), 1):
            folder = sweep / name
            folder.mkdir()
            describe_job(folder, plan, origin)
            made.append(Job(number, folder, StatusFile(folder, "waiting", plan.config.total_steps).status))
    return sweep, made
