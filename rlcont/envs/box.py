"""One Gymnasium environment with actions in [-1, 1] and flat float32 observations."""

import importlib
import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import registry
from gymnasium.spaces import Box, flatdim, flatten

from rlcont.core.errors import UserError
from rlcont.core.spelling import close, did_you_mean
from rlcont.core.typed import importable
from rlcont.core.types import Array, EnvSpec
from rlcont.envs.config import EnvConfig
from rlcont.envs.mujoco import breakdown_detector, follow
from rlcont.envs.packages import package_hint
from rlcont.envs.snapshot import Snapshots

LARGEST = float(np.finfo(np.float32).max)


class BoxEnv:
    """One environment with actions in [-1, 1] and flat float32 observations.

    Shapes:
        action [A]; observation [O].
    """

    def __init__(self, config: EnvConfig):
        self.env = _make(config)
        if "render_mode" in config.kwargs and {"camera_id", "camera_name"}.isdisjoint(config.kwargs):
            follow(self.env)
        actions = _continuous_actions(config.id, self.env.action_space)
        self._obs_space = self.env.observation_space
        obs_dim = _flat_dim(config.id, self._obs_space)
        time_limit = self.env.spec.max_episode_steps if self.env.spec else None
        self.spec = EnvSpec(config.id, obs_dim, actions.low.size, time_limit)
        self._action_shape, self._action_dtype = actions.shape, actions.dtype
        self._low, self._high = (bound.astype(np.float64).ravel() for bound in (actions.low, actions.high))
        self._middle = self._low / 2 + self._high / 2
        # Wider by a few roundings, so that -1 and 1 reach the bounds; clipping then makes them exact.
        rounding = np.spacing(np.maximum(np.abs(self._low), np.abs(self._high)))
        self._half_width = self._high / 2 - self._low / 2 + 4 * rounding
        self._simulator_broke = breakdown_detector(self.env)
        self._snapshots = Snapshots(self.env)
        self._obs: Array = np.empty(obs_dim, np.float32)

    def reset(self, seed: int | None = None) -> Array:
        """Starts an episode; with `seed`, also reseeds the environment's own generators."""
        self._obs = self.checked(self._flat(self.env.reset(seed=seed)[0]))
        return self._obs

    def step(self, action: Array) -> tuple[Array, float, bool, bool, bool]:
        """Takes a step; returns observation, reward, terminated, truncated, valid.

        If the simulator breaks down, `valid` is False and the observation is the previous one.
        """
        raw, reward, terminated, truncated, valid = self.advance(self.to_env(action))
        if valid:
            self._obs = self.checked(raw)
        return self._obs, reward, terminated, truncated, valid

    def advance(self, action: Array) -> tuple[Array, float, bool, bool, bool]:
        """Like `step`, for an action in the environment's own units; the observation is flat, and not checked.

        If the simulator breaks down, the observation is zeros.
        """
        raw, reward, terminated, truncated, _ = self.env.step(action.reshape(self._action_shape))
        if self._simulator_broke():
            return np.zeros(self.spec.obs_dim), 0.0, False, True, False
        reward = float(reward)
        if not abs(reward) <= LARGEST:
            raise UserError(f"env={self.spec.env_id}: the reward is {reward}")
        return self._flat(raw), reward, bool(terminated), bool(truncated), True

    def obstacle(self) -> str:
        """Why the state cannot be saved within an episode; empty if it can. Call it after a reset."""
        return self._snapshots.obstacle()

    def state(self) -> dict[str, Any]:
        """The state, simulator included; only the generator if there is an obstacle."""
        try:
            return {"whole": self._snapshots.take()}
        except TypeError:
            return {"generator": self.env.unwrapped._np_random}

    def put_back(self, seed: int, state: dict[str, Any]) -> bool:
        """Restores `state`; returns True if only the generator was saved, so that a new episode has to start."""
        self.reset(seed)
        if "whole" in state:
            self._snapshots.put_back(state["whole"])
            return False
        if state["generator"] is not None:
            self.env.unwrapped._np_random = state["generator"]
        return True

    def frame(self) -> Array:
        """A picture of the environment, [height, width, 3] uint8; needs render_mode=rgb_array."""
        try:
            frame: Any = self.env.render()
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"env={self.spec.env_id}: cannot be drawn: {reason}") from error
        if not isinstance(frame, np.ndarray):
            raise UserError(f"env={self.spec.env_id}: cannot be drawn: it gives {type(frame).__name__}, not a picture")
        return frame

    @property
    def action_bounds(self) -> tuple[Array, Array]:
        """Lowest and highest action in the environment's own units, [A] each."""
        return self._low, self._high

    @property
    def frames_per_second(self) -> float:
        """Frames per second of a video at real speed."""
        return float(self.env.metadata.get("render_fps", 30))

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def to_env(self, action: Array) -> Array:
        """Scales actions [..., A] from [-1, 1] to [low, high] and clips them; exact at both ends."""
        if not math.isfinite(action.sum()):
            bad = action[~np.isfinite(action)]
            value = bad[0] if len(bad) else action.sum()
            raise UserError(f"env={self.spec.env_id}: the agent's action is {value}; has training diverged?")
        scaled = np.minimum(np.maximum(self._middle + self._half_width * action, self._low), self._high)
        return scaled.astype(self._action_dtype)

    def checked(self, obs: Array) -> Array:
        """Flat observations [..., O] as a float32 copy, because environments may overwrite what they returned."""
        if not np.abs(obs).max() <= LARGEST:
            bad = np.argwhere(~(np.abs(obs) <= LARGEST))[0]
            raise UserError(f"env={self.spec.env_id}: observation {bad[-1]} is {obs[tuple(bad)]}")
        return obs.astype(np.float32)

    def _flat(self, raw: Any) -> Array:
        values: Any = raw if isinstance(self._obs_space, Box) else flatten(self._obs_space, raw)
        return np.ravel(values)


def _make(config: EnvConfig) -> gymnasium.Env:
    find_env(config.id)
    limit = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
    try:
        return gymnasium.make(config.id, disable_env_checker=True, **limit, **config.kwargs)
    except Exception as error:
        arguments = "".join(f" env.kwargs.{key}={value}" for key, value in config.kwargs.items())
        reason = " ".join(str(error).split()).partition(" was raised from the environment creator")[0]
        raise UserError(f"env={config.id}{arguments}: cannot be made: {reason or type(error).__name__}") from error


def find_env(env_id: str) -> None:
    """Imports the module of a `module:id` and checks that the id is registered."""
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            with importable(module):
                importlib.import_module(module)
        except Exception as error:
            absent = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
            hint = (package_hint(env_id) or "; is its folder in PYTHONPATH?") if absent else ""
            raise UserError(f"env={env_id}: module {module!r} cannot be imported ({error}){hint}") from error
    # Retired MuJoCo ids are registered with a function in this module that only raises.
    retired = "gymnasium.envs"
    known = [key for key in registry if getattr(registry[key].entry_point, "__module__", "") != retired]
    if name not in known:
        hint = package_hint(name) or did_you_mean(close(name, known, 0.5, 2))
        raise UserError(f"env={env_id}: Gymnasium has no such environment{hint}")


def _continuous_actions(env_id: str, space: gymnasium.Space) -> Box:
    if not isinstance(space, Box):
        raise UserError(f"env={env_id}: its actions are {type(space).__name__}, not continuous (Box)")
    if not np.issubdtype(space.dtype, np.floating):
        raise UserError(f"env={env_id}: its actions are {space.dtype}, not floating-point")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise UserError(f"env={env_id}: its action bounds are infinite")
    if not (space.low < space.high).all():
        raise UserError(f"env={env_id}: an action dimension has zero width")
    return space


def _flat_dim(env_id: str, space: gymnasium.Space) -> int:
    if not space.is_np_flattenable:
        raise UserError(f"env={env_id}: its observations ({space}) cannot be flattened")
    return flatdim(space)
