"""The hyper-parameters of DDPG."""

from rlcont.algos.off_policy.config import OffPolicyConfig
from rlcont.core.schema import NonNegative, Positive, schema


@schema
class DDPGConfig(OffPolicyConfig):
    target_sigma: NonNegative
    """Standard deviation of the noise that smooths the target policy, in units of half the action range; 0: none."""
    target_clip: Positive
    """Bound of that noise."""
