"""What grows how: a run at ten times the usual size, in CPU seconds and in memory.

    python benchmarks/growth.py [--rlcont RLCONT]

Prints the table of docs/benchmarks.md. Each line is one process. CPU seconds (user and system, of all its children)
hardly depend on what else the machine does. Memory is the highest resident size of one process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from start import make_runs

OFF_POLICY = "algo=ddpg env={} compile=false eval.every=null checkpoint.every=null"
SHORT = "total_steps=3000 algo.warmup_steps=1000"
WIDE = "algo.actor.hidden=[1024,1024] algo.critic.hidden=[1024,1024]"
CHEETAH = OFF_POLICY.format("HalfCheetah-v4")
FILLED = "total_steps={0}300 algo.warmup_steps={0}000 algo.replay_size={0}000"
HUGE = "total_steps=20000000 algo.replay_size=10000000"
ON_POLICY = "algo=a2c env=HalfCheetah-v4 compile=false eval.every=null checkpoint.every=null workers=1"
RUNS = {
    "DDPG, 2 k updates": f"{CHEETAH} {SHORT}",
    "the same, networks of 1024 units": f"{CHEETAH} {SHORT} {WIDE}",
    "DDPG, replay of 100 k rows, filled at random": f"{CHEETAH} {FILLED.format(100)}",
    "DDPG, replay of 1 M rows, filled at random": f"{CHEETAH} {FILLED.format(1000)}",
    "DDPG, replay of 10 M rows of Humanoid": f"{OFF_POLICY.format('Humanoid-v4')} {HUGE}",
    "A2C, 50 k steps, 1 environment": f"{ON_POLICY} num_envs=1 total_steps=51200",
    "A2C, 50 k steps, 8 environments": f"{ON_POLICY} num_envs=8 total_steps=51200",
    "A2C, 50 k steps, 64 environments": f"{ON_POLICY} num_envs=64 total_steps=51200",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rlcont", default=str(Path(sys.executable).with_name("rlcont")))
    rlcont = parser.parse_args().rlcont
    print("| what | CPU seconds | MiB |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, words in RUNS.items():
            show(name, [rlcont, *words.split()], Path(scratch))
    for number in (100, 1000):
        with tempfile.TemporaryDirectory() as scratch:
            make_runs(rlcont, Path(scratch), number)
            show(f"`rlcont runs`, {number} runs", [rlcont, "runs"], Path(scratch))
            show(f"`rlcont compare`, {number} runs", [rlcont, "compare", "outputs"], Path(scratch))


def show(name: str, command: list[str], folder: Path) -> None:
    """Runs a command in `folder` and prints its line of the table; of a refusal, what it says."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    complaint = process.stderr.read().decode().strip()
    _, status, used = os.wait4(process.pid, 0)
    cells = cost(used) if status == 0 else f"refused: {complaint} | "
    print(f"| {name} | {cells} |", flush=True)


def cost(used: resource.struct_rusage) -> str:
    return f"{used.ru_utime + used.ru_stime:.1f} | {used.ru_maxrss / 1024:.0f}"


if __name__ == "__main__":
    main()
