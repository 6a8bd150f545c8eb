"""Updates per second with one thread, with two, and with the number chosen at the moment, in turns in one process.

python benchmarks/threads.py --busy 1
python benchmarks/threads.py --busy 0 --compiled algo=td3
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from rlcont.config.compose import make_plan
from rlcont.core.protocols import eager
from rlcont.core.resources import prepare_threads
from rlcont.envs.vector import Environments

MODES = ("one thread", "two threads", "auto")


def main() -> None:
    prepare_threads()
    # Torch reads how its threads wait when it is imported.
    import torch

    from rlcont.algos.off_policy.agent import OffPolicy
    from rlcont.training.accelerate import Acceleration
    from rlcont.training.build import make_agent
    from rlcont.training.threads import AdaptiveThreads

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="as those of rlcont, of an off-policy algorithm")
    parser.add_argument("--busy", type=int, default=1, help="processes that compute beside it")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of each mode in each round")
    arguments = parser.parse_args()
    config = make_plan(["tuned=none", "device=cpu", "algo.warmup_steps=300", *arguments.overrides]).config
    envs = Environments(config.env, [0])
    agent = make_agent(config, envs.spec, Acceleration(arguments.compiled, "fp32", "cpu", required=arguments.compiled))
    assert isinstance(agent, OffPolicy)
    obs = envs.reset()
    while agent.num_updates < 5:
        step = envs.step(agent.act(obs, explore=True))
        obs = step.obs_to_act_on
        agent.observe(step)
        agent.learn()
    batch = agent.replay.sample(config.algo.batch_size)
    adaptive = AdaptiveThreads(eager)
    chosen = adaptive(agent.accelerated_update)
    rates: dict[str, list[float]] = {mode: [] for mode in MODES}
    beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.busy)]
    try:
        for _ in range(arguments.rounds):
            for mode, numbers in rates.items():
                update = chosen if mode == "auto" else agent.accelerated_update
                torch.set_num_threads(adaptive.choice.number if mode == "auto" else MODES.index(mode) + 1)
                start, num_updates = time.perf_counter(), 0
                while time.perf_counter() < start + arguments.seconds:
                    update(batch)
                    num_updates += 1
                numbers.append(num_updates / (time.perf_counter() - start))
    finally:
        for process in beside:
            process.kill()
    print(f"| updates/s, {arguments.busy} busy beside it | median | lowest | highest |\n|---|---:|---:|---:|")
    for mode, numbers in rates.items():
        print(f"| {mode} | {statistics.median(numbers):.0f} | {min(numbers):.0f} | {max(numbers):.0f} |")


if __name__ == "__main__":
    main()
