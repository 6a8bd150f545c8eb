"""The table and the pictures of docs/results from the runs under docs/results/runs.

    python benchmarks/results_table.py

Each run is docs/results/runs/ALGO/ENV/seed-N.csv, its evaluations, with its origin in seed-N.json. The score of a run
is its last evaluation. Runs of other lengths make cells of their own.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import yaml

from rlcont.report.aggregate import bootstrap_interval, interquartile_mean

DOCS = Path(__file__).parent.parent / "docs"
ALGORITHMS = ("a2c", "ppo", "ddpg", "td3", "sac", "d4pg")
BEGIN, END = "<!-- made by benchmarks/results_table.py -->", "<!-- end -->"
FALL = 1000
"""Least loss from one evaluation to the next that counts as a fall."""
COLOURS = dict(zip(ALGORITHMS, ("#56B4E9", "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#D55E00"), strict=True))


class Run(NamedTuple):
    """The evaluations of a run: steps and mean returns [N], and the minutes that it took."""

    seed: int
    steps: np.ndarray[Any, Any]
    returns: np.ndarray[Any, Any]
    minutes: float
    origin: dict[str, Any]


def read(path: Path) -> Run:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    steps = np.array([int(row["step"]) for row in rows])
    returns = np.array([float(row["return_mean"]) for row in rows])
    origin = json.loads(path.with_suffix(".json").read_text())
    return Run(int(path.stem.partition("-")[2]), steps, returns, float(rows[-1]["seconds"]) / 60, origin)


def all_runs(folder: Path) -> dict[str, dict[str, dict[int, list[Run]]]]:
    """Runs by environment, algorithm and number of steps."""
    found: dict[str, dict[str, dict[int, list[Run]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for path in sorted(folder.glob("*/*/seed-*.csv")):
        run = read(path)
        found[path.parts[-2]][path.parts[-3]][int(run.steps[-1])].append(run)
    return found


def in_thousands(steps: int) -> str:
    return f"{steps // 1_000_000} M" if steps % 1_000_000 == 0 else f"{steps // 1000} k"


def row(env: str, algo: str, steps: int, runs: list[Run], published: dict[str, Any]) -> str:
    """One line of the table."""
    scores = np.array([run.returns[-1] for run in runs])
    low, high = bootstrap_interval(scores)
    digits = 1 if np.abs(scores).max() < 100 else 0
    best, source = published.get(env, {}).get(algo, (None, ""))
    cells = [
        *(env, algo, in_thousands(steps), str(len(runs))),
        f"**{scores.mean():.{digits}f}**",
        f"{low:.{digits}f} to {high:.{digits}f}" if len(runs) > 1 else "",
        f"{interquartile_mean(scores):.{digits}f}",
        ", ".join(f"{score:.{digits}f}" for score in sorted(scores)),
        f"{np.median([run.minutes for run in runs]):.0f}",
        f"{best} ({source})" if best is not None else "–",
    ]
    return f"| {' | '.join(cells)} |"


def table(runs: dict[str, dict[str, dict[int, list[Run]]]], published: dict[str, Any]) -> str:
    """All cells, by environment and algorithm."""
    head = [
        "environment",
        "algorithm",
        "steps",
        "seeds",
        "mean",
        "95 % interval",
        "IQM",
        "each seed",
        "minutes",
        "published",
    ]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---:|---:|---|---:|---|---:|---|"]
    for env in sorted(runs, key=lambda env: (list(published).index(env) if env in published else 99, env)):
        for algo in ALGORITHMS:
            for steps, group in sorted(runs[env].get(algo, {}).items()):
                lines.append(row(env, algo, steps, group, published))
    return "\n".join(lines)


def stability(runs: dict[str, dict[str, dict[int, list[Run]]]]) -> str:
    """How often runs on HalfCheetah-v4 fall by more than FALL, and how far the worst seed is below the median."""
    lines = []
    for algo in ALGORITHMS:
        for steps, group in sorted(runs.get("HalfCheetah-v4", {}).get(algo, {}).items()):
            differences = np.concatenate([np.diff(run.returns) for run in group])
            last = np.array([run.returns[-1] for run in group])
            share = last.min() / np.median(last)
            falls = int((differences < -FALL).sum())
            cells = (
                algo,
                in_thousands(steps),
                str(len(group)),
                f"{falls} of {len(differences)}",
                f"{100 * share:.0f} %",
            )
            lines.append(f"| {' | '.join(cells)} |")
    head = f"| HalfCheetah-v4 | steps | seeds | falls by more than {FALL} | worst seed ÷ median |"
    return "\n".join([head, "|---|---|---:|---:|---:|", *lines])


def origins(runs: dict[str, dict[str, dict[int, list[Run]]]]) -> str:
    """One line for each commit, version and machine that runs were made with, with the commands."""
    commands: dict[str, set[str]] = defaultdict(set)
    for algorithms in runs.values():
        for cells in algorithms.values():
            for group in cells.values():
                for run in group:
                    known = run.origin
                    versions = ", ".join(
                        f"{name} {known['packages'][name]}" for name in ("rlcont", "torch", "gymnasium", "mujoco")
                    )
                    where = fill(f"Commit {known['commit']}, {versions}; {known['machine']}:", 100)
                    commands[where].add(f"    {known['command'].partition(' seed=')[0]} seed=…")
    return "\n\n".join("\n".join([where, "", *sorted(lines)]) for where, lines in sorted(commands.items()))


def plot(env: str, algorithms: dict[str, dict[int, list[Run]]], path: Path) -> None:
    """Mean and 95 % bootstrap band of each algorithm."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for algo in ALGORITHMS:
        for _steps, group in sorted(algorithms.get(algo, {}).items()):
            curves = np.stack([run.returns for run in group])
            label = f"{algo} ({len(group)} seeds)"
            axes.plot(group[0].steps / 1e6, curves.mean(0), color=COLOURS[algo], label=label, lw=1.5)
            if len(group) > 1:
                axes.fill_between(
                    group[0].steps / 1e6, *bootstrap_interval(curves), color=COLOURS[algo], alpha=0.2, lw=0
                )
    axes.set(title=env, xlabel="million steps", ylabel="return of an evaluation")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def page(text: str, runs: dict[str, dict[str, dict[int, list[Run]]]]) -> str:
    """The page with what is between its markers made anew."""
    published = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text())
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    pictures = "\n".join(f"![{env}](../images/results/{env}.png)" for env in sorted(runs))
    parts = (BEGIN, table(runs, published), stability(runs), pictures, origins(runs), END)
    return before + "\n\n".join(parts) + after


def main() -> None:
    runs = all_runs(DOCS / "results/runs")
    readme = DOCS / "results/README.md"
    readme.write_text(page(readme.read_text(), runs))
    images = DOCS / "images/results"
    images.mkdir(parents=True, exist_ok=True)
    for env, algorithms in runs.items():
        plot(env, algorithms, images / f"{env}.png")


if __name__ == "__main__":
    main()
