"""An environment that rewards the action itself, slowly enough to be watched; importing this registers it."""

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Push(gymnasium.Env):
    """A step takes 5 ms, and its reward is the action."""

    action_space = Box(-1, 1, (1,))
    observation_space = Box(0, 1, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None):
        return np.ones(1, np.float32), {}

    def step(self, action):
        time.sleep(0.005)
        return np.ones(1, np.float32), float(action[0]), False, False, {}


gymnasium.register("Push-v0", Push, max_episode_steps=5)
