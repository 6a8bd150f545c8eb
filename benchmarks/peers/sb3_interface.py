"""DDPG through the interface that Stable-Baselines3 and SBX share."""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import window
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise


class Ticker(BaseCallback):
    """Called after every environment step, before the update that follows it."""

    def __init__(self, measured: window.Window):
        super().__init__()
        self.measured = measured

    def _on_step(self) -> bool:
        self.measured.tick(self.num_timesteps)
        return True


def make_model(algorithm: Any, arguments: argparse.Namespace, **options: Any) -> Any:
    """The library's DDPG with the settings that all systems have."""
    model = algorithm(
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
        **options,
    )
    assert model.policy_delay == 1
    return model


def measure(model: Any, arguments: argparse.Namespace, updates: Callable[[], dict[str, int]]) -> window.Window:
    """Trains through the window; `updates` tells the steps that Adam has taken, by network."""
    measured = window.Window(arguments.warmup + arguments.settle, arguments.steps, updates)
    model.learn(measured.last + 1, callback=Ticker(measured))
    return measured
