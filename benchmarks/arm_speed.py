"""Steps per second of each arm of benchmarks/ablations.yaml, in turns, for docs/results/ablations/speed.csv.

    python benchmarks/arm_speed.py [ROUNDS]

The arms run in one thread and compiled, as in long runs, by the installation of rlcont that has this Python. An arm
whose keys this installation does not have is left out and named: only commits before averages of the actor have those
of every arm, so `algo.average_rate=null` is left away. The machine should be idle.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import rlcont_command

SPEEDS = Path(__file__).parent.parent / "docs/results/ablations/speed.csv"
ENV_ID = "HalfCheetah-v4"
WARMUP, FIRST, LAST = 1000, 1500, 3000


def main(rounds: str = "3") -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    entries = yaml.safe_load(Path(__file__).with_name("ablations.yaml").read_text())
    arms = {entry["arm"]: entry for entry in entries if entry["env"] == ENV_ID}
    rows = []
    for number in range(1, int(rounds) + 1):
        for arm, entry in arms.items():
            try:
                speed = steps_per_second(entry)
            except SystemExit:
                print(f"{arm}: cannot be run by this installation", flush=True)
                continue
            rows.append({"arm": arm, "round": number, "steps_per_second": f"{speed:.1f}"})
            print(f"{arm}: {speed:.0f} steps/s", flush=True)
            write(rows)


def steps_per_second(entry: dict[str, Any]) -> float:
    """That of an arm once it learns."""
    settings = {
        "algo": entry["algo"],
        "env": ENV_ID,
        "compile": "true",
        "threads": 1,
        "algo.warmup_steps": WARMUP,
        "total_steps": LAST,
        "eval.every": LAST,
        "eval.episodes": 1,
        "log.every": 500,
    } | dict(setting.split("=", 1) for setting in entry["settings"] if setting != "algo.average_rate=null")
    return (LAST - FIRST) / rlcont_command.measure(settings, FIRST, LAST).seconds


def write(rows: list[dict[str, Any]]) -> None:
    SPEEDS.parent.mkdir(parents=True, exist_ok=True)
    with SPEEDS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
