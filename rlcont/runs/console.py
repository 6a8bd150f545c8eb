"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

import datetime
import os
import shutil
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


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


class LineReporter:
    """One plain line per log interval and per evaluation."""

    def __init__(self, total_steps: int):
        self.total_steps = total_steps

    def progress(self, step: int, train_return: float | None, steps_per_second: float, learns: bool = True) -> None:
        """Shows step, return and speed of training; no ETA before learning has begun, which is far slower."""
        print(
            f"step {step}/{self.total_steps}  return {format_return(train_return)}  {steps_per_second:.0f} steps/s  "
            f"ETA {self.eta(step, steps_per_second, learns)}",
            flush=True,
        )

    def evaluating(self, text: str) -> None:
        """Shows how far a long evaluation is."""
        print(f"evaluating: {text}", flush=True)

    def eta(self, step: int, steps_per_second: float, learns: bool) -> str:
        """Remaining time, or that the run is warming up."""
        return eta(self.total_steps - step, steps_per_second) if learns else "after warm-up"

    def evaluated(self, step: int, mean: float, std: float) -> None:
        """Shows an evaluation."""
        evaluation = f"{format_return(mean)} ± {format_return(std)}"
        print(f"step {step}/{self.total_steps}  evaluation {evaluation}", flush=True)

    def close(self) -> None:
        """Leaves the terminal as it was."""


class BarReporter(LineReporter):
    """A live bar with step, training return, last evaluation, steps/s and ETA."""

    def __init__(self, console: Console, total_steps: int):
        super().__init__(total_steps)
        self.train_return = "-"
        self.bar = Progress(
            TextColumn("{task.completed:,}/{task.total:,}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("return {task.fields[train_return]}"),
            TextColumn("[bold]eval {task.fields[evaluation]}[/bold]"),
            TextColumn("{task.fields[speed]} steps/s"),
            TimeElapsedColumn(),
            TextColumn("ETA {task.fields[eta]}"),
            console=console,
        )
        self.task = self.bar.add_task("", total=total_steps, train_return="-", evaluation="-", speed="-", eta="-")
        self.bar.start()

    def progress(self, step: int, train_return: float | None, steps_per_second: float, learns: bool = True) -> None:
        if train_return is not None:
            self.train_return = format_return(train_return)
        self.bar.update(
            self.task,
            completed=step,
            train_return=self.train_return,
            speed=f"{steps_per_second:.0f}",
            eta=self.eta(step, steps_per_second, learns),
        )

    def evaluating(self, text: str) -> None:
        self.bar.update(self.task, evaluation=text)

    def evaluated(self, step: int, mean: float, std: float) -> None:
        self.bar.update(self.task, completed=step, evaluation=f"{format_return(mean)} ± {format_return(std)}")

    def close(self) -> None:
        self.bar.stop()


def make_reporter(total_steps: int) -> LineReporter:
    """A bar if standard output is a terminal, else plain lines."""
    return BarReporter(Console(), total_steps) if on_terminal() else LineReporter(total_steps)


def format_return(value: float | None) -> str:
    """A return with one decimal, or two digits where that would be zero; - where there is none yet."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value == 0 or 0.1 <= abs(value) < 1e7 else f"{value:.2g}"


def format_returns(row: Mapping[str, float]) -> str:
    """Mean and deviation of an evaluation."""
    return f"{format_return(row['return_mean'])} ± {format_return(row['return_std'])}"


def eta(steps_left: int, steps_per_second: float) -> str:
    """Remaining time as h:mm:ss."""
    if steps_per_second <= 0:
        return "-"
    return str(datetime.timedelta(seconds=round(steps_left / steps_per_second)))
