"""Training speed of SBX's DDPG (JAX), compiled before the window begins.

Its DDPG is its TD3 with one critic, no delay and target noise clipped to zero: the noise is drawn and thrown away.
"""

import window
from sb3_interface import make_model, measure
from sbx import DDPG

arguments = window.parser(__doc__).parse_args()
model = make_model(DDPG, arguments, qf_learning_rate=window.LEARNING_RATE)
assert model.policy.n_critics == 1


def updates() -> dict[str, int]:
    """Steps that Adam has taken, by network; reading them waits for the update under way."""
    states = {"critic": model.policy.qf_state, "actor": model.policy.actor_state}
    return {name: int(state.step) for name, state in states.items()}


measured = measure(model, arguments, updates)
measured.report("sbx", ["sbx-rl", "jax", "flax", "numpy", "gymnasium", "mujoco"])
