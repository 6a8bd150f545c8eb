"""Makes the runs behind the table of docs/results, and goes on with them where it was interrupted.

    python benchmarks/campaign.py OUTPUT [ENTRIES.yaml]

Each entry of the YAML file (benchmarks/campaign.yaml) is a sweep over seeds: algorithm, task, seeds, steps, further
settings, and the commit of rlcont that trains. The commit is installed into a virtual environment of its own under
OUTPUT. Runs have the lowest priority and one thread; two go at once. The evaluations of a run that has finished are
copied to docs/results/runs/ALGO/ENV/seed-N.csv, with its command, versions and machine in seed-N.json. Ctrl-C or
SIGTERM interrupts; the same command goes on.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/runs"
SECONDS_BETWEEN_LOOKS = 30


def main(output: str, entries: str = str(ROOT / "benchmarks/campaign.yaml")) -> None:
    os.nice(19 - os.nice(0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    for entry in yaml.safe_load(Path(entries).read_text()):
        if not missing_seeds(entry):
            continue
        folder = Path(output, entry["algo"], entry["env"], entry["commit"])
        command = [str(program(Path(output), entry["commit"])), *words(entry, folder)]
        train(command, folder, entry)


def missing_seeds(entry: dict[str, Any]) -> list[int]:
    """The seeds of an entry whose evaluations are not there yet."""
    first, last = entry["seeds"]
    folder = RESULTS / entry["algo"] / entry["env"]
    return [seed for seed in range(first, last + 1) if not (folder / f"seed-{seed}.csv").exists()]


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


def words(entry: dict[str, Any], folder: Path) -> list[str]:
    """What begins an entry's sweep, or goes on with it."""
    begun = sorted(folder.glob("sweeps/*/sweep.json"))
    if begun:
        return ["resume", str(begun[-1].parent)]
    seeds = ",".join(map(str, missing_seeds(entry)))
    chosen = [f"algo={entry['algo']}", f"env={entry['env']}", f"seed={seeds}"]
    return [
        "-m",
        *chosen,
        f"total_steps={entry['steps']}",
        *entry.get("settings", []),
        f"output={folder}",
        "sweep.jobs=2",
    ]


def train(command: list[str], folder: Path, entry: dict[str, Any]) -> None:
    """Runs a sweep to its end and keeps what finishes on the way."""
    sweep = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        while sweep.poll() is None:
            try:
                sweep.wait(SECONDS_BETWEEN_LOOKS)
            except subprocess.TimeoutExpired:
                keep_finished(folder, entry)
        keep_finished(folder, entry)
    finally:
        if sweep.poll() is None:
            sweep.terminate()
            sweep.wait()


def keep_finished(folder: Path, entry: dict[str, Any]) -> None:
    """Copies evaluations and origin of every finished run to docs/results/runs."""
    for status in sorted(folder.glob("sweeps/*/*/status.json")):
        run, target = status.parent, RESULTS / entry["algo"] / entry["env"]
        if json.loads(status.read_text())["state"] != "finished":
            continue
        config = yaml.safe_load((run / "config.yaml").read_text())
        csv = target / f"seed-{config['seed']}.csv"
        if not csv.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(run / "evaluations.csv", csv)
            csv.with_suffix(".json").write_text(json.dumps(origin(run, entry), indent=1) + "\n")


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
