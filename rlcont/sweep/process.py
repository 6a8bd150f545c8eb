"""A job of a sweep and its process: start, end and final state."""

import dataclasses
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from rlcont.core.errors import one_line
from rlcont.runs.status import LIVE, Status, read_status, write_status


@dataclasses.dataclass(eq=False)
class Job:
    """A job with a folder."""

    number: int
    folder: Path
    status: Status
    slot: int = 0
    process: subprocess.Popen[bytes] = dataclasses.field(init=False)
    exit_code: int | None = None
    """Of the process, once it has ended."""

    def start(self, environment: dict[str, str]) -> None:
        """Starts the process.

        The process leads its own session, so that Ctrl-C in a terminal reaches it once, through the sweep. Its standard
        input is a pipe without a writer, which closes when the sweep's process ends. It imports modules from the
        working directory only if this process does.
        """
        safe_path = [] if os.getcwd() in sys.path else ["-P"]
        with (self.folder / "output.log").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *safe_path, "-m", "rlcont.sweep.job", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kills the process, with all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def settle(self, stopped: bool) -> None:
        """Sets the final state of an ended process from status.json, else from the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.exit_code = self.process.returncode
        self.status = read_status(self.folder) or self.status
        if self.status.state not in (*LIVE, "killed"):
            return
        if stopped or code in (129, 130, 143):
            self.conclude("interrupted")
        elif code < 0:
            names = {known.value: known.name for known in signal.Signals}
            self.conclude("killed", names.get(-code, f"signal {-code}"))
        else:
            self.conclude("failed", _last_line(self.folder / "output.log"))

    def conclude(self, state: str, error: str | None = None) -> None:
        self.status = dataclasses.replace(self.status, state=state, error=error)
        # If a user deletes the folder of one job, the other jobs go on; the table still shows this state.
        with suppress(OSError):
            write_status(self.folder, self.status)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError as error:
        return one_line(error)
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
