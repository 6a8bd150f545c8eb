"""Names of a sweep's jobs: the settings that differ, in characters that need no quoting in a shell."""

from __future__ import annotations

import re

from rlcont.runs.labels import short_names, varying_keys

MAX_LENGTH = 100
"""Characters of a name, without the number appended to a duplicate."""


def varying_overrides(jobs: list[list[str]]) -> list[dict[str, str]]:
    """Each job's overrides whose values differ among the jobs, by key."""
    settings = [dict(_key_and_value(override) for override in job) for job in jobs]
    keys = varying_keys(settings)
    return [{key: job[key] for key in keys if key in job} for job in settings]


def job_names(differing: list[dict[str, str]], seeds: list[int]) -> list[str]:
    """One name per job, such as noise-ou_s0; unique also on file systems that ignore case."""
    short = short_names({key for job in differing for key in job} - {"seed"})
    taken: set[str] = set()
    names = []
    for job, seed in zip(differing, seeds, strict=True):
        parts = [f"{_shell_safe(short[key])}-{_shell_safe(value)}" for key, value in job.items() if key != "seed"]
        if "seed" in job or not parts:
            parts.append(f"s{seed}")
        names.append(_free("_".join(parts), taken))
        taken.add(names[-1].casefold())
    return names


def _key_and_value(override: str) -> tuple[str, str]:
    key, _, value = override.lstrip("+~").partition("=")
    return key, value


def _shell_safe(text: str) -> str:
    """Replaces all but letters, digits, dot, plus, minus and underscore by a minus."""
    sign = "-" if re.match(r"-[\d.]", text) else ""
    return sign + re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-")


def _free(name: str, taken: set[str]) -> str:
    """`name`, shortened in the middle if it is too long, with a number appended if it is taken."""
    if len(name) > MAX_LENGTH:
        half = MAX_LENGTH // 2
        name = name[:half] + name[-half:]
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    return free
