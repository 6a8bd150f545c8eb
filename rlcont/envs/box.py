"""One Gymnasium environment with actions in [-1, 1] and flat float32 observations."""

from typing import Any

import numpy as np

from rlcont.core.errors import UserError
from rlcont.core.types import Array, EnvSpec
from rlcont.envs.config import EnvConfig
from rlcont.envs.door import FLOAT32_MAX, NUMBER, Door
from rlcont.envs.snapshot import Snapshots

QUICK_BOUND = 1e30
"""Of a sum of squares: below it, every number is finite and fits float32, which is the quickest way to know."""


class BoxEnv:
    """One environment with actions in [-1, 1] and flat float32 observations.

    Shapes:
        action [A]; observation [O]; low, high [A], the bounds of actions in the environment's own units.
    """

    def __init__(self, config: EnvConfig):
        self.door = Door(config)
        self.env = self.door.env
        actions = self.door.actions
        time_limit = self.env.spec.max_episode_steps if self.env.spec else None
        self.spec = EnvSpec(config.id, self.door.observations.size, actions.low.size, time_limit)
        self.low, self.high, self._action_dtype = actions.low, actions.high, actions.dtype
        is_unit = (self.low == -1).all() and (self.high == 1).all()
        self._is_unit_box = is_unit and self._action_dtype == np.float32
        if self._is_unit_box:
            self.low, self.high = self.low.astype(np.float32), self.high.astype(np.float32)
        self._fit(self.low.shape)
        self.snapshots = Snapshots(self.env)
        self._obs: Array = np.empty(self.spec.obs_dim, np.float32)
        self._raw: Array = np.empty(self.spec.obs_dim)

    def reset(self, seed: int | None = None) -> Array:
        """Starts an episode; with `seed`, also reseeds the generators of the environment and of its spaces."""
        if seed is not None:
            self.door.seed(self.snapshots.spaces(), seed)
        self.door.reset(seed, self._raw)
        self._obs = self.checked(self._raw)
        return self._obs

    def step(self, action: Array) -> tuple[Array, float, bool, bool, bool]:
        """Takes a step; returns observation, reward, terminated, truncated, valid.

        If the simulator breaks down, `valid` is False and the observation is the previous one.
        """
        reward, terminated, truncated, valid = self.door.step(self.to_env(action), self._raw)
        if valid:
            self._obs = self.checked(self._raw)
        return self._obs, reward, terminated, truncated, valid

    def state(self) -> dict[str, Any]:
        """The state, simulator included; if there is an obstacle, only the generator, or None where that is one."""
        try:
            return {"whole": self.snapshots.take()}
        except TypeError:
            return {"generator": self.snapshots.generator()}

    def put_back(self, seed: int, state: dict[str, Any]) -> bool:
        """Restores `state` after a reset with `seed`; returns True if a new episode has to start from there, because
        only the generator was saved.
        """
        self.reset(seed)
        if "whole" in state:
            self.snapshots.put_back(state["whole"])
            return False
        if state["generator"] is not None:
            self.env.unwrapped._np_random = state["generator"]
        return True

    def facts(self) -> dict[str, Any]:
        """The spaces of actions and observations, for a run's description."""
        return {"actions": self.door.actions.facts(), "observations": self.door.observations.facts()}

    @property
    def frames_per_second(self) -> float:
        """Frames per second of a video at real speed."""
        given = (self.env.metadata or {}).get("render_fps")
        return float(given) if isinstance(given, int | float) and given > 0 else 30.0

    def close(self) -> None:
        self.door.close()

    def to_env(self, action: Array) -> Array:
        """Scales actions [..., A] from [-1, 1] to [low, high] and clips them; exact at both ends."""
        if not np.vdot(action, action) <= QUICK_BOUND and not np.isfinite(action).all():
            bad = action[~np.isfinite(action)]
            raise UserError(f"env={self.spec.env_id}: the agent's action is {bad[0]}; has training diverged?")
        if action.shape != self._lowest.shape:
            self._fit(action.shape)
        if self._is_unit_box and action.dtype == np.float32:
            return np.minimum(np.maximum(action, self._lowest), self._highest)  # What the lines below come to.
        scaled = np.minimum(np.maximum(self._middle + self._half_width * action, self._lowest), self._highest)
        return scaled.astype(self._action_dtype)

    def checked(self, obs: Array) -> Array:
        """Flat observations [..., O] as a float32 copy, because environments may overwrite what they returned."""
        if not np.vdot(obs, obs) <= QUICK_BOUND and not np.abs(obs).max() <= FLOAT32_MAX:
            bad = np.argwhere(~(np.abs(obs) <= FLOAT32_MAX))[0]
            where = self.door.observations.place(bad[-1])
            raise UserError(f"env={self.spec.env_id}: observation {where} is {obs[tuple(bad)]}; wanted is {NUMBER}")
        return obs.astype(np.float32)

    def _fit(self, shape: tuple[int, ...]) -> None:
        """Gives the bounds the shape of the actions: numpy takes three times as long where shapes differ."""
        self._lowest, self._highest = np.tile(self.low, (*shape[:-1], 1)), np.tile(self.high, (*shape[:-1], 1))
        self._middle = self._lowest / 2 + self._highest / 2
        # Wider by a few roundings, so that -1 and 1 reach the bounds; clipping then makes them exact.
        rounding = np.spacing(np.maximum(np.abs(self._lowest), np.abs(self._highest)))
        self._half_width = self._highest / 2 - self._lowest / 2 + 4 * rounding
