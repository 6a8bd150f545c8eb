"""The hyper-parameters of SAC."""

from rlcont.algos.off_policy.config import OffPolicyConfig
from rlcont.core.errors import UserError
from rlcont.core.schema import NonNegative, Number, Positive, schema
from rlcont.exploration.config import NoiseConfig


@schema
class SACConfig(OffPolicyConfig):
    init_temperature: Positive
    """Weight of the policy's entropy beside the return, at first."""
    temperature_lr: NonNegative
    """Step size of the temperature; 0 keeps it where it is."""
    target_entropy: Number | None
    """Entropy that the temperature holds the policy at, in nats; null: minus the number of action dimensions."""

    def check_run(self, total_steps: int, num_envs: int, noise: NoiseConfig) -> None:
        if noise.kind != "none":
            raise UserError(f"noise={noise.kind}: SAC explores by drawing from its policy; allowed: auto, none")
        super().check_run(total_steps, num_envs, noise)
