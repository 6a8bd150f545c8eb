"""The plan of `rlcont resume`: the configuration to resume a run with, checked before torch is loaded."""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from rlcont.algos.base import AlgorithmConfig
from rlcont.config.fields import general_fields, kind_fields
from rlcont.config.names import GROUPS, merged
from rlcont.config.run import CHANGEABLE, ROUNDING, RunConfig
from rlcont.config.validate import validate
from rlcont.core.errors import UserError
from rlcont.core.spelling import nearest, nested_keys
from rlcont.exploration.config import DecayConfig
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.files import write_whole
from rlcont.runs.folder import add_to_description, description, in_use, load_config
from rlcont.runs.provenance import software, timestamp, updated_packages
from rlcont.runs.status import read_status


@dataclasses.dataclass(frozen=True)
class ResumePlan:
    """A run that can be resumed."""

    folder: Path
    config: RunConfig
    """The run's configuration with `changes`; compile, precision and device are those that the run used."""
    threads: int
    workers: int
    """Those that the run began with, where they are automatic."""
    changes: dict[str, Any]
    rescheduled: list[str]
    """Keys of what is scheduled over `total_steps`, where that changes."""

    def updated_packages(self) -> list[str]:
        """The packages that training computes with of which the run last used another version, each with both."""
        known = description(self.folder)
        sittings = [known, *known.get("resumed", [])]
        return updated_packages(next((each["packages"] for each in reversed(sittings) if "packages" in each), {}))

    def record(self, step: int, computed: dict[str, Any]) -> None:
        """Records in run.json and config.yaml that the run resumes from `step`, how it is computed from now on, and the
        changes.
        """
        sitting = {"time": timestamp(), "step": step, "command": shlex.join(["rlcont", *sys.argv[1:]]), **software()}
        earlier = description(self.folder).get("resumed", [])
        add_to_description(self.folder, {**computed, "resumed": [*earlier, {**sitting, "changes": self.changes}]})
        if self.changes:
            container = merged(dataclasses.asdict(load_config(self.folder)), nested_keys(self.changes))
            text = yaml.safe_dump(container, sort_keys=False)
            write_whole(self.folder / "config.yaml", text.encode())


def plan_resume(folder: Path, overrides: list[str]) -> ResumePlan | None:
    """Plans how the run in `folder` resumes; prints a line and returns None if it is finished."""
    changes = _changes(overrides)
    checkpoints = Checkpoints(folder, 1)
    checkpoints.check_format()  # First, because this version may not know a key of the configuration either.
    before = load_config(folder)
    computed = _computed(folder)
    steps = checkpoints.steps()
    if not steps:
        raise UserError(f"{folder}: it has no checkpoint to resume from")
    total = changes.get("total_steps")
    if isinstance(total, int) and total < steps[-1]:
        raise UserError(f"total_steps={total}: {folder} is at step {steps[-1]} already")
    threads, workers = computed.pop("threads"), computed.pop("workers")
    config = validate(merged(dataclasses.asdict(before), nested_keys({**computed, **changes})))
    with in_use(folder):
        pass
    is_over = steps[-1] >= before.total_steps or before.stop_at is not None
    unchanged = (config.total_steps, config.stop_at) == (before.total_steps, before.stop_at)
    if is_over and unchanged and (status := read_status(folder)) is not None and status.state == "finished":
        why, more = (f" ({status.error})", "stop_at=RETURN") if status.error else ("", "total_steps=N")
        print(f"{folder}: finished, with {steps[-1]} steps{why}; {more} trains on")
        return None
    rescheduled = [] if config.total_steps == before.total_steps else scheduled_over_the_run(config)
    return ResumePlan(folder, config, threads, workers, changes, rescheduled)


def scheduled_over_the_run(config: Any, prefix: str = "") -> list[str]:
    """Keys of a configuration whose course depends on `total_steps`: decays without steps of their own, and what else
    an algorithm says.
    """
    keys = []
    for field in dataclasses.fields(config):
        key, value = f"{prefix}{field.name}", getattr(config, field.name)
        if isinstance(value, DecayConfig):
            keys += [key] if value.kind != "none" and value.steps is None else []
        elif isinstance(value, AlgorithmConfig):
            keys += scheduled_over_the_run(value, f"{key}.") + [f"{key}.{name}" for name in value.schedules()]
        elif dataclasses.is_dataclass(value):
            keys += scheduled_over_the_run(value, f"{key}.")
    return keys


def _changes(overrides: list[str]) -> dict[str, Any]:
    if not overrides:
        return {}
    from rlcont.config.overrides import line_of, parse_one_run

    parsed = parse_one_run(overrides)
    for override in parsed:
        key = override.key_or_group
        if key not in CHANGEABLE:
            why, hint = "no such key", nearest(key, CHANGEABLE)
            if _is_of_a_run(key):
                why, hint = "fixed for the whole run (a part of its identity)", "; from=RUN begins another one with it"
            raise UserError(f"{line_of(override)}: {why}; resume can change {', '.join(CHANGEABLE)}{hint}")
    return {override.key_or_group: override.value() for override in parsed}


def _is_of_a_run(key: str) -> bool:
    """Whether runs have the key; of algorithms, noises and arguments of environments, any name is taken for one."""
    known = [*GROUPS, *(field.key for field in [*general_fields(), *kind_fields("actors", "ray")])]
    return key in known or key.startswith(("algo.", "noise.", "env.kwargs."))


def _computed(folder: Path) -> dict[str, Any]:
    """Device, compile, precision, workers and threads that the run used."""
    facts = description(folder).get("acceleration")
    if facts is None:
        raise UserError(f"{folder}: the run had not started; start a new one")
    keys = (*ROUNDING, "threads", "workers")
    if not isinstance(facts, dict) or not facts.keys() >= set(keys) or type(facts["threads"]) is not int:
        raise UserError(f"{folder / 'run.json'}: does not say how the run was computed")
    return {key: facts[key] for key in keys}
