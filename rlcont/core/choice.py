"""One or several, threads or processes: which of them is faster at the moment."""

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
"""The other number is taken if it needs at most this share of the time."""
MOST_LINES = 3
"""Most changes that are logged; a machine whose load comes and goes would fill the terminal."""


class Choice:
    """Decides between one and `most`, threads or processes, from the times of what they do; it asks no clock.

    Now and then both are compared, in short windows in turns. Between two comparisons, as soon as `most` take clearly
    longer than one took, one goes on.

    Args:
        first: the number to begin with; None: `most`.
        window: updates that are timed together, or fewer that take WINDOW_SECONDS.
        rounds: windows of each number in one comparison.
        pause: seconds before the second comparison.

    Attributes:
        number: for the next update.
        favourite: the number that is used between two comparisons.
    """

    def __init__(
        self,
        most: int,
        first: int | None = None,
        *,
        window: int = WINDOW,
        rounds: int = ROUNDS,
        pause: float = SHORTEST_PAUSE,
    ):
        self.most = most
        self.favourite = self.number = first or most
        self.window, self.rounds, self.pause = window, rounds, pause
        self.next_comparison = 0.0
        self.num_updates = 0
        self.time_of_one = float("inf")
        """Seconds of an update by one thread or process in the last comparison."""
        self._comparing: dict[int, list[float]] | None = None
        self._num_windows = 0
        self._num_changes = 0
        self._window: list[float] = []

    def update(self, seconds: float, now: float) -> bool:
        """Takes the time of an update made with `number`, which ended at `now`.

        Returns:
            Whether there is another favourite, and it is worth a line.
        """
        favourite = self.favourite
        self._take(seconds, now)
        self._num_changes += self.favourite != favourite
        return self.favourite != favourite and self._num_changes <= MOST_LINES

    def _take(self, seconds: float, now: float) -> None:
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
                self.number = 1  # First, so that a window with more can be cut short.

    def _is_whole(self) -> bool:
        num = len(self._window)
        return num == self.window or (num >= FEWEST and sum(self._window) > WINDOW_SECONDS)

    def _compare(self, now: float) -> None:
        """Goes on with a comparison. A window that is lost before its end is cut short."""
        assert self._comparing is not None
        times = self._comparing
        other_mean = _mean(times[1 if self.number == self.most else self.most])
        is_lost = bool(other_mean) and sum(self._window) > 2 * self.window * other_mean
        if not is_lost and not self._is_whole():
            return
        times[self.number] += self._window
        self._num_windows += 1
        self._window = []
        if not is_lost and self._num_windows < 2 * self.rounds:
            self.number = 1 if self.number == self.most else self.most
            return
        self._comparing = None
        means = {number: _mean(each) for number, each in times.items()}
        self.time_of_one = means[1]
        other = 1 if self.favourite == self.most else self.most
        lost = len(times[other]) * (means[other] - means[self.favourite])
        wins = means[other] < GAIN * means[self.favourite]
        self._prefer(other if wins else self.favourite, now, lost)

    def _prefer(self, number: int, now: float, lost: float = 0.0) -> None:
        """Uses `number` until the next comparison, before which `lost` seconds have to be made up for."""
        self.favourite = self.number = number
        self.next_comparison = now + max(self.pause, lost / SHARE_OF_TRYING)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)


def _mean(times: list[float]) -> float:
    return sum(times) / len(times) if times else 0.0
