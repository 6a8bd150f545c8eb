"""Training speed of Stable-Baselines3's DDPG.

Its DDPG is its TD3 with one critic, no delay and target noise clipped to zero: the noise is drawn and thrown away.
"""

import window
from sb3_interface import make_model, measure
from stable_baselines3 import DDPG

arguments = window.parser(__doc__).parse_args()
model = make_model(DDPG, arguments, device="cpu")
assert len(model.critic.q_networks) == 1


def updates() -> dict[str, int]:
    """Steps that Adam has taken, by network."""
    optimizers = {"critic": model.critic.optimizer, "actor": model.actor.optimizer}
    return {name: int(next(iter(adam.state.values()))["step"]) for name, adam in optimizers.items()}


measured = measure(model, arguments, updates)
measured.report("sb3", ["stable-baselines3", "torch", "numpy", "gymnasium", "mujoco"])
