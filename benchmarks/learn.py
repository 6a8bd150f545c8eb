"""Trains every algorithm briefly and compares what it reaches with what it reached before: `make learn`.

    python benchmarks/learn.py [--seeds N]

benchmarks/learn.yaml lists the runs, and the range that their last evaluations lay in, over several seeds, when it was
last measured. A run whose last evaluation lies below that range, less its width, has become worse: it is named, and
the exit code is 1. `--seeds N` measures the ranges anew with seeds 0 to N - 1 and writes them. Two runs go at once,
with one thread each; each says what it reached.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

ENTRIES = Path(__file__).with_suffix(".yaml")
HEAD = "# Runs of make learn, and the lowest and highest last evaluation when they were last measured (--seeds 3).\n"


def last_evaluation(words: str, seed: int) -> float:
    """The mean return of the last evaluation of a run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rlcont", *words.split(), f"seed={seed}", f"output={folder}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        (evaluations,) = Path(folder).glob("*/*/*/evaluations.csv")
        with evaluations.open() as file:
            found = float(list(csv.DictReader(file))[-1]["return_mean"])
    print(f"{words} seed={seed}: {found:.1f}", flush=True)
    return found


def has_become_worse(found: float, low: float, high: float) -> bool:
    """Whether a return lies further below a range than the range is wide."""
    return found < low - (high - low)


def compare(entries: list[dict[str, Any]], returns: list[list[float]]) -> list[str]:
    """A line for each entry."""
    lines = []
    for entry, (found,) in zip(entries, returns, strict=True):
        low, high = entry["range"]
        verdict = "WORSE" if has_become_worse(found, low, high) else "as before"
        lines.append(f"{verdict}: {entry['run']}: {found:.1f}, {low} to {high} before")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, help="measure the ranges anew with this many seeds")
    seeds = parser.parse_args().seeds
    entries = yaml.safe_load(ENTRIES.read_text())
    unknown = [entry["run"] for entry in entries if "range" not in entry]
    if unknown and not seeds:
        sys.exit(f"not measured yet, which --seeds 3 does: {'; '.join(unknown)}")
    jobs = [(entry["run"], seed) for entry in entries for seed in range(seeds or 1)]
    with ThreadPoolExecutor(2) as pool:
        flat = list(pool.map(lambda job: last_evaluation(*job), jobs))
    returns = [flat[first : first + (seeds or 1)] for first in range(0, len(flat), seeds or 1)]
    if seeds:
        for entry, found in zip(entries, returns, strict=True):
            entry["range"] = [round(min(found), 1), round(max(found), 1)]
        ENTRIES.write_text(HEAD + yaml.safe_dump(entries, sort_keys=False, width=120))
        return
    lines = compare(entries, returns)
    print("\n".join(lines))
    sys.exit(any(line.startswith("WORSE") for line in lines))


if __name__ == "__main__":
    main()
