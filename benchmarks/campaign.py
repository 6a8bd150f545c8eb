"""Makes the runs behind the table of docs/results, and goes on with them where it was interrupted.

    python benchmarks/campaign.py OUTPUT [ENTRIES.yaml]

Each entry of the YAML file (benchmarks/campaign.yaml) is a sweep over seeds: algorithm, task, seeds, steps, further
settings, and the commit of rlcont that trains. The commit is installed into a virtual environment of its own under
OUTPUT. Runs have the lowest priority and one thread; two go at once. The evaluations of a run that has finished are
copied to docs/results/runs/ALGO/ENV/seed-N.csv, with its command, versions and machine in seed-N.json; those of an
entry with an arm, one setting that is tried, to docs/results/ablations/ARM/ENV. A later entry with more steps extends
the runs of an earlier one. Ctrl-C, SIGTERM or SIGHUP interrupts, with checkpoints; the same command goes on.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/runs"
SECONDS_BETWEEN_LOOKS = 5
JOBS = 2
INTERRUPTED = threading.Event()


def main(output: str, entries: str = str(ROOT / "benchmarks/campaign.yaml")) -> None:
    os.nice(19 - os.nice(0))
    hear_interrupts()
    for entry in yaml.safe_load(Path(entries).read_text()):
        if not missing_seeds(entry):
            continue
        rlcont = str(program(Path(output), entry["commit"]))
        with ThreadPoolExecutor(JOBS) as pool:
            shorter = [[rlcont, *words] for words in extensions(entry, Path(output))]
            list(pool.map(train, shorter, repeat(entry), repeat(Path(output))))
        if missing_seeds(entry):
            train([rlcont, *words(entry, Path(output))], entry, Path(output))
        if INTERRUPTED.is_set():
            sys.exit(130)


def hear_interrupts() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # As SIGHUP is under nohup.
            signal.signal(number, lambda *_: INTERRUPTED.set())


def missing_seeds(entry: dict[str, Any]) -> list[int]:
    """The seeds of an entry whose evaluations are not there yet."""
    first, last = entry["seeds"]
    return [seed for seed in range(first, last + 1) if last_step(kept(entry) / f"seed-{seed}.csv") < entry["steps"]]


def kept(entry: dict[str, Any]) -> Path:
    """Where the evaluations of an entry's runs are kept."""
    return (RESULTS.parent / "ablations" / entry["arm"] if "arm" in entry else RESULTS / entry["algo"]) / entry["env"]


def last_step(evaluations: Path) -> int:
    """Step of the last evaluation in a CSV file, -1 where there is no file."""
    if not evaluations.exists():
        return -1
    with evaluations.open() as file:
        return max(int(row["step"]) for row in csv.DictReader(file))


def extensions(entry: dict[str, Any], output: Path) -> list[list[str]]:
    """What goes on with the runs of earlier entries that had fewer steps."""
    found = []
    for run in sorted(folder(entry, output).parent.glob(f"{entry['commit']}-*/sweeps/*/*/config.yaml")):
        seed, steps = yaml.safe_load(run.read_text())["seed"], int(run.parts[-5].rpartition("-")[2])
        if seed in missing_seeds(entry) and steps < entry["steps"]:
            found.append(["resume", str(run.parent), f"total_steps={entry['steps']}"])
    return found


def folder(entry: dict[str, Any], output: Path) -> Path:
    """Where the sweep of an entry is made."""
    # A path with an equals sign would be read as KEY=VALUE, and one with a comma as several.
    name = re.sub("[=,]", "-", entry.get("arm", entry["algo"]))
    return output / name / entry["env"] / f"{entry['commit']}-{entry['steps']}"


def program(output: Path, commit: str) -> Path:
    """rlcont as of `commit`, in an environment of its own."""
    venv = output / "venvs" / commit
    rlcont = venv / "bin" / "rlcont"
    if not rlcont.exists():
        source = output / "sources" / commit
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", str(source)], check=True, input=archive)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin" / "pip"), "install", "-q", "-c", "constraints.txt", "."]
        subprocess.run(pip, cwd=source, check=True)
    return rlcont.absolute()


def words(entry: dict[str, Any], output: Path) -> list[str]:
    """What begins an entry's sweep, or goes on with it."""
    begun = sorted(folder(entry, output).glob("sweeps/*/sweep.json"))
    if begun:
        return ["resume", str(begun[-1].parent)]
    seeds = ",".join(map(str, missing_seeds(entry)))
    chosen = [f"algo={entry['algo']}", f"env={entry['env']}", f"seed={seeds}"]
    return [
        "-m",
        *chosen,
        f"total_steps={entry['steps']}",
        *entry.get("settings", []),
        f"output={folder(entry, output)}",
        f"sweep.jobs={JOBS}",
    ]


def train(command: list[str], entry: dict[str, Any], output: Path) -> None:
    """Runs a command that trains to its end, or to its checkpoints after an interrupt; keeps what finishes on the way.

    The command has a session of its own, so that an interrupt reaches it once: the second one would end its runs
    without checkpoints.
    """
    if INTERRUPTED.is_set():
        return
    training = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True)
    is_told = False
    while training.poll() is None:
        if INTERRUPTED.is_set() and not is_told:
            training.terminate()
            is_told = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            training.wait(SECONDS_BETWEEN_LOOKS)
        keep_finished(entry, output)
    keep_finished(entry, output)


def keep_finished(entry: dict[str, Any], output: Path) -> None:
    """Copies evaluations and origin of every finished run to docs/results/runs."""
    for status in sorted(folder(entry, output).parent.glob(f"{entry['commit']}-*/sweeps/*/*/status.json")):
        run = status.parent
        if json.loads(status.read_text())["state"] != "finished":
            continue
        target = kept(entry) / f"seed-{yaml.safe_load((run / 'config.yaml').read_text())['seed']}.csv"
        if last_step(target) < last_step(run / "evaluations.csv"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(run / "evaluations.csv", target)
            target.with_suffix(".json").write_text(json.dumps(origin(run, entry), indent=1) + "\n")


def origin(run: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Command, commit, versions and machine of a run."""
    known = json.loads((run / "run.json").read_text())
    typed = [
        f"algo={entry['algo']}",
        f"env={entry['env']}",
        f"total_steps={entry['steps']}",
        *entry.get("settings", []),
    ]
    seed = yaml.safe_load((run / "config.yaml").read_text())["seed"]
    return {
        "command": " ".join(["OMP_NUM_THREADS=1 rlcont", *typed, f"seed={seed}"]),
        "commit": entry["commit"],
        "started": known["started"],
        "python": known["python"],
        "packages": known["packages"],
        "machine": machine(),
    }


def machine() -> str:
    """The processor's name and the number of cores."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main(*sys.argv[1:])
