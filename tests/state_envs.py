"""Environments that keep their state in all kinds of ways; importing this registers them."""

import itertools
from collections import deque

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import RecordEpisodeStatistics


class Ticker(gymnasium.Env):
    """Counts in all kinds of attributes."""

    action_space = Box(-1, 1, (1,))
    observation_space = Box(-np.inf, np.inf, (3,))

    def __init__(self):
        self.buffer = np.zeros(3)
        self.tail = self.buffer[2:]
        self.recent = deque(maxlen=3)
        self.table = {1: [], "seen": {0}}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.buffer[:] = self.np_random.random(3)
        return self.buffer, {}

    def step(self, action):
        self.recent.append(float(action[0]))
        self.table[1].append(len(self.table["seen"]))
        self.table["seen"].add(len(self.recent) + sum(self.table[1]))
        self.tail += self.np_random.random()
        self.buffer[0] = sum(self.recent) + len(self.table["seen"])
        ended = bool(self.np_random.random() < 0.1)
        return self.buffer, float(sum(self.table[1])), ended, False, {}


class Keeper(Ticker):
    """Says itself what its state is; an iterator could not be looked into."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.steps = itertools.count()

    def step(self, action):
        self.count = next(self.steps)
        return np.full(3, float(self.count)), 0.0, False, False, {}

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.steps = itertools.count(state["count"] + 1)


class Opaque(Ticker):
    """Keeps an iterator, and says nothing of its state."""

    def __init__(self):
        super().__init__()
        self.steps = iter(range(10**9))


for name, entry in {"Ticker": Ticker, "Keeper": Keeper, "Opaque": Opaque}.items():
    gymnasium.register(f"snapshot/{name}-v0", entry, max_episode_steps=40)
gymnasium.register(
    "snapshot/Statistics-v0",
    lambda: RecordEpisodeStatistics(Ticker()),
    max_episode_steps=40,
)
