"""Several copies of one environment, stepped in turn.

Only this layer scales actions to the environment's bounds, resets environments, and separates the true successor of a
step from the observation to act on.
"""

from typing import Any

import numpy as np

from rlcont.core.packing import to_message
from rlcont.core.seeding import global_state, globals_seeded, integers, seed_globals, set_global_state
from rlcont.core.types import Array, EnvStep
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig


class Environments:
    """E copies of one environment, stepped in turn, each reset as soon as its episode ends.

    The process-wide generators, which an environment may draw from, follow from the first seed.

    Shapes:
        action [E, A] in [-1, 1], clipped if not; observations [E, O] float32.

    Args:
        envs: the environments, where there are some already.
    """

    def __init__(self, config: EnvConfig, seeds: list[int], envs: list[BoxEnv] | None = None):
        if envs is None:
            seed_globals(seeds[0])
        self.envs = envs or [BoxEnv(config) for _ in seeds]
        self.first = self.envs[0]
        self.spec = self.first.spec
        self._info_names = config.info
        self.num_breakdowns = self.num_steps = 0
        self._seeds = seeds
        self._obs: Array = np.empty((len(seeds), self.spec.obs_dim), np.float32)
        self._raw = np.empty((len(seeds), self.spec.obs_dim))
        self._doors = [(i, env.door, row) for i, (env, row) in enumerate(zip(self.envs, self._raw, strict=True))]
        self._none, self._all = np.zeros(len(seeds), bool), np.ones(len(seeds), bool)
        self._none.flags.writeable = self._all.flags.writeable = False  # Many steps share them.

    def __len__(self) -> int:
        return len(self.envs)

    def reset(self) -> Array:
        """Starts an episode in every environment, each from its own seed; returns observations [E, O]."""
        seed_globals(self._seeds[0])
        pairs = zip(self.envs, self._seeds, strict=True)
        self._obs = np.stack([env.reset(seed) for env, seed in pairs])
        return self._obs

    def step(self, action: Array) -> EnvStep:
        """Advances every environment by one step and resets those whose episode ended."""
        # Actions are scaled and observations checked for all environments at once: done one by one, that is most of the
        # time of a cheap environment's step.
        given = self.first.to_env(action)
        if len(given) != len(self._doors):
            raise ValueError(f"{len(given)} actions for {len(self._doors)} environments")
        results = [door.step(given[i], row) for i, door, row in self._doors]
        rewards, terminated, truncated, valid = zip(*results, strict=True)
        reward, next_obs = np.array(rewards, np.float32), self.first.checked(self._raw)
        self.num_steps += 1
        if not (True in terminated or True in truncated):
            step = EnvStep(self._obs, action, reward, next_obs, self._none, self._none, next_obs, self._all)
        else:
            step = self._at_ends(action, reward, next_obs, np.array(terminated), np.array(truncated), np.array(valid))
        self._obs = step.obs_to_act_on
        return step

    def _at_ends(self, action: Array, reward: Array, next_obs: Array, *flags: Array) -> EnvStep:
        """A step in which episodes end: begins the next ones."""
        terminated, truncated, valid = flags
        self.num_breakdowns += int((~valid).sum())
        next_obs[~valid] = self._obs[~valid]
        info = dict(zip(self._info_names, np.array([env.door.info() for env in self.envs]).T, strict=True))
        obs_to_act_on = next_obs.copy()
        for i in np.flatnonzero(terminated | truncated).tolist():
            obs_to_act_on[i] = self.envs[i].reset()
        return EnvStep(self._obs, action, reward, next_obs, terminated, truncated, obs_to_act_on, valid, info)

    def state_dict(self) -> dict[str, Any]:
        state = global_state()
        with globals_seeded(self._seeds[0]):
            untouched = to_message(global_state()) == to_message(state)
        return {
            "obs": self._obs,
            "num_breakdowns": self.num_breakdowns,
            "num_steps": self.num_steps,
            "envs": [env.state() for env in self.envs],
            # Under the number of this process's first environment, where one has drawn from them.
            "globals": {} if untouched else {"0": state},
        }

    def put_back(self, state: dict[str, Any]) -> tuple[Array, Array]:
        """Restores what `state_dict` gave, of any number of processes.

        Returns:
            Observations to act on [E, O], and [E] bool: those whose state cannot be saved, which begin an episode.
        """
        self.num_steps, self.num_breakdowns = state["num_steps"], state["num_breakdowns"]
        restarted = np.zeros(len(self.envs), bool)
        for i, (env, seed, part) in enumerate(zip(self.envs, self._seeds, state["envs"], strict=True)):
            # Other seeds than before, for an environment that draws from a generator that cannot be saved.
            restarted[i] = env.put_back(integers(seed, f"resumed at step {self.num_steps}", 1)[0], part)
        self._obs = state["obs"]
        for i in np.flatnonzero(restarted).tolist():
            self._obs[i] = self.envs[i].reset()
        seed_globals(self._seeds[0])
        if "0" in state["globals"]:
            set_global_state(state["globals"]["0"])
        return self._obs, restarted

    def close(self) -> None:
        for env in self.envs:
            env.close()
