"""The data that environments, agents and the loop exchange.

Shapes in this project: E environments, T time, B batch, O observation, A action, K atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = np.ndarray
Metrics = dict[str, "torch.Tensor"]
NO_INFO: dict[str, Array] = {}


class EnvSpec(NamedTuple):
    """What an agent needs to know of its environments."""

    env_id: str
    obs_dim: int
    action_dim: int
    max_episode_steps: int | None


class EnvStep(NamedTuple):
    """One step of E environments.

    Shapes:
        obs, next_obs, obs_to_act_on [E, O] float32; action [E, A] float32;
        reward [E] float32; terminated, truncated, valid [E] bool.

    `next_obs` is the true successor, before any reset. `obs_to_act_on` is the observation to act on next: the first of
    the new episode where the environment was reset, else `next_obs`. `action` is what the agent returned; only the
    environment layer clips. Skip rows that are not `valid`: the simulator failed in this step. The episode counts as
    truncated one step earlier, at `obs`.
    """

    obs: Array
    action: Array
    reward: Array
    next_obs: Array
    terminated: Array
    truncated: Array
    obs_to_act_on: Array
    valid: Array
    info: dict[str, Array] = NO_INFO
    """Values of the environments' info by name, [E] each, NaN where there is none; empty where no episode ended."""

    @property
    def ended(self) -> Array:
        """[E] bool: whether the episode ended with this step."""
        return self.terminated | self.truncated


class Transitions(NamedTuple):
    """N transitions for an off-policy memory, each over one or more steps of an environment.

    Shapes:
        obs, next_obs [N, O]; action [N, A]; reward, discount [N]; all float32.

    `reward` is the discounted sum over the steps. `discount` multiplies the bootstrapped value of `next_obs`. It is
    gamma to the number of steps, and 0 where the episode terminated. A truncated episode keeps its discount.
    """

    obs: Array
    action: Array
    reward: Array
    discount: Array
    next_obs: Array


class Experience(NamedTuple):
    """What a learner gets of one step of an explorer's environments.

    Shapes:
        returns [M, 3] float64: discounted sums of rewards, of each environment whose step counts; see `RunningReturn`.
    """

    num_steps: int
    transitions: Transitions
    returns: Array


class Collected(NamedTuple):
    """Statistics of N environment steps, and of the M episodes that ended in them, for logging.

    Shapes:
        action [N, A]; returns [M] float64; lengths [M] int64.
    """

    action: Array
    returns: Array
    lengths: Array
    info: dict[str, Array] = NO_INFO
    """Values at the end of the episodes by name, [M] each; NaN where there is none."""

    @property
    def num_steps(self) -> int:
        """Environment steps, summed over the environments."""
        return len(self.action)


class Evaluation(NamedTuple):
    """Outcome of N episodes: undiscounted returns, lengths in steps and values of info, [N] each."""

    returns: Array
    lengths: Array
    info: dict[str, Array] = NO_INFO


T = TypeVar("T", Transitions, Collected, Evaluation)


def joined(parts: Sequence[T]) -> T:
    """One tuple of arrays from several, joined field by field; empty dictionaries are skipped."""
    fields: Any = map(_concatenated, zip(*parts, strict=True))
    return type(parts[0])(*fields)


def _concatenated(values: tuple[Any, ...]) -> Any:
    if not isinstance(values[0], dict):
        return np.concatenate(values)
    names = dict.fromkeys(name for each in values for name in each)
    return {name: np.concatenate([each[name] for each in values if each]) for name in names}


class Batch(NamedTuple):
    """Independent transitions to learn from.

    Shapes:
        obs, next_obs [B, O]; action [B, A]; reward, discount, weight [B]; all float32 on the agent's device;
        slot [B] int64.

    `reward` and `discount` are those of `Transitions`. `weight` multiplies the row's loss; `slot` is where the row lies
    in the memory.
    """

    obs: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    discount: torch.Tensor
    next_obs: torch.Tensor
    weight: torch.Tensor
    slot: torch.Tensor


class Histogram(NamedTuple):
    """Counts, or weights, of evenly spaced bins, by their centres in ascending order."""

    centres: list[float]
    counts: list[float]
