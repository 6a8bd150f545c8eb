"""Uniform experience replay in one preallocated block."""

from typing import ClassVar

import numpy as np
import torch

from rlcont.core.state import Parts
from rlcont.core.types import Array, Batch, Histogram, Metrics, Transitions
from rlcont.memory.sizes import row_width


class Replay(Parts):
    """A ring of the last `capacity` transitions, sampled uniformly with replacement.

    One float32 row a transition, so that a batch is one gather and a write touches one stretch of memory.

    Args:
        generator: draws on the CPU wherever the rows live, so that a run can go on on another device.
        expected: transitions that the run adds; a capacity beyond that takes no memory.

    Shapes:
        rows [min(capacity, expected), 2 O + A + 2] as obs | action | reward | discount | next_obs.
    """

    counters: ClassVar[tuple[str, ...]] = ("num_added",)
    unsaved: ClassVar[tuple[str, ...]] = ("rows",)  # They are saved apart, by `read` and `write`.

    def __init__(
        self,
        capacity: int,
        obs_dim: int,
        action_dim: int,
        generator: torch.Generator,
        device: str = "cpu",
        expected: int | None = None,
    ):
        self.capacity = capacity
        self.generator = generator
        self.num_added = 0
        self._widths = [obs_dim, action_dim, 1, 1, obs_dim]
        self.rows = torch.empty(min(capacity, expected or capacity), row_width(obs_dim, action_dim), device=device)

    def __len__(self) -> int:
        return min(self.num_added, self.capacity)

    def add(self, transitions: Transitions) -> None:
        """Writes N transitions, oldest overwritten first; N must not exceed the capacity."""
        obs, action, reward, discount, next_obs = transitions
        rows = torch.from_numpy(
            np.concatenate([obs, action, reward[:, None], discount[:, None], next_obs], axis=1, dtype=np.float32)
        )
        self._place(self.num_added, rows)
        self.num_added += len(rows)

    def sample(self, batch_size: int) -> Batch:
        """`batch_size` transitions drawn uniformly with replacement, of equal weight."""
        slot = torch.randint(len(self), (batch_size,), generator=self.generator)
        return self._batch(slot, torch.ones(batch_size, device=self.rows.device))

    def last(self, num: int) -> Batch:
        """The last `num` transitions, or as many as there are, of equal weight."""
        num = min(num, len(self))
        slot = torch.arange(self.num_added - num, self.num_added, device=self.rows.device) % self.capacity
        return self._batch(slot, torch.ones(num, device=self.rows.device))

    def prioritize(self, batch: Batch, priority: torch.Tensor) -> Metrics:
        """Sets the priorities [B] of the rows of `batch`. A uniform replay ignores them.

        Returns:
            What to log.
        """
        return {}

    def status(self) -> dict[str, float]:
        return {"replay_fill": len(self) / self.capacity}

    def distributions(self) -> dict[str, Histogram]:
        return {}

    def read(self, first: int, last: int) -> Array:
        assert self.num_added - self.capacity <= first <= last <= self.num_added
        order = torch.arange(first, last, device=self.rows.device) % self.capacity
        return self.rows[order].cpu().numpy()

    def write(self, first: int, rows: Array) -> None:
        self._place(first, torch.from_numpy(rows))

    def _batch(self, slot: torch.Tensor, weight: torch.Tensor) -> Batch:
        """The rows at `slot` [B], in one gather; slots and weights may come from the host."""
        slot, weight = (tensor.to(self.rows.device, non_blocking=True) for tensor in (slot, weight))
        rows = self.rows.index_select(0, slot)
        obs, action, reward, discount, next_obs = rows.split(self._widths, dim=1)
        return Batch(obs, action, reward.squeeze(1), discount.squeeze(1), next_obs, weight, slot)

    def _place(self, first: int, rows: torch.Tensor) -> None:
        """Writes `rows` where the rows numbered from `first` live."""
        position, num = first % self.capacity, len(rows)
        assert num <= self.capacity
        until_end = min(num, self.capacity - position)
        if position + until_end > len(self.rows):
            self._grow(position + until_end)
        self.rows[position : position + until_end] = rows[:until_end]
        if until_end < num:
            self.rows[: num - until_end] = rows[until_end:]

    def _grow(self, num: int) -> None:
        """Makes room for `num` rows: the last rollouts of remote actors may go beyond the end of the run."""
        more = self.rows.new_empty(num - len(self.rows), self.rows.shape[1])
        self.rows = torch.cat([self.rows, more])
