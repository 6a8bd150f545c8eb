"""The log of a run: TensorBoard events and evaluations.csv."""

import functools
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from rlcont.core.spelling import spelled
from rlcont.core.types import Evaluation, Histogram
from rlcont.runs.evaluations import STATISTICS, TABLE, add_evaluation, evaluation_row
from rlcont.runs.wandb_copy import begin_copy

FIRST = {"algo_name": "ALGO", "env.id": "ENV", "seed": "SEED"}
"""Names of the first columns of TensorBoard's HPARAMS."""


class RunLog:
    """Writes scalars, histograms, hyper-parameters and evaluations into one run's folder.

    The hyper-parameters go into the run's own event file, without an experiment summary. So TensorBoard lists no second
    run for them, and the columns of its HPARAMS page are the union over all runs.

    A run that resumes passes the `position()` and the step of its checkpoint; whatever was logged later is deleted.
    """

    def __init__(
        self,
        folder: Path,
        hyper_parameters: dict[str, Any],
        config_text: str,
        position: dict[str, int] | None = None,
        step: int = 0,
    ):
        _leave_errors_to_the_next_write()
        self.folder = folder
        # TensorBoard orders columns by name, capitals first.
        first = {name: spelled(hyper_parameters[key]) for key, name in FIRST.items() if key in hyper_parameters}
        values = first | {key: _hparam(value) for key, value in hyper_parameters.items() if key not in FIRST}
        _, start, self._end = hparams(values, {})
        project = hyper_parameters.get("log.wandb")
        self._copy = None if project is None else begin_copy(project, folder, hyper_parameters)
        if position is not None:
            _take_back(folder, position)
            _wait_for_a_later_name(folder)
            # A TensorBoard that is open has read the deleted part already; purge_step makes it forget that.
            self.writer = SummaryWriter(str(folder), purge_step=step + 1)
            return
        self.writer = SummaryWriter(str(folder))
        self.writer.add_text("config", f"```yaml\n{config_text}```")
        self._write_summary(start)

    def position(self) -> dict[str, int]:
        """The current length of each file, for a checkpoint."""
        self.writer.flush()
        return {path.name: path.stat().st_size for path in _files(self.folder)}

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes each value under its tag at environment step `step`."""
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)
        if self._copy is not None:
            self._copy.log(values, step=step)

    def evaluation(self, evaluation: Evaluation, step: int, seconds: float) -> None:
        """Writes one evaluation to TensorBoard and as a row of evaluations.csv."""
        row = evaluation_row(evaluation)
        self.scalars(
            {
                f"eval/{name.removesuffix('_mean')}" if name in STATISTICS else f"eval_info/{name}": value
                for name, value in row.items()
            },
            step,
        )
        add_evaluation(self.folder, step, row, seconds)
        self.writer.flush()

    def histograms(self, values: dict[str, Histogram], step: int) -> None:
        """Writes each histogram under its name."""
        for name, histogram in values.items():
            centres, weights = map(np.array, histogram)
            edges = centres + np.diff(centres)[:1] / 2
            self.writer.add_histogram_raw(
                f"train_distributions/{name}",
                min=histogram.centres[0],
                max=histogram.centres[-1],
                num=float(weights.sum()),
                sum=float(weights @ centres),
                sum_squares=float(weights @ centres**2),
                bucket_limits=edges.tolist(),
                bucket_counts=histogram.counts,
                global_step=step,
            )

    def _write_summary(self, summary: Any) -> None:
        file_writer: Any = self.writer.file_writer
        file_writer.add_summary(summary)

    def close(self) -> None:
        """Marks the run as finished for TensorBoard and closes its file."""
        self._write_summary(self._end)
        self.writer.close()
        if self._copy is not None:
            self._copy.finish()


@functools.cache
def _leave_errors_to_the_next_write() -> None:
    """Keeps a thread of TensorBoard's that cannot write from printing a traceback: the next write raises its error."""
    print_traceback = threading.excepthook

    def hook(error: threading.ExceptHookArgs) -> None:
        if not type(error.thread).__module__.startswith("tensorboard."):
            print_traceback(error)

    threading.excepthook = hook


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("events.out.tfevents.*"), *folder.glob(TABLE)]


def _take_back(folder: Path, position: dict[str, int]) -> None:
    """Truncates the files to the lengths in `position` and deletes files that are not in it."""
    for path in _files(folder):
        if path.name not in position:
            path.unlink()
        elif path.stat().st_size > position[path.name]:
            os.truncate(path, position[path.name])


def _wait_for_a_later_name(folder: Path) -> None:
    """Waits until the name of a new event file sorts after the existing ones: TensorBoard reads them in that order.

    The names begin with the second of creation.
    """
    newest = max((int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*")), default=0)
    time.sleep(max(0.0, min(newest + 1 - time.time(), 1.0)))


def _hparam(value: Any) -> int | float | str:
    """A value of a type that TensorBoard can sort by; all but numbers become text, since it shows true as 1.0000."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_number else spelled(value)
