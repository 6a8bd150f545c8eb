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
    """An `Accelerate` around another, which chooses torch's number of threads by the times of the updates."""

    def __init__(self, accelerate: Accelerate):
        self.accelerate = accelerate
        self.choice = Choice(MOST_THREADS)

    def __call__(self, update: Update) -> Update:
        choice, accelerated = self.choice, self.accelerate(update)

        def run(batch: Any) -> Metrics:
            start, threads = time.perf_counter(), choice.number
            metrics = accelerated(batch)
            now = time.perf_counter()
            is_worth_a_line = choice.update(now - start, now)
            if choice.number != threads:
                torch.set_num_threads(choice.number)
            if is_worth_a_line:
                again = f"{choice.favourite} threads update faster again"
                log.warning("rlcont: %s", again if choice.favourite > 1 else "1 thread updates faster at the moment")
            return metrics

        return run
