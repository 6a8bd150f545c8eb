"""The tables of docs/results/ablations.md from the runs under docs/results/ablations and docs/results/averages.

    python benchmarks/ablations_table.py

Each run is docs/results/ablations/ARM/ENV/seed-N.csv; benchmarks/ablations.yaml lists the arms, and
`python benchmarks/campaign.py OUTPUT benchmarks/ablations.yaml` makes the runs. docs/results/ablations/speed.csv has
each arm's steps per second (benchmarks/arm_speed.py). docs/results/averages/ENV-SEED.csv is what averages of the actor
reach (benchmarks/averages.py).
"""

from __future__ import annotations

import csv
import itertools
import statistics
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from results_table import DOCS, Run, all_runs

ARMS = Path(__file__).with_name("ablations.yaml")
RUNS = DOCS / "results/ablations"
BEGIN, END = "<!-- made by benchmarks/ablations_table.py -->", "<!-- end -->"
AVERAGES = DOCS / "results/averages"
BEGIN_AVERAGES = "<!-- averages by benchmarks/ablations_table.py -->"
STANDARDS = {"d4pg": "default", "td3": "td3"}
"""By algorithm, the arm that the others are compared with."""
WINDOW = 30_000
"""Steps before a moment whose evaluations are averaged; a single one is noisy."""


def returns_at(runs: list[Run], step: float) -> float:
    """Mean over the runs of their mean return in the WINDOW steps up to the evaluation nearest to `step`."""
    means = []
    for run in runs:
        last = run.steps[abs(run.steps - step).argmin()]
        means.append(float(run.returns[(run.steps > last - WINDOW) & (run.steps <= last)].mean()))
    return statistics.mean(means)


def differences(runs: list[Run], standard: list[Run], speed: float) -> tuple[float, float]:
    """How much more an arm reaches than the standard: at the same step, and at the same time.

    Args:
        speed: the arm's steps per second over the standard's. The time is that at which the faster has made all steps.
    """
    last = float(min(run.steps[-1] for run in [*runs, *standard]))
    at_step = returns_at(runs, last) - returns_at(standard, last)
    at_time = returns_at(runs, last * min(1.0, speed)) - returns_at(standard, last * min(1.0, 1 / speed))
    return at_step, at_time


def table(runs: dict[str, dict[str, dict[int, list[Run]]]], arms: dict[str, str], speeds: dict[str, float]) -> str:
    """One line an arm that was run: its speed, and for each environment its return and what it has over the standard.

    Without `speeds` there are no columns of speed. Arms that were not run are listed below.
    """
    envs = sorted(runs)
    columns = [True, bool(speeds), *([True, True, bool(speeds)] * len(envs))]
    heads = ["setting", "× speed", *(head for env in envs for head in (env, "per step", "per second"))]
    lines, waiting = [heads], []
    for arm, algo in arms.items():
        standard = STANDARDS[algo]
        if not any(runs[env].get(arm) for env in envs):
            waiting.append(f"`{arm}`")
            continue
        speed = speeds[arm] / speeds[standard] if {arm, standard} <= speeds.keys() else None
        cells = [arm, f"{speed:.2f}" if speed else "–"]
        for env in envs:
            cells += _cells(runs[env].get(arm), runs[env].get(standard), speed, is_standard=arm == standard)
        lines.append(cells)
    texts = [f"| {' | '.join(itertools.compress(cells, columns))} |" for cells in lines]
    texts.insert(1, f"|---|{'---:|' * (sum(columns) - 1)}")
    if waiting:
        texts += ["", *textwrap.wrap(f"Not run yet: {', '.join(waiting)}.", 100)]
    return "\n".join(texts)


def _cells(
    own: dict[int, list[Run]] | None, other: dict[int, list[Run]] | None, speed: float | None, *, is_standard: bool
) -> list[str]:
    if not own:
        return ["–"] * 3
    (runs,) = own.values()
    last = float(min(run.steps[-1] for run in runs))
    reached = f"{returns_at(runs, last):.0f}" + (f" ({len(runs)} seeds)" if len(runs) > 1 else "")
    both = [*own.values(), *(other or {}).values()]
    seeds = set.intersection(*({run.seed for run in each} for each in both)) if other else set()
    if not seeds:
        return [reached, "–", "–"]
    # Seeds differ by more than most settings do, so only those that both have are compared.
    paired, standard = ([run for run in each if run.seed in seeds] for each in both)
    at_step, at_time = differences(paired, standard, speed or 1.0)
    return [reached, "" if is_standard else f"{at_step:+.0f}", "" if is_standard or not speed else f"{at_time:+.0f}"]


def averages_table(folder: Path) -> str:
    """One line a run: what the actor itself and each average reach in the second half, on the mean and at least."""
    lines: list[str] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        last = [row for row in rows if row["step"] > rows[-1]["step"] / 2]
        rates = [rate for rate in rows[0] if rate != "step"]
        found = [[row[rate] for row in last] for rate in rates]
        cells = [f"{statistics.mean(values):.0f} ({min(values):.0f})" for values in found]
        if not lines:
            heads = ["environment and seed", "steps", *(rate if float(rate) < 1 else "actor itself" for rate in rates)]
            lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
        env, _, seed = path.stem.rpartition("-")
        lines.append(f"| {env}, {seed} | {rows[-1]['step'] / 1000:.0f} k | {' | '.join(cells)} |")
    return "\n".join(lines)


def arms_of(entries: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The algorithm of each arm, in the order of the entries."""
    return {entry["arm"]: entry["algo"] for entry in entries}


def measured_speeds(path: Path) -> dict[str, float]:
    """Median steps per second of each arm."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        arm: statistics.median(float(row["steps_per_second"]) for row in rows if row["arm"] == arm)
        for arm in dict.fromkeys(row["arm"] for row in rows)
    }


def page(text: str) -> str:
    """The page with the tables between their markers made anew."""
    arms = arms_of(yaml.safe_load(ARMS.read_text()))
    text = _between(text, BEGIN, table(all_runs(RUNS), arms, measured_speeds(RUNS / "speed.csv")))
    return _between(text, BEGIN_AVERAGES, averages_table(AVERAGES))


def _between(text: str, begin: str, made: str) -> str:
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{made}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    path = DOCS / "results/ablations.md"
    path.write_text(page(path.read_text()))


if __name__ == "__main__":
    main()
