"""Progress of a run: a live line on a terminal, plain lines elsewhere."""

import datetime
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.live import Live
from rich.text import Text

WINDOW = 300.0
"""Seconds that the remaining time goes by, or the time between two log lines where that is longer."""
SHORTEST_BAR = 10
"""Characters of the shortest bar that is drawn."""


def on_terminal() -> bool:
    """Whether standard output is a terminal that can redraw itself."""
    return not getattr(sys.stdout, "closed", True) and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def print_table(columns: list[str], rows: list[list[str]], last_may_wrap: bool = False) -> None:
    """Prints aligned columns. Cells are never cut or wrapped, so that folders can be copied.

    With `last_may_wrap`, the last column is below the others on a terminal that is too narrow.
    """
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    if last_may_wrap and on_terminal() and sum(widths) + 2 * len(widths) > shutil.get_terminal_size().columns:
        rows = [[*cells[:-2], f"{cells[-2]}\n    {cells[-1]}"] for cells in rows]
        columns, widths = columns[:-1], [*widths[:-2], 0]
    header, *lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    )
    print(f"\x1b[1m{header}\x1b[0m" if on_terminal() else header, *lines, sep="\n", flush=True)


class RemainingTime:
    """The time that a run will still take, by its speed since learning began: warm-up is many times as fast.

    Evaluations count, since they take their share of the remaining time too.
    """

    def __init__(self, total_steps: int):
        self.total_steps = total_steps
        self.speed: float | None = None
        """Steps a second, evaluations included; None before it is known."""
        self.seconds: float | None = None
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, step: int, learns: bool) -> str:
        """Notes how far the run is; returns the remaining time as text."""
        if not learns:
            return "not yet known"
        self._marks.append((time.monotonic(), step))
        while len(self._marks) > 2 and self._marks[-1][0] - self._marks[1][0] > WINDOW:
            self._marks.popleft()
        (start, first), (now, last) = self._marks[0], self._marks[-1]
        if last > first:
            self.speed = (last - first) / (now - start)
            self.seconds = max(self.total_steps - last, 0) / self.speed  # Actors may play on past the end.
        return span(self.seconds)


class LineReporter:
    """One plain line per log interval and per evaluation."""

    def __init__(self, total_steps: int):
        self.total_steps = total_steps
        self.remaining = RemainingTime(total_steps)

    def progress(self, step: int, learns: bool, train_return: float | None, steps_per_second: float) -> None:
        print(
            f"step {step}/{self.total_steps}  return {format_return(train_return)}  {steps_per_second:.0f} steps/s  "
            f"ETA {self.remaining.mark(step, learns)}",
            flush=True,
        )

    def evaluating(self, text: str) -> None:
        print(f"evaluating: {text}", flush=True)

    def evaluated(self, step: int, row: Mapping[str, float]) -> None:
        print(f"step {step}/{self.total_steps}  evaluation {format_returns(row)}", flush=True)

    def close(self) -> None:
        """Leaves the terminal as it was."""


class BarReporter(LineReporter):
    """A live line with step, return, last evaluation, speed and remaining time, and a bar where there is room.

    Args:
        now: gives the step at the moment and whether the agent learns already; a thread asks it once a second.
    """

    def __init__(self, console: Console, total_steps: int, now: Callable[[], tuple[int, bool]]):
        super().__init__(total_steps)
        self.console = console
        self.now = now
        self.start = time.monotonic()
        self.train_return = self.evaluation = self.deviation = ""
        self.speed = 0.0
        self.live = Live(get_renderable=self.line, console=console, refresh_per_second=1)
        self.live.start(refresh=True)

    def progress(self, step: int, learns: bool, train_return: float | None, steps_per_second: float) -> None:
        self.speed = steps_per_second
        if train_return is not None:
            self.train_return = f"return {format_return(train_return)}"

    def evaluating(self, text: str) -> None:
        self.evaluation, self.deviation = f"evaluating: {text}", ""

    def evaluated(self, step: int, row: Mapping[str, float]) -> None:
        whole = format_returns(row)
        self.evaluation, self.deviation = f"eval {whole.partition(' ')[0]}", f"eval {whole}"

    def line(self) -> Text:
        """The line as it is now. What matters less is left out on a narrow terminal, and the bar comes last."""
        step, learns = self.now()
        # Room for the ^C that a terminal writes behind the line.
        done, width = step / self.total_steps, self.console.width - 3
        left = self.remaining.mark(step, learns)
        speed = self.remaining.speed or self.speed
        parts = {
            "steps": f"{step:,}/{self.total_steps:,}",
            "percent": f"{done:.0%}",
            "return": self.train_return,
            "evaluation": self.deviation or self.evaluation,
            "speed": f"{speed:.0f} steps/s" if speed else "",
            "elapsed": span(time.monotonic() - self.start),
            "ETA": f"ETA {left}",
        }
        shorter = {"elapsed": "", "percent": "", "evaluation": self.evaluation, "speed": "", "return": ""}
        for name in (None, *shorter):
            parts |= {name: shorter[name]} if name else {}
            text = "  ".join(filter(None, parts.values()))
            if len(text) <= width:
                break
        cells = width - len(text) - 2
        bar = f"{'━' * round(cells * min(done, 1)):─<{cells}}  " if cells >= SHORTEST_BAR and not name else ""
        return Text(bar + text, no_wrap=True, overflow="ellipsis")

    def close(self) -> None:
        self.live.stop()


def make_reporter(total_steps: int, now: Callable[[], tuple[int, bool]]) -> LineReporter:
    """A live line if standard output is a terminal, else plain lines."""
    return BarReporter(Console(), total_steps, now) if on_terminal() else LineReporter(total_steps)


def format_return(value: float | None) -> str:
    """A return with one decimal, or two digits where that would be zero; - where there is none yet."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value == 0 or 0.1 <= abs(value) < 1e7 else f"{value:.2g}"


def format_returns(row: Mapping[str, float]) -> str:
    """Mean and deviation of an evaluation."""
    return f"{format_return(row['return_mean'])} ± {format_return(row['return_std'])}"


def span(seconds: float | None) -> str:
    """A time as h:mm:ss."""
    return "-" if seconds is None else str(datetime.timedelta(seconds=round(seconds)))
