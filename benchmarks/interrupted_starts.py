"""Ctrl-C at many moments of a start: how each process ends, and what it leaves.

    python benchmarks/interrupted_starts.py [--moments 200] [--at-once 1]

The moments are spread evenly from the start of the process to its first step. Each is to end in one line and exit code
130, and to leave nothing or a run that can be resumed. Python itself answers before it has come to rlcont's first line.
"""

from __future__ import annotations

import argparse
import collections
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RLCONT = str(Path(sys.executable).with_name("rlcont"))
COMMAND = (RLCONT, "env=Pendulum-v1", "total_steps=1000000", "algo.warmup_steps=300", "compile=false", "log.every=1")
PATIENCE = 120.0
"""Seconds after which an interrupted process counts as one that goes on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ends = outcomes(Path(scratch), arguments.moments, arguments.at_once)
        for outcome, count in collections.Counter(ends).most_common():
            print(f"{count:4d} {outcome}")


def outcomes(folder: Path, moments: int, at_once: int = 1) -> Iterator[str]:
    """How a start ends that is interrupted at each of so many moments; `one line` is as it should be."""
    # A background job of a shell ignores it, and so does what that starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    whole = _seconds_of_a_start(folder / "whole")
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda moment: _end(folder / str(moment), (moment + 0.5) / moments * whole), range(moments))


def _end(place: Path, seconds: float) -> str:
    """How a start in the folder `place` ends that is interrupted after so many seconds."""
    place.mkdir()
    with _started(place) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
    return _outcome(place, process.returncode, errors)


def _started(place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _seconds_of_a_start(place: Path) -> float:
    place.mkdir()
    start = time.perf_counter()
    with _started(place) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("step 1/"):
            assert process.poll() is None
        process.kill()
    return time.perf_counter() - start


def _outcome(place: Path, code: int, errors: str) -> str:
    lines = errors.splitlines()
    if code != 130 or len(lines) != 1 or not lines[0].startswith("rlcont: interrupted"):
        return f"exit code {code}: {' | '.join(lines[-2:])[:160] or 'nothing said'}"
    for run in place.glob("outputs/*/*/*"):
        if not list(run.glob("checkpoints/step-*/manifest.json")):
            return "a run without a checkpoint is left"
    return "one line"


if __name__ == "__main__":
    main()
