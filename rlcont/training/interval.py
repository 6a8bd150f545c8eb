"""What to log of the steps between two log lines."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from rlcont.core.types import Array, Collected, Metrics


class Interval:
    """Figures of training since the last log line; a sum over a whole run would hide what changes."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._info: dict[str, list[float]] = {}
        self._metrics: dict[str, list[torch.Tensor | float]] = {}
        self._actions: list[Array] = []
        self._start = time.perf_counter()

    def add(self, collected: Collected, metrics: Metrics) -> None:
        """Adds collected steps, and the metrics of the updates that followed them."""
        self._actions.append(collected.action)
        for name, value in metrics.items():
            self._metrics.setdefault(name, []).append(_light(value))
        if len(collected.returns):
            self._returns += collected.returns.tolist()
            self._lengths += collected.lengths.tolist()
            for name, values in collected.info.items():
                self._info.setdefault(name, []).extend(values[~np.isnan(values)].tolist())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """A context whose time does not count in steps per second."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - start

    def summary(self) -> dict[str, float]:
        """The interval's figures by TensorBoard tag; begins the next interval."""
        values: dict[str, float] = {}
        if self._returns:
            values["train/return"] = float(np.mean(self._returns))
            values["train/length"] = float(np.mean(self._lengths))
        values |= {f"train_info/{name}": float(np.mean(given)) for name, given in self._info.items() if given}
        for name, stacked in self._stacked().items():
            values[f"learn/{name}"] = stacked.float().mean().item()
        actions: Array = np.concatenate(self._actions)
        values["train/action_mean"] = float(actions.mean())
        values["train/action_std"] = float(actions.std())
        values["train/action_saturated"] = float((np.abs(actions) > 0.99).mean())
        values["train/steps_per_second"] = len(actions) / (time.perf_counter() - self._start)
        self._clear()
        return values

    def state_dict(self) -> dict[str, Any]:
        return {
            "returns": self._returns,
            "lengths": self._lengths,
            "info": self._info,
            "metrics": self._stacked(),
            "actions": np.concatenate(self._actions) if self._actions else None,
            "seconds": time.perf_counter() - self._start,
        }

    def load_state_dict(self, state: dict[str, Any], device: str) -> None:
        self._returns, self._lengths, self._info = state["returns"], state["lengths"], state.get("info", {})
        self._metrics = {
            name: [_light(value) for value in values.to(device).unbind()] for name, values in state["metrics"].items()
        }
        self._actions = [] if state["actions"] is None else [state["actions"]]
        self._start = time.perf_counter() - state["seconds"]

    def _stacked(self) -> dict[str, torch.Tensor]:
        """Each metric's values [N], of the updates that had it."""
        return {name: torch.stack([torch.as_tensor(each) for each in values]) for name, values in self._metrics.items()}


def _light(value: torch.Tensor) -> torch.Tensor | float:
    """A metric as it is kept until the next log line: a GPU is not asked before, and on the CPU it becomes a number.

    Kept as tensors, these small allocations would fragment the heap: a megabyte an update in wide networks.
    """
    return value.item() if value.is_cpu and value.ndim == 0 else value
