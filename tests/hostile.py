"""Files that would run code or reach outside, were they read carelessly: in the place of a run's own."""

import io
import json
import os
import pickle

import numpy as np


class Bomb:
    """Unpickled, it makes the file `canary`."""

    def __reduce__(self):
        return os.system, ("touch canary",)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def safetensors(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


PICKLES = [pickle.dumps(Bomb(), protocol) for protocol in range(6)]
CODE = b"__import__('os').system('touch canary')"
YAML_CODE = [
    "!!python/object/apply:os.system ['touch canary']",
    "!!python/object/new:os.system ['touch canary']",
    "!!python/name:os.system",
    "!!python/module:os",
    "{algo_name: !!python/object/apply:os.system ['touch canary']}",
]
CONFIG_VALUES = {
    "algorithm": ["../../evil", "os", "..a2c", "a2c; touch canary", "_target_", "${oc.env:HOME}", 7, None, ["a2c"]],
    "env.id": ["evil_module:Evil-v0", "os:system", "../../x", "${eval:1}", "$(touch canary)", None],
    "algo._target_": ["os.system", "builtins.eval"],
    "env._target_": ["os.system"],
    "env.kwargs": [{"_target_": "os.system", "command": "touch canary"}, {"xml_file": "/etc/passwd"}, "x"],
    "seed": ["${oc.env:HOME}", "__import__('os').system('touch canary')", "${python:1}"],
    "total_steps": [10**30, -1, "1e6", float("nan")],
    "noise.kind": ["os.system", {"_target_": "os.system"}],
}
STATES = {
    "a pickle": lambda i: PICKLES[i],
    "code": lambda i: CODE,
    "an object": lambda i: b'{"$object": "os.system"}',
    "py/object": lambda i: b'{"py/object": "os.system", "py/reduce": [{"py/function": "os.system"}, ["touch canary"]]}',
    "a foreign generator": lambda i: b'{"$generator": {"bit_generator": "system", "state": {}}}',
    "endless depth": lambda i: b"[" * 200_000,
    "nothing": lambda i: b"",
    "a list": lambda i: b"[]",
    "another state": lambda i: b'{"training": {}, "observer": {}}',
}
ARRAYS = {
    "a pickle": PICKLES[4],
    "a huge header": (2**62).to_bytes(8, "little") + b"{}",
    "an offset outside": safetensors({"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}),
    "a negative shape": safetensors({"x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"abcd"),
    "a huge shape": safetensors({"x": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, b"abcd"),
    "an unknown type": safetensors({"x": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
    "no json": safetensors(b"{]"),
}
ROWS = {
    "a pickle": PICKLES[2],
    "pickled objects": npy(np.array([Bomb()], dtype=object)),
    "code in the header": b"\x93NUMPY\x01\x00" + (64).to_bytes(2, "little") + (CODE + b" " * 63)[:63] + b"\n",
    "a huge array": b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976, 8), }".ljust(117) + b"\n",
    "text": npy(np.array(["touch canary"])),
    "another width": npy(np.zeros((40, 3), np.float32)),
    "no array": b"rows",
}  # fmt: skip
MANIFEST_CHANGES = {
    "a path upwards": lambda m: m["rows"].__setitem__(0, ["../../../../etc/passwd", 40, 1, "0"]),
    "an absolute path": lambda m: m["rows"].__setitem__(0, ["/etc/passwd", 40, 1, "0"]),
    "no files": lambda m: m.__setitem__("files", {}),
    "files elsewhere": lambda m: m.__setitem__("files", {"../../config.yaml": [1, "0"]}),
    "another step": lambda m: m.__setitem__("step", 7),
    "a later format": lambda m: m.__setitem__("format", 99),
    "rows of text": lambda m: m.__setitem__("rows", "rm -rf /"),
    "negative rows": lambda m: m["rows"].__setitem__(0, [-40, 0, 1, "0"]),
    "a foreign key": lambda m: m.__setitem__("__class__", "os.system"),
    "nothing in it": lambda m: m.clear(),
}
