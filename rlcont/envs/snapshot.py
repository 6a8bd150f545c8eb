"""Saves and restores the state of an environment between two steps, simulator included."""

import copy
import random
import types
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Space

from rlcont.core.errors import one_line
from rlcont.core.packing import check_packable

INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION
SKIPPED = {"env", "spec", "_cached_spec", "metadata", "_metadata"}
SKIPPED |= {"_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs"}
"""Attributes that describe how an environment was made."""
FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)
STATELESS = (*FUNCTIONS, types.ModuleType, type, mujoco.MjModel, mujoco.MjData)
DESCRIPTIONS = ("MujocoRenderer", "MujocoModelNames", "EnvSpec")
"""Types of attributes that no step depends on."""


class Snapshots:
    """Saves and restores the state of one environment.

    The state of an environment with `state_dict()` and `load_state_dict(state)` is what these give, and Gymnasium's
    generator. The state of any other environment, and of each wrapper, is all its attributes, with the generators of
    its spaces and Gymnasium's running statistics. The state of MuJoCo is its integration state and all derived arrays,
    because some rewards read what the previous step computed.
    """

    def __init__(self, env: gymnasium.Env):
        self.layers: list[Any] = [env]
        while isinstance(self.layers[-1], gymnasium.Wrapper):
            self.layers.append(self.layers[-1].env)
        self.bare = self.layers[-1]
        self.model_sum = _model_sum(self.bare)
        self.derived: list[str] = _derived_names(self.bare.model) if _has_simulator(self.bare) else []

    def obstacle(self) -> str:
        """Why the state cannot be saved, with the attribute's name; empty if it can."""
        try:
            self.take()
        except TypeError as error:
            return str(error)
        return ""

    def take(self) -> list[dict[str, Any]]:
        """The state: one part for each wrapper and, last, one for the environment itself.

        Raises:
            TypeError: an attribute cannot be saved; the message names it.
        """
        if _model_sum(self.bare) != self.model_sum:
            raise TypeError("its MuJoCo model changes")
        try:
            return [self._taken(layer) for layer in self.layers]
        except RecursionError:
            raise TypeError("an attribute holds itself") from None
        except TypeError:
            raise
        except Exception as error:  # Of a foreign subclass of list, or a property.
            raise TypeError(f"an attribute raises {one_line(error)}") from error

    def generator(self) -> np.random.Generator | None:
        """Gymnasium's generator, if it can be saved."""
        generator = getattr(self.bare, "_np_random", None)
        try:
            check_packable(generator, "_np_random")
        except TypeError:
            return None
        return generator if isinstance(generator, np.random.Generator) else None

    def put_back(self, state: list[dict[str, Any]]) -> None:
        """Restores `state`; the environment has to be reset once before."""
        for layer, part in zip(self.layers, state, strict=True):
            if "own" in part:
                _call(f"{type(layer).__name__}.load_state_dict", layer.load_state_dict, part["own"])
            if "mujoco" in part:
                self._put_simulator(part["mujoco"])
            for name, value in part["attributes"].items():
                _put_attribute(layer, name, value)
            for name, generators in part["spaces"].items():
                for space, generator in zip(_nested(getattr(layer, name)), generators, strict=False):
                    space._np_random = generator
        self.put_statistics([part["statistics"] for part in state])

    def spaces(self) -> list[Space]:
        """The spaces of all layers."""
        return [space for layer in self.layers for space in self._spaces(layer).values()]

    def statistics(self) -> list[dict[str, dict[str, Any]]]:
        """Gymnasium's running statistics, such as those of NormalizeReward, by layer and attribute."""
        return [_statistics(layer) for layer in self.layers]

    def put_statistics(self, statistics: list[dict[str, dict[str, Any]]], freeze: bool = False) -> None:
        """Restores what `statistics` gave; arrays may be lists, as in JSON. With `freeze`, they change no more."""
        for layer, part in zip(self.layers, statistics, strict=True):
            for name, values in part.items():
                now = vars(getattr(layer, name))
                now.update({key: np.array(value, np.asarray(now[key]).dtype)[()] for key, value in values.items()})
            if freeze and hasattr(type(layer), "update_running_mean"):
                layer.update_running_mean = False

    def keep_wrappers(self) -> Callable[[], None]:
        """A function that makes the wrappers with running statistics what they are now, since no reset does that."""
        statistics = self.statistics()
        wrappers = [layer for layer, part in zip(self.layers[:-1], statistics, strict=False) if part]
        arrays = [
            (layer, name, value.copy())  # Such as NormalizeReward's discounted reward.
            for layer in wrappers
            for name, value in vars(layer).items()
            if isinstance(value, np.ndarray)
        ]

        def put_back() -> None:
            self.put_statistics(statistics)
            for layer, name, value in arrays:
                _put_attribute(layer, name, value.copy())

        return put_back

    def _spaces(self, layer: Any) -> dict[str, Space]:
        names = [*vars(layer), *(("action_space", "observation_space") if layer is self.bare else ())]
        values = {name: getattr(layer, name, None) for name in names}
        return {name: value for name, value in values.items() if isinstance(value, Space)}

    def _taken(self, layer: Any) -> dict[str, Any]:
        statistics = _statistics(layer)
        spaces = {
            name: [_copied(layer, name, inner._np_random) for inner in _nested(space)]
            for name, space in self._spaces(layer).items()
        }
        part: dict[str, Any] = {"attributes": {}, "spaces": spaces, "statistics": statistics}
        if hasattr(type(layer), "state_dict") and hasattr(type(layer), "load_state_dict"):
            own = _call(f"{type(layer).__name__}.state_dict", layer.state_dict)
            if not _can_be_packed(own):
                raise TypeError(f"{type(layer).__name__}.state_dict() holds what is neither number, text nor array")
            part["own"] = _copied(layer, "state_dict()", own)
        elif _has_simulator(layer):
            part["mujoco"] = self._simulator()
        for name, value in vars(layer).items():
            if name in spaces or name in statistics or ("own" in part and name != "_np_random"):
                continue
            if _can_be_packed(value):
                part["attributes"][name] = _copied(layer, name, value)
            elif name not in SKIPPED and not isinstance(value, STATELESS) and type(value).__name__ not in DESCRIPTIONS:
                raise TypeError(f"{type(layer).__name__}.{name} is a {type(value).__name__}")
        return part

    def _simulator(self) -> dict[str, Any]:
        model, data = self.bare.model, self.bare.data
        integration = np.empty(mujoco.mj_stateSize(model, INTEGRATION))
        mujoco.mj_getState(model, data, integration, INTEGRATION)
        return {"integration": integration, "derived": {name: getattr(data, name).copy() for name in self.derived}}

    def _put_simulator(self, state: dict[str, Any]) -> None:
        model, data = self.bare.model, self.bare.data
        mujoco.mj_setState(model, data, state["integration"], INTEGRATION)
        # mj_forward computes contacts, which are not in the state. It changes the warm start, so set the state again.
        mujoco.mj_forward(model, data)
        mujoco.mj_setState(model, data, state["integration"], INTEGRATION)
        for name in self.derived:
            getattr(data, name)[...] = state["derived"][name]


def _call(what: str, function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise TypeError(f"{what} raises {one_line(error)}") from error


def _copied(layer: Any, name: str, value: Any) -> Any:
    """A copy of what `packing` can save.

    Raises:
        TypeError: it cannot be saved; the message names the attribute.
    """
    at = f"{type(layer).__name__}.{name}"
    check_packable(value, at)
    return copy.deepcopy(value)


def _statistics(layer: Any) -> dict[str, dict[str, Any]]:
    return {
        name: copy.deepcopy(vars(value))
        for name, value in vars(layer).items()
        if type(value).__name__ == "RunningMeanStd" and type(value).__module__.startswith("gymnasium.")
    }


def _nested(space: Space) -> Iterator[Space]:
    """A space and all within it."""
    yield space
    inner = getattr(space, "spaces", ())
    for part in inner.values() if isinstance(inner, dict) else inner:
        yield from _nested(part)


def _has_simulator(layer: Any) -> bool:
    return isinstance(vars(layer).get("data"), mujoco.MjData)


def _can_be_packed(value: Any) -> bool:
    """Whether `packing` restores it as it was: a tensor would come back on the CPU, a defaultdict as a dict."""
    kind = type(value)
    if kind in (list, tuple, set, deque):
        return all(map(_can_be_packed, value))
    if kind is dict:
        return all(map(_can_be_packed, value)) and all(map(_can_be_packed, value.values()))
    if kind is np.ndarray or isinstance(value, np.generic):
        return value.dtype.kind in "biuf"
    return kind in (type(None), bool, int, float, str, np.random.Generator, np.random.RandomState, random.Random)


def _put_attribute(layer: Any, name: str, value: Any) -> None:
    """Sets an attribute, in place if shape and type match, because other objects may hold the same array."""
    now = vars(layer).get(name)
    match now, value:
        case np.ndarray(), np.ndarray() if (now.shape, now.dtype) == (value.shape, value.dtype) and now.flags.writeable:
            now[...] = value
        case np.random.Generator(), np.random.Generator() if type(now.bit_generator) is type(value.bit_generator):
            now.bit_generator.state = value.bit_generator.state
        case np.random.RandomState(), np.random.RandomState():
            now.set_state(value.get_state(legacy=False))
        case random.Random(), random.Random():
            now.setstate(value.getstate())
        case _:
            setattr(layer, name, value)


def _derived_names(model: Any) -> list[str]:
    """Names of MuJoCo's float arrays whose size depends only on the model; arrays of contacts are still empty here."""
    data = mujoco.MjData(model)
    named = {name: getattr(data, name) for name in dir(data) if not name.startswith("_")}
    return [
        name
        for name, value in named.items()
        if isinstance(value, np.ndarray) and value.dtype == np.float64 and value.size
    ]


def _model_sum(bare: Any) -> int:
    """A check sum of the MuJoCo model, which some environments change while they run; 0 without MuJoCo."""
    if not _has_simulator(bare):
        return 0
    buffer = np.empty(mujoco.mj_sizeModel(bare.model), np.uint8)
    mujoco.mj_saveModel(bare.model, None, buffer)
    return zlib.crc32(buffer.tobytes())
