"""What environments, agents and collectors can do, as the loop sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

from rlcont.core.types import Array, Collected, EnvSpec, EnvStep, Metrics

Accelerate = Callable[[Callable[[Any], Metrics]], Callable[[Any], Metrics]]
"""Makes an update, from a batch to metrics, fast; see accelerate.py."""


def eager(update: Callable[[Any], Metrics]) -> Callable[[Any], Metrics]:
    """The `Accelerate` that changes nothing."""
    return update


class VectorEnv(Protocol):
    """E environments that are stepped together."""

    spec: EnvSpec
    num_breakdowns: int
    """Steps in which a simulator broke down, since the start."""

    def __len__(self) -> int:
        """How many there are."""

    def reset(self) -> Array:
        """Opens an episode in every environment, each from its own seed; returns observations [E, O]."""

    def step(self, action: Array) -> EnvStep:
        """Advances every environment by one step and resets those whose episode ended."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the steps to come depend on, the simulators included, however many processes there are."""

    def put_back(self, state: dict[str, Any]) -> tuple[Array, Array]:
        """Makes them what they were when `state_dict` gave `state`.

        Returns:
            Observations to act on [E, O], and [E] bool: those whose state cannot be saved, which begin an episode.
        """

    def close(self) -> None:
        """Frees what the environments hold; they cannot be used afterwards."""


class Policy(Protocol):
    """What acting alone needs: evaluation, export, remote actors."""

    def act(self, obs: Array, *, explore: bool) -> Array:
        """Actions [E, A] for observations [E, O], in units of the box [-1, 1], to which the environment layer clips.

        With `explore=False` nothing in the agent changes, its generators included.
        """

    def policy_module(self) -> torch.nn.Module:
        """Observations [B, O] -> actions [B, A] in units of the box, without exploration, by the weights of the moment.

        What `act(explore=False)` does, as a module that can be exported, the normaliser included.
        """

    def policy_state(self) -> dict[str, torch.Tensor]:
        """The tensors that `act(explore=False)` depends on, live: copy what is to outlive the next update."""

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        """Takes over what `policy_state` of an agent of the same configuration gave."""


class Collector(Protocol):
    """Whoever brings an agent what it learns from: environments stepped by the loop itself, or actors elsewhere."""

    def collect(self) -> Collected:
        """Lets the agent remember what was played next; no steps at all where nothing has come for a while."""

    def status(self) -> dict[str, float]:
        """Numbers for a log line, by TensorBoard tag, of the time since the last call."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the steps to come depend on, as far as it can be saved."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to where `state_dict` gave `state`; an episode that cannot be gone on with is cut off."""


class Rows(Protocol):
    """A memory too large to be saved as a whole each time: the last `capacity` of all rows that were added.

    Rows are numbered from 0 in the order they were added.
    """

    capacity: int
    num_added: int

    def read(self, first: int, last: int) -> Array:
        """Rows first to last - 1, [last - first, width] float32."""

    def write(self, first: int, rows: Array) -> None:
        """Puts rows back to where they were."""
