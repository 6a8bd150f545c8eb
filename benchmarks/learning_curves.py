"""Tables and pictures from the evaluation CSVs under docs/results.

    python benchmarks/learning_curves.py

Files are docs/results/<algo>/<env>/<arm>-s<seed>.csv: copies of a run's evaluations.csv.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

DOCS = Path(__file__).parent.parent / "docs"
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]

Curve = list[tuple[int, float]]


def read(path: Path) -> Curve:
    with path.open() as file:
        return [(int(row["step"]), float(row["return_mean"])) for row in csv.DictReader(file)]


def arms(folder: Path) -> dict[str, dict[int, Curve]]:
    """Curves by arm and seed."""
    found: dict[str, dict[int, Curve]] = defaultdict(dict)
    for path in sorted(folder.glob("*-s*.csv")):
        match = re.fullmatch(r"(.+)-s(\d+)", path.stem)
        assert match is not None
        found[match[1]][int(match[2])] = read(path)
    return dict(found)


def at(curve: Curve, step: int) -> float | None:
    return dict(curve).get(step)


def table(curves: dict[str, dict[int, Curve]], steps: list[int]) -> str:
    lines = ["| arm | seed | " + " | ".join(f"{step // 1000} k" for step in steps) + " |"]
    lines.append("|---|---|" + "---:|" * len(steps))
    for arm, seeds in curves.items():
        for seed, curve in seeds.items():
            cells = [at(curve, step) for step in steps]
            lines.append(f"| {arm} | {seed} | " + " | ".join("–" if c is None else f"{c:.0f}" for c in cells) + " |")
        if len(seeds) > 1:
            means = []
            for step in steps:
                values = [value for curve in seeds.values() if (value := at(curve, step)) is not None]
                means.append(f"**{statistics.mean(values):.0f}**" if len(values) == len(seeds) else "–")
            lines.append(f"| **{arm}** | mean | " + " | ".join(means) + " |")
    return "\n".join(lines)


def plot(curves: dict[str, dict[int, Curve]], title: str, path: Path, last_step: int) -> None:
    """One thin line per seed and a thick one for the mean of an arm's seeds."""
    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120)
    for (arm, seeds), colour in zip(curves.items(), COLOURS, strict=False):
        shown = [[point for point in curve if point[0] <= last_step] for curve in seeds.values()]
        for curve in shown:
            axes.plot(*zip(*curve, strict=True), color=colour, linewidth=0.8, alpha=0.5)
        common = sorted(set.intersection(*(set(dict(curve)) for curve in shown)))
        means = [statistics.mean(dict(curve)[step] for curve in shown) for step in common]
        label = f"{arm} ({len(seeds)} seed{'s' if len(seeds) > 1 else ''})"
        axes.plot(common, means, color=colour, linewidth=2.2, label=label)
    axes.set(title=title, xlabel="environment steps", ylabel="return of 10 deterministic episodes")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:.0f} k")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def ddpg() -> None:
    cheetah = arms(DOCS / "results" / "ddpg" / "HalfCheetah-v4")
    fp32, bf16 = cheetah.pop("fp32"), cheetah.pop("bf16")
    first = cheetah["gaussian-0.1"]
    tuned = {"tuned, first runs": first, "tuned, later runs": {seed: fp32[seed] for seed in first}}
    precision = {"fp32, first runs": first, "fp32": fp32, "bf16": bf16}
    plot(tuned, "DDPG on HalfCheetah-v4", DOCS / "images" / "ddpg-halfcheetah.png", 500_000)
    plot(cheetah, "DDPG on HalfCheetah-v4: exploration noise", DOCS / "images" / "ddpg-noise.png", 150_000)
    print(table(tuned, [100_000, 200_000, 300_000, 400_000, 500_000]), end="\n\n")
    print(table(cheetah, [50_000, 100_000, 150_000]), end="\n\n")
    print(table(precision, [100_000, 150_000, 200_000]), end="\n\n")


def d4pg() -> None:
    results = DOCS / "results"
    cheetah, ddpgs = (arms(results / algo / "HalfCheetah-v4") for algo in ("d4pg", "ddpg"))
    tuned = {
        "D4PG, tuned": cheetah["tuned"],
        "DDPG, tuned": {seed: ddpgs["fp32"][seed] for seed in cheetah["tuned"]},
        "DDPG, tuned, first runs": ddpgs["gaussian-0.1"],
    }
    plot(tuned, "D4PG on HalfCheetah-v4", DOCS / "images" / "d4pg-halfcheetah.png", 500_000)
    print(table(tuned, [100_000, 200_000, 300_000, 400_000, 500_000]), end="\n\n")
    supports = {
        "found": {0: cheetah["tuned"][0]},
        "−300 to 1500": cheetah["support-hand"],
        "the article's, −10 to 10": cheetah["support-article"],
        "all of the article's settings": cheetah["article"],
    }
    plot(supports, "D4PG on HalfCheetah-v4: supports", DOCS / "images" / "d4pg-supports.png", 200_000)
    print(table(cheetah, [50_000, 100_000, 150_000]), end="\n\n")

    base = {seed: cheetah["tuned"][seed] for seed in (0, 1)}
    units = {"rewards as they are": base}
    for unit in (1000.0, 0.001):
        seeds = arms(results / "d4pg" / f"HalfCheetah-x{unit:g}-v4")["tuned"]
        units[f"rewards × {unit:g}, returns ÷ {unit:g}"] = {
            seed: [(step, value / unit) for step, value in curve] for seed, curve in seeds.items()
        }
    plot(units, "D4PG on HalfCheetah-v4: rewards in other units", DOCS / "images" / "d4pg-units.png", 100_000)
    print(table(units, [20_000, 40_000, 60_000, 80_000, 100_000]), end="\n\n")


def every_environment(algo: str) -> None:
    for folder in sorted((DOCS / "results" / algo).glob("*-v*")):
        found = arms(folder)
        picture = DOCS / "images" / f"{algo}-{folder.name.partition('-')[0].lower()}.png"
        evaluated = sorted({step for seeds in found.values() for curve in seeds.values() for step, _ in curve})
        quarters = [evaluated[(len(evaluated) - 1) * quarter // 4] for quarter in (1, 2, 3, 4)]
        plot(found, f"{algo.upper()} on {folder.name}", picture, evaluated[-1])
        print(f"{folder.name}\n\n{table(found, quarters)}", end="\n\n")


if __name__ == "__main__":
    ddpg()
    every_environment("a2c")
    d4pg()
