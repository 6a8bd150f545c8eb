"""What actors of a Ray cluster bring, cost and survive; the figures of docs/scaling.md.

python benchmarks/actors.py costs                 # of a step, an action, a rollout's way and an update
python benchmarks/actors.py scaling               # samples/s of 1, 2, 4, 8 and 16 actors in a slow environment
python benchmarks/actors.py faults --minutes 10   # an actor killed every 20 s
python benchmarks/actors.py lockstep              # one actor against the inline run, bit by bit
python benchmarks/actors.py nodes                 # two nodes, one of which is killed
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from rlcont.actors.cluster import prepare_ray
from rlcont.actors.worker import RolloutWorker
from rlcont.algos.ddpg.agent import DDPG
from rlcont.config.compose import make_plan
from rlcont.config.run import RunConfig
from rlcont.envs.box import BoxEnv
from rlcont.training.build import make_agent
from rlcont.training.run import run

HERE = Path(__file__).parent
SLOW = ["env=slow_env:SlowPendulum-v1", "tuned=none", "algo.updates_per_step=0.005", "algo.warmup_steps=1000"]
os.environ["PYTHONPATH"] = str(HERE)


def main() -> None:
    """Runs one of the measurements and prints a Markdown table, or a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["costs", "scaling", "faults", "lockstep", "nodes"])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=20, help="measured for each number of actors")
    parser.add_argument("--step-ms", type=float, default=5, help="what a step of the slow environment sleeps")
    parser.add_argument("--steps", type=int, default=5000, help="of a run in lock-step")
    chosen = parser.parse_args()
    match chosen.what:
        case "costs":
            costs()
        case "scaling":
            scaling(chosen.seconds, chosen.step_ms)
        case "faults":
            faults(60 * chosen.minutes)
        case "lockstep":
            lockstep(chosen.steps)
        case "nodes":
            nodes()


def configured(*overrides: str) -> RunConfig:
    return make_plan([*overrides, "actors=ray"]).config


def make_learner(config: RunConfig) -> DDPG:
    """The agent of a run of DDPG or of D4PG, which is one."""
    agent = make_agent(config, BoxEnv(config.env).spec)
    assert isinstance(agent, DDPG)
    return agent


class Session:
    """A learner and its actors, without a run around them."""

    def __init__(self, config: RunConfig, address: str):
        from rlcont.actors.pool import RayCollector

        self.agent = make_learner(config)
        self.collector = RayCollector(self.agent, config, address)
        self.num_steps = 0

    def once(self) -> None:
        """Collects what comes next and learns from it."""
        self.num_steps += self.collector.collect().num_steps
        self.agent.learn()

    def play(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Does so for some seconds, from the moment that a rollout has come to another such moment; returns steps per
        second."""
        self.await_rollout()
        start, before = time.monotonic(), self.num_steps
        while time.monotonic() - start < seconds and not until():
            self.await_rollout()
        return (self.num_steps - before) / (time.monotonic() - start)

    def await_rollout(self) -> None:
        """Goes on until a rollout has come and is learned from."""
        before = self.num_steps
        while self.num_steps == before:
            self.once()

    def begin(self) -> None:
        """Waits until every actor plays, and a little longer."""
        self.play(300, self.all_started)
        self.play(5)

    def all_started(self) -> bool:
        return all(place.has_started for place in self.collector.slots)

    def totals(self) -> dict[str, int]:
        """The accounts, with what is on its way."""
        return self.collector.state_dict()["totals"]


@contextmanager
def session(*overrides: str, address: str = "local") -> Iterator[Session]:
    config = configured(*overrides)
    made = Session(config, prepare_ray(address))
    try:
        made.begin()
        yield made
    finally:
        made.collector.close()


def costs() -> None:
    """What a step takes, on this machine, one thread."""
    import torch

    torch.set_num_threads(1)
    config = configured("env=HalfCheetah-v4", "tuned=none", "algo.warmup_steps=0", "actors.num=1")
    worker = RolloutWorker(config, 0, 0)
    worker.start()
    agent = make_learner(config)
    policy = {name: tensor.numpy() for name, tensor in agent.explorer_state().items()}
    obs, action = worker.obs, worker.explorer.act(worker.obs, explore=True)
    rollout = worker.rollout(policy, 0, 512)
    agent.receive(rollout.experience)
    batch = agent.replay.sample(256)
    rows = {
        "environment step (HalfCheetah-v4)": median_ms(lambda: worker.envs.step(action), 2000),
        "acting": median_ms(lambda: worker.explorer.act(obs, explore=True), 2000),
        "a rollout of 16 steps in the actor": median_ms(lambda: worker.rollout(policy, 0, 16), 200),
        "an eager update of DDPG, 256², batch 256": median_ms(lambda: agent.update(batch), 100),
    }
    pendulum = RolloutWorker(configured("env=Pendulum-v1", "tuned=none", "algo.warmup_steps=0"), 0, 0)
    pendulum.start()
    rows["CPU of a step of Pendulum-v1 in the actor, one after the other"] = cpu_ms(pendulum, 0)
    rows["the same, each after a sleep of 5 ms"] = cpu_ms(pendulum, 0.005)
    with session("env=Pendulum-v1", "tuned=none", "actors.num=1", "actors.rollout_length=1") as made:
        place = made.collector.slots[0]
        made.play(5, lambda: not place.requests)
        import ray

        def put_weights() -> object:
            return ray.put({name: tensor.numpy() for name, tensor in made.agent.explorer_state().items()})

        weights = put_weights()
        rows["putting weights into the cluster"] = median_ms(put_weights, 200)
        rows["a rollout of 1 step, there and back"] = median_ms(
            lambda: ray.get(place.handle.rollout.remote(weights, 0, 1)), 300
        )
    print("| what | ms |\n|---|---:|")
    print("\n".join(f"| {name} | {value:.3f} |" for name, value in rows.items()))


def cpu_ms(worker: RolloutWorker, sleep: float, times: int = 500) -> float:
    """Processor time of an action, a step and its n-step window, as a mean."""
    start = time.process_time()
    for _ in range(times):
        time.sleep(sleep)
        step = worker.envs.step(worker.explorer.act(worker.obs, explore=True))
        worker.explorer.observe(step)
        worker.obs = step.obs_to_act_on
    return 1000 * (time.process_time() - start) / times


def median_ms(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)


def scaling(seconds: float, step_ms: float) -> None:
    """Samples/s by the number of actors, and the processor time that they take."""
    print("| actors | samples/s | of N times one | ms of CPU a step, an actor | cores busy, all together |")
    print("|---:|---:|---:|---:|---:|", flush=True)
    one = 0.0
    for num in (1, 2, 4, 8, 16):
        with session(*SLOW, f"env.kwargs.seconds={step_ms / 1000}", f"actors.num={num}") as made:
            learner = psutil.Process()
            everybody = [learner, *learner.children(recursive=True)]
            actors = actors_below(learner)
            before, actors_before = cpu_seconds(everybody), cpu_seconds(actors)
            rate = made.play(seconds)
            busy = (cpu_seconds(everybody) - before) / seconds
            a_step = (cpu_seconds(actors) - actors_before) / (rate * seconds)
        one = one or rate
        print(f"| {num} | {rate:.0f} | {rate / (num * one):.2f} | {1000 * a_step:.2f} | {busy:.2f} |", flush=True)


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Processor time that they have had."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def faults(seconds: float, num: int = 8, every: float = 20) -> None:
    """Throughput and accounts while one actor after the other is killed."""
    with session(*SLOW, f"actors.num={num}") as made:
        collector = made.collector
        calm = made.play(60)
        chance = random.Random(0)
        recoveries, longest = [], 0.0
        start, before = time.monotonic(), made.num_steps
        while time.monotonic() - start < seconds:
            victims = actors_below(psutil.Process())
            lives = [place.lives for place in collector.slots]
            chance.choice(victims).kill()
            killed = time.monotonic()
            back = 0.0
            while time.monotonic() - killed < every:
                last = time.monotonic()
                made.once()
                longest = max(longest, time.monotonic() - last)
                places = collector.slots
                lost = [place for place, life in zip(places, lives, strict=True) if place.lives > life]
                if not back and lost and all(place.has_started for place in lost):
                    back = time.monotonic() - killed
            recoveries.append(back or float("inf"))
        stormy = (made.num_steps - before) / (time.monotonic() - start)
        totals = made.totals()
        stored = made.agent.replay.num_added
    orphans = psutil.Process().children(recursive=True)
    print(
        f"{len(recoveries)} kills, {totals['restarts']} restarts; {calm:.0f} samples/s before, {stormy:.0f} meanwhile "
        f"({1 - stormy / calm:.1%} less); recovery {statistics.median(recoveries):.1f} s (median), "
        f"{max(recoveries):.1f} s at most; longest wait for a rollout {longest:.2f} s; "
        f"produced {totals['produced']} = stored {totals['stored']} + discarded {totals['discarded']}: "
        f"{totals['produced'] == totals['stored'] + totals['discarded'] and stored == totals['stored']}; "
        f"processes left: {len(orphans)}"
    )


def lockstep(steps: int) -> None:
    """Whether one actor in lock-step makes the inline run."""
    from interruptions import differences

    for algo in ("ddpg", "d4pg"):
        with tempfile.TemporaryDirectory() as folder:
            settings = [f"algo={algo}", "env=HalfCheetah-v4", "tuned=none", f"total_steps={steps}", "compile=false"]
            settings += ["algo.warmup_steps=1000", f"eval.every={steps}", f"output={folder}"]
            apart = ["actors=ray", "actors.num=1", "actors.sync=true", "actors.address=local"]
            made = []
            for changes in ([], apart):
                plan = make_plan([*settings, *changes])
                made.append(run(plan.config, plan.choices))
            expected = ("checkpoint.training.agent.explorer", "checkpoint.training.collector", "curves.train_actors/")
            found = [place for place in differences(*made) if not place.startswith(expected)]
            print(f"{algo}, {steps} steps: {len(found)} differences {found}", flush=True)


def nodes() -> None:
    """Actors on both nodes of a cluster on this machine, one of which is killed.

    Ray has no cluster of several nodes on the loopback interface: they listen on the machine's address, with a token.
    """
    port = 6399
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0"}
    address = f"{socket.gethostbyname(socket.gethostname())}:{port}"
    with tempfile.TemporaryDirectory() as temporary:
        head = start_node("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={temporary}")
        other = start_node(f"--address={address}")
        try:
            with session(*SLOW, "actors.num=4", address=address) as made:
                where = [len(actors_below(psutil.Process(node.pid))) for node in (head, other)]
                calm = made.play(20)
                for process in psutil.Process(other.pid).children(recursive=True):
                    process.kill()
                other.kill()
                killed = time.monotonic()
                steps = made.num_steps
                made.play(120, lambda: made.totals()["restarts"] >= where[1] and made.all_started())
                back = time.monotonic() - killed
                gone_on = (made.num_steps - steps) / back
                after = made.play(20)
                totals = made.totals()
            exact = totals["produced"] == totals["stored"] + totals["discarded"]
            print(
                f"actors on the nodes: {where[0]} and {where[1]}; {calm:.0f} samples/s; the second node killed: "
                f"{gone_on:.0f} samples/s until all 4 actors played on the first, {back:.0f} s later; then "
                f"{after:.0f}; {totals['restarts']} restarts; accounts exact: {exact}"
            )
        finally:
            for node in (head, other):
                if node.poll() is None:
                    node.terminate()
                    node.wait(30)


def start_node(*arguments: str) -> subprocess.Popen[str]:
    """`ray start`, once it says that the node is there."""
    ray = str(Path(sys.executable).parent / "ray")
    command = [ray, "start", "--num-cpus=1", "--object-store-memory=100000000", "--block", *arguments]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert node.stdout is not None
    said = ""
    while "Ray runtime started" not in said:
        line = node.stdout.readline()
        if not line:
            raise SystemExit(f"no node: {said}")
        said += line
    return node


def actors_below(process: psutil.Process) -> list[psutil.Process]:
    """Actors among a process's descendants."""
    return [each for each in process.children(recursive=True) if "RolloutWorker" in " ".join(each.cmdline())]


if __name__ == "__main__":
    main()
