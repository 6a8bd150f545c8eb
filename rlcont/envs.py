"""Environments: the only file that knows gymnasium and MuJoCo.

Agents live in [-1, 1] and float32. This layer alone maps that to each environment's own bounds, owns
autoreset, tells the true successor of a step from the observation to act on, and notices when the simulator broke down.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator, registry
from gymnasium.spaces import Box, flatten, flatten_space

from rlcont.core import Array, EnvSpec, EnvStep, UserError
from rlcont.schema import EnvConfig

log = logging.getLogger(__name__)

warnings.filterwarnings("ignore", message=".*is out of date.*", category=DeprecationWarning)
warnings.filterwarnings("ignore", module="gymnasium.*", category=UserWarning)


def find_env(env_id: str) -> None:
    """Imports the module of a `module:id` and checks that the id is registered.

    Raises:
        UserError: the module does not import, or no such id is registered.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"env={env_id}: module {module!r} cannot be imported ({error})") from None
    if name not in registry:
        near = difflib.get_close_matches(name, registry, 3, 0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise UserError(f"env={env_id}: no such Gymnasium environment{hint}")


def _import_quietly(env_id: str) -> None:
    """Imports the environment's code and keeps MuJoCo from printing and from writing MUJOCO_LOG.TXT."""
    entry_point = registry[env_id.rpartition(":")[2]].entry_point
    if isinstance(entry_point, str):
        load_env_creator(entry_point)
    if "mujoco" in sys.modules:
        sys.modules["mujoco"].set_mju_user_warning(_on_mujoco_warning)


def _on_mujoco_warning(message: str) -> None:
    log.debug("mujoco: %s", message)


def _make(config: EnvConfig) -> gymnasium.Env:
    find_env(config.id)
    limit = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
    try:
        _import_quietly(config.id)
        return gymnasium.make(config.id, disable_env_checker=True, **limit, **config.kwargs)
    except Exception as error:
        arguments = "".join(f" env.kwargs.{key}={value}" for key, value in config.kwargs.items())
        reason = " ".join(str(error).split())
        raise UserError(f"env={config.id}{arguments}: cannot be made: {reason}") from error


def _check_action_space(env_id: str, space: gymnasium.Space) -> Box:
    if not isinstance(space, Box):
        raise UserError(
            f"env={env_id}: its actions are {type(space).__name__}; rlcont needs continuous ones (Box)"
        )
    if not np.issubdtype(space.dtype, np.floating):
        raise UserError(f"env={env_id}: its actions are {space.dtype}; rlcont needs floating-point ones")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise UserError(f"env={env_id}: its action bounds are infinite; rlcont needs finite ones")
    if not (space.low < space.high).all():
        raise UserError(f"env={env_id}: an action dimension has zero width; rlcont needs low < high")
    return space


class BoxEnv:
    """One environment with actions in [-1, 1] and flat float32 observations.

    Shapes:
        action [A]; observation [O].
    """

    def __init__(self, config: EnvConfig):
        self.env = _make(config)
        actions = _check_action_space(config.id, self.env.action_space)
        try:
            observations = flatten_space(self.env.observation_space)
        except NotImplementedError:
            observations = None
        if not isinstance(observations, Box):
            raise UserError(
                f"env={config.id}: its observations ({self.env.observation_space}) cannot be flattened"
            )
        registered = self.env.spec
        self.spec = EnvSpec(
            config.id,
            observations.shape[0],
            actions.low.size,
            registered.max_episode_steps if registered is not None else None,
        )
        self._is_flat_box = isinstance(self.env.observation_space, Box)
        self._action_shape = actions.shape
        self._action_dtype = actions.dtype
        self._low = actions.low.astype(np.float64).ravel()
        self._high = actions.high.astype(np.float64).ravel()
        data = getattr(self.env.unwrapped, "data", None)
        self._simulator_warnings = getattr(data, "warning", None)

    def reset(self, seed: int | None = None) -> Array:
        """Opens an episode; with `seed`, restarts the environment's own generators too."""
        return self._observation(self.env.reset(seed=seed)[0])

    def step(self, action: Array) -> tuple[Array, float, bool, bool, bool]:
        """Observation, reward, terminated, truncated, valid.

        Raises:
            UserError: a non-finite observation or reward.
        """
        raw, reward, terminated, truncated, _ = self.env.step(self._to_env(action))
        if self._simulator_broke():
            return np.zeros(self.spec.obs_dim, np.float32), 0.0, False, True, False
        obs = self._observation(raw)
        if not np.isfinite(reward):
            raise UserError(f"env={self.spec.env_id}: it returned a reward of {reward}")
        return obs, float(reward), bool(terminated), bool(truncated), True

    def close(self) -> None:
        self.env.close()

    def _to_env(self, action: Array) -> Array:
        """[-1, 1] to [low, high] per dimension, clipped; exact at both ends."""
        unit = (np.clip(action, -1.0, 1.0).astype(np.float64) + 1.0) / 2.0
        scaled = self._low * (1.0 - unit) + self._high * unit
        return scaled.astype(self._action_dtype).reshape(self._action_shape)

    def _observation(self, raw: Any) -> Array:
        flat = np.ravel(raw) if self._is_flat_box else flatten(self.env.observation_space, raw)
        obs = flat.astype(np.float32)
        if not np.isfinite(obs).all():
            where = int(np.flatnonzero(~np.isfinite(obs))[0])
            raise UserError(
                f"env={self.spec.env_id}: observation {where} of {obs.size} is {flat[where]}, not a finite float32"
            )
        return obs

    def _simulator_broke(self) -> bool:
        """Whether MuJoCo reset itself in this step (bad position, velocity or acceleration).

        Its counters return to zero with every reset of ours, so any count is news.
        """
        if self._simulator_warnings is None:
            return False
        return bool(self._simulator_warnings.number[3:6].any())


class Environments:
    """E copies of one environment, stepped in turn, each reset as soon as its episode ends.

    Shapes:
        actions [E, A] in [-1, 1]; observations [E, O] float32.
    """

    def __init__(self, config: EnvConfig, seeds: list[int]):
        self.envs = [BoxEnv(config) for _ in seeds]
        self.spec = self.envs[0].spec
        self.num_breakdowns = 0
        self._seeds = seeds
        self._obs: Array = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self.envs)

    def reset(self) -> Array:
        """Opens an episode in every environment, each from its own seed; returns [E, O]."""
        pairs = zip(self.envs, self._seeds, strict=True)
        self._obs = np.stack([env.reset(seed) for env, seed in pairs])
        return self._obs

    def step(self, action: Array) -> EnvStep:
        """Advances every environment by one step and resets those whose episode ended."""
        rows = [env.step(row) for env, row in zip(self.envs, action, strict=True)]
        next_obs, reward, terminated, truncated, valid = (np.array(column) for column in zip(*rows))
        obs_to_act_on = next_obs
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            obs_to_act_on = next_obs.copy()
            for index in ended:
                obs_to_act_on[index] = self.envs[index].reset()
            self.num_breakdowns += int((~valid).sum())
        step = EnvStep(
            self._obs,
            action,
            reward.astype(np.float32),
            next_obs,
            terminated,
            truncated,
            obs_to_act_on,
            valid,
        )
        self._obs = obs_to_act_on
        return step

    def close(self) -> None:
        for env in self.envs:
            env.close()
