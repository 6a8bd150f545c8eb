"""The environment's door: calls make, reset, step, render and close, and judges what they give.

What goes through is right by Gymnasium's rules; anything else is one line that says what came and what is wanted.
"""

import contextvars
import functools
import importlib
import logging
import math
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import gymnasium
import gymnasium.wrappers
import numpy as np
from gymnasium.envs.registration import registry

from rlcont.core.errors import ForeignError, UserError, raised_at
from rlcont.core.spelling import closest, did_you_mean, nearest, spelled
from rlcont.core.typed import importable
from rlcont.core.types import Array
from rlcont.envs.config import EnvConfig
from rlcont.envs.mujoco import breakdown_detector, follow
from rlcont.envs.packages import package_hint
from rlcont.envs.spaces import ActionBox, Observations, described, numbers

log = logging.getLogger(__name__)

FLOAT32_MAX = float(np.finfo(np.float32).max)
NUMBER = "a finite number that float32 holds"
FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
FAILED = {
    "make": "cannot be made",
    "reset": "cannot be reset",
    "step": "cannot take a step",
    "render": "cannot be drawn",
    "close": "cannot be closed",
}


class Door:
    """One Gymnasium environment, in its own units.

    Shapes:
        action [A] float, observation [O] float64, flat.

    Raises:
        UserError: in every method, for what the environment raises, and for what it gives against Gymnasium's rules.
    """

    def __init__(self, config: EnvConfig):
        self.name = f"env={config.id}"
        self.arguments = "".join(f" env.kwargs.{key}={spelled(value)}" for key, value in config.kwargs.items())
        # Numpy keeps in it how it treats an overflow, which the environment may change for itself alone.
        self._run: Callable[..., Any] = contextvars.copy_context().run
        find_env(config.id)
        limit = {} if config.max_episode_steps is None else {"max_episode_steps": config.max_episode_steps}
        make = functools.partial(gymnasium.make, config.id, disable_env_checker=True, **limit, **config.kwargs)
        self.env: gymnasium.Env = self._call("make", make)
        for wrapper in config.wrappers:
            self.env = self._wrapped(wrapper)
        self._info_names = config.info
        self._info: dict[str, Any] = {}
        if "render_mode" in config.kwargs and {"camera_id", "camera_name"}.isdisjoint(config.kwargs):
            follow(self.env)
        spaces = [
            self._call("make", functools.partial(getattr, self.env, name, None))
            for name in ("action_space", "observation_space")
        ]
        try:
            self.actions, self.observations = ActionBox(spaces[0]), Observations(spaces[1])
        except ValueError as error:
            raise self._refusal(str(error)) from None
        self._step = self.env.step
        self._action_shape, self._obs_shape = self.actions.shape, self.observations.flat_shape
        self._simulator_broke = breakdown_detector(self.env)

    def seed(self, spaces: Iterable[gymnasium.Space], seed: int) -> None:
        """Seeds the generators of the environment's spaces."""
        for space in spaces:
            self._call("reset", space.seed, seed=seed)

    def reset(self, seed: int | None, obs: Array) -> None:
        """Starts an episode and writes its first observation into `obs`."""
        result = self._call("reset", self.env.reset, seed=seed)
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
            raise self._refusal(
                f"reset gives {described(result)}; Gymnasium wants (observation, info), info a dictionary"
            )
        self._write("reset", result[0], obs)

    def step(self, action: Array, obs: Array) -> tuple[float, bool, bool, bool]:
        """Takes a step and writes its observation into `obs`; returns reward, terminated, truncated and valid.

        If the simulator breaks down, `obs` is zeros and the step is not valid.
        """
        try:
            result = self._run(self._step, action.reshape(self._action_shape))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failure("step", error) from error
        if not (isinstance(result, tuple) and len(result) == 5 and isinstance(result[4], dict)):
            raise self._refusal(
                f"step gives {described(result)}; Gymnasium wants (observation, reward, terminated, truncated, info), "
                "info a dictionary"
            )
        if self._simulator_broke():
            obs[:], self._info = 0, {}
            return 0.0, False, True, False
        raw, reward, terminated, truncated, self._info = result
        if not isinstance(reward, float):
            reward = self._number("reward", reward)
        if not abs(reward) <= FLOAT32_MAX:
            raise self._refusal(f"the reward is {reward}; wanted is {NUMBER}")
        if terminated is not True and terminated is not False:
            terminated = self._flag("terminated", terminated)
        if truncated is not True and truncated is not False:
            truncated = self._flag("truncated", truncated)
        if type(raw) is np.ndarray and raw.shape == self._obs_shape and raw.dtype in FLOATS:
            obs[:] = raw  # As below, without the calls.
        else:
            self._write("step", raw, obs)
        return reward, terminated, truncated, True

    def info(self) -> list[float]:
        """The values of the last step's info that are to be logged, in their order; NaN where there is none."""
        arrays = [numbers(self._info.get(name)) for name in self._info_names]
        return [math.nan if array is None or array.size != 1 else float(array.item()) for array in arrays]

    def absent_info(self) -> list[str]:
        """Says which of the names to be logged, but for the one that every run has, the last step's info lacks."""
        absent = [name for name in self._info_names if name not in (*self._info, "is_success")]
        there = ", ".join(map(str, self._info)) or "nothing"
        return [f"gives no {' and no '.join(absent)} in its info so far; there is {there}"] if absent else []

    def frame(self) -> Array:
        """A picture of the environment, [height, width, 3] uint8; needs render_mode=rgb_array."""
        frame: Any = self._call("render", self.env.render)
        if not isinstance(frame, np.ndarray):
            raise self._refusal(f"cannot be drawn: render gives {described(frame)}, not a picture")
        picture = frame[..., None] if frame.ndim == 2 else frame
        if frame.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or not picture.size:
            raise self._refusal(
                f"cannot be drawn: render gives {described(frame)}; Gymnasium wants [height, width, 3] of uint8"
            )
        return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture[..., :3]

    def close(self) -> None:
        """Closes the environment. One that cannot be closed is a warning, since nothing depends on it any more."""
        try:
            self._call("close", self.env.close)
        except UserError as error:
            _warn_once(str(error))

    def _wrapped(self, wrapper: str | dict[str, Any]) -> gymnasium.Env:
        name, arguments = (wrapper, {}) if isinstance(wrapper, str) else (wrapper["name"], dict(wrapper))
        arguments.pop("name", None)
        module, _, attribute = name.rpartition(":")
        source = imported("env.wrappers", module, name) if module else gymnasium.wrappers
        found: Any = getattr(source, attribute, None)
        if not _is_wrapper(found):
            near = nearest(attribute, [key for key, value in vars(source).items() if _is_wrapper(value)])
            raise UserError(f"env.wrappers={name}: {source.__name__} defines no gymnasium.Wrapper {attribute}{near}")
        try:
            wrapped = self._call("make", functools.partial(found, self.env, **arguments))
        except UserError as error:
            raise UserError(f"env.wrappers={spelled(wrapper)}: {error}") from error
        return wrapped

    def _call(self, what: str, function: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return self._run(function, **arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit as well: a user's module may end in sys.exit().
            raise self._failure(what, error) from error

    def _write(self, method: str, raw: Any, obs: Array) -> None:
        try:
            self.observations.write(raw, obs)
        except ValueError as error:
            raise self._refusal(f"{method} gives {error}") from None

    def _number(self, what: str, value: Any) -> float:
        array = numbers(value)
        if array is None or array.size != 1:
            raise self._refusal(f"the {what} is {described(value)}; Gymnasium wants a number")
        return float(array.item())

    def _flag(self, what: str, value: Any) -> bool:
        if isinstance(value, np.bool_):
            return bool(value)
        array = numbers(value)
        if array is None or array.size != 1 or array.item() not in (0, 1):
            raise self._refusal(f"{what} is {described(value)}; Gymnasium wants True or False")
        return bool(array.item())

    def _refusal(self, reason: str) -> UserError:
        return UserError(f"{self.name}: {reason}")

    def _failure(self, what: str, error: BaseException) -> UserError:
        reason = " ".join(str(error).split()).partition(" was raised from the environment creator")[0]
        said = f"{type(error).__name__}: {reason[:500]}".removesuffix(": ") + raised_at(error)
        if what == "step" and "values to unpack" in reason:
            said += "; Gymnasium wants observation, reward, terminated, truncated, info"
        modes = (self.env.metadata or {}).get("render_modes", []) if what == "render" else ["rgb_array"]
        if "rgb_array" not in modes:
            said += f"; its metadata['render_modes'] is {modes}, and pictures need rgb_array"
        return ForeignError(f"{self.name}{self.arguments}: {FAILED[what]}: {said}")


def find_env(env_id: str) -> None:
    """Imports the module of a `module:id` and checks that the id is registered.

    Raises:
        UserError: the module does not import, or no such id is registered.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        imported("env", module, env_id)
    # Retired MuJoCo ids are registered with a function in this module that only raises.
    retired = "gymnasium.envs"
    known = [key for key in registry if getattr(registry[key].entry_point, "__module__", "") != retired]
    if name not in known:
        own = [key for key in known if _class_of(key).startswith(module)]  # A module may register others' classes too.
        found = closest(name, own, 0.5, 2) or closest(name, known, 0.5, 2)
        near = [f"{module}:{key}" if module else key for key in found]
        hint = package_hint(name) or did_you_mean(near) + ("" if module else f"; one of your own is env=MODULE:{name}")
        raise UserError(f"env={env_id}: Gymnasium has no such environment{hint}")


def entry_point(config: EnvConfig) -> str:
    """Where the class of an environment is, MODULE:CLASS."""
    find_env(config.id)
    return _class_of(config.id.rpartition(":")[2])


def _class_of(registered: str) -> str:
    given = registry[registered].entry_point
    return given if isinstance(given, str) else f"{getattr(given, '__module__', '')}:{getattr(given, '__name__', '')}"


def imported(key: str, module: str, value: str) -> ModuleType:
    """The module of a `module:name`, the value of `key`."""
    with importable(module, f"{key}={value}", package_hint(value)):
        return importlib.import_module(module)


def _is_wrapper(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, gymnasium.Wrapper)


@functools.cache
def _warn_once(line: str) -> None:
    log.warning("rlcont: %s", line)
