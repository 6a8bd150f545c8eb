"""Collecting in the loop itself: the agent acts in environments of this process, or of its workers."""

from typing import Any

import numpy as np

from rlcont.core.agent import Agent
from rlcont.core.types import Array, Collected
from rlcont.envs.adaptive import AdaptiveEnvironments
from rlcont.envs.episodes import Episodes
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments

AnyEnvironments = Environments | WorkerEnvironments | AdaptiveEnvironments


class InlineCollector:
    """One step of every environment at a time; an `rlcont.core.protocols.Collector`."""

    def __init__(self, agent: Agent, envs: AnyEnvironments):
        self.agent = agent
        self.envs = envs
        self.episodes = Episodes(len(envs))
        self.obs: Array | None = None

    def collect(self) -> Collected:
        if self.obs is None:
            self.obs = self.envs.reset()
        # In one type: a worker is sent float32.
        action = np.asarray(self.agent.act(self.obs, explore=True), np.float32)
        step = self.envs.step(action)
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
