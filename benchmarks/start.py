"""How long a user waits: for help, for a mistake, for the list of a thousand runs, for the first training step.

    python benchmarks/start.py [--rlcont RLCONT] [--rounds 7]

Medians and quartiles in seconds, of whole processes. RLCONT is another installation's console script to compare with.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TRAINING = ("env=Pendulum-v1", "algo.warmup_steps=300", "total_steps=2000", "eval.every=2000", "log.every=1")
RUNS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rlcont", default=str(Path(sys.executable).with_name("rlcont")))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_runs(arguments.rlcont, folder)
        commands: dict[str, Callable[[], None]] = {
            "rlcont --help": lambda: whole([arguments.rlcont, "--help"], folder),
            "rlcont algo.lrr=1 (a mistyped key)": lambda: whole([arguments.rlcont, "algo.lrr=1"], folder),
            f"rlcont runs, {RUNS} runs": lambda: whole([arguments.rlcont, "runs"], folder),
            "rlcont env=Pendulum-v1, to the first training step": lambda: first_step(arguments.rlcont, folder),
        }
        for name, command in commands.items():
            command()  # Not timed: it fills the caches of files.
            low, median, high = statistics.quantiles([timed(command) for _ in range(arguments.rounds)], n=4)
            print(f"{name}: {median:.2f} ({low:.2f} to {high:.2f})", flush=True)


def make_runs(rlcont: str, folder: Path, number: int = RUNS) -> None:
    """One real run, and its description and evaluations copied until there are `number`."""
    subprocess.run([rlcont, *TRAINING[:2], "total_steps=600"], cwd=folder, check=True, capture_output=True)
    (run,) = folder.glob("outputs/*/*/*")
    for copied in range(number - 1):
        copy = run.with_name(f"run-{copied}")
        copy.mkdir()
        for name in ("config.yaml", "run.json", "status.json", "evaluations.csv"):
            shutil.copy(run / name, copy / name)


def whole(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=False, capture_output=True)


def first_step(rlcont: str, folder: Path) -> None:
    command = [rlcont, *TRAINING, f"output={folder / 'first'}"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("step 1/"):
            assert process.poll() is None
        process.kill()


def timed(command: Callable[[], None]) -> float:
    start = time.perf_counter()
    command()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
