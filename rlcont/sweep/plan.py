"""What a sweep will do: its jobs, and a folder for each."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlcont.config import RunConfig, validate_sweep
from rlcont.core import UserError
from rlcont.runs import describe_run, folder_time, make_exclusively, provenance, write_json, writing_to
from rlcont.status import Status, StatusFile
from rlcont.sweep.names import differences, job_names


class Plan(NamedTuple):
    """A job that was found to be right: what was typed for it, and what that makes."""

    overrides: list[str]
    config: RunConfig
    choices: dict[str, str | None]


@dataclasses.dataclass
class Job:
    """A job with a folder."""

    number: int
    folder: Path
    status: Status
    slot: int = 0
    process: subprocess.Popen[bytes] | None = None


def common_jobs(plans: Sequence[Plan], sweeps: Sequence[dict[str, Any]]) -> str | int:
    """How many jobs run at once, as all of them say.

    Raises:
        UserError: that, or where they leave their output, differs between the jobs.
    """
    wanted = list(dict.fromkeys(validate_sweep(sweep).jobs for sweep in sweeps))
    outputs = list(dict.fromkeys(plan.config.output for plan in plans))
    for key, values in (("sweep.jobs", wanted), ("output", outputs)):
        if len(values) > 1:
            raise UserError(f"{key}={','.join(map(str, values))}: must be one value for the whole sweep")
    return wanted[0]


def make_folders(plans: Sequence[Plan]) -> tuple[Path, list[Job]]:
    """Makes <output>/sweeps/<time> with one described folder per job.

    Raises:
        UserError: they cannot be made.
    """
    output = plans[0].config.output
    differing = differences([plan.overrides for plan in plans])
    names = job_names(differing, [plan.config.seed for plan in plans])
    origin = provenance()
    with writing_to(output):
        sweep = make_exclusively(Path(output) / "sweeps", folder_time())
        listed = zip(names, differing, plans, strict=True)
        jobs = [{"folder": name, "differs": differs, "overrides": plan.overrides} for name, differs, plan in listed]
        write_json(sweep / "sweep.json", {**origin, "jobs": jobs})
        made = []
        for number, (name, plan) in enumerate(zip(names, plans, strict=True), 1):
            folder = sweep / name
            folder.mkdir()
            describe_run(folder, plan.config, {**origin, "overrides": plan.overrides, "choices": plan.choices})
            made.append(Job(number, folder, StatusFile(folder, "waiting", plan.config.total_steps).status))
    return sweep, made
