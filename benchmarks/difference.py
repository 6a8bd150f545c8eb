"""How far two groups of runs lie apart, and how sure one can be of it.

python benchmarks/difference.py 150000 docs/results/d4pg/HalfCheetah-v4/ray2-s*.csv \
    --against docs/results/d4pg/HalfCheetah-v4/tuned-s*.csv

Files are copies of runs' evaluations.csv. The interval is a bootstrap over runs, of each group by itself: of five runs
or fewer it is narrower than the truth.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from rlcont.report.aggregate import middle_of, resampled_means


def main() -> None:
    """Prints both means and the 95 % interval of their difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", type=int, help="the evaluation to compare")
    parser.add_argument("first", type=Path, nargs="+")
    parser.add_argument("--against", type=Path, nargs="+", required=True)
    chosen = parser.parse_args()
    first, second = (returns(paths, chosen.step) for paths in (chosen.first, chosen.against))
    low, high = difference_interval(first, second)
    print(f"first: {first.mean():.0f} {first.round().tolist()}; against: {second.mean():.0f} {second.round().tolist()}")
    print(f"difference {first.mean() - second.mean():.0f}, 95 % bootstrap interval {low:.0f} to {high:.0f}")


def difference_interval(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % percentile bootstrap interval of the difference of two groups' means, [N] minus [M]."""
    rng = np.random.default_rng(0)
    return middle_of(resampled_means(first, rng) - resampled_means(second, rng))


def returns(paths: list[Path], step: int) -> np.ndarray:
    """The evaluation of each run at `step`."""
    found = [return_at(path, step) for path in paths]
    missing = [path.name for path, value in zip(paths, found, strict=True) if value is None]
    if missing:
        raise SystemExit(f"no evaluation at step {step}: {', '.join(missing)}")
    return np.array(found, dtype=float)


def return_at(path: Path, step: int) -> float | None:
    """The mean return of a run's evaluation at `step`, if there is one."""
    with path.open(newline="") as file:
        return {int(row["step"]): float(row["return_mean"]) for row in csv.DictReader(file)}.get(step)


if __name__ == "__main__":
    main()
