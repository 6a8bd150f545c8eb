"""What the agents of all algorithms are and share."""

import abc
import functools
from typing import Any, ClassVar

from rlcont.core.protocols import Accelerate, Policy, Rows, eager
from rlcont.core.state import Parts
from rlcont.core.types import Array, EnvSpec, EnvStep, Experience, Histogram, Metrics


class Agent(Parts, Policy):
    """A policy that learns. It owns its memory and knows when learning is due.

    Its state, and whether it is finite, come from its parts.
    """

    counters: ClassVar[tuple[str, ...]] = ("num_steps", "num_updates")
    unsaved: ClassVar[tuple[str, ...]] = ("_guarded",)  # A cached list of parts, which would be a part itself.

    def __init__(
        self,
        config: Any,
        spec: EnvSpec,
        *,
        num_envs: int,
        total_steps: int,
        device: str,
        accelerate: Accelerate = eager,
    ):
        self.config = config
        self.spec = spec
        self.num_envs = num_envs
        self.total_steps = total_steps
        self.device = device
        self.accelerate = accelerate
        self.num_steps = 0
        """Environment steps that were observed."""
        self.num_updates = 0
        """Gradient updates that were made."""

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

    @property
    def rows(self) -> Rows | None:
        """The memory whose rows `state_dict` leaves out."""
        return None

    def is_finite(self) -> bool:
        """Whether gradients and weights were finite in every update; asks the device. Weights stay finite."""
        return all(optimizer.is_finite() for optimizer in self._guarded)

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
        """Optimisers: the parts that know whether all they met was finite."""
        return [part for holder in self.holders() for part in holder.leaves() if hasattr(part, "is_finite")]


class Learner(Agent):
    """An agent that learns from what others collect, such as remote actors."""

    @classmethod
    @abc.abstractmethod
    def make_explorer(
        cls,
        config: Any,
        noise: Any,
        spec: EnvSpec,
        init: Any,
        *,
        num_envs: int,
        total_steps: int,
        seed: int,
        device: str,
    ) -> Any:
        """What collects for such an agent, with a policy drawn from the generator `init`; as `exploration.Explorer`."""

    def explorer_state(self) -> dict[str, Any]:
        """The tensors that such an explorer acts by; live. They are `policy_state` unless another policy explores."""
        return self.policy_state()

    @abc.abstractmethod
    def receive(self, experience: Experience) -> None:
        """Remembers what an explorer, here or elsewhere, has collected."""
