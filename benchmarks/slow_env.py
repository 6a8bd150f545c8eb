"""Pendulum-v1 at 5 ms a step, as a robot, a game or a heavy simulator might take: where more actors pay.

PYTHONPATH=benchmarks rlcont env=slow_env:SlowPendulum-v1 actors=ray actors.num=8 algo.updates_per_step=0.05
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium


class Slow(gymnasium.Wrapper):
    """Sleeps for some seconds in each step."""

    def __init__(self, env: gymnasium.Env, seconds: float):
        super().__init__(env)
        self.seconds = seconds

    def step(self, action: Any) -> Any:
        time.sleep(self.seconds)
        return super().step(action)


def make(seconds: float = 0.005, **kwargs: Any) -> gymnasium.Env:
    """Pendulum-v1 with a sleep in each step."""
    return Slow(gymnasium.make("Pendulum-v1", **kwargs), seconds)


gymnasium.register("SlowPendulum-v1", make, max_episode_steps=200)
