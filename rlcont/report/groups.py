"""Groups of runs that differ only in their seed."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlcont.core.errors import UserError
from rlcont.core.types import Array
from rlcont.runs.evaluations import read_evaluations
from rlcont.runs.find import run_folders
from rlcont.runs.labels import distinguishing_settings
from rlcont.runs.listing import Run, read_run

NOT_LEARNING = (
    *("output", "seed", "workers", "threads", "log.every", "log.wandb", "env.info"),
    *("eval.every", "eval.episodes", "eval.save_policies", "checkpoint.every", "checkpoint.keep", "actors.address"),
)
"""Keys in which the runs of one group may differ: they do not change what is learned."""


class Curve(NamedTuple):
    """The evaluations of one run.

    Shapes:
        steps, returns, seconds [T]; T is 0 before the first evaluation.
    """

    run: Run
    steps: Array
    returns: Array
    seconds: Array

    @property
    def is_finished(self) -> bool:
        """Whether the run is finished and was evaluated at its end; remote actors may play past `total_steps`."""
        is_over = self.run.config.get("stop_at") is not None and len(self.steps) > 0
        return self.run.state == "finished" and (
            is_over or self.steps.max(initial=-1) >= self.run.config["total_steps"]
        )


class Group(NamedTuple):
    """Runs of one algorithm on one environment that differ only in their seed."""

    env: str
    label: str
    curves: list[Curve]  # Those of the N finished runs.
    unfinished: list[Curve]
    """Those of all other runs. Statistics ignore them: a mean over runs at different steps means nothing."""

    @property
    def last_step(self) -> int:
        """Step of the last evaluation of any run."""
        curves = (*self.curves, *self.unfinished)
        return max((int(curve.steps[-1]) for curve in curves if len(curve.steps)), default=0)

    @property
    def last(self) -> Array:
        """The last evaluation of each finished run, [N]."""
        return np.array([curve.returns[-1] for curve in self.curves])

    def common(self) -> tuple[Array, Array]:
        """Steps [T] at which all finished runs were evaluated, and the returns there [N, T]."""
        steps = sorted(set.intersection(*({int(step) for step in curve.steps} for curve in self.curves)))
        rows = [curve.returns[np.isin(curve.steps, steps)] for curve in self.curves]
        return np.array(steps), np.stack(rows)


def group_runs(places: Sequence[Path]) -> list[Group]:
    """Groups of the runs at or below `places`, ordered by environment, then by first appearance."""
    for place in places:
        if not place.is_dir():
            raise UserError(f"{place}: no such folder")
    folders = {folder.resolve(): folder for place in places for folder in sorted(run_folders(place))}
    curves = _without_copies(curve for folder in folders.values() if (curve := read_curve(folder)) is not None)
    if not any(len(curve.steps) for curve in curves):
        raise UserError(f"{', '.join(map(str, places))}: no run in it has an evaluation")
    labels = distinguishing_settings([curve.run.config for curve in curves], but_for=NOT_LEARNING)
    grouped: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for curve, label in zip(curves, labels, strict=True):
        grouped[curve.run.config["env.id"], f"{curve.run.config['algo_name']} {label}".strip()].append(curve)
    groups = []
    for (env, label), members in sorted(grouped.items(), key=lambda item: item[0][0]):
        finished = [curve for curve in members if curve.is_finished]
        groups.append(Group(env, label, finished, [curve for curve in members if not curve.is_finished]))
    return groups


def _without_copies(curves: Iterable[Curve]) -> list[Curve]:
    """The curves but for those of copied folders, and of runs that were made again to the same numbers; those are
    named. Counted twice, a run would narrow its interval.
    """
    whole: list[Curve] = []
    firsts: dict[str, Curve] = {}
    for curve in curves:
        learned = {key: value for key, value in curve.run.config.items() if key == "seed" or key not in NOT_LEARNING}
        keys = [f"{curve.run.started} {curve.run.config}"]
        if len(curve.steps):
            keys.append(f"{learned} {curve.steps.tolist()} {curve.returns.tolist()}")
        same = next((firsts[key] for key in keys if key in firsts), None)
        if same is None:
            whole.append(curve)
            firsts |= dict.fromkeys(keys, curve)
        else:
            print(f"{curve.run.folder}: left out, the same run as {same.run.folder}", file=sys.stderr, flush=True)
    return whole


def read_curve(folder: Path) -> Curve | None:
    """The evaluations of the run in `folder`; None, and a line, where its description cannot be read."""
    run = read_run(folder)
    if not {"env.id", "algo_name", "total_steps"} <= run.config.keys():
        print(f"{folder}: left out, its description or status cannot be read", file=sys.stderr, flush=True)
        return None
    try:
        lines = read_evaluations(folder)
        rows = [(int(row["step"]), float(np.float32(row["return_mean"])), float(row["seconds"])) for row in lines]
    except (OSError, ValueError, KeyError, TypeError):
        rows = []
    return Curve(run, *(np.array([row[column] for row in rows]) for column in range(3)))
