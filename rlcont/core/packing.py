"""Serialises states as JSON and arrays, for checkpoints and messages of workers. Reading one cannot run code."""

import json
import random
from collections import deque
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from rlcont.core.errors import one_line

BIT_GENERATORS = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}
"""Bit generators of numpy that a state may contain."""

MOST_BITS = 8192
"""Of an integer. Python refuses to read one of more than 4300 digits from a text."""


def pack(tree: Any) -> tuple[bytes, bytes]:
    """Serialises a state as JSON text and a safetensors file of its arrays.

    A state consists of None, booleans, numbers, strings, lists, tuples, dictionaries, sets, deques, arrays, tensors and
    generators of numpy, old and new, and of random. `unpack` restores all of them; tensors are then on the CPU.

    Raises:
        TypeError: the state contains something else; the message names the place.
    """
    skeleton, arrays = _stripped(tree, "")
    return json.dumps(skeleton, indent=1).encode(), save(arrays)


def check_packable(tree: Any, at: str) -> None:
    """Raises what `pack` would, in a fraction of its time; `at` is the place that the message names."""
    _stripped(tree, at)


def unpack(text: bytes, arrays: bytes) -> Any:
    """Restores the state that `pack` serialised.

    Raises:
        ValueError: `pack` did not make this.
    """
    try:
        return _fill(json.loads(text), load(arrays))
    except Exception as error:  # Of json, of safetensors, or from a structure that `pack` does not make.
        raise ValueError(f"no packed state ({type(error).__name__}: {error})") from error


def to_message(tree: Any) -> bytes:
    """Serialises a state as one message."""
    text, arrays = pack(tree)
    return len(text).to_bytes(8, "little") + text + arrays


def from_message(message: bytes) -> Any:
    """Restores the state that `to_message` serialised."""
    end = 8 + int.from_bytes(message[:8], "little")
    return unpack(message[8:end], message[end:])


def _stripped(tree: Any, at: str) -> tuple[Any, dict[str, np.ndarray]]:
    arrays: dict[str, np.ndarray] = {}
    try:
        return _strip(tree, at, arrays), arrays
    except TypeError:
        raise
    except Exception as error:  # Of a foreign subclass of list, or of a list that holds itself.
        raise TypeError(f"{at or 'state'}: it cannot be saved ({one_line(error)})") from error


def _strip(value: Any, at: str, arrays: dict[str, np.ndarray]) -> Any:
    """`value` in the types of JSON. Arrays move to `arrays`, under the path of their place."""
    match value:
        case None | bool() | str():
            return value
        case np.generic():  # Before int and float, because np.float64 is a float.
            return {"$scalar": _keep(np.asarray(value), at, arrays)}
        case int():
            if value.bit_length() > MOST_BITS:
                raise TypeError(f"{at or 'state'}: an integer of {value.bit_length()} bits cannot be saved")
            return value
        case float():
            return value
        case np.ndarray():
            return {"$array": _keep(value, at, arrays)}
        case list():
            return _strip_all(value, at, arrays)
        case tuple():
            return {"$tuple": _strip_all(value, at, arrays)}
        case set():
            return {"$set": _strip_all(value, at, arrays)}
        case deque():
            return {"$deque": _strip_all(value, at, arrays), "maxlen": value.maxlen}
        case np.random.Generator():
            state: Any = value.bit_generator.state
            if state["bit_generator"] in BIT_GENERATORS:
                return {"$generator": _strip(state, at, arrays)}
        case np.random.RandomState():
            state = value.get_state(legacy=False)
            if state["bit_generator"] in BIT_GENERATORS:
                return {"$random_state": _strip(state, at, arrays)}
        case random.Random():
            return {"$random": _strip(list(value.getstate()), at, arrays)}
        case dict() if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _strip(item, f"{at}.{key}".lstrip("."), arrays) for key, item in value.items()}
        case dict():
            return {"$dict": [_strip_all(pair, f"{at}.{i}", arrays) for i, pair in enumerate(value.items())]}
        case _ if type(value).__module__.startswith("torch") and hasattr(value, "detach"):
            return {"$tensor": _keep(value.detach().cpu().numpy(), at, arrays)}
    raise TypeError(f"{at or 'state'}: a {type(value).__name__} cannot be saved")


def _strip_all(values: Any, at: str, arrays: dict[str, np.ndarray]) -> list[Any]:
    return [_strip(item, f"{at}.{i}".lstrip("."), arrays) for i, item in enumerate(values)]


def _keep(array: np.ndarray, at: str, arrays: dict[str, np.ndarray]) -> str:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{at or 'state'}: an array of {array.dtype} cannot be saved")
    while at in arrays:  # A key may have a dot in it.
        at += "'"
    arrays[at] = np.ascontiguousarray(array).reshape(array.shape)
    return at


def _fill(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_fill(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    tag, content = next(iter(value.items()), ("", ""))
    match tag:
        case "$array":
            return arrays[content].copy()
        case "$tensor":
            import torch  # Here, because the workers that step environments load no torch.

            return torch.from_numpy(arrays[content].copy())
        case "$scalar":
            return arrays[content][()]
        case "$tuple":
            return tuple(_fill(content, arrays))
        case "$set":
            return set(_fill(content, arrays))
        case "$deque":
            return deque(_fill(content, arrays), value["maxlen"])
        case "$generator":
            state = _fill(content, arrays)
            generator = np.random.Generator(BIT_GENERATORS[state["bit_generator"]]())
            generator.bit_generator.state = state
            return generator
        case "$random_state":
            state = _fill(content, arrays)
            old_generator = np.random.RandomState(BIT_GENERATORS[state["bit_generator"]]())
            old_generator.set_state(state)
            return old_generator
        case "$random":
            own_generator = random.Random()
            own_generator.setstate(tuple(_fill(content, arrays)))
            return own_generator
        case "$dict":
            return dict(_fill(content, arrays))
    if tag.startswith("$"):
        raise ValueError(tag)
    return {key: _fill(item, arrays) for key, item in value.items()}
