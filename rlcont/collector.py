"""Collecting in the loop itself: the agent acts in environments of this process, or of its workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlcont.core import Agent, Array, Collected, EnvStep, VectorEnv


class InlineCollector:
    """One step of every environment at a time; an `rlcont.core.Collector`."""

    def __init__(self, agent: Agent, envs: VectorEnv):
        self.agent = agent
        self.envs = envs
        self.episodes = Episodes(len(envs))
        self.obs: Array | None = None

    def collect(self) -> Collected:
        if self.obs is None:
            self.obs = self.envs.reset()
        step = self.envs.step(self.agent.act(self.obs, explore=True))
        self.agent.observe(step)
        self.obs = step.obs_to_act_on
        return self.episodes.add(step)

    def status(self) -> dict[str, float]:
        return {"train/simulator_breakdowns": float(self.envs.num_breakdowns)}

    def state_dict(self) -> dict[str, Any]:
        envs = None if self.obs is None else self.envs.state_dict()
        return {"envs": envs, "episodes": self.episodes.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.episodes.load_state_dict(state["episodes"])
        if state["envs"] is None:
            return
        self.obs, restarted = self.envs.put_back(state["envs"])
        if restarted.any():
            self.agent.cut_off(restarted)
            self.episodes.cut_off(restarted)


class Episodes:
    """Return and length of the episodes under way in E environments."""

    def __init__(self, num_envs: int):
        self._return = np.zeros(num_envs)
        self._length = np.zeros(num_envs, np.int64)

    def add(self, step: EnvStep) -> Collected:
        """Takes in a step; tells of the episodes that ended with it."""
        self._return += step.reward
        self._length += step.valid
        ended = step.ended
        if not ended.any():
            return Collected(step.action, _NO_RETURNS, _NO_LENGTHS)
        collected = Collected(step.action, self._return[ended], self._length[ended])
        self.cut_off(ended)
        return collected

    def cut_off(self, envs: Array) -> None:
        """Forgets the episodes under way in the environments `envs` [E] bool."""
        self._return[envs] = 0
        self._length[envs] = 0

    def state_dict(self) -> dict[str, Any]:
        return {"return": self._return.copy(), "length": self._length.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._return, self._length = state["return"], state["length"]


_NO_RETURNS: Array = np.empty(0)
_NO_LENGTHS: Array = np.empty(0, np.int64)
