"""Whether a run survives: interruptions, kill -9, full disks and many launches at once; and what checkpoints cost.

    python benchmarks/reliability.py exact        interrupted runs against whole ones, to the last bit (minutes)
    python benchmarks/reliability.py kill         kill -9 at random moments, and at every operation of a save (minutes)
    python benchmarks/reliability.py full         a full disk at every operation of a save
    python benchmarks/reliability.py launches     50 launches at once
    python benchmarks/reliability.py saves        stretches of one run with a save in them against those without

Each prints a Markdown table and ends with exit code 1 where something was lost. Runs go to a temporary folder.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import itertools
import mmap
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import faults
from interruptions import curves, differences, train

from rlcont.config.compose import make_plan
from rlcont.core.errors import Stopped, UserError
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.folder import create_run_folder, description, load_config
from rlcont.runs.resume import plan_resume
from rlcont.training.loop import Training
from rlcont.training.run import resume, run

ENVS = ("HalfCheetah-v4", "Hopper-v4", "Pendulum-v1")
COMMON = ("tuned=none", "eval.episodes=2", "log.every=100")
ALGORITHMS = {
    "ddpg": ("algo=ddpg", "algo.warmup_steps=100", "algo.batch_size=32", "algo.replay_size=700", "noise=ou",
             "algo.actor.hidden=[32,32]", "algo.critic.hidden=[32,32]", "algo.normalize_obs=true",
             "algo.normalize_reward=true", *COMMON),
    "d4pg": ("algo=d4pg", "algo.warmup_steps=100", "algo.batch_size=32", "algo.replay_size=700", "noise=ou",
             "num_envs=2", "algo.actor.hidden=[32,32]", "algo.critic.hidden=[32,32]", "algo.normalize_obs=true",
             "algo.replay=prioritized", *COMMON),
    "td3": ("algo=td3", "algo.warmup_steps=100", "algo.batch_size=32", "algo.replay_size=700", "noise=ou",
            "algo.actor.hidden=[32,32]", "algo.critic.hidden=[32,32]", *COMMON),
    "sac": ("algo=sac", "algo.warmup_steps=100", "algo.batch_size=32", "algo.replay_size=700", "algo.n_step=2",
            "algo.actor.hidden=[32,32]", "algo.critic.hidden=[32,32]", "algo.normalize_obs=true", *COMMON),
    "a2c": ("algo=a2c", "num_envs=4", "workers=1", "algo.rollout_steps=16", "algo.num_minibatches=4", *COMMON),
    "ppo": ("algo=ppo", "num_envs=4", "workers=1", "algo.rollout_steps=16", "algo.num_minibatches=4",
            "algo.target_kl=0.01", *COMMON),
}  # fmt: skip
"""Every algorithm, in its smallest setting that uses all it has."""

STEPS = {"ddpg": 40_000, "td3": 40_000, "sac": 40_000, "d4pg": 40_000, "a2c": 300_000, "ppo": 300_000}
"""Of the runs whose time is taken."""
PLAIN = ("env=HalfCheetah-v4", "eval.every=1e9", "compile=true")
"""Settings of those runs."""

MARKED = """
import time
from rlcont.cli import main as cli
from rlcont.training import observer
def marked(name):
    function = getattr(observer.RunObserver, name)
    def call(self, *arguments):
        result = function(self, *arguments)
        marks.append((name, time.perf_counter()))
        return result
    setattr(observer.RunObserver, name, call)
marks = []
marked("trained"), marked("keep")
cli.main()
print(marks)
"""
"""A run that says at its end when it logged and when it had saved."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["exact", "kill", "full", "launches", "saves"])
    parser.add_argument("--seeds", type=int, default=2, help="runs of each kind for exact (2)")
    parser.add_argument("--kills", type=int, default=200, help="random kills (200)")
    parser.add_argument("--algo", nargs="+", default=list(ALGORITHMS), help=" ".join(ALGORITHMS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        match arguments.what:
            case "exact":
                ok = exact(output, arguments.algo, arguments.seeds)
            case "kill":
                ok = kills(output, arguments.algo, arguments.kills)
                ok &= operations(output, arguments.algo, "kill -9", die)
            case "full":
                ok = operations(output, arguments.algo, "full disk", faults.disk_full)
            case "launches":
                ok = launches(output, 50)
            case _:
                ok = saves(output, arguments.algo)
    sys.exit(not ok)


def exact(output: Path, algos: Sequence[str], seeds: int) -> bool:
    """Interrupts runs at random steps, twice in a row among them, and compares with runs that were not."""
    print("| algorithm | environment | compiled | runs | interruptions | differences |\n|---|---|---|---|---|---|")
    rng = random.Random(0)
    total = lost = 0
    for algo in algos:
        for env in ENVS:
            for compiled in (False, True):
                found, num = [], 0
                for seed in range(seeds if not compiled else 1):
                    settings = [*ALGORITHMS[algo], f"env={env}", f"seed={seed}", f"compile={compiled}".lower(),
                                "total_steps=1600", "eval.every=500"]  # fmt: skip
                    at = sorted(rng.sample(range(1, 1600), 9))
                    at.append(at[4] + 4)  # Twice in a row.
                    place = f"output={output}/{algo}-{env}-{compiled}-{seed}"
                    with quiet():
                        whole = train([*settings, f"{place}-whole"])
                        parts = train([*settings, f"{place}-parts", "checkpoint.every=300"], at)
                    found += differences(whole, parts)
                    num += len(at)
                total, lost = total + num, lost + len(found)
                runs_made = seeds if not compiled else 1
                print(f"| {algo} | {env} | {compiled} | {runs_made} | {num} | {len(found)} |", flush=True)
                for place in found[:5]:
                    print(f"  {place}", file=sys.stderr)
    print(f"\n{total} interruptions, {lost} differences")
    return lost == 0


def kills(output: Path, algos: Sequence[str], number: int) -> bool:
    """Kills at random moments, goes on each time, and compares the curves with those of a run that was not killed."""
    print(
        "| algorithm | kills | runs | not loadable | begun anew in silence | most steps lost | interval | differences |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rng, ok, every = random.Random(1), True, 100
    for algo in algos:
        done = num_runs = unloadable = silent = most_lost = differing = 0
        while done < number / len(algos):
            settings = [*ALGORITHMS[algo], "env=Pendulum-v1", f"seed={num_runs}", "total_steps=6000", "eval.every=700"]
            settings += [f"checkpoint.every={every}"]
            whole = make_folder([*settings, f"output={output}/{algo}-whole"])
            in_child(partial(start, whole))
            num_runs += 1
            folder, reached = make_folder([*settings, f"output={output}/{algo}-killed"]), 0
            while done < number / len(algos):
                kept = max([0, *Checkpoints(folder, 1).steps()])
                most_lost = max(most_lost, reached - kept)
                began_anew = kept == 0
                if began_anew:
                    folder = make_folder([*settings, f"output={output}/{algo}-killed"])
                code, first, reached = in_child(
                    partial(start if began_anew else go_on, folder),
                    kill_after=rng.uniform(0.02, 0.8),
                )
                if code == 0:
                    break
                unloadable += code == 2
                silent += 0 < first < kept
                done += 1
            if code != 0:
                code = in_child(partial(go_on, folder))[0]
                unloadable += code == 2
            found = differences(whole, folder)
            differing += len(found)
            for place in found[:5]:
                print(f"  {place}", file=sys.stderr)
        print(
            f"| {algo} | {done} | {num_runs} | {unloadable} | {silent} | {most_lost} | {every} | {differing} |",
            flush=True,
        )
        step = 4 if algo in ("a2c", "ppo") else 1
        ok &= unloadable == silent == differing == 0 and most_lost <= every + step
    return ok


def operations(output: Path, algos: Sequence[str], name: str, fail: Callable[[], None]) -> bool:
    """Fails at every operation of a run's third save."""
    print(f"\n| algorithm | {name} at operations | previous or new checkpoint whole | went on to the same end |")
    print("|---|---|---|---|")
    ok = True
    for algo in algos:
        settings = [*ALGORITHMS[algo], "env=Pendulum-v1", "total_steps=400", "eval.every=400", "checkpoint.every=100"]
        whole = make_folder([*settings, f"output={output}/{name}-{algo}-whole"])
        in_child(partial(start, whole))
        with faults.at_operation(-1, fail) as listed, quiet():
            one = make_folder([*settings, f"output={output}/{name}-{algo}-counted", "total_steps=200"])
            start(one)
        with faults.at_operation(-1, fail) as longer, quiet():
            start(make_folder([*settings, f"output={output}/{name}-{algo}-counted", "total_steps=300"]))
        first, last = len(listed), len(longer)
        intact = same = 0
        for operation in range(first, last):
            folder = make_folder([*settings, f"output={output}/{name}-{algo}-failed"])

            def start_to_fail(folder: Path = folder, operation: int = operation) -> None:
                with faults.at_operation(operation, fail):
                    start(folder)

            code = in_child(start_to_fail)[0]
            steps = Checkpoints(folder, 1).steps()
            intact += code in (2, -signal.SIGKILL) and steps[-1] in (200, 300)
            same += in_child(partial(go_on, folder))[0] == 0 and not differences(whole, folder)
        ok &= intact == same == last - first
        print(f"| {algo} | {last - first} | {intact} | {same} |", flush=True)
    return ok


def launches(output: Path, number: int) -> bool:
    """Starts many runs of one configuration in the same moment."""
    command = [sys.executable, "-m", "rlcont", *ALGORITHMS["ddpg"], "env=Pendulum-v1", f"output={output}"]
    command += ["total_steps=120", "eval.every=120"]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(number)]
    codes = [process.wait() for process in started]
    folders = list(output.glob("*/*/*"))
    whole = [folder for folder in folders if curves(folder) and Checkpoints(folder, 1).steps() == [120]]
    print(f"{number} launches at once: {codes.count(0)} ended well, {len(folders)} folders, {len(whole)} complete runs")
    return len(whole) == codes.count(0) == len(folders) == number


def saves(output: Path, algos: Sequence[str]) -> bool:
    """How much longer stretches of a run take that have a save in them, in processes that are otherwise the same.

    What a save leaves behind, in caches or on the disk, counts; that two runs differ in speed does not.
    """
    print("| algorithm | steps of a stretch | s without a save | s with one | stretches | share with the default |")
    print("|---|---|---|---|---|---|")
    ok = True
    for algo in algos:
        stretch = STEPS[algo] // 60
        command = [f"algo={algo}", f"total_steps={STEPS[algo]}", *PLAIN, f"output={output}"]
        command += [f"log.every={stretch}", f"checkpoint.every={2 * stretch}"]
        result = subprocess.run([sys.executable, "-c", MARKED, *command], check=True, capture_output=True, text=True)
        marks = ast.literal_eval(result.stdout.splitlines()[-1])
        logged = [place for place, (name, _) in enumerate(marks) if name == "trained"]
        taken: dict[bool, list[float]] = {False: [], True: []}
        for first, last in itertools.pairwise(logged[len(logged) * 2 // 3 :]):
            taken["keep" in (name for name, _ in marks[first:last])].append(marks[last][1] - marks[first][1])
        without, with_one = (statistics.median(taken[saved]) for saved in (False, True))
        every = make_plan([f"algo={algo}"]).config.checkpoint.every
        assert every is not None
        share = (with_one - without) / without * stretch / every
        num = f"{len(taken[False])}, {len(taken[True])}"
        print(f"| {algo} | {stretch} | {without:.3f} | {with_one:.3f} | {num} | {share:.2%} |", flush=True)
        ok &= share <= 0.02
    return ok


def make_folder(overrides: Sequence[str]) -> Path:
    """A described folder for a run that is not begun."""
    given = {override.partition("=")[0]: override for override in overrides}
    plan = make_plan(list(given.values()))
    config = plan.config
    return create_run_folder(Path(config.output), config, plan.choices)


def start(folder: Path) -> None:
    run(load_config(folder), description(folder)["choices"], folder)


def go_on(folder: Path) -> None:
    plan = plan_resume(folder, [])
    if plan is not None:
        resume(plan)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(function: Callable[[], object], kill_after: float | None = None) -> tuple[int, int, int]:
    """Runs `function` in a process of its own, killed after so many seconds of training.

    Returns:
        Its exit code (2 for a user's mistake, minus the signal that killed it), and the first and the last step that
        it trained from.
    """
    shared = mmap.mmap(-1, 16)
    child = os.fork()
    if child == 0:
        os._exit(_outcome(function, shared))

    def steps() -> tuple[int, int]:
        return int.from_bytes(shared[:8], "little"), int.from_bytes(shared[8:], "little")

    if kill_after is not None:
        ended = 0
        while steps()[1] == 0 and not ended:
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            time.sleep(0.002)
        time.sleep(kill_after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, *steps()


def _outcome(function: Callable[[], object], shared: mmap.mmap) -> int:
    advance = Training.advance

    def advance_and_tell(training: Training) -> None:
        if shared[8:16] == bytes(8):
            shared[0:8] = training.step.to_bytes(8, "little")
        advance(training)
        shared[8:16] = training.step.to_bytes(8, "little")

    try:
        with quiet(), mock.patch.object(Training, "advance", advance_and_tell):
            function()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except Stopped as stopped:
        return stopped.exit_code
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


if __name__ == "__main__":
    main()
