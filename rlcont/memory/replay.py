"""Uniform experience replay in one preallocated block."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlcont.core import Array, Batch
from rlcont.lazy import torch


def row_width(obs_dim: int, action_dim: int) -> int:
    """Numbers in one transition: obs, action, reward, discount, next_obs."""
    return 2 * obs_dim + action_dim + 2


def payload_bytes(capacity: int, obs_dim: int, action_dim: int) -> int:
    """Memory that `capacity` float32 transitions take."""
    return 4 * capacity * row_width(obs_dim, action_dim)


class Replay:
    """A ring of the last `capacity` transitions, sampled uniformly with replacement.

    One float32 row a transition, so that a batch is one gather and a write touches one stretch of memory.

    Shapes:
        rows [capacity, 2 O + A + 2] as obs | action | reward | discount | next_obs.
    """

    def __init__(self, capacity: int, obs_dim: int, action_dim: int, generator: torch.Generator):
        self.capacity = capacity
        self.generator = generator
        self.size = 0
        self.position = 0
        self._widths = [obs_dim, action_dim, 1, 1, obs_dim]
        width = row_width(obs_dim, action_dim)
        self.rows = torch.empty(capacity, width, device=generator.device)

    def __len__(self) -> int:
        return self.size

    def add(self, obs: Array, action: Array, reward: Array, discount: Array, next_obs: Array) -> None:
        """Writes N transitions, oldest overwritten first; N must not exceed the capacity.

        Shapes:
            obs, next_obs [N, O]; action [N, A]; reward, discount [N].
        """
        rows = torch.from_numpy(
            np.concatenate([obs, action, reward[:, None], discount[:, None], next_obs], axis=1, dtype=np.float32)
        )
        num = len(rows)
        assert num <= self.capacity
        until_end = min(num, self.capacity - self.position)
        self.rows[self.position : self.position + until_end] = rows[:until_end]
        self.rows[: num - until_end] = rows[until_end:]
        self.position = (self.position + num) % self.capacity
        self.size = min(self.size + num, self.capacity)

    def sample(self, batch_size: int) -> Batch:
        """`batch_size` transitions drawn uniformly with replacement."""
        index = torch.randint(self.size, (batch_size,), generator=self.generator, device=self.rows.device)
        rows = self.rows.index_select(0, index)
        obs, action, reward, discount, next_obs = rows.split(self._widths, dim=1)
        return Batch(obs, action, reward.squeeze(1), discount.squeeze(1), next_obs)

    def state_dict(self) -> dict[str, Any]:
        """The ring's position and generator; the rows are not in it."""
        return {
            "size": self.size,
            "position": self.position,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.size, self.position = state["size"], state["position"]
        self.generator.set_state(state["generator"])
