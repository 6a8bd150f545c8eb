"""`rlcont compare`: statistics of groups of runs that differ only in their seed."""

import csv
import math
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlcont.report.aggregate import area_under_curve, bootstrap_interval, interquartile_mean, steps_to
from rlcont.report.groups import Curve, Group, group_runs
from rlcont.runs.console import print_table
from rlcont.runs.files import writing_to
from rlcont.runs.labels import unique_names
from rlcont.training.interrupt import whole_before_interrupts

COLUMNS = ["runs", "steps", "last", "95 % interval", "IQM", "median", "best", "over training", "to threshold", "time"]
RUN_COLUMNS = ["env", "group", "seed", "folder", "state", "counted", "step", "last", "best"]
THRESHOLD = 0.9
"""Default threshold, as a fraction of the way from the untrained return to the best group's last one; none where that
is no higher."""


class Figures(NamedTuple):
    """Statistics of a group over its finished runs; NaN where there is none.

    `last` to `median` are those of each run's last evaluation.
    """

    env: str
    group: str
    runs: int  # Finished runs, which the figures count.
    unfinished: int  # Other runs, which no figure counts.
    steps: int  # Step of the group's last evaluation.
    last: float = math.nan  # Mean.
    low: float = math.nan
    high: float = math.nan  # 95 % bootstrap interval of `last`.
    interquartile_mean: float = math.nan
    median: float = math.nan
    best: float = math.nan  # Mean of each run's best evaluation.
    over_training: float = math.nan  # Mean of each run's area under the curve.
    threshold: float = math.nan
    steps_to_threshold: float = math.nan
    """Median; infinite if half of the runs or more never reach the threshold."""
    reached: int = 0  # Runs that reach the threshold.
    seconds: float = math.nan  # Mean time of a run.


def compare(places: Sequence[Path], to: Path, threshold: float | None) -> None:
    """Prints a table of the runs at or below `places`; writes it, plots and TensorBoard events into `to`."""
    from rlcont.report.plots import plot_aggregates, plot_curves, write_band

    groups = group_runs(places)
    found = figures(groups, threshold)
    header, rows = ["env", "group", *COLUMNS], [[own.env, own.group, *_cells(own)] for own in found]
    # Groups come last, since their labels may be longer than a terminal is wide.
    env_first = [[env, *cells, group] for env, group, *cells in (header, *rows)]
    print_table(env_first[0], env_first[1:], True)
    for group in groups:
        if group.unfinished:
            print(f"{group.env}, {group.label}: left out: {', '.join(map(_progress, group.unfinished))}", flush=True)
    with writing_to(f"to={to}"), whole_before_interrupts():
        to.mkdir(parents=True, exist_ok=True)
        (to / "groups.md").write_text(_markdown(header, rows))
        _write_csv(to / "groups.csv", Figures._fields, found)
        _write_csv(to / "runs.csv", RUN_COLUMNS, _run_rows(groups))
        for env in dict.fromkeys(group.env for group in groups):
            on_env = [group for group in groups if group.env == env]
            plot_curves(on_env, to / f"curves-{_file_name(env)}")
            if finished := [group for group in on_env if group.curves]:
                plot_aggregates(finished, to / f"aggregates-{_file_name(env)}")
                names = unique_names(_file_name(group.label) for group in finished)
                for group, name in zip(finished, names, strict=True):
                    write_band(group, to / _file_name(env) / name)
    shown = f"tensorboard --logdir {shlex.quote(str(to))} shows each group as one curve"
    print(f"{to}: groups.md, groups.csv, runs.csv, pictures; {shown}")


def figures(groups: Sequence[Group], threshold: float | None) -> list[Figures]:
    """Statistics of each group. Without `threshold`, each environment has its default one (see THRESHOLD)."""
    found = []
    for group in groups:
        finished = [other for other in groups if other.env == group.env and other.curves]
        own = threshold
        if own is None and finished:
            start = float(np.mean([curve.returns[0] for other in finished for curve in other.curves]))
            gain = max(float(other.last.mean()) for other in finished) - start
            own = start + THRESHOLD * gain if gain > 0 else math.nan
        found.append(_figures(group, math.nan if own is None else own))
    return found


def _figures(group: Group, threshold: float) -> Figures:
    counts = Figures(group.env, group.label, len(group.curves), len(group.unfinished), group.last_step)
    if not group.curves:
        return counts
    low, high = bootstrap_interval(group.last)
    curves = [] if math.isnan(threshold) else group.curves
    reached = [steps_to(threshold, curve.steps, curve.returns) for curve in curves]
    return counts._replace(
        last=float(group.last.mean()),
        low=float(low),
        high=float(high),
        interquartile_mean=interquartile_mean(group.last),
        median=float(np.median(group.last)),
        best=float(np.mean([curve.returns.max() for curve in group.curves])),
        over_training=float(np.mean([area_under_curve(curve.steps, curve.returns) for curve in group.curves])),
        threshold=threshold,
        steps_to_threshold=float(np.median(reached)) if reached else math.nan,
        reached=sum(map(math.isfinite, reached)),
        seconds=float(np.mean([curve.seconds[-1] for curve in group.curves])),
    )


def _cells(own: Figures) -> list[str]:
    """The cells of a group's row, in the order of COLUMNS."""
    runs = f"{own.runs} of {own.runs + own.unfinished}" if own.unfinished else str(own.runs)
    if not own.runs:
        return [runs, str(own.steps), *["-"] * (len(COLUMNS) - 2)]
    steps = f"{own.steps_to_threshold:.0f} steps" if math.isfinite(own.steps_to_threshold) else "never"
    return [
        runs,
        str(own.steps),
        _number(own.last),
        f"{_number(own.low)} to {_number(own.high)}{' (both runs)' if own.runs == 2 else ''}" if own.runs > 1 else "-",
        _number(own.interquartile_mean),
        _number(own.median),
        _number(own.best),
        _number(own.over_training),
        "-" if math.isnan(own.threshold) else f"{steps} to {_number(own.threshold)} ({own.reached} of {own.runs})",
        _time(own.seconds),
    ]


def _run_rows(groups: Sequence[Group]) -> list[list[Any]]:
    """One row for each run; `counted` says whether it is in the group's statistics."""
    return [
        [
            group.env,
            group.label,
            curve.run.config.get("seed"),
            curve.run.folder,
            curve.run.state,
            counted,
            *([curve.steps[-1], float(curve.returns[-1]), float(curve.returns.max())] if len(curve.steps) else []),
        ]
        for group in groups
        for counted, curves in (("yes", group.curves), ("no", group.unfinished))
        for curve in curves
    ]


def _progress(curve: Curve) -> str:
    """A run that is left out: folder, state and last evaluation."""
    evaluated = f"evaluated up to step {curve.steps[-1]}" if len(curve.steps) else "without an evaluation"
    return f"{curve.run.folder} ({curve.run.state}, {evaluated})"


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _file_name(text: str) -> str:
    """`text` without the characters that are awkward in a file's name."""
    return re.sub(r"[^\w.,=-]+", "-", text)


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def _time(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02} min" if hours else f"{rest // 60} min {rest % 60:02} s"
