"""One thread or two: which of them updates faster at the moment.

Two threads of OpenMP wait for each other after every product. On an idle machine they are the faster ones; where
another process runs, one waits until the other has its turn, and both together are slower than one.
"""

import logging
import time
from typing import Any

import torch

from rlcont.core.choice import Choice
from rlcont.core.protocols import Accelerate, Update
from rlcont.core.types import Metrics

log = logging.getLogger(__name__)

MOST_THREADS = 2
"""Most threads that are chosen automatically: updates are equal to the last bit with one and two, not with more."""


class AdaptiveThreads:
    """Torch's number of threads, chosen by the times of the updates that are made."""

    def __init__(self, most: int):
        self.choice = Choice(most)

    def timed(self, update: Update) -> Update:
        """`update`, timed."""

        def run(batch: Any) -> Metrics:
            start = time.perf_counter()
            metrics = update(batch)
            now = time.perf_counter()
            self._take(now - start, now)
            return metrics

        return run

    def around(self, accelerate: Accelerate) -> Accelerate:
        """`accelerate`, with every update timed."""
        return lambda update: self.timed(accelerate(update))

    def _take(self, seconds: float, now: float) -> None:
        choice, threads = self.choice, self.choice.number
        is_worth_a_line = choice.update(seconds, now)
        if choice.number != threads:
            torch.set_num_threads(choice.number)
        if is_worth_a_line:
            again = f"{choice.favourite} threads update faster again"
            log.warning("rlcont: %s", again if choice.favourite > 1 else "1 thread updates faster at the moment")
