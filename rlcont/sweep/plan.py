"""The plan of a sweep: its jobs, each with a name and a folder.

Names have the settings that differ, in characters that need no quoting in a shell.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlcont.config.compose import Plan
from rlcont.config.run import RunConfig
from rlcont.core.errors import UserError
from rlcont.runs.files import folder_time, make_exclusively, write_json, writing_to
from rlcont.runs.folder import config_text, describe_run
from rlcont.runs.labels import short_names, unique_names, varying_keys
from rlcont.runs.provenance import provenance
from rlcont.runs.status import StatusFile
from rlcont.sweep.process import Job


def check_difference(plans: Sequence[Plan], overrides: list[str]) -> None:
    """Refuses two jobs that are the same run."""
    numbers: dict[str, int] = {}
    for number, plan in enumerate(plans, 1):
        first = numbers.setdefault(repr(plan.config), number)
        if first != number:
            swept = " ".join(word for word in plan.overrides if word not in overrides)
            raise UserError(f"{swept}: job {number} would be the same run as job {first}; list each value once")


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
    """Makes the folder of a job, with the files that its process needs to run in it."""
    folder.mkdir(exist_ok=True)
    describe_run(folder, plan.config, {**origin, "overrides": plan.overrides, "choices": plan.choices})


def make_folders(plans: Sequence[Plan]) -> tuple[Path, list[Job]]:
    """Creates <output>/sweeps/<time> with a folder for each job."""
    output = plans[0].config.output
    names, differing = names_of(plans), varying_overrides([plan.overrides for plan in plans])
    origin = provenance()
    with writing_to(f"output={output}"):
        sweep = make_exclusively(Path(output) / "sweeps", folder_time())
        jobs = [
            {"folder": name, "differs": differs, "overrides": plan.overrides, "config": config_identity(plan.config)}
            for name, differs, plan in zip(names, differing, plans, strict=True)
        ]
        write_json(sweep / "sweep.json", {**origin, "at_once": plans[0].sweep.jobs, "jobs": jobs})
        made = []
        for number, (name, plan) in enumerate(zip(names, plans, strict=True), 1):
            folder = sweep / name
            describe_job(folder, plan, origin)
            made.append(Job(number, folder, StatusFile(folder, "waiting", plan.config.total_steps).status))
    return sweep, made


def names_of(plans: Sequence[Plan]) -> list[str]:
    return job_names(varying_overrides([plan.overrides for plan in plans]), [plan.config.seed for plan in plans])


def varying_overrides(jobs: list[list[str]]) -> list[dict[str, str]]:
    """Each job's overrides whose values differ among the jobs, by key."""
    settings = [{key: value for key, _, value in (word.lstrip("+~").partition("=") for word in job)} for job in jobs]
    keys = varying_keys(settings)
    return [{key: job[key] for key in keys if key in job} for job in settings]


def job_names(differing: list[dict[str, str]], seeds: list[int]) -> list[str]:
    """One name per job, such as noise-ou_s0; unique also on file systems that ignore case."""
    short = short_names({key for job in differing for key in job} - {"seed"})
    names = []
    for job, seed in zip(differing, seeds, strict=True):
        parts = [f"{_shell_safe(short[key])}-{_shell_safe(value)}" for key, value in job.items() if key != "seed"]
        if "seed" in job or not parts:
            parts.append(f"s{seed}")
        names.append("_".join(parts))
    return unique_names(names)


def _shell_safe(text: str) -> str:
    """Replaces all but letters, digits, dot, plus, minus and underscore by a minus."""
    sign = "-" if re.match(r"-[\d.]", text) else ""
    return sign + re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-")
