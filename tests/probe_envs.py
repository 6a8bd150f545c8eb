"""Tiny environments whose every number is known; importing this registers them."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Sequence

ONE_ACTION = Box(-1, 1, (1,))


class Counter(gymnasium.Env):
    """Observes (seed, episode, step), in one buffer that it overwrites, and is rewarded 100 episode + step.

    Where seed + episode is odd, the episode terminates at step 3.
    """

    action_space = ONE_ACTION

    def __init__(self):
        self.observation_space = Box(-np.inf, np.inf, (3,))
        self.state = np.zeros(3, np.float32)
        self.closed = False

    def reset(self, *, seed: int | None = None, options: Any = None):
        if seed is not None:
            self.state[:] = seed, -1, 0
        self.state[1:] = self.state[1] + 1, 0
        return self.state, {}

    def step(self, action):
        self.state[2] += 1
        seed, episode, step = self.state
        terminated = bool((seed + episode) % 2 == 1 and step == 3)
        return self.state, 100 * episode + step, terminated, False, {}

    def close(self):
        self.closed = True


class Lottery(gymnasium.Env):
    """Observes (length, step); the length, 2 to 9, is drawn at reset. Reward: 10 action + step."""

    action_space = ONE_ACTION
    observation_space = Box(0, 9, (2,))

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.state = np.array([self.np_random.integers(2, 10), 0], np.float32)
        return self.state.copy(), {}

    def step(self, action):
        self.state[1] += 1
        length, step = self.state
        return self.state.copy(), 10.0 * action[0] + step, bool(step == length), False, {}


class Script(gymnasium.Env):
    """Plays the given observations and rewards, the last ones for ever, and keeps the actions it received."""

    def __init__(self, action_space=ONE_ACTION, observation_space=None, observations=(0.0,), rewards=(0.0,)):
        self.action_space = action_space
        self.observation_space = observation_space or Box(-np.inf, np.inf, (1,), np.float64)
        self.observations, self.rewards = list(observations), list(rewards)
        self.received: list[np.ndarray] = []

    def reset(self, *, seed: int | None = None, options: Any = None):
        self.num_steps = 0
        return self._observation(), {}

    def step(self, action):
        self.received.append(action)
        self.num_steps += 1
        reward = self.rewards[min(self.num_steps, len(self.rewards)) - 1]
        return self._observation(), reward, False, False, {}

    def _observation(self):
        value = self.observations[min(self.num_steps, len(self.observations) - 1)]
        return value if isinstance(value, dict | list) else np.array([value])


class Drawn(Script):
    """Looks as bright as its step is late, and ends after ten."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 25}

    def __init__(self, render_mode: str | None = None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        return np.full((34, 50, 3), 20 * self.num_steps, np.uint8)


def _script(name: str, **kwargs: Any) -> None:
    gymnasium.register(f"{name}-v0", Script, max_episode_steps=10, kwargs=kwargs)


gymnasium.register("Counter-v0", Counter, max_episode_steps=5)
gymnasium.register("Endless-v0", Script)
gymnasium.register("Drawn-v0", Drawn, max_episode_steps=10)
gymnasium.register("Lottery-v0", Lottery)

_script("Plain")
_script("Unbounded", action_space=Box(-np.inf, np.inf, (1,)))
_script("HalfBounded", action_space=Box(np.float32([-1, -1]), np.float32([1, np.inf])))
_script("ZeroWidth", action_space=Box(np.float32([-1, 2]), np.float32([1, 2])))
_script("DiscreteActions", action_space=Discrete(3))
_script("IntegerActions", action_space=Box(0, 5, (1,), np.int64))
_script("ListObservations", observation_space=Sequence(Box(0, 1, (1,))))
_script("NanAtReset", observations=[np.nan])
_script("NanAtStep3", observations=[0, 1, 2, np.nan])
_script("HugeAtStep1", observations=[0, 1e300])
_script("LargeAtStep1", observations=[0, 1e38])
_script("InfiniteReward", rewards=[1, np.inf])
_script("NanReward", rewards=[np.nan])
_script("HugeReward", rewards=[1e39])
_script(
    "DictObservations",
    observation_space=Dict({"which": Discrete(3), "where": Box(-9, 9, (2, 2))}),
    observations=[{"which": 1, "where": np.array([[1, 2], [3, 4]])}],
)
