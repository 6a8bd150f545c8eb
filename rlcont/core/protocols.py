"""What policies, collectors and memories can do, as the loop sees them."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

from rlcont.core.types import Array, Collected, Metrics

Update = Callable[[Any], Metrics]
"""From a batch, a NamedTuple of tensors, to metrics; changes weights in place."""
Accelerate = Callable[[Update], Update]
"""Wraps an update so that it runs fast; see training/accelerate.py."""


def eager(update: Update) -> Update:
    """The `Accelerate` that changes nothing."""
    return update


class Policy(Protocol):
    """What acting needs, as in evaluation, export and remote actors."""

    @abc.abstractmethod
    def act(self, obs: Array, *, explore: bool) -> Array:
        """Actions [E, A] for observations [E, O]. The unit is the box [-1, 1], to which the environment layer clips.

        With `explore=False` nothing in the agent changes, its generators included.
        """

    @abc.abstractmethod
    def policy_module(self) -> torch.nn.Module:
        """A module from observations [B, O] to actions [B, A] without exploration, with the present weights.

        What `act(explore=False)` does, as a module that can be exported, the normaliser included.
        """

    @abc.abstractmethod
    def policy_state(self) -> dict[str, torch.Tensor]:
        """The tensors that `act(explore=False)` reads. They are live: copy them to keep them beyond the next update."""

    @abc.abstractmethod
    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        """Loads what `policy_state` gave in an agent of the same configuration."""


class Collector(Protocol):
    """Collects experience for an agent, by stepping environments or from remote actors."""

    def collect(self) -> Collected:
        """Hands the agent the next experience; none where remote actors have sent none for a while."""

    def status(self) -> dict[str, float]:
        """Figures of the time since the last call, by TensorBoard tag."""

    def state_dict(self) -> dict[str, Any]:
        """All that later steps depend on, as far as it can be saved."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave; truncates episodes that cannot be continued."""


class Rows(Protocol):
    """A memory whose rows are saved apart from its state: the last `capacity` of all rows that were added.

    Rows are numbered from 0 in the order they were added.
    """

    capacity: int
    num_added: int

    def read(self, first: int, last: int) -> Array:
        """Rows first to last - 1, [last - first, width] float32."""

    def write(self, first: int, rows: Array) -> None:
        """Writes rows to the places that `read` took them from."""
