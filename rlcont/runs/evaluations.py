"""evaluations.csv: one row for each evaluation of a run."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlcont.core.types import Evaluation

TABLE = "evaluations.csv"
STATISTICS = ("return_mean", "return_std", "return_min", "return_max", "steps_mean")


def add_evaluation(folder: Path, step: int, row: Mapping[str, float], seconds: float) -> None:
    """Appends an evaluation that was made at `step`, `seconds` after the run began; the first one sets the columns."""
    # All digits of the float32 that TensorBoard keeps, so that both say the same.
    numbers = {name: f"{np.float32(value):.9g}" for name, value in row.items()}
    whole = {"step": step, **{name: numbers.pop(name) for name in STATISTICS}, "seconds": f"{seconds:.1f}", **numbers}
    with (folder / TABLE).open("a+", newline="") as file:
        file.seek(0)
        columns = next(csv.reader(file), None)
        writer = csv.DictWriter(file, columns or list(whole), restval="", extrasaction="ignore")
        if columns is None:
            writer.writeheader()
        writer.writerow(whole)


def write_episodes(path: Path, seeds: Sequence[int], evaluation: Evaluation) -> None:
    """Writes one row for each episode of an evaluation."""
    columns: dict[str, Any] = {
        "seed": seeds,
        "return": evaluation.returns,
        "steps": evaluation.lengths,
        **evaluation.info,
    }
    kept = {name: values for name, values in columns.items() if not np.isnan(values).all()}
    rows = enumerate(zip(*kept.values(), strict=True))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["episode", *kept], *([number, *row] for number, row in rows)])


def read_evaluations(folder: Path) -> list[dict[str, str]]:
    """The rows of evaluations.csv; none if the file does not exist yet. A half-written last row is skipped."""
    try:
        lines = (folder / TABLE).read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return list(csv.DictReader(line for line in lines if line.endswith("\n")))


def evaluation_row(evaluation: Evaluation) -> dict[str, float]:
    """Statistics of an evaluation, with the mean of each value of info over the episodes that gave it.

    `return_std` is the sample deviation (N - 1), 0 for one episode.
    """
    returns = evaluation.returns
    return {
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std(ddof=1)) if len(returns) > 1 else 0.0,
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "steps_mean": float(evaluation.lengths.mean()),
        **{name: float(np.nanmean(values)) for name, values in evaluation.info.items() if not np.isnan(values).all()},
    }
