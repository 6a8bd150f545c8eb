"""Any state as JSON and arrays: what checkpoints and workers' messages are made of. Nothing in it can run code."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import numpy as np
from safetensors.numpy import load, save

BIT_GENERATORS = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}
"""Generators of numpy that a state may hold."""


def pack(tree: Any) -> tuple[bytes, bytes]:
    """A state as JSON text and a safetensors file of its arrays.

    A state is made of None, booleans, numbers, strings, lists, tuples, dictionaries, sets, deques, arrays, tensors and
    numpy generators; `unpack` gives all of them back as they were, tensors on the CPU.

    Raises:
        TypeError: something else is in it; the message names the place.
    """
    arrays: dict[str, np.ndarray] = {}
    skeleton = _strip(tree, "", arrays)
    return json.dumps(skeleton, indent=1).encode(), save(arrays)


def unpack(text: bytes, arrays: bytes) -> Any:
    """The state that `pack` was given.

    Raises:
        ValueError: it was not made by `pack`.
    """
    try:
        return _fill(json.loads(text), load(arrays))
    except Exception as error:  # From json, safetensors, or of a shape that `pack` does not make.
        raise ValueError(f"no packed state ({type(error).__name__}: {error})") from error


def to_message(tree: Any) -> bytes:
    """`pack` in one piece."""
    text, arrays = pack(tree)
    return len(text).to_bytes(8, "little") + text + arrays


def from_message(message: bytes) -> Any:
    """The state that `to_message` was given."""
    end = 8 + int.from_bytes(message[:8], "little")
    return unpack(message[8:end], message[end:])


def _strip(value: Any, at: str, arrays: dict[str, np.ndarray]) -> Any:
    """`value` as JSON knows it; arrays are moved to `arrays`, under the place they were at."""
    match value:
        case None | bool() | str():
            return value
        case np.generic():  # Before int and float: a float64 is a float.
            return {"$scalar": _keep(np.asarray(value), at, arrays)}
        case int() | float():
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
            import torch  # Not above: the workers that step environments do without.

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
            return _generator(_fill(content, arrays))
        case "$dict":
            return dict(_fill(content, arrays))
    if tag.startswith("$"):
        raise ValueError(tag)
    return {key: _fill(item, arrays) for key, item in value.items()}


def _generator(state: dict[str, Any]) -> np.random.Generator:
    bit_generator: Any = BIT_GENERATORS[state["bit_generator"]]()
    bit_generator.state = state
    return np.random.Generator(bit_generator)
