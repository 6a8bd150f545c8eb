"""Plots of groups of runs: learning curves with bands, also in TensorBoard, and a chart of aggregates."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from rlcont.core.spelling import counted
from rlcont.report.aggregate import bootstrap_interval, interquartile_mean
from rlcont.report.groups import Group

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart. Line styles do so without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
LINES = ("-", "--", "-.", ":")
MEAN, LOW, HIGH = "eval/return", "eval/return_low", "eval/return_high"


def plot_curves(groups: Sequence[Group], path: Path) -> None:
    """Plots the mean return over steps with its 95 % bootstrap band, and a thin line for each run; that of a run which
    did not finish ends in a cross.

    Writes path.png and path.svg.
    """
    lines = sum(_label(group).count("\n") + 1 for group in groups)
    figure, axes = _figure(5 + 0.1 * lines)  # The legend is below, in two columns.
    for number, group in enumerate(groups):
        colour, line = _style(number)
        for curve in (*group.curves, *group.unfinished):
            axes.plot(curve.steps, curve.returns, color=colour, linewidth=0.6, alpha=0.35)
        for curve in group.unfinished:  # The mean leaves them out.
            axes.plot(curve.steps[-1:], curve.returns[-1:], "x", color=colour, markersize=5)
        if group.curves:
            steps, returns = group.common()
            low, high = bootstrap_interval(returns)
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(steps, returns.mean(0), color=colour, linestyle=line, linewidth=2, label=_label(group))
        else:
            axes.plot([], [], color=colour, linewidth=0.6, label=_label(group))
    axes.set(title=groups[0].env, xlabel="environment steps", ylabel="return of deterministic episodes")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.legend(frameon=False, fontsize="small", ncols=2, loc="outside lower center")
    _save(figure, path)


def plot_aggregates(groups: Sequence[Group], path: Path) -> None:
    """Plots mean with interval, interquartile mean and median of the last evaluations, and a dot for each run."""
    figure, axes = _figure(1.2 + 0.7 * len(groups))
    for number, group in enumerate(groups):
        colour, _ = _style(number)
        low, high = bootstrap_interval(group.last)
        axes.plot([low, high], [number, number], color=colour, linewidth=8, alpha=0.3, solid_capstyle="butt")
        axes.plot(group.last, np.full(len(group.last), number), "o", color=colour, markersize=4, alpha=0.6)
        marks = [(group.last.mean(), "|", "mean"), (interquartile_mean(group.last), "D", "interquartile mean")]
        for value, mark, label in [*marks, (float(np.median(group.last)), "x", "median")]:
            axes.plot(
                value, number, mark, color="black", markersize=9, fillstyle="none", label=None if number else label
            )
    axes.set(xlabel="return at the last evaluation", ylim=(len(groups) - 0.5, -0.5))
    axes.set_title(groups[0].env, loc="left")
    axes.set_yticks(range(len(groups)), [_label(group) for group in groups])
    axes.legend(frameon=False, fontsize="small", ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    _save(figure, path)


def _figure(height: float) -> tuple[Any, Any]:
    figure = Figure(figsize=(9, height), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(number: int) -> tuple[str, str]:
    return COLOURS[number % len(COLOURS)], LINES[(number + number // len(COLOURS)) % len(LINES)]


def _label(group: Group) -> str:
    runs = counted(len(group.curves), "run") if group.curves else "no finished run"
    return textwrap.fill(f"{group.label} ({runs})", 48)


def _save(figure: Any, path: Path) -> None:
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_name(path.name + suffix))


def write_band(group: Group, folder: Path) -> None:
    """Writes the mean over runs and its 95 % bootstrap interval at each evaluation that all runs have.

    TensorBoard shows the mean under SCALARS, and the interval as a band under CUSTOM SCALARS.
    """
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    steps, returns = group.common()
    low, high = bootstrap_interval(returns)
    with SummaryWriter(str(folder)) as writer:
        writer.add_custom_scalars({"eval": {"return, mean and 95 % interval": ["Margin", [MEAN, LOW, HIGH]]}})
        for step, mean, lower, upper in zip(steps, returns.mean(0), low, high, strict=True):
            for tag, value in ((MEAN, mean), (LOW, lower), (HIGH, upper)):
                writer.add_scalar(tag, value, int(step))
