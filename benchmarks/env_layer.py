"""What a step of the environment layer costs, here and in another checkout, in turns on one machine.

    python benchmarks/env_layer.py OTHER_CHECKOUT [--rounds 30]

Each round times both in processes of their own, in changing order, by CPU time, in microseconds per environment step
with the environment's own work in it. Prints the medians and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

CASES = (("Pendulum-v1", 1), ("Pendulum-v1", 16), ("HalfCheetah-v4", 1), ("HalfCheetah-v4", 8))
TIMED = """
import json, sys, time
import numpy as np
from rlcont.config.compose import compose_job
from rlcont.config.validate import validate
from rlcont.envs.vector import Environments
found = []
for env_id, num_envs in json.loads(sys.argv[1]):
    config = validate(compose_job([f"env={env_id}"]).container).env
    envs = Environments(config, list(range(num_envs)))
    envs.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (64, num_envs, envs.spec.action_dim)).astype(np.float32)
    best = float("inf")
    for _ in range(6):
        start = time.thread_time()
        for count in range(2000 // num_envs):
            envs.step(actions[count % 64])
        best = min(best, (time.thread_time() - start) / (2000 // num_envs * num_envs))
    found.append(1e6 * best)
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    places = {"here": Path(__file__).parent.parent, "other": arguments.other}
    times: dict[str, list[list[float]]] = {name: [] for name in places}
    for number in range(arguments.rounds):
        for name in sorted(places, reverse=bool(number % 2)):
            times[name].append(timed(places[name]))
    print("| environment | other, µs | here, µs | here / other |\n|---|---:|---:|---:|")
    for case, (env_id, num_envs) in enumerate(CASES):
        here, other = ([round_[case] for round_ in times[name]] for name in ("here", "other"))
        ratio = statistics.median(one / two for one, two in zip(here, other, strict=True))
        print(
            f"| {num_envs} x {env_id} | {statistics.median(other):.1f} | {statistics.median(here):.1f} | {ratio:.3f} |"
        )


def timed(checkout: Path) -> list[float]:
    """Microseconds of each case, the shortest of several times."""
    command = [sys.executable, "-c", TIMED, json.dumps(CASES)]
    done = subprocess.run(command, cwd=checkout, env={"PYTHONPATH": str(checkout)}, capture_output=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
