"""What the drivers share: the measured window and the line of JSON they print; and DDPG's arguments and settings.

Standard library only.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib.metadata import version

ENV_ID = "HalfCheetah-v4"
BATCH_SIZE = 256
LEARNING_RATE = 1e-3
TAU = 0.005
GAMMA = 0.99
NOISE_SIGMA = 0.1
REPLAY_SIZE = 1_000_000

Counters = Callable[[], dict[str, int]]


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments of every driver of DDPG."""
    arguments = argparse.ArgumentParser(description=description.partition("\n")[0])
    arguments.add_argument("--hidden", type=widths, default=[256, 256], help="units of actor and critic, as in 400,300")
    arguments.add_argument("--steps", type=int, default=4000, help="environment steps of the measured window")
    arguments.add_argument("--warmup", type=int, default=1000, help="random steps before learning")
    arguments.add_argument("--settle", type=int, default=1000, help="steps with learning before the window")
    arguments.add_argument("--seed", type=int, default=0)
    return arguments


def widths(text: str) -> list[int]:
    return [int(width) for width in text.split(",")]


class Window:
    """Times `steps` environment steps of a training loop, from environment step `first` on.

    `counters` reads how many gradient updates each of the peer's networks has had. It must wait for work under way.
    """

    def __init__(self, first: int, steps: int, counters: Counters, steps_per_update: int = 1):
        self.first, self.last = first, first + steps
        self.counters = counters
        self.steps_per_update = steps_per_update

    def tick(self, step: int) -> None:
        """To be called after every step of the environments, always at the same place of the loop."""
        if step == self.first:
            self._before = self.counters()
            self._begin, self._start = time.time(), time.perf_counter()
        elif step == self.last:
            self._after = self.counters()
            self._seconds = time.perf_counter() - self._start

    def report(self, system: str, packages: list[str]) -> None:
        """Checks that every network had the updates it should have had, and prints the result."""
        updates = {name: self._after[name] - self._before[name] for name in self._before}
        steps = self.last - self.first
        print_result(system, steps, updates, self._begin, self._seconds, packages, self.steps_per_update)


def print_result(
    system: str,
    steps: int,
    updates: dict[str, int],
    begin: float,
    seconds: float,
    packages: list[str],
    steps_per_update: int = 1,
    chosen: str = "",
) -> None:
    """The driver's last line; `chosen` are settings that the system chose by itself, as in workers=2."""
    if any(number * steps_per_update != steps for number in updates.values()):
        raise SystemExit(f"{system}: {steps} environment steps in the window, but updates were {updates}")
    result = {
        "system": system,
        "steps": steps,
        "updates": updates,
        "begin": begin,
        "seconds": seconds,
        "steps_per_second": steps / seconds,
        "chosen": chosen,
        "versions": {name: version(name) for name in packages},
    }
    print(json.dumps(result), flush=True)
