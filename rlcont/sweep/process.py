"""The process of a sweep's job: start, end and final state."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rlcont.core.errors import one_line
from rlcont.runs.status import LIVE, read_status, write_status
from rlcont.sweep.plan import Job


def start(job: Job, environment: dict[str, str]) -> None:
    """Starts a job's process.

    The process leads its own session, so that Ctrl-C in a terminal reaches it once, through the sweep. Its standard
    input is a pipe without a writer, which closes when the sweep's process ends. It imports modules from the working
    directory only if this process does.
    """
    safe_path = [] if os.getcwd() in sys.path else ["-P"]
    with (job.folder / "output.log").open("wb") as output:
        job.process = subprocess.Popen(
            [sys.executable, *safe_path, "-m", "rlcont.sweep.job", str(job.folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def settle(job: Job, stopped: bool) -> None:
    """Sets the job's final state from status.json, else from the exit code."""
    process = process_of(job)
    assert process.stdin is not None
    process.stdin.close()
    code = process.returncode
    job.status = read_status(job.folder) or job.status
    if job.status.state not in (*LIVE, "killed"):
        return
    if stopped or code in (129, 130, 143):
        conclude(job, "interrupted", None)
    elif code < 0:
        names = {known.value: known.name for known in signal.Signals}
        conclude(job, "killed", names.get(-code, f"signal {-code}"))
    else:
        conclude(job, "failed", _last_line(job.folder / "output.log"))


def conclude(job: Job, state: str, error: str | None) -> None:
    """Sets and writes the final state of a job."""
    job.status = dataclasses.replace(job.status, state=state, error=error)
    # If a user deletes the folder of one job, the other jobs go on; the table still shows this state.
    with suppress(OSError):
        write_status(job.folder, job.status)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError as error:
        return one_line(error)
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


def process_of(job: Job) -> subprocess.Popen[bytes]:
    """The process of a started job."""
    assert job.process is not None
    return job.process


def kill(jobs: Sequence[Job]) -> None:
    """Kills the processes of `jobs`, with all that they started."""
    for job in jobs:
        process = process_of(job)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
