"""Runs that are interrupted at chosen steps and go on, and what tells two runs apart."""

from __future__ import annotations

import contextlib
import json
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rlcont.config.compose import make_plan
from rlcont.core.errors import Stopped
from rlcont.core.packing import to_message, unpack
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.evaluations import read_evaluations
from rlcont.runs.folder import load_config
from rlcont.runs.resume import plan_resume
from rlcont.training.loop import Training
from rlcont.training.run import resume, run

TIMINGS = ("train/steps_per_second",)
"""Tags that say how long something took."""


def train(overrides: Sequence[str], interruptions: Sequence[int] = (), changes: Sequence[str] = ()) -> Path:
    """Trains in this process; at each of the steps `interruptions` a SIGTERM comes, and a resumed run goes on.

    `changes` are typed each time it is resumed.
    """
    plan = make_plan(list(overrides))
    config = plan.config
    before = set(Path(config.output).glob("*/*/*"))
    waiting = sorted(interruptions)
    with _signals_at(waiting):
        try:
            return run(config, plan.choices)
        except Stopped:
            (folder,) = set(Path(config.output).glob("*/*/*")) - before
        while True:
            again = plan_resume(folder, list(changes))
            assert again is not None
            try:
                return resume(again)
            except Stopped:
                continue


@contextlib.contextmanager
def _signals_at(waiting: list[int]) -> Iterator[None]:
    advance = Training.advance

    def advance_and_signal(self: Training) -> None:
        advance(self)
        if waiting and self.step >= waiting[0]:
            waiting.pop(0)
            signal.raise_signal(signal.SIGTERM)

    with mock.patch.object(Training, "advance", advance_and_signal):
        yield


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two runs, to the last bit: last checkpoints, rows, curves, evaluations and policies."""
    pairs: dict[str, Iterator[Any]] = {
        "checkpoint": map(_checkpoint, (one, other)),
        "rows": map(_rows, (one, other)),
        "curves": map(curves, (one, other)),
        "evaluations": map(_evaluations, (one, other)),
        "policies": map(_policies, (one, other)),
    }
    return [place for name, (a, b) in pairs.items() for place in _differing(a, b, name)]


def _differing(a: Any, b: Any, at: str) -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        lone = [f"{at}.{key}" for key in a.keys() ^ b.keys()]
        return lone + [place for key in a.keys() & b.keys() for place in _differing(a[key], b[key], f"{at}.{key}")]
    if isinstance(a, list | tuple) and type(a) is type(b) and len(a) == len(b):
        return [place for i, pair in enumerate(zip(a, b, strict=True)) for place in _differing(*pair, f"{at}.{i}")]
    if isinstance(a, np.random.Generator | np.random.RandomState | random.Random):
        return [] if to_message(a) == to_message(b) else [at]
    if hasattr(a, "tobytes") or hasattr(a, "numpy"):
        a, b = np.asarray(a), np.asarray(b)
        return [] if (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()) else [at]
    return [] if a == b or (a != a and b != b) else [at]


def _newest(folder: Path) -> Path:
    return folder / "checkpoints" / f"step-{Checkpoints(folder, 1).steps()[-1]:012}"


def _checkpoint(folder: Path) -> dict[str, Any]:
    """The newest state, without times and lengths of files."""
    newest = _newest(folder)
    state = unpack((newest / "state.json").read_bytes(), (newest / "arrays.safetensors").read_bytes())
    for key in ("log", "seconds"):
        del state["observer"][key]
    del state["training"]["interval"]["seconds"]
    return state


def _rows(folder: Path) -> bytes:
    """The rows that the replay holds, in order, however they are cut into files."""
    listed = json.loads((_newest(folder) / "manifest.json").read_text())["rows"]
    if not listed:
        return b""
    files = [folder / "checkpoints" / "rows" / f"rows-{first:012}-{last:012}.npy" for first, last, *_ in listed]
    rows = np.concatenate([np.load(path, allow_pickle=False) for path in files])
    return rows[-load_config(folder).algo.replay_size :].tobytes()


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar that TensorBoard would show, but for timings."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag not in TIMINGS]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def _evaluations(folder: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_evaluations(folder)]


def _policies(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "policies").iterdir()}
