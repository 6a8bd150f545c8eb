"""What `rlcont resume` will do: the run as it was, and what may be changed of it."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from rlcont.config.run import CHANGEABLE, ROUNDING, RunConfig, to_container
from rlcont.config.validate import validate
from rlcont.core.errors import UserError
from rlcont.core.spelling import nearest
from rlcont.runs.files import write_whole
from rlcont.runs.folder import add_to_description, description, in_use, load_config
from rlcont.runs.provenance import timestamp


@dataclasses.dataclass(frozen=True)
class ResumePlan:
    """A run that can go on."""

    folder: Path
    config: RunConfig
    """As the run was, compiling, precision, device and processes included, with the changes."""
    threads: int
    changes: dict[str, Any]

    def record(self, step: int) -> None:
        """Writes into the run's own files that it goes on from `step`, and with what changes."""
        sitting = {"time": timestamp(), "step": step, "command": shlex.join(["rlcont", *sys.argv[1:]])}
        earlier = description(self.folder).get("resumed", [])
        add_to_description(self.folder, {"resumed": [*earlier, {**sitting, "changes": self.changes}]})
        if self.changes:
            container = to_container(load_config(self.folder))
            _change(container, self.changes)
            text = yaml.safe_dump(container, sort_keys=False)
            write_whole(self.folder / "config.yaml", text.encode())


def plan_resume(folder: Path, overrides: list[str]) -> ResumePlan | None:
    """Finds out whether and how the run in `folder` goes on; None where it is finished, which is said.

    Raises:
        UserError: it cannot go on, or not with these overrides.
    """
    changes = _changes(overrides)
    before = load_config(folder)
    container = to_container(before)
    computed = _computed(folder)
    threads = computed.pop("threads")
    _change(container, {**computed, **changes})
    config = validate(container)
    steps = _kept_steps(folder)
    if not steps:
        raise UserError(f"{folder}: it has no checkpoint to go on from")
    if config.total_steps < steps[-1]:
        raise UserError(f"total_steps={config.total_steps}: {folder} is at step {steps[-1]} already")
    with in_use(folder):
        pass
    if steps[-1] >= before.total_steps and config.total_steps == before.total_steps and _is_finished(folder):
        print(f"{folder}: finished, with {steps[-1]} steps; total_steps=N goes on to N")
        return None
    return ResumePlan(folder, config, threads, changes)


def _changes(overrides: list[str]) -> dict[str, Any]:
    if not overrides:
        return {}
    from rlcont.config.overrides import check_form, line_of, parse, refuse_doubles

    parsed = parse(overrides)
    refuse_doubles(parsed)
    for override in parsed:
        check_form(override)
        key = override.key_or_group
        if key not in CHANGEABLE:
            raise UserError(
                f"{line_of(override)}: a run goes on with what it learned by; resume can change "
                f"{', '.join(CHANGEABLE)}{nearest(key, CHANGEABLE)}"
            )
    return {override.key_or_group: override.value() for override in parsed}


def _computed(folder: Path) -> dict[str, Any]:
    """How the run was computed: device, compile, precision, workers and threads.

    Raises:
        UserError: it is not known.
    """
    facts = description(folder).get("acceleration")
    if facts is None:
        raise UserError(f"{folder}: the run had not begun; start it anew")
    keys = (*ROUNDING, "threads")
    if not isinstance(facts, dict) or not facts.keys() >= set(keys) or type(facts["threads"]) is not int:
        raise UserError(f"{folder / 'run.json'}: does not say how the run was computed")
    return {key: facts[key] for key in keys}


def _change(container: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        *parents, name = key.split(".")
        place = container
        for parent in parents:
            place = place[parent]
        place[name] = value


def _kept_steps(folder: Path) -> list[int]:
    from rlcont.runs.checkpoint import Checkpoints

    return Checkpoints(folder, 1).steps()


def _is_finished(folder: Path) -> bool:
    from rlcont.runs.status import read_status

    status = read_status(folder)
    return status is not None and status.state == "finished"
