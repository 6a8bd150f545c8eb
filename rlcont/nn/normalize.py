"""Running statistics of observations and returns."""

from typing import Any

import numpy as np
import torch

from rlcont.core.state import Parts
from rlcont.core.types import Array
from rlcont.nn import nets


class RunningMoments:
    """Mean and variance of all rows seen so far.

    Source: Chan et al. 1979, the parallel merge of two sets' moments, in float64.

    Shapes:
        rows [N, D]; mean, var [D].
    """

    def __init__(self, dim: int):
        self.count = 0
        self.mean = np.zeros(dim)
        self.var = np.ones(dim)

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

    def state_dict(self) -> dict[str, Any]:
        return {
            "count": torch.tensor(self.count),
            "mean": torch.from_numpy(self.mean.copy()),
            "var": torch.from_numpy(self.var.copy()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = int(state["count"])
        self.mean = state["mean"].cpu().numpy().copy()
        self.var = state["var"].cpu().numpy().copy()
        self._refresh()

    def _refresh(self) -> None:
        """Called when the moments have changed."""


class RunningNorm(RunningMoments):
    """Maps rows to zero mean and unit variance by the moments of those seen so far.

    Shapes:
        rows [N, O]; mean, var [O].
    """

    clip = 10.0

    def __init__(self, dim: int, device: str = "cpu"):
        super().__init__(dim)
        # Written in place: recorded updates read them where they are.
        self._shift = torch.empty(dim, device=device)
        self._scale = torch.empty(dim, device=device)
        self._refresh()

    def __call__(self, obs: torch.Tensor) -> torch.Tensor:
        """`obs` [..., O] shifted and scaled, clipped to ±10 standard deviations."""
        return ((obs - self._shift) * self._scale).clamp(-self.clip, self.clip)

    def fixed(self) -> nets.FixedNorm:
        """A layer with the present shift and scale, which does not change any more."""
        return nets.FixedNorm(self._shift.clone(), self._scale.clone(), self.clip)

    def on_array(self, obs: Array) -> Array:
        """The same for an array on the host."""
        return np.minimum(np.maximum((obs - self._host_shift) * self._host_scale, -self.clip), self.clip)

    def _refresh(self) -> None:
        self._host_shift = self.mean.astype(np.float32)
        self._host_scale = (1.0 / np.sqrt(self.var + 1e-8)).astype(np.float32)
        self._shift.copy_(torch.from_numpy(self._host_shift))
        self._scale.copy_(torch.from_numpy(self._host_scale))


class RunningReturn(Parts):
    """Running discounted sums of each environment's rewards, set to 0 at given steps.

    G <- gamma G + r is over the whole episode so far. L <- gamma min(L, 0) + r and H <- gamma max(H, 0) + r are over
    those of its last steps that make it lowest and highest: a value counts from its step on, and a goal at the end of
    costly steps is worth the goal, which G does not show.

    Shapes:
        reward, ended, valid [T, E]; returns [3, E] as G, L, H.
    """

    floor = np.array([[-np.inf], [-np.inf], [0.0]])
    ceiling = np.array([[np.inf], [0.0], [np.inf]])

    def __init__(self, gamma: float, num_envs: int):
        self.gamma = gamma
        self.returns = np.zeros((3, num_envs))

    def __call__(self, reward: Array, ended: Array, valid: Array) -> Array:
        """Adds T steps; returns the sums [N, 3] float64 after the steps that are `valid`.

        The caller decides which episodes `ended` resets: all (OpenAI Baselines), or the terminated ones.
        """
        running = np.empty((*reward.shape, 3))
        for step, (now, goes_on) in enumerate(zip(reward, ~ended, strict=True)):
            returns = self.gamma * np.minimum(np.maximum(self.returns, self.floor), self.ceiling) + now
            running[step] = returns.T
            self.returns = np.where(goes_on, returns, 0)
        return running[valid]

    def cut_off(self, envs: Array) -> None:
        """Sets the sums of the environments `envs` [E] bool to 0."""
        self.returns[:, envs] = 0


class RewardScale(RunningMoments):
    """Divides rewards by the running standard deviation of the discounted return, or by more where it has a bound.

    Rewards keep their sign and their zero, so that the best policy stays the best.

    Source: OpenAI Baselines' VecNormalize; named reward scaling in arXiv:2005.12729, section 3. The bound is that of
    SimbaV2, arXiv:2502.15280, section 4.3.

    Args:
        bound: rewards are divided by no less than the largest return / bound, so that returns stay within ±bound.

    Shapes:
        returns [N, 3], as `RunningReturn` gives them. The deviation is that of G.
    """

    clip = 10.0

    def __init__(self, device: str = "cpu", bound: float | None = None):
        super().__init__(1)
        self.bound = bound
        self.largest = 0.0
        self._scale = torch.ones((), device=device)

    def update(self, returns: Array) -> None:
        self.largest = max(self.largest, float(np.abs(returns).max(initial=0.0)))
        super().update(returns[:, :1])

    def __call__(self, reward: torch.Tensor) -> torch.Tensor:
        """`reward` over the scale, clipped to ±10."""
        return (reward * self._scale).clamp(-self.clip, self.clip)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"largest": torch.tensor(self.largest, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.largest = float(state["largest"])
        super().load_state_dict(state)

    def _refresh(self) -> None:
        deviation = np.sqrt(self.var[0] + 1e-8)
        self._scale.fill_(1.0 / (deviation if self.bound is None else max(deviation, self.largest / self.bound)))
