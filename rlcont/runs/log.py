"""What a run leaves to be read: TensorBoard events and the table of evaluations."""

from __future__ import annotations

import csv
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from rlcont.core.types import Distribution
from rlcont.training.evaluate import Evaluation

EVALUATION_COLUMNS = (
    "step",
    "return_mean",
    "return_std",
    "return_min",
    "return_max",
    "steps_mean",
    "seconds",
)


class RunLog:
    """Writes into one run's folder: scalars, hyper-parameters, evaluations.csv.

    The hyper-parameters go into the run's own event file, without an experiment summary: TensorBoard then
    lists no second run for them, and the columns of its HPARAMS page are the union over all runs.

    With `position`, what was written after it is taken back first, and the curves go on from there.
    """

    def __init__(
        self,
        folder: Path,
        hyper_parameters: dict[str, Any],
        config_text: str,
        position: dict[str, int] | None = None,
        step: int = 0,
    ):
        self.folder = folder
        self.evaluations_path = folder / "evaluations.csv"
        values = {key: _hparam(value) for key, value in hyper_parameters.items()}
        _, start, self._end = hparams(values, {})
        if position is not None:
            _take_back(folder, position)
            _wait_for_a_later_name(folder)
            # For a TensorBoard that has read what was taken back.
            self.writer = SummaryWriter(str(folder), purge_step=step + 1)
            return
        self.writer = SummaryWriter(str(folder))
        self.writer.add_text("config", f"```yaml\n{config_text}```")
        self._write_summary(start)
        with self.evaluations_path.open("w", newline="") as file:
            csv.writer(file).writerow(EVALUATION_COLUMNS)

    def position(self) -> dict[str, int]:
        """How long each file is with all that was written so far."""
        self.writer.flush()
        return {path.name: path.stat().st_size for path in _files(self.folder)}

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes each value under its tag, at environment step `step`."""
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)

    def evaluation(self, evaluation: Evaluation, step: int, seconds: float) -> None:
        """Writes one evaluation to TensorBoard and as a row of evaluations.csv."""
        row = evaluation_row(evaluation)
        self.scalars({f"eval/{key.removesuffix('_mean')}": value for key, value in row.items()}, step)
        with self.evaluations_path.open("a", newline="") as file:
            # All digits of the float32 that TensorBoard keeps, so that both say the same.
            numbers = [f"{np.float32(value):.9g}" for value in row.values()]
            csv.writer(file).writerow([step, *numbers, f"{seconds:.1f}"])
        self.writer.flush()

    def distributions(self, values: dict[str, Distribution], step: int) -> None:
        """Writes each distribution as a histogram with a bin for each of its values, which are evenly spaced."""
        for tag, (places, amounts) in values.items():
            centres, weights = np.array(places), np.array(amounts)
            edges = centres + np.diff(centres)[:1] / 2
            self.writer.add_histogram_raw(
                tag,
                min=places[0],
                max=places[-1],
                num=float(weights.sum()),
                sum=float(weights @ centres),
                sum_squares=float(weights @ centres**2),
                bucket_limits=edges.tolist(),
                bucket_counts=amounts,
                global_step=step,
            )

    def _write_summary(self, summary: Any) -> None:
        file_writer: Any = self.writer.file_writer
        file_writer.add_summary(summary)

    def close(self) -> None:
        """Marks the run as finished for TensorBoard and closes its file."""
        self._write_summary(self._end)
        self.writer.close()


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("events.out.tfevents.*"), *folder.glob("evaluations.csv")]


def _take_back(folder: Path, position: dict[str, int]) -> None:
    """Cuts the files off where they ended at `position`, and deletes later ones."""
    for path in _files(folder):
        if path.name not in position:
            path.unlink()
        elif path.stat().st_size > position[path.name]:
            os.truncate(path, position[path.name])


def _wait_for_a_later_name(folder: Path) -> None:
    """Files are read in the order of their names, which begin with the second they were made in."""
    newest = max((int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*")), default=0)
    time.sleep(max(0.0, min(newest + 1 - time.time(), 1.0)))


def evaluation_row(evaluation: Evaluation) -> dict[str, float]:
    """The figures of an evaluation; the deviation is the sample's own (N - 1), 0 for one episode."""
    returns = evaluation.returns
    return {
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std(ddof=1)) if len(returns) > 1 else 0.0,
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "steps_mean": float(evaluation.lengths.mean()),
    }


def _hparam(value: Any) -> bool | int | float | str:
    """What TensorBoard can sort by; lists and null as text."""
    if isinstance(value, bool | str) or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    return str(value)
