"""The hyper-parameters of A2C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from rlcont.algos.base import AlgorithmConfig
from rlcont.core.errors import UserError
from rlcont.core.schema import BodyConfig, Count, Flag, Fraction, NonNegative, Number, Positive, schema
from rlcont.exploration.config import DecayConfig, NoiseConfig

if TYPE_CHECKING:
    from rlcont.core.types import EnvSpec

BETA_STDS = (0.02, 0.55)
"""Initial standard deviations of a Beta policy. Below, float32 loses its entropy; at 0.577 it is flat, and hardly
learns."""


@schema
class A2CConfig(AlgorithmConfig):
    on_policy: ClassVar[bool] = True

    policy: Literal["gaussian", "bounded_gaussian", "squashed", "beta"]
    """Distribution of the actions: normal, clipped by the environment; the same around a mean inside the box; tanh of a
    normal; Beta on the box."""
    init_std: Annotated[Number, Field(ge=0.001)]
    """Standard deviation it starts with, in units of half the action range (before tanh, for squashed)."""
    network: BodyConfig
    """Layers below the policy's and the value's last ones."""
    shared_trunk: Flag
    """One network for policy and value, rather than one each."""
    gamma: Fraction
    """Discount per environment step."""
    gae_lambda: Fraction
    """Weight of longer returns in the advantage: 0 takes one step, 1 the whole rollout."""
    rollout_steps: Count
    """Steps of each environment in a rollout."""
    num_minibatches: Count
    """Equal parts, drawn at random, that the rows of a rollout are dealt into. Each makes one gradient step."""
    optimizer: Literal["adam", "rmsprop"]
    """Optimiser."""
    lr: Positive
    """Step size."""
    lr_decay: DecayConfig
    """How the step size shrinks over the run."""
    value_coef: Positive
    """Weight of the value's squared error in the loss."""
    entropy_coef: NonNegative
    """Weight of the policy's entropy in the loss."""
    max_grad_norm: Positive | None
    """The gradient is clipped to this 2-norm; null: never."""
    normalize_advantage: Flag
    """Shift and scale the advantages of each rollout to mean 0 and standard deviation 1."""
    normalize_obs: Flag
    """Shift and scale observations by their running mean and standard deviation."""
    normalize_reward: Flag
    """Divide rewards by the running standard deviation of the discounted return."""

    def check_run(self, total_steps: int, num_envs: int, noise: NoiseConfig) -> None:
        if noise.kind != "none":
            name = type(self).__name__.removesuffix("Config")
            raise UserError(
                f"noise={noise.kind}: {name} explores by drawing from its policy, and learns from the probability of "
                "what it drew; allowed: auto, none"
            )
        lowest, highest = BETA_STDS
        if self.policy == "beta" and not lowest <= self.init_std <= highest:
            raise UserError(f"algo.init_std={self.init_std}: must be from {lowest} to {highest} for algo.policy=beta")
        if self.num_updates(total_steps, num_envs) < 1:
            raise UserError(
                f"algo.rollout_steps={self.rollout_steps}: a rollout of num_envs={num_envs} times as many steps must "
                f"fit into total_steps={total_steps}, or nothing is learned"
            )
        rows = self.rollout_steps * num_envs
        if self.normalize_advantage and rows < 2:
            raise UserError("algo.normalize_advantage=true: a rollout of one step has no deviation; allowed: false")
        if rows % self.num_minibatches != 0:
            raise UserError(
                f"algo.num_minibatches={self.num_minibatches}: must divide the {rows} rows of a rollout "
                f"(algo.rollout_steps={self.rollout_steps} times num_envs={num_envs})"
            )

    def num_updates(self, total_steps: int, num_envs: int) -> int:
        return total_steps // (self.rollout_steps * num_envs) * self.num_minibatches

    def memory_demand(self, spec: EnvSpec, total_steps: int, num_envs: int) -> tuple[str, int]:
        row = 4 * (2 * spec.obs_dim + spec.action_dim + 2) + 2
        return f"algo.rollout_steps={self.rollout_steps}", self.rollout_steps * num_envs * row
