"""Steps per second of each arm of benchmarks/ablations.yaml, in turns, for docs/results/ablations/speed.csv.

    python benchmarks/arm_speed.py [ROUNDS]

All arms train in one process, with one thread and compiled, as in long runs, by the installation of rlcont that has
this Python. They take STEPS steps each in turn, so that a machine that becomes slower does so for all. An arm whose
keys this installation does not have is left out and named: only commits before averages of the actor have those of
every arm, so `algo.average_rate=null` is left away.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from rlcont.config.validate import validate
from rlcont.core.seeding import integers
from rlcont.envs.vector import Environments
from rlcont.training.build import choose_acceleration, make_agent

SPEEDS = Path(__file__).parent.parent / "docs/results/ablations/speed.csv"
ENV_ID = "HalfCheetah-v4"
WARMUP = 300
SETTLE = 30
"""Steps with learning before any is timed, so that compiled code is there."""
STEPS = 20


class Arm:
    """An agent that learns with the settings of one arm."""

    def __init__(self, entry: dict[str, Any]):
        words = [setting for setting in entry["settings"] if setting != "algo.average_rate=null"]
        fixed = [f"env={ENV_ID}", "device=cpu", "compile=true", f"algo.warmup_steps={WARMUP}"]
        rlcont = str(Path(sys.executable).with_name("rlcont"))
        said = subprocess.run([rlcont, "--cfg", f"algo={entry['algo']}", *fixed, *words], stdout=subprocess.PIPE)
        said.check_returncode()
        config = validate(yaml.safe_load(said.stdout))
        self.envs = Environments(config.env, integers(config.seed, "environments", 1))
        self.agent: Any = make_agent(config, self.envs.spec, choose_acceleration(config))
        self.obs = self.envs.reset()
        self.advance(max(WARMUP, config.algo.batch_size) + SETTLE)

    def advance(self, num_steps: int) -> float:
        """Makes steps of the training loop; returns how many a second."""
        start = time.perf_counter()
        for _ in range(num_steps):
            step = self.envs.step(self.agent.act(self.obs, explore=True))
            self.agent.observe(step)
            self.agent.learn()
            self.obs = step.obs_to_act_on
        return num_steps / (time.perf_counter() - start)


def main(rounds: str = "30") -> None:
    torch.set_num_threads(1)
    entries = yaml.safe_load(Path(__file__).with_name("ablations.yaml").read_text())
    arms: dict[str, Arm] = {}
    for entry in entries:
        if entry["env"] == ENV_ID and entry["arm"] not in arms:
            try:
                arms[entry["arm"]] = Arm(entry)
            except subprocess.CalledProcessError:
                print(f"{entry['arm']}: cannot be run by this installation", flush=True)
    rows = [
        {"arm": name, "round": number, "steps_per_second": f"{arm.advance(STEPS):.1f}"}
        for number in range(1, int(rounds) + 1)
        for name, arm in arms.items()
    ]
    SPEEDS.parent.mkdir(parents=True, exist_ok=True)
    with SPEEDS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
