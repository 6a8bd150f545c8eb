"""One thread or two: which of them updates faster at the moment.

Two threads of OpenMP wait for each other after every product. On an idle machine they are the faster ones; where
another process runs, one waits until the other has its turn, and both together are slower than one.
"""

import logging
import time
from typing import Any

import torch

from rlcont.core.protocols import Update
from rlcont.core.types import Metrics

log = logging.getLogger(__name__)

MOST_THREADS = 2
"""Most threads that are chosen automatically: updates are equal to the last bit with one and two, not with more."""
SETTLE = 10
"""Updates before anything is compared: the first ones compile, and fill caches."""
WINDOW, WINDOW_SECONDS = 20, 0.3
"""Updates that are timed together; fewer, but at least FEWEST, where they take longer than that."""
FEWEST = 3
ROUNDS = 2
"""Windows of each kind in one comparison, in turns."""
SHARE_OF_TRYING = 0.02
"""Most of the time that may be lost by comparing."""
SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 120.0
"""Seconds between two comparisons; each pause is twice as long as the one before, up to the longest."""
GAIN = 0.95
"""The other number of threads is taken if it needs at most this share of the time."""
MOST_LINES = 3
"""Changes that are told; a machine whose load comes and goes would fill the terminal."""


class ThreadChoice:
    """Decides between one thread and `most` from the times of updates; it asks no clock.

    Now and then both are compared, in short windows in turns. Between two comparisons, `most` threads that take clearly
    longer than one thread took are given up at once.

    Attributes:
        threads: for the next update.
        favourite: the number that is used between two comparisons.
    """

    def __init__(self, most: int):
        self.most = most
        self.favourite = self.threads = most
        self.pause = SHORTEST_PAUSE
        self.next_comparison = 0.0
        self.num_updates = 0
        self.time_of_one = float("inf")
        """Seconds of an update by one thread in the last comparison."""
        self._comparing: dict[int, list[float]] | None = None
        self._num_windows = 0
        self._window: list[float] = []

    def update(self, seconds: float, now: float) -> None:
        """Takes the time of an update made with `threads`, which ended at `now`."""
        self.num_updates += 1
        if self.num_updates <= SETTLE:
            return
        self._window.append(seconds)
        if self._comparing is not None:
            self._compare(now)
        elif self._is_whole():
            mean = _mean(self._window)
            self._window = []
            if self.favourite > 1 and GAIN * mean > self.time_of_one:
                self._prefer(1, now)
            elif now >= self.next_comparison:
                self._comparing, self._num_windows = {1: [], self.most: []}, 0
                self.threads = 1  # First, so that a window with more can be cut short.

    def _is_whole(self) -> bool:
        num = len(self._window)
        return num == WINDOW or (num >= FEWEST and sum(self._window) > WINDOW_SECONDS)

    def _compare(self, now: float) -> None:
        """Goes on with a comparison. A window that is lost before its end is cut short."""
        assert self._comparing is not None
        times = self._comparing
        other_mean = _mean(times[1 if self.threads == self.most else self.most])
        is_lost = bool(other_mean) and sum(self._window) > 2 * WINDOW * other_mean
        if not is_lost and not self._is_whole():
            return
        times[self.threads] += self._window
        self._num_windows += 1
        self._window = []
        if not is_lost and self._num_windows < 2 * ROUNDS:
            self.threads = 1 if self.threads == self.most else self.most
            return
        self._comparing = None
        means = {threads: _mean(each) for threads, each in times.items()}
        self.time_of_one = means[1]
        other = 1 if self.favourite == self.most else self.most
        lost = len(times[other]) * (means[other] - means[self.favourite])
        wins = means[other] < GAIN * means[self.favourite]
        self._prefer(other if wins else self.favourite, now, lost)

    def _prefer(self, threads: int, now: float, lost: float = 0.0) -> None:
        """Uses `threads` until the next comparison, before which `lost` seconds have to be made up for."""
        self.favourite = self.threads = threads
        self.next_comparison = now + max(self.pause, lost / SHARE_OF_TRYING)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)


def _mean(times: list[float]) -> float:
    return sum(times) / len(times) if times else 0.0


class AdaptiveThreads:
    """Torch's number of threads, chosen by the times of the updates that are made."""

    def __init__(self, most: int):
        self.choice = ThreadChoice(most)
        self.num_lines = 0

    def watched(self, update: Update) -> Update:
        """`update`, timed."""

        def timed(batch: Any) -> Metrics:
            start = time.perf_counter()
            metrics = update(batch)
            now = time.perf_counter()
            self._take(now - start, now)
            return metrics

        return timed

    def _take(self, seconds: float, now: float) -> None:
        choice = self.choice
        threads, favourite = choice.threads, choice.favourite
        choice.update(seconds, now)
        if choice.threads != threads:
            torch.set_num_threads(choice.threads)
        if choice.favourite != favourite and self.num_lines < MOST_LINES:
            self.num_lines += 1
            again = f"{choice.favourite} threads update faster again"
            log.warning("rlcont: %s", again if choice.favourite > 1 else "1 thread updates faster at the moment")
