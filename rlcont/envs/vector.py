"""Several copies of one environment, stepped in turn.

Only this layer scales actions to the environment's bounds, resets environments, and separates the true successor of a
step from the observation to act on.
"""

from typing import Any

import numpy as np

from rlcont.core.types import Array, EnvStep
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig


class Environments:
    """E copies of one environment, stepped in turn, each reset as soon as its episode ends.

    Shapes:
        action [E, A] in [-1, 1], clipped if not; observations [E, O] float32.
    """

    def __init__(self, config: EnvConfig, seeds: list[int]):
        self.envs = [BoxEnv(config) for _ in seeds]
        self.spec = self.envs[0].spec
        self.num_breakdowns = 0
        self._seeds = seeds
        self._obs: Array = np.empty((len(seeds), self.spec.obs_dim), np.float32)

    def __len__(self) -> int:
        return len(self.envs)

    def reset(self) -> Array:
        """Starts an episode in every environment, each from its own seed; returns observations [E, O]."""
        pairs = zip(self.envs, self._seeds, strict=True)
        self._obs = np.stack([env.reset(seed) for env, seed in pairs])
        return self._obs

    def step(self, action: Array) -> EnvStep:
        """Advances every environment by one step and resets those whose episode ended."""
        # Actions are scaled and observations checked for all environments at once: done one by one, that is most of the
        # time of a cheap environment's step.
        first = self.envs[0]
        rows = [env.advance(row) for env, row in zip(self.envs, first.to_env(action), strict=True)]
        raw, rewards, terminated, truncated, valid = zip(*rows, strict=True)
        ended = [i for i in range(len(rows)) if terminated[i] or truncated[i]]
        next_obs = obs_to_act_on = first.checked(np.array(raw))
        if ended:
            self.num_breakdowns += valid.count(False)
            for i in ended:
                if not valid[i]:
                    next_obs[i] = self._obs[i]
            obs_to_act_on = next_obs.copy()
            for i in ended:
                obs_to_act_on[i] = self.envs[i].reset()
        step = EnvStep(
            obs=self._obs,
            action=action,
            reward=np.array(rewards, np.float32),
            next_obs=next_obs,
            terminated=np.array(terminated),
            truncated=np.array(truncated),
            obs_to_act_on=obs_to_act_on,
            valid=np.array(valid),
        )
        self._obs = obs_to_act_on
        return step

    def state_dict(self) -> dict[str, Any]:
        return {"obs": self._obs, "num_breakdowns": self.num_breakdowns, "envs": [env.state() for env in self.envs]}

    def put_back(self, state: dict[str, Any]) -> tuple[Array, Array]:
        pairs = zip(self.envs, self._seeds, state["envs"], strict=True)
        restarted = np.array([env.put_back(seed, part) for env, seed, part in pairs])
        self._obs = state["obs"]
        for i in np.flatnonzero(restarted):
            self._obs[i] = self.envs[i].reset()
        self.num_breakdowns = state["num_breakdowns"]
        return self._obs, restarted

    def close(self) -> None:
        """Closes the environments."""
        for env in self.envs:
            env.close()
