"""The plan of a search, validated before anything is created."""

import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

from rlcont.config.compose import Plan, make_plan
from rlcont.config.fields import run_fields
from rlcont.config.run import RunConfig, SearchConfig
from rlcont.core.errors import UserError
from rlcont.core.spelling import did_you_mean, flat_keys, spelled
from rlcont.runs.files import folder_time, make_exclusively, read_json, write_json, writing_to
from rlcont.runs.provenance import provenance
from rlcont.search.space import Space, read_space
from rlcont.sweep.shares import jobs_at_once

NAME = "search.json"
BUDGET = ("total_steps=", "eval.")
"""Typed keys that a search's result does not take over: a search is shorter than the runs that it is for."""


class SearchPlan(NamedTuple):
    """A search that can start or resume."""

    overrides: list[str]
    space: Space
    extremes: list[Plan]  # Runs at the extremes of the search space, all of them valid.

    @property
    def config(self) -> RunConfig:
        """The configuration of one run, for the values that all runs share."""
        return self.extremes[0].config

    @property
    def search(self) -> SearchConfig:
        """How settings are proposed and pruned."""
        return self.extremes[0].search

    def run(self, values: dict[str, Any], seed: str) -> Plan:
        """The run of a trial's values with one seed."""
        return make_plan(self.space.overrides(values, seed))

    def present(self) -> dict[str, Any]:
        """The values that the varied keys have without the search; {} where they are not all in its space."""
        try:
            plan = make_plan(self.space.overrides({}, self.space.seeds[0]))
        except UserError:
            return {}
        now = {**flat_keys(dataclasses.asdict(plan.config)), **plan.choices}
        now |= {f"algo.auto_{key}": value for key, value in now.items() if key.startswith("noise.")}
        values = {key: dimension.own(now.get(key)) for key, dimension in self.space.varied.items()}
        return {} if None in values.values() else values

    def winner(self, values: dict[str, Any]) -> RunConfig:
        """The configuration of a trial's values without the budget that was typed for the search."""
        fixed = [line for line in self.space.fixed if not line.startswith(BUDGET)]
        return make_plan(self.space._replace(fixed=fixed).overrides(values, self.space.seeds[0])).config


def plan_search(overrides: list[str]) -> SearchPlan:
    """Reads the search space and validates the runs at its extremes."""
    space = read_space(overrides)
    extremes = [make_plan(space.overrides(values, seed)) for values in space.corners() for seed in space.seeds]
    _refuse_fractions(overrides, space, extremes[0])
    config = extremes[0].config
    if extremes[0].sweep.zip:
        raise UserError("sweep.zip: does not count in a search")
    if config.eval.every is None or config.eval.every > config.total_steps:
        raise UserError(
            f"eval.every={spelled(config.eval.every)}: a search goes by evaluations; there is none in total_steps"
        )
    return SearchPlan(overrides, space, extremes)


def _refuse_fractions(overrides: list[str], space: Space, plan: Plan) -> None:
    """Refuses an interval of any numbers for a key that takes whole ones: its ends alone may be whole."""
    choices = {group: str(choice) for group, choice in plan.choices.items()}
    whole = {field.key for field in run_fields(choices) if "whole number" in field.allowed}
    for key, dimension in space.varied.items():
        if key in whole and not dimension.choices and isinstance(dimension.low, float):
            typed = next(word for word in overrides if word.startswith(f"{key}="))
            meant = re.sub(r"interval\([^)]*\)", lambda found: f"int({found[0]})", typed)
            raise UserError(f"{typed}: must be whole numbers{did_you_mean([meant])}")


def runs_at_once(plan: SearchPlan) -> int:
    """Runs at once: all seeds of as many trials as there are cores for, but of one at least."""
    num_seeds = len(plan.space.seeds)
    return max(1, jobs_at_once(plan.extremes[0].sweep.jobs, plan.search.trials * num_seeds) // num_seeds) * num_seeds


def make_search_folder(plan: SearchPlan) -> Path:
    """Creates <output>/searches/<time> with the description of the search."""
    output = plan.config.output
    with writing_to(f"output={output}"):
        folder = make_exclusively(Path(output) / "searches", folder_time())
        write_json(folder / NAME, {**provenance(), "overrides": plan.overrides})
    return folder


def plan_again(folder: Path, changes: list[str]) -> SearchPlan:
    """The search in `folder`, perhaps with another number of trials or of runs at once."""
    for change in changes:
        if not change.startswith(("search.trials=", "sweep.jobs=")):
            raise UserError(f"{change}: fixed for the whole search; resume can change search.trials and sweep.jobs")
    overrides = read_json(folder / NAME).get("overrides")
    if not isinstance(overrides, list):
        raise UserError(f"{folder / NAME}: no description of a search")
    changed = {change.partition("=")[0] for change in changes}
    return plan_search([*(word for word in map(str, overrides) if word.partition("=")[0] not in changed), *changes])
