"""Groups of runs in TensorBoard: each group is one curve with a band."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rlcont.report.aggregate import bootstrap_interval

if TYPE_CHECKING:
    from rlcont.report.groups import Group

MEAN, LOW, HIGH = "eval/return", "eval/return_low", "eval/return_high"


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
