"""What the hyper-parameters of every algorithm can say about a run, without torch."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rlcont.core.schema import schema

if TYPE_CHECKING:
    from rlcont.core.types import EnvSpec
    from rlcont.exploration.config import NoiseConfig


@schema
class AlgorithmConfig(abc.ABC):
    """The hyper-parameters of an algorithm."""

    on_policy: ClassVar[bool]
    """Whether an update must see data of the very policy that it changes."""
    values_before: ClassVar[Mapping[str, Any]] = {}
    """Values of newer keys for runs that were written before there were such keys, where the algorithm's file has
    others."""

    # Hooks that an algorithm may leave as they are: it then refuses nothing.
    def check_run(self, total_steps: int, num_envs: int, noise: NoiseConfig) -> None:  # noqa: B027 (a hook, not a method that was forgotten)
        """Refuses what cannot work in a run of `total_steps` environment steps in `num_envs` environments."""

    def check_rollout(self, num_envs: int, length: int) -> None:  # noqa: B027 (a hook, as above)
        """Refuses rollouts of `length` steps of `num_envs` environments that arrive at once, from remote actors."""

    def schedules(self) -> list[str]:
        """Fields, besides a DecayConfig, whose course depends on the number of steps of the run."""
        return []

    @abc.abstractmethod
    def num_updates(self, total_steps: int, num_envs: int) -> int:
        """Gradient updates in a run of `total_steps` environment steps."""

    def update_rate(self, num_envs: int) -> float:
        """Gradient updates per environment step, once learning has begun."""
        steps = 1_000_000
        return (self.num_updates(2 * steps, num_envs) - self.num_updates(steps, num_envs)) / steps

    @abc.abstractmethod
    def memory_demand(self, spec: EnvSpec, total_steps: int, num_envs: int) -> tuple[str, int]:
        """The setting that decides how much memory the agent takes, with its value, and the bytes it asks for."""
