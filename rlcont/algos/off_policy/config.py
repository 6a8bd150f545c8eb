"""The hyper-parameters that all off-policy algorithms have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rlcont.algos.base import AlgorithmConfig
from rlcont.core.errors import UserError
from rlcont.core.schema import Count, Flag, Fraction, NetworkConfig, NonNegativeInt, Positive, PositiveFraction, schema
from rlcont.core.spelling import did_you_mean
from rlcont.exploration.config import NoiseConfig
from rlcont.memory.sizes import block_sums_bytes, replay_bytes

if TYPE_CHECKING:
    from rlcont.core.types import EnvSpec


@schema
class OffPolicyConfig(AlgorithmConfig):
    """Hyper-parameters of an actor and critics that learn from a replay."""

    on_policy: ClassVar[bool] = False
    values_before: ClassVar[Mapping[str, Any]] = {
        "average_rate": None,
        "num_critics": 1,
        "actor": {"residual": False},
        "critic": {"residual": False},
    }

    actor: NetworkConfig
    """The policy."""
    critic: NetworkConfig
    """The action-value function, or each of several."""
    num_critics: Count
    """Critics that learn side by side; targets are made by the lowest of them."""
    policy_delay: Count
    """Updates of the critics for each one of the actor and the targets."""
    gamma: Fraction
    """Discount per environment step."""
    tau: PositiveFraction
    """Weight of the online networks in each soft update of the targets; 1: they are copied."""
    target_every: Count
    """Updates of the actor for each one of the targets."""
    batch_size: Count
    """Transitions in one update."""
    replay: Literal["uniform", "prioritized"]
    """How transitions are drawn: all alike, or more often where the last error was large."""
    replay_size: Count
    """Transitions the replay holds; memory is taken for no more than total_steps."""
    priority_alpha: Fraction
    """Exponent of priorities in a prioritized replay; 0: all alike."""
    priority_beta: Fraction
    """Exponent of importance weights in a prioritized replay at first; it goes to 1 over the run."""
    n_step: Count
    """Environment steps whose rewards a TD target sums before it bootstraps."""
    warmup_steps: NonNegativeInt
    """Environment steps of uniformly random actions before learning starts."""
    updates_per_step: Positive
    """Gradient updates per environment step; below 1, one update every 1/x steps."""
    normalize_obs: Flag
    """Shift and scale observations by their running mean and standard deviation."""
    normalize_reward: Flag
    """Divide rewards by the running standard deviation of the discounted return."""
    return_bound: Positive | None
    """Divide normalised rewards by more where discounted returns would leave ±this bound; null: never."""
    max_grad_norm: Positive | None
    """Gradients of actor and critic are each clipped to this 2-norm; null: never."""
    average_rate: PositiveFraction | None
    """Weight of the actor in each update of its running average, which is what is evaluated, saved and exported; null:
    the actor itself is."""

    def check_run(self, total_steps: int, num_envs: int, noise: NoiseConfig) -> None:
        """Refuses runs in which nothing would be learned, and replays that cannot hold a batch or a step."""
        for key, value in (("warmup_steps", self.warmup_steps), ("batch_size", self.batch_size)):
            if value >= total_steps:
                hint = did_you_mean([f"algo.{key}={total_steps // 10}"] if total_steps > 10 else [])
                raise UserError(
                    f"algo.{key}={value}: must be below total_steps={total_steps}, or nothing is learned{hint}"
                )
        num_updates = self.num_updates(total_steps, num_envs)
        if num_updates < 1:
            learning_steps = total_steps - max(self.warmup_steps, self.batch_size)
            raise UserError(
                f"algo.updates_per_step={self.updates_per_step}: no update falls due in the {learning_steps} steps of "
                f"total_steps={total_steps} that are left for learning"
            )
        if num_updates < self.policy_delay:
            raise UserError(
                f"algo.policy_delay={self.policy_delay}: must be at most {num_updates}, the updates in "
                f"total_steps={total_steps}, or the actor never learns"
            )
        if num_updates // self.policy_delay < self.target_every:
            raise UserError(
                f"algo.target_every={self.target_every}: must be at most {num_updates // self.policy_delay}, the "
                f"actor's updates in total_steps={total_steps}, or the targets never move"
            )
        first = max(self.warmup_steps, self.batch_size) // num_envs + 1
        if self.n_step > first:
            raise UserError(
                f"algo.n_step={self.n_step}: must be at most {first}, the steps of each environment when learning "
                f"begins (algo.warmup_steps={self.warmup_steps} algo.batch_size={self.batch_size} num_envs={num_envs})"
            )
        if self.replay_size < max(self.batch_size, self.n_step * num_envs):
            raise UserError(
                f"algo.replay_size={self.replay_size}: must hold at least a batch (algo.batch_size={self.batch_size}) "
                f"and what may be complete at once (num_envs={num_envs} times algo.n_step={self.n_step})"
            )

    def check_rollout(self, num_envs: int, length: int) -> None:
        at_once = num_envs * (length + self.n_step)
        if at_once > self.replay_size:
            raise UserError(
                f"algo.replay_size={self.replay_size}: must hold what an actor sends at once, {at_once} transitions "
                f"(num_envs={num_envs} times actors.rollout_length={length} and algo.n_step)"
            )

    def schedules(self) -> list[str]:
        return ["priority_beta"] if self.replay == "prioritized" and self.priority_beta < 1 else []

    def num_updates(self, total_steps: int, num_envs: int) -> int:
        """Updates in a run of `total_steps` environment steps, the same for any number of environments."""
        # The small term keeps 100 x 0.29 at 29.
        learning_steps = total_steps - max(self.warmup_steps, self.batch_size)
        return int(learning_steps * self.updates_per_step + 1e-6)

    def num_rows(self, total_steps: int, num_envs: int) -> int:
        """Transitions that the replay comes to hold; all environments take a step more than `total_steps` at most."""
        return min(self.replay_size, total_steps + num_envs)

    def memory_demand(self, spec: EnvSpec, total_steps: int, num_envs: int) -> tuple[str, int]:
        num = self.num_rows(total_steps, num_envs)
        needed = replay_bytes(num, spec.obs_dim, spec.action_dim)
        if self.replay == "prioritized":
            needed += block_sums_bytes(num)
        return f"algo.replay_size={self.replay_size}", needed
