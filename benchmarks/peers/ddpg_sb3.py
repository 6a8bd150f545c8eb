"""Training speed of Stable-Baselines3's DDPG.

Its DDPG is its TD3 with one critic, no delay and target noise clipped to zero: the noise is drawn and thrown away.
"""

import window

arguments = window.parser(__doc__).parse_args()
window.limit_threads(arguments.threads)

import numpy as np  # noqa: E402
from stable_baselines3 import DDPG  # noqa: E402
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
    device="cpu",
)


def updates() -> dict[str, int]:
    """Steps that Adam has taken, by network."""
    optimizers = {"critic": model.critic.optimizer, "actor": model.actor.optimizer}
    return {name: int(next(iter(adam.state.values()))["step"]) for name, adam in optimizers.items()}


assert model.policy_delay == 1
assert len(model.critic.q_networks) == 1
measured = window.Window(arguments.warmup + arguments.settle, arguments.steps, updates)
model.learn(measured.last + 1, callback=Ticker())
measured.report("sb3", ["stable-baselines3", "torch", "numpy", "gymnasium", "mujoco"], arguments.threads)
