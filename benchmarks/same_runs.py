"""Compares the runs of two installations that same_runs.sh made, to the last bit.

    python benchmarks/same_runs.py BEFORE AFTER

Evaluations, policies, last checkpoints and replay rows are compared. Prints for each run what differs and what only
one has; the exit code is 1 where anything does. Times and the path of an environment's model file are left out.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

LEFT_OUT = ("observer.log", "observer.seconds", "training.interval.seconds")
SHOWN = 8


def main(before: Path, after: Path) -> int:
    num_bad = 0
    for done in sorted(before.glob("*/ok")):
        one, other = values(done.parent), values(after / done.parent.name)
        differing = [name for name in one.keys() & other.keys() if one[name] != other[name]]
        lone = sorted(one.keys() ^ other.keys())
        num_bad += bool(differing or lone)
        print(f"{done.parent.name}: {len(one)} values, differing {differing[:SHOWN]}, only in one {lone[:SHOWN]}")
    return int(num_bad > 0)


def values(place: Path) -> dict[str, Any]:
    """All that is compared of the run in `place`, by name."""
    run = next(place.glob("*/*/2*"))
    with (run / "evaluations.csv").open() as file:
        found: dict[str, Any] = {f"evaluation {row['step']}": {**row, "seconds": ""} for row in csv.DictReader(file)}
    for path in run.glob("policies/*.safetensors"):
        found |= {f"{path.stem} {name}": exact(array) for name, array in load_file(path).items()}
    checkpoint = max(run.glob("checkpoints/step-*"))
    arrays = load_file(checkpoint / "arrays.safetensors")
    state = flat(json.loads((checkpoint / "state.json").read_text()), "", arrays)
    found |= {name: value for name, value in state.items() if not name.startswith(LEFT_OUT) and "fullpath" not in name}
    segments = json.loads((checkpoint / "manifest.json").read_text())["rows"]
    rows = [np.load(run / f"checkpoints/rows/rows-{a:012}-{b:012}.npy", allow_pickle=False) for a, b, *_ in segments]
    return found | {"rows": [exact(part) for part in rows]}


def flat(value: Any, at: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """A packed state under dotted names, arrays by their bytes."""
    if isinstance(value, dict) and value.keys() & {"$array", "$tensor", "$scalar"}:
        return {at: exact(arrays[next(iter(value.values()))])}
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        parts = (flat(inner, f"{at}.{key}".lstrip("."), arrays) for key, inner in pairs)
        return {name: inner for part in parts for name, inner in part.items()}
    return {at: value}


def exact(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
