"""How much sooner a sweep is done when its jobs run side by side than one after the other.

Prints a Markdown block for docs/benchmarks.md. The two ways take turns, so that a machine that slows down or speeds up
meanwhile does not favour one.

    python benchmarks/sweep_throughput.py
    python benchmarks/sweep_throughput.py --rounds 5 env=Hopper-v4 total_steps=8000

Further key=value arguments are the jobs' settings, behind those below.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speed import describe_machine

SETTINGS = [
    "algo=ddpg",
    "env=HalfCheetah-v4",
    "tuned=none",
    "total_steps=4000",
    "algo.warmup_steps=500",
    "eval.every=4000",
    "eval.episodes=1",
]
WAYS = {"one after the other, in one process": "hydra/launcher=basic", "side by side": "sweep.jobs=auto"}
SCRIPT = Path(sys.executable).parent / "rlcont"


def seconds(command: list[str], output: str) -> float:
    """Wall-clock time of a sweep from the command to the prompt."""
    environment = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    start = time.perf_counter()
    subprocess.run([SCRIPT, *command, f"output={output}"], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=6, help="jobs of a sweep (default: 6)")
    parser.add_argument("--rounds", type=int, default=3, help="sweeps of each way (default: 3)")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of the jobs")
    arguments = parser.parse_args()
    sweep = ["-m", *SETTINGS, *arguments.settings, f"seed=range({arguments.jobs})"]
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as output:
        for _ in range(arguments.rounds):
            for way, choice in WAYS.items():
                times[way].append(seconds([*sweep, choice], output))
                print(f"{way}: {times[way][-1]:.1f} s", file=sys.stderr)

    medians = {way: statistics.median(values) for way, values in times.items()}
    slow, fast = medians.values()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "gymnasium", "mujoco"))
    print(f"    {shlex.join(['python', 'benchmarks/sweep_throughput.py', *sys.argv[1:]])}\n")
    print(f"A sweep of {arguments.jobs} jobs: `rlcont {shlex.join(sweep)}`.\n")
    print("| jobs | wall clock, median | each sweep |")
    print("|---|---|---|")
    for way, median in medians.items():
        print(f"| {way} | {median:.1f} s | {', '.join(f'{value:.1f}' for value in times[way])} s |")
    print(f"\nSide by side it takes {fast / slow:.2f} of the time ({slow / fast:.2f} times as fast).")
    print(f"{datetime.date.today()}, {describe_machine()}, {versions}.")


if __name__ == "__main__":
    main()
