"""Running statistics of observations."""

from __future__ import annotations

import numpy as np

from rlcont.core import Array
from rlcont.lazy import torch


class RunningNorm:
    """Mean and variance of all rows seen so far, and the map to zero mean and unit variance.

    Source: Chan et al. 1979, the parallel merge of two sets' moments, in float64.

    Shapes:
        rows [N, O]; mean, var [O].
    """

    clip = 10.0

    def __init__(self, dim: int, device: str = "cpu"):
        self.count = 0
        self.mean = np.zeros(dim)
        self.var = np.ones(dim)
        # Written in place: recorded updates read them where they are.
        self._shift = torch.empty(dim, device=device)
        self._scale = torch.empty(dim, device=device)
        self._refresh()

    def update(self, rows: Array) -> None:
        """Merges the moments of `rows` into the running ones."""
        num = len(rows)
        if num == 0:
            return
        rows = rows.astype(np.float64)
        mean, var = rows.mean(0), rows.var(0)
        total = self.count + num
        delta = mean - self.mean
        squares = self.var * self.count + var * num + delta**2 * (self.count * num / total)
        self.mean = self.mean + delta * (num / total)
        self.var = squares / total
        self.count = total
        self._refresh()

    def __call__(self, obs: torch.Tensor) -> torch.Tensor:
        """`obs` [..., O] shifted and scaled, clipped to ±10 standard deviations."""
        return ((obs - self._shift) * self._scale).clamp(-self.clip, self.clip)

    def _refresh(self) -> None:
        self._shift.copy_(torch.from_numpy(self.mean))
        self._scale.copy_(torch.from_numpy(1.0 / np.sqrt(self.var + 1e-8)))

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {
            "count": torch.tensor(self.count),
            "mean": torch.from_numpy(self.mean.copy()),
            "var": torch.from_numpy(self.var.copy()),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.count = int(state["count"])
        self.mean = state["mean"].cpu().numpy().copy()
        self.var = state["var"].cpu().numpy().copy()
        self._refresh()
