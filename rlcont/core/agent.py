"""What the agents of all algorithms are and share."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from rlcont.core.state import Parts
from rlcont.core.types import Array, EnvSpec, EnvStep, Experience, Histogram, Metrics

if TYPE_CHECKING:
    import torch

    from rlcont.core.protocols import Policy, Rows


class Agent(Parts, abc.ABC):
    """A learner, which is an `rlcont.core.protocols.Policy` too. It owns its memory and knows when learning is due.

    Its state, and whether it is finite, come from its parts.
    """

    counters: ClassVar[tuple[str, ...]] = ("num_steps", "num_updates")
    unsaved: ClassVar[tuple[str, ...]] = ("_guarded",)  # A cached list of parts, which would be a part itself.

    def __init__(self, config: Any, spec: EnvSpec, *, num_envs: int, device: str):
        self.config = config
        self.spec = spec
        self.num_envs = num_envs
        self.device = device
        self.num_steps = 0
        """Environment steps that were observed."""
        self.num_updates = 0
        """Gradient updates that were made."""

    @abc.abstractmethod
    def act(self, obs: Array, *, explore: bool) -> Array:
        """As `Policy.act`."""

    @abc.abstractmethod
    def observe(self, step: EnvStep) -> None:
        """Remembers a step; computes no gradient."""

    @abc.abstractmethod
    def learn(self) -> Metrics:
        """Does the updates that are due; returns 0-d tensors of the last one, {} if none was due."""

    @abc.abstractmethod
    def cut_off(self, envs: Array) -> None:
        """Truncates the running episodes of the environments `envs` [E] bool after the last step observed."""

    @abc.abstractmethod
    def status(self) -> dict[str, float]:
        """Numbers about the agent itself for a log line, such as noise scale and replay fill."""

    @abc.abstractmethod
    def policy_module(self) -> torch.nn.Module:
        """As `Policy.policy_module`."""

    @abc.abstractmethod
    def policy_state(self) -> dict[str, torch.Tensor]:
        """As `Policy.policy_state`."""

    @abc.abstractmethod
    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        """As `Policy.load_policy_state`."""

    @property
    def rows(self) -> Rows | None:
        """The memory whose rows `state_dict` leaves out."""
        return None

    def is_finite(self) -> bool:
        """Whether gradients and weights were finite in every update; asks the device. Where not, none was changed."""
        return all(part.is_finite() for part in self._guarded)

    def remark(self, values: dict[str, float]) -> str:
        """One line that the user should read, given the figures of a log line by TensorBoard tag; empty if none."""
        return ""

    def distributions(self) -> dict[str, Histogram]:
        """Distributions to log with each evaluation, by name. Nothing that training depends on changes."""
        return {}

    @classmethod
    def make_policy(cls, config: Any, noise: Any, spec: EnvSpec, *, seed: int, device: str) -> Policy:
        """What is needed to act: here a whole agent for one environment."""
        make: Any = cls
        policy: Policy = make(config, noise, spec, num_envs=1, total_steps=1, seed=seed, device=device)
        return policy

    @functools.cached_property
    def _guarded(self) -> list[Any]:
        """The parts that know whether all they met was finite: optimisers."""
        return list(_guarded_below(self))


def _guarded_below(owner: Parts) -> Iterator[Any]:
    for part in owner.leaves():
        if hasattr(part, "is_finite"):
            yield part
        elif isinstance(part, Parts):
            yield from _guarded_below(part)


class Learner(Agent):
    """An agent that learns from what others collect, such as remote actors."""

    @abc.abstractmethod
    def receive(self, experience: Experience) -> None:
        """Remembers what an explorer, here or elsewhere, has collected."""
