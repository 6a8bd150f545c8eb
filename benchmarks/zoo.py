"""Copies a policy of each cell of the table of docs/results to docs/results/zoo, from where rlcont plays it.

    python benchmarks/zoo.py OUTPUT

OUTPUT is the folder in which campaign.py made the runs. The run is the one in the middle by its last evaluation.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from results_table import DOCS, Run, all_runs

from rlcont.runs.folder import load_config

ZOO = DOCS / "results/zoo"


def main(output: str) -> None:
    folders = {}
    for path in sorted(Path(output).glob("*/*/*/sweeps/*/*/policies/last.safetensors")):
        folder = path.parents[1]
        folders[json.loads((folder / "run.json").read_text())["started"], folder.name] = folder
    for env, algorithms in all_runs(DOCS / "results/runs").items():
        for algo, cells in algorithms.items():
            run = middle(cells[max(cells)])
            made = run.origin["started"], f"s{run.seed}"
            if made in folders:
                keep(folders[made], ZOO / algo / env, run.origin)


def middle(runs: list[Run]) -> Run:
    """The run in the middle by its last evaluation, the lower of two."""
    return sorted(runs, key=lambda run: float(run.returns[-1]))[(len(runs) - 1) // 2]


def keep(run: Path, target: Path, origin: dict[str, Any]) -> None:
    """Copies what plays a run's last policy, without the folder that it was made in."""
    (target / "policies").mkdir(parents=True, exist_ok=True)
    for name in ("last.safetensors", "last.json"):
        shutil.copy(run / "policies" / name, target / "policies" / name)
    # With keys that the commit of the run did not have.
    config = dataclasses.asdict(load_config(run)) | {"output": "outputs"}
    (target / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    facts = json.loads((run / "run.json").read_text())
    words = shlex.split(origin["command"].partition("rlcont ")[2])
    facts |= {"command": origin["command"], "commit": origin["commit"], "overrides": words}
    facts.pop("resumed", None)
    (target / "run.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
