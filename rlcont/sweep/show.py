"""Progress of a sweep: a live table on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rlcont.core.spelling import counted
from rlcont.runs.console import format_return, format_returns, on_terminal, print_table, span
from rlcont.runs.status import Status
from rlcont.sweep.process import Job

LINE_INTERVAL = 60.0  # Least seconds between two plain lines about one job.
FIGURES_WIDTH = 59  # Characters of the live table beside the job's name.
STYLES = {"finished": "green", "failed": "red", "killed": "red", "interrupted": "yellow", "pruned": "yellow"}


class LineShow:
    """A line when a job starts and ends, and at most one a minute in between."""

    def __init__(self, num_jobs: int):
        self.num_jobs = num_jobs
        self._told: dict[int, tuple[float, int | None]] = {}

    def started(self, job: Job) -> None:
        self._told[job.number] = (time.monotonic(), 0)
        self._print(self._about(job, "started"))

    def refresh(self, running: Sequence[Job], num_waiting: int) -> None:
        """Called about twice a second."""
        for job in running:
            when, step = self._told[job.number]
            if job.status.evaluation_step not in (None, step) and time.monotonic() - when > LINE_INTERVAL:
                self._told[job.number] = (time.monotonic(), job.status.evaluation_step)
                text = f"step {progress(job.status)}, evaluation {evaluation(job.status)}"
                self._print(self._about(job, text))

    def ended(self, job: Job) -> None:
        self._print(self._about(job, ending(job)), STYLES[job.status.state])

    def stopping(self, num_running: int) -> None:
        """Called at the first Ctrl-C or SIGTERM."""
        self._print(f"ending {counted(num_running, 'running job')}; press Ctrl-C again to kill them")

    def close(self) -> None:
        """Leaves the terminal as it was."""

    def _print(self, text: str, style: str = "") -> None:
        print(text, flush=True)

    def _about(self, job: Job, text: str) -> str:
        return f"[{job.number}/{self.num_jobs}] {job.folder.name}: {text}"


class TableShow(LineShow):
    """A row per running job and counts of the others; above the table, a line for each job that has ended."""

    def __init__(self, console: Console, num_jobs: int):
        super().__init__(num_jobs)
        self.console = console
        self.ends: Counter[str] = Counter()
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self.live.start()

    def started(self, job: Job) -> None:
        pass

    def refresh(self, running: Sequence[Job], num_waiting: int) -> None:
        self.live.update(self.table(running, num_waiting), refresh=True)

    def ended(self, job: Job) -> None:
        self.ends[job.status.state] += 1
        super().ended(job)

    def close(self) -> None:
        self.live.stop()

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style), no_wrap=True, overflow="ellipsis")

    def table(self, running: Sequence[Job], num_waiting: int) -> Group:
        """As many running jobs as fit on the terminal, and counts of all states."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("job", no_wrap=True)
        for title in ("step", "return", "evaluation", "steps/s", "ETA"):
            table.add_column(title, justify="right", no_wrap=True)
        rows = running[: max(self.console.height - 4, 1)]
        for job in rows:
            table.add_row(Text(_shortened(job.folder.name, self.console.width - FIGURES_WIDTH)), *_figures(job.status))
        hidden = f" ({len(running) - len(rows)} of them not shown)" if len(rows) < len(running) else ""
        counts = {f"running{hidden}": len(running), "waiting": num_waiting, **self.ends}
        words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        return Group(table, Text(words, style="bold", no_wrap=True, overflow="ellipsis"))


def make_show(headline: str, num_jobs: int) -> LineShow:
    """Prints the headline; returns a live table if standard output is a terminal, else plain lines."""
    print(headline, flush=True)
    return TableShow(Console(highlight=False), num_jobs) if on_terminal() else LineShow(num_jobs)


def print_summary(jobs: Sequence[Job]) -> None:
    """Prints each job's final state and folder, then the errors of failed jobs."""
    rows = [[str(job.number), state(job), evaluation(job.status), str(job.folder)] for job in jobs]
    print_table(["job", "status", "last return", "folder"], rows)
    for job in jobs:
        if job.status.state == "failed":
            print(f"job {job.number}: {job.status.error}; see {job.folder / 'output.log'}", flush=True)


def state(job: Job) -> str:
    """A job's state, with the signal or the exit code of its process."""
    if job.status.state == "killed":
        return f"killed ({job.status.error})"
    if job.status.state == "failed" and job.exit_code is not None:
        return f"failed (exit code {job.exit_code})"
    return job.status.state


def ending(job: Job) -> str:
    """The final state of a job in one line."""
    if job.status.state == "failed":
        return f"{state(job)}: {job.status.error}"
    return f"{state(job)}, last return {evaluation(job.status)}"


def evaluation(status: Status) -> str:
    """Mean and deviation of the last evaluation."""
    return "-" if status.return_mean is None else format_returns(vars(status))


def progress(status: Status) -> str:
    return f"{status.step}/{status.total_steps}"


def _figures(status: Status) -> list[str]:
    if status.state == "waiting":
        return ["starting", "-", "-", "-", "-"]
    returns = [format_return(status.train_return), format_return(status.return_mean)]
    speed = f"{status.steps_per_second:.0f}" if status.steps_per_second else "-"
    return [progress(status), *returns, speed, span(status.seconds_left)]


def _shortened(name: str, width: int) -> str:
    """`name`, shortened in the middle if it is too long; the end is kept because it holds the seed."""
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[len(name) - end :]}"
