"""The hyper-parameters of PPO."""

from rlcont.algos.a2c.config import A2CConfig
from rlcont.core.schema import Count, Positive, PositiveFraction, schema


@schema
class PPOConfig(A2CConfig):
    num_epochs: Count
    """Passes over the rows of a rollout, each in an order of its own."""
    clip_range: PositiveFraction
    """Change of an action's probability, as a fraction, up to which the loss rewards it."""
    target_kl: Positive | None
    """Divergence from the policy that acted, in nats over a minibatch, beyond which a rollout is learned from no more;
    null: never."""

    def num_updates(self, total_steps: int, num_envs: int) -> int:
        """As A2C's, where `target_kl` stops no rollout early."""
        return super().num_updates(total_steps, num_envs) * self.num_epochs
