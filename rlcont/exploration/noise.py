"""Exploration noise, in the normalised action units of [-1, 1]."""

from typing import Any

import numpy as np

from rlcont.core.state import Parts
from rlcont.core.types import Array


class Noise(Parts):
    """Noise for E environments at once. This base class adds none.

    Shapes:
        every sample is [E, A] float32.
    """

    def __init__(self, config: Any, shape: tuple[int, int], rng: np.random.Generator, total_steps: int):
        self.config = config
        self.shape = shape
        self.rng = rng
        self.total_steps = total_steps

    def scale(self, step: int) -> float:
        """Standard deviation the noise has (or settles at) at environment step `step`."""
        return 0.0

    def sample(self, step: int) -> Array:
        """The noise to add to the actions at environment step `step`."""
        return np.zeros(self.shape, np.float32)

    def reset(self, ended: Array) -> None:
        """Forgets the past of the environments [E] whose episode ended."""


class GaussianNoise(Noise):
    """Independent normal noise (TD3, arXiv:1802.09477, section 6.1)."""

    def scale(self, step: int) -> float:
        return float(self.config.sigma * self.config.decay.factor(step, self.total_steps))

    def sample(self, step: int) -> Array:
        normal = self.rng.standard_normal(self.shape, np.float32)
        return normal * np.float32(self.scale(step))


class OrnsteinUhlenbeckNoise(Noise):
    """Mean-reverting noise: x <- x + theta (mu - x) dt + sigma sqrt(dt) N(0, 1).

    Source: DDPG, arXiv:1509.02971, section 7 (theta 0.15, sigma 0.2), discretised by Euler-Maruyama.
    Differs: one state per environment, restarted at mu with each episode; a decay scales x on its way out.
    """

    def __init__(self, config: Any, shape: tuple[int, int], rng: np.random.Generator, total_steps: int):
        super().__init__(config, shape, rng, total_steps)
        self.x = np.full(shape, config.mu, np.float64)

    def scale(self, step: int) -> float:
        config = self.config
        kept = 1 - config.theta * config.dt
        stationary = config.sigma * np.sqrt(config.dt / (1 - kept**2))
        return float(stationary) * config.decay.factor(step, self.total_steps)

    def sample(self, step: int) -> Array:
        config = self.config
        pull = config.theta * (config.mu - self.x) * config.dt
        push = config.sigma * np.sqrt(config.dt) * self.rng.standard_normal(self.shape)
        self.x = self.x + pull + push
        return (self.x * config.decay.factor(step, self.total_steps)).astype(np.float32)

    def reset(self, ended: Array) -> None:
        self.x[ended] = self.config.mu


NOISES: dict[str, type[Noise]] = {"none": Noise, "gaussian": GaussianNoise, "ou": OrnsteinUhlenbeckNoise}
