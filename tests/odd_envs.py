"""One environment that misbehaves in a way of choice, from a step of choice on; importing this registers it."""

import os
import random
import time
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

SIZE = 3
SHARED = np.zeros(SIZE)
"""A buffer of all environments at once."""


class Departure(BaseException):
    """What no `except Exception` catches."""


def _raise(error: BaseException) -> Any:
    raise error


class Unconvertible:
    def __array__(self, *args: Any, **kwargs: Any):
        raise RuntimeError("no array")


def _part(place: int, change: Any) -> Any:
    """Changes one part of what step or reset gives."""
    return lambda env, given: (*given[:place], change(env, given[place]), *given[place + 1 :])


def _value(place: int, value: Any) -> Any:
    return _part(place, lambda env, now: value)


OBSERVATIONS = {
    "short": lambda env, obs: obs[:1],
    "long": lambda env, obs: np.append(obs, 0),
    "two rows": lambda env, obs: np.stack([obs, obs]),
    "no observation": lambda env, obs: None,
    "text": lambda env, obs: "obs",
    "objects": lambda env, obs: np.array([None] * SIZE),
    "complex": lambda env, obs: obs * 1j,
    "ragged": lambda env, obs: [obs, 1],
    "no array": lambda env, obs: Unconvertible(),
    "nan": lambda env, obs: obs * np.nan,
    "infinite": lambda env, obs: np.where(np.arange(SIZE) == 1, np.inf, obs),
    "huge": lambda env, obs: obs + 1e39,
    "a dictionary": lambda env, obs: {"obs": obs},
    "a grown one": lambda env, obs: np.zeros(SIZE + 1 + env.count),
}
WHOLE = {
    "without info": lambda env, given: given[:-1],
    "one more": lambda env, given: (*given, None),
    "none": lambda env, given: None,
    "a bare observation": lambda env, given: given[0],
    "a dictionary of all": lambda env, given: dict(enumerate(given)),
    "info none": lambda env, given: (*given[:-1], None),
    "info a list": lambda env, given: (*given[:-1], []),
    "raises": lambda env, given: _raise(ValueError("this\nwent wrong")),
    "raises what has no text": lambda env, given: _raise(KeyError()),
    "raises in Python's own code": lambda env, given: random.choice([]),
    "exits": lambda env, given: _raise(SystemExit(0)),
    "departs": lambda env, given: _raise(Departure("away")),
}
STEP_ALONE = {
    **{f"reward {value!r}": _value(1, value) for value in (None, "1", [1, 2], float("nan"), 1e39, 1j)},
    "a long reward": _value(1, 10**5000),
    "a reward of two": _part(1, lambda env, now: np.ones(2)),
    "a reward of none": _part(1, lambda env, now: np.ones(0)),
    **{f"terminated {value!r}": _value(2, value) for value in (None, "no", 2, float("nan"))},
    **{f"truncated {value!r}": _value(3, value) for value in (None, "", -1)},
    "terminated of two": _value(2, np.zeros(2, bool)),
}
WRONG = {
    **{name: _part(0, change) for name, change in OBSERVATIONS.items()},
    **WHOLE,
    **STEP_ALONE,
}
"""Each has to end in one line at its step."""


def _chdir(env: Any, given: Any) -> Any:
    os.makedirs("elsewhere", exist_ok=True)
    os.chdir("elsewhere")
    return given


def _overwrite(env: Any, obs: Any) -> Any:
    env.buffer[:] = obs
    return env.buffer


def _overwrite_for_all(env: Any, obs: Any) -> Any:
    SHARED[:] = obs
    return SHARED


def _print(env: Any, given: Any) -> Any:
    print("simulating ±0.1", flush=True)
    return given


def _draw_from_the_global_generators(env: Any, given: Any) -> Any:
    random.seed(int(1e6 * np.random.random()))  # noqa: NPY002 (what it is there to do)
    np.random.seed(random.getrandbits(32))  # noqa: NPY002 (as above)
    return given


def _read_only(env: Any, obs: Any) -> Any:
    obs.flags.writeable = False
    return obs


HARMLESS = {
    "nothing": lambda env, given: given,
    "a row": _part(0, lambda env, obs: obs[None]),
    "a list": _part(0, lambda env, obs: obs.tolist()),
    "float32": _part(0, lambda env, obs: obs.astype(np.float32)),
    "a wider type": _part(0, lambda env, obs: obs.astype(np.longdouble)),
    "a view": _part(0, lambda env, obs: np.repeat(obs, 2)[::2]),
    "read-only": _part(0, _read_only),
    "its buffer": _part(0, _overwrite),
    "everybody's buffer": _part(0, _overwrite_for_all),
    "prints": _print,
    "global randomness": _draw_from_the_global_generators,
    "chdir": _chdir,
}
HARMLESS_STEP = {
    "an array of a reward": _part(1, lambda env, now: np.array([[now]])),
    "a reward of float32": _part(1, lambda env, now: np.float32(now)),
    "a whole reward": _part(1, lambda env, now: round(now)),
    "flags of numpy": _part(2, lambda env, now: np.bool_(now)),
    "flags of zero and one": _part(2, lambda env, now: int(now)),
    "flags in arrays": _part(2, lambda env, now: np.array([now])),
}
RIGHT = {**HARMLESS, **HARMLESS_STEP}
"""Each has to change nothing of what is learned from."""
CLOSING = {
    "nothing": lambda: None,
    "raises": lambda: _raise(RuntimeError("simulator gone")),
    "exits": lambda: _raise(SystemExit(1)),
    "is slow": lambda: time.sleep(0.01),
}
UNMADE = {
    "raises when made": lambda: _raise(ValueError("no\nlicence")),
    "exits when made": lambda: _raise(SystemExit(0)),
    "departs when made": lambda: _raise(Departure("away")),
}
"""Each has to end in one line before anything is played."""


class Odd(gymnasium.Env):
    """Observes (episode, step, a number drawn), ends after 7 steps, and keeps an account of all that it says.

    Args:
        fault: a key of WRONG, RIGHT or UNMADE.
        at: step from which on it misbehaves, counted over episodes; 0 is the first reset.
        closing: a key of CLOSING.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 20}
    action_space = Box(-1, 1, (1,))
    observation_space = Box(-np.inf, np.inf, (SIZE,), np.float64)

    def __init__(self, fault: str = "nothing", at: int = 0, closing: str = "nothing", render_mode: str | None = None):
        UNMADE.get(fault, CLOSING["nothing"])()
        self.fault, self.at, self.closing, self.render_mode = fault, at, closing, render_mode
        self.count = self.episode = self.time = 0
        self.buffer = np.zeros(SIZE)
        self.account: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        if seed is not None:
            self.count = self.episode = 0
            self.account.clear()
        self.episode, self.time = self.episode + 1, 0
        self.obs = self._draw()
        return self._misbehave((self.obs.copy(), {}))

    def step(self, action):
        self.count, self.time, before = self.count + 1, self.time + 1, self.obs
        self.obs = self._draw()
        reward, terminated, truncated = float(self.time) + self.episode, self.time == 7, False
        self.account.append((before, action.copy(), reward, self.obs, terminated, truncated))
        action *= 0  # It belongs to the environment.
        return self._misbehave((self.obs.copy(), reward, terminated, truncated, {}))

    def close(self):
        CLOSING[self.closing]()

    def _draw(self):
        return np.array([self.episode, self.time, self.np_random.random()])

    def _misbehave(self, given: Any) -> Any:
        if self.count < self.at or (len(given) == 2 and self.fault in {**STEP_ALONE, **HARMLESS_STEP}):
            return given
        return {**WRONG, **RIGHT}[self.fault](self, given)


class Tame(gymnasium.Env):
    """Twenty steps; the observation stands still, and is what `_draw` says."""

    action_space = Box(-1, 1, (1,))
    observation_space = Box(-9, 9, (2,))

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.time, self.obs = 0, self._draw()
        return self.obs, {}

    def step(self, action):
        self.time += 1
        return self.obs, float(self.obs[0] + action[0]), self.time >= 20, False, {}

    def _draw(self):
        return self.np_random.uniform(-1, 1, 2)


class OfNumpy(Tame):
    def _draw(self):
        return np.random.uniform(-1, 1, 2)  # noqa: NPY002 (as old environments do)


class OfRandom(Tame):
    def _draw(self):
        return np.array([random.random(), random.gauss(0, 1)])


class OfItsSpace(Tame):
    def _draw(self):
        return np.append(self.action_space.sample(), 0.0)


class OfAPartOfItsSpace(Tame):
    world = Dict({"where": Box(-1, 1, (2,)), "which": Discrete(3)})

    def __init__(self):
        self.observation_space = Dict({"where": Box(-9, 9, (2,)), "which": Discrete(3)})

    def _draw(self):
        return self.observation_space["where"].sample()

    def reset(self, **kwargs: Any):
        obs, info = super().reset(**kwargs)
        return {"where": obs, "which": 0}, info

    def step(self, action):
        obs, *rest = super().step(action)
        return {"where": obs, "which": 0}, *rest


class OfAnOldGenerator(Tame):
    """Draws from a RandomState that it seeds."""

    def __init__(self):
        self.rng = np.random.RandomState(0)

    def reset(self, *, seed: int | None = None, options: Any = None):
        if seed is not None:
            self.rng.seed(seed)
        return super().reset(seed=seed)

    def _draw(self):
        return self.rng.normal(size=2)


class OfPythonsGenerator(OfAnOldGenerator):
    def __init__(self):
        self.rng = random.Random(0)

    def _draw(self):
        return np.array([self.rng.random(), self.rng.gauss(0, 1)])


class Unseeded(Tame):
    """Draws from a generator that no seed reaches."""

    def __init__(self):
        self.rng = np.random.default_rng()

    def _draw(self):
        return self.rng.random(2)


class UnseededLater(Tame):
    """Only its steps are random beyond its seed."""

    def step(self, action):
        self.obs = self.obs + np.random.default_rng().normal(size=2)
        return super().step(action)


class OfItsClass(Tame):
    """Keeps its state in the class."""

    speed = 0.0

    def reset(self, **kwargs: Any):
        OfItsClass.speed = 0.0
        return super().reset(**kwargs)

    def step(self, action):
        OfItsClass.speed += float(action[0])
        obs, reward, *rest = super().step(action)
        return obs, reward + OfItsClass.speed, *rest


_SPEED = [0.0]


class OfItsModule(OfItsClass):
    """Keeps its state in the module."""

    def reset(self, **kwargs: Any):
        _SPEED[0] = 0.0
        return Tame.reset(self, **kwargs)

    def step(self, action):
        _SPEED[0] += float(action[0])
        obs, reward, *rest = Tame.step(self, action)
        return obs, reward + _SPEED[0], *rest


class OfASlot(OfItsClass):
    """Keeps its state in a slot, which vars() does not show."""

    __slots__ = ("held",)

    def reset(self, **kwargs: Any):
        self.held = 0.0
        return Tame.reset(self, **kwargs)

    def step(self, action):
        self.held += float(action[0])
        obs, reward, *rest = Tame.step(self, action)
        return obs, reward + self.held, *rest


for _kind in (
    *(Odd, Tame, OfNumpy, OfRandom, OfItsSpace, OfAPartOfItsSpace, OfAnOldGenerator, OfPythonsGenerator),
    *(Unseeded, UnseededLater, OfItsClass, OfItsModule, OfASlot),
):
    gymnasium.register(f"{_kind.__name__}-v0", _kind)
gymnasium.register("NormalizedReward-v0", lambda: NormalizeReward(Tame()))
gymnasium.register("NormalizedObservation-v0", lambda: NormalizeObservation(Tame()))
