"""Ctrl-C at many moments of a start: how each process ends, and what it leaves.

    python benchmarks/interrupted_starts.py [--moments 200]

The moments are spread evenly from the console script's first line to a second after the first step is due. Each is to
end in one line and exit code 130, and to leave nothing or a run that can be resumed.
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
from pathlib import Path

RLCONT = str(Path(sys.executable).with_name("rlcont"))
COMMAND = (RLCONT, "env=Pendulum-v1", "total_steps=1000000", "algo.warmup_steps=300", "compile=false", "log.every=1")
PATIENCE = 120.0
"""Seconds after which an interrupted process counts as one that goes on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for outcome, count in collections.Counter(outcomes(Path(scratch), arguments.moments)).most_common():
            print(f"{count:4d} {outcome}")


def outcomes(folder: Path, moments: int) -> Iterator[str]:
    """How a start ends that is interrupted at each of so many moments; `one line` is as it should be."""
    # A background job of a shell ignores it, and so does what that starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    whole = _seconds_of_a_start(folder / "whole")
    for moment in range(moments):
        place = folder / str(moment)
        place.mkdir()
        with _started(place) as process:
            time.sleep((moment + 0.5) / moments * whole)
            process.send_signal(signal.SIGINT)
            try:
                _, errors = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                _, errors = process.communicate()
        yield _outcome(place, process.returncode, errors)


def _started(place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(COMMAND, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
