"""Training speed of SBX's DDPG (JAX), compiled before the window begins.

Its DDPG is its TD3 with one critic, no delay and target noise clipped to zero: the noise is drawn and thrown away.
"""

import window

arguments = window.parser(__doc__).parse_args()
window.limit_threads(arguments.threads)

import numpy as np  # noqa: E402
from sbx import DDPG  # noqa: E402
from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from stable_baselines3.common.noise import NormalActionNoise  # noqa: E402


class Ticker(BaseCallback):
    """Called after every environment step, before the update that follows it."""

    def _on_step(self) -> bool:
        measured.tick(self.num_timesteps)
        return True


model = DDPG(
    "MlpPolicy",
    window.ENV_ID,
    learning_rate=window.LEARNING_RATE,
    qf_learning_rate=window.LEARNING_RATE,
    buffer_size=window.REPLAY_SIZE,
    learning_starts=arguments.warmup,
    batch_size=window.BATCH_SIZE,
    tau=window.TAU,
    gamma=window.GAMMA,
    train_freq=1,
    gradient_steps=1,
    action_noise=NormalActionNoise(np.zeros(6), np.full(6, window.NOISE_SIGMA)),
    policy_kwargs={"net_arch": arguments.hidden},
    seed=arguments.seed,
)


def updates() -> dict[str, int]:
    """Steps that Adam has taken, by network; reading them waits for the update under way."""
    states = {"critic": model.policy.qf_state, "actor": model.policy.actor_state}
    return {name: int(state.step) for name, state in states.items()}


assert model.policy_delay == 1
assert model.policy.n_critics == 1
measured = window.Window(arguments.warmup + arguments.settle, arguments.steps, updates)
model.learn(measured.last + 1, callback=Ticker())
measured.report("sbx", ["sbx-rl", "jax", "flax", "numpy", "gymnasium", "mujoco"], arguments.threads)
