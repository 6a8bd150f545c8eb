"""Actors of a real Ray cluster on this machine."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from interruptions import differences
from script import SCRIPT, rlcont
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny
from waiting import wait_until

from rlcont.config.compose import make_plan
from rlcont.core.errors import ActorsLost, UserError
from rlcont.memory.replay import Replay
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.folder import load_config
from rlcont.training.run import run

pytestmark = pytest.mark.slow
TESTS = str(Path(__file__).parent)
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": TESTS,
}
RAY = str(Path(sys.executable).parent / "ray")


@contextmanager
def started_head(port):
    """The head of a cluster, as a user starts one, and the environment to join it in."""
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # Ray's sockets want a short path.
        environment = {**os.environ, **LOOPBACK, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        command = [RAY, "start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--block"]
        command += ["--object-store-memory=100000000", f"--temp-dir={folder}"]
        log = Path(folder, "log")
        with log.open("w") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as head:
            try:
                while "Ray runtime started" not in log.read_text():
                    assert head.poll() is None, log.read_text()
                    time.sleep(0.1)
                yield head, environment
            finally:
                for process in psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []:
                    process.kill()
                head.kill()


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster that this process may join."""
    port = 20000 + os.getpid() % 10000
    with started_head(port) as (_, environment), pytest.MonkeyPatch.context() as patch:
        for name in (*LOOPBACK, "RAY_AUTH_TOKEN"):
            patch.setenv(name, environment[name])
        yield f"127.0.0.1:{port}"


def train(tmp_path, *changes):
    plan = make_plan(tiny(f"output={tmp_path}", *changes))
    return run(plan.config, plan.choices)


def by_actors(tmp_path, address, *changes):
    return train(tmp_path, "actors=ray", f"actors.address={address}", *changes)


def kept(folder):
    """The state of the newest checkpoint, and its replay."""
    config = load_config(folder)
    obs_dim = 3 if config.env.id == "Pendulum-v1" else 1
    replay = Replay(config.algo.replay_size, obs_dim, 1, torch.Generator())
    state = Checkpoints(folder, 2).load(replay)["training"]
    replay.load_state_dict(state["agent"]["replay"])
    return state, replay


def scalars(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_accounts_are_exact(folder):
    state, replay = kept(folder)
    totals = state["collector"]["totals"]
    assert totals["produced"] == totals["stored"] + totals["discarded"]
    assert totals["stored"] == replay.num_added
    assert state["collector"]["num_steps"] == state["step"] == state["agent"]["num_steps"]
    return totals


@pytest.mark.parametrize(
    ("algo", "noise"),
    [
        ("ddpg", "ou"),
        ("d4pg", "ou"),
        ("sac", "none"),
    ],
)
def test_one_actor_in_lockstep_is_the_inline_run_to_the_last_bit(tmp_path, cluster, algo, noise):
    settings = (f"algo={algo}", "num_envs=2", f"noise={noise}", "algo.n_step=3", "algo.normalize_obs=true")
    inline = train(tmp_path / "inline", *settings)
    apart = by_actors(tmp_path / "apart", cluster, *settings, "actors.num=1", "actors.sync=true")
    # The learner's own explorer has nothing to do where actors are apart.
    expected = ("checkpoint.training.agent.explorer", "checkpoint.training.collector", "curves.train_actors/")
    assert [place for place in differences(apart, inline) if not place.startswith(expected)] == []
    assert kept(apart)[1].num_added > 300


def test_actors_are_held_to_the_ratio_and_told_of_in_tensorboard(tmp_path, cluster):
    settings = ("actors.num=3", "actors.rollout_length=4", "algo.updates_per_step=0.5", "algo.n_step=2")
    folder = by_actors(tmp_path, cluster, *settings, "env.max_episode_steps=20")
    totals = assert_accounts_are_exact(folder)
    assert totals["restarts"] == 0
    state, _ = kept(folder)
    config = load_config(folder)
    assert state["agent"]["num_updates"] == config.algo.num_updates(state["step"], 1)
    seen = scalars(folder)
    assert min(seen) == "eval/return"  # TensorBoard orders tags by name.
    assert seen["train_actors/produced"][-1] == seen["train_actors/stored"][-1] + seen["train_actors/open"][-1]
    assert {f"train_actors/{i}/steps_per_second" for i in range(3)} < set(seen)
    # An actor that has started late may not have come to the end of an episode.
    returns = [value for i in range(3) for value in seen.get(f"train_actors/{i}/return", [])]
    assert returns
    assert -20 * 17 < min(returns) <= max(returns) < 0
    assert max(seen["train_actors/queue_depth"]) <= 2 * 3
    assert sum(seen["train_actors/restarts"]) == 0


def test_weights_are_no_older_than_the_rollout_before(tmp_path, cluster):
    seen = scalars(by_actors(tmp_path, cluster, "actors.num=1", "actors.rollout_length=8", "algo.updates_per_step=0.5"))
    # The rollout that is learned from while the next one is played: with three on their way it would be twice as much.
    assert max(seen["train_actors/staleness_max"]) == 8 * 0.5


FATE = ("env=fate_env:Fate-v0", "eval.every=1000000", "total_steps=600", "actors.num=2", "algo.n_step=3")


@pytest.mark.parametrize(
    ("fate", "patience"),
    [
        ("raise", 300),
        ("die", 300),
        ("hang", 3),
    ],
)
def test_an_actor_that_is_lost_is_replaced_and_accounted_for(tmp_path, cluster, fate, patience):
    folder = by_actors(
        tmp_path, cluster, *FATE, f"env.kwargs.fate={fate}", f"actors.patience={patience}", "log.every=50"
    )
    totals = assert_accounts_are_exact(folder)
    # Each life makes 112 steps; the rollout that it dies in counts as made, and up to two steps wait for rewards.
    assert totals["restarts"] >= 3
    lost, at_the_end = totals["restarts"] * (2 * 16 + 2), 2 * (2 * 16 + 2)
    assert 16 * totals["restarts"] <= totals["discarded"] <= lost + at_the_end
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert scalars(folder)["train_actors/restarts"][-1] >= 3


@pytest.mark.parametrize("sync", ["true", "false"])
def test_an_actor_that_only_fails_ends_the_run_with_a_checkpoint(tmp_path, cluster, sync):
    settings = (*FATE, "env.kwargs.fate=raise", "actors.rollout_length=150", "actors.max_failures=2")
    settings += (f"actors.sync={sync}",)
    reason = r"^actor \d failed 2 times in a row: .*RuntimeError: this is fate.*; rlcont resume "
    with pytest.raises(ActorsLost, match=reason):
        by_actors(tmp_path, cluster, *settings)
    (folder,) = tmp_path.glob("*/*/*")
    assert Checkpoints(folder, 2).steps() == [0]
    assert kept(folder)[0]["collector"]["totals"]["discarded"] >= 2 * 150
    assert_accounts_are_exact(folder)
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"


def test_a_mistake_of_the_environment_is_told_as_inline(tmp_path, cluster):
    with pytest.raises(UserError, match=r"^env=fate_env:Fate-v0: observation 0 is nan; wanted is a finite number"):
        by_actors(tmp_path, cluster, *FATE, "env.kwargs.fate=blind")


@contextmanager
def playing(folder, environment, *arguments):
    """A run by command, from when it has told of its speed, and the processes below it; ended by the test."""
    with subprocess.Popen(
        [SCRIPT, *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            while "steps/s" not in process.stdout.readline():
                assert process.poll() is None, process.stderr.read()
            family = psutil.Process(process.pid).children(recursive=True)
            yield process, family
        finally:
            process.kill()
        assert not psutil.wait_procs(family, timeout=300)[1]


def said_at_the_end(process, code):
    """The one line of a run that was told to end."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    (line,) = errors.splitlines()
    return line


def num_rollout_workers(pid):
    family = psutil.Process(pid).children(recursive=True)
    return sum("RolloutWorker" in " ".join(relative.cmdline()) for relative in family)


def addresses_listened_at(family):
    connections = [each for process in family for each in process.net_connections("tcp")]
    return {each.laddr.ip.removeprefix("::ffff:") for each in connections if each.status == psutil.CONN_LISTEN}


ENDLESS = tiny("actors=ray", "total_steps=1e6", "eval.every=1e6", "compile=false")


def test_a_run_starts_a_ray_of_its_own_on_the_loopback_ends_it_and_goes_on(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path)}
    with playing(tmp_path, environment, *ENDLESS, "actors.address=local") as (process, family):
        assert {"127.0.0.1"} <= addresses_listened_at([psutil.Process(process.pid), *family]) <= {"127.0.0.1", "::1"}
        wait_until(lambda: num_rollout_workers(process.pid) == 2)
        os.killpg(process.pid, signal.SIGINT)  # As a terminal does at Ctrl-C.
        assert said_at_the_end(process, 130).startswith("rlcont: interrupted at step ")
    (folder,) = (tmp_path / "outputs" / "Pendulum-v1" / "ddpg").iterdir()
    before = assert_accounts_are_exact(folder)
    with playing(tmp_path, environment, "resume", str(folder)) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert said_at_the_end(process, 143).startswith("rlcont: interrupted at step ")
    after = assert_accounts_are_exact(folder)
    assert after["stored"] > before["stored"]
    assert kept(folder)[0]["collector"]["lives"] == [1, 1]


def test_a_ray_that_cannot_be_started_is_one_line_before_anything_is_created(tmp_path):
    environment = {**os.environ, "RAY_TMPDIR": str(tmp_path / ("long" * 20))}
    refused = rlcont(tmp_path, *ENDLESS, "actors.address=local", env=environment)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("rlcont: actors.address=local: Ray cannot be started (")
    assert not (tmp_path / "outputs").exists()


def test_a_run_whose_head_is_lost_says_so_ends_with_a_checkpoint_and_goes_on_in_another_cluster(tmp_path, cluster):
    port = 30000 + os.getpid() % 10000
    with (
        started_head(port) as (head, environment),
        playing(tmp_path, environment, *ENDLESS, f"actors.address=127.0.0.1:{port}") as (learner, _),
    ):
        # The head as another machine has it: what Ray runs here for the learner stays.
        head.send_signal(signal.SIGSTOP)
        for process in psutil.Process(head.pid).children():
            if process.name() == "gcs_server":
                process.kill()
        line = said_at_the_end(learner, 2)
    reason = f"the head of the Ray cluster, 127.0.0.1:{port}, has not answered for 15 s"
    assert line.startswith(f"rlcont: {reason}; rlcont resume ")
    (folder,) = (tmp_path / "outputs" / "Pendulum-v1" / "ddpg").iterdir()
    assert_accounts_are_exact(folder)
    step = kept(folder)[0]["step"]
    assert step > 0
    resumed = rlcont(tmp_path, "resume", str(folder), f"actors.address={cluster}", f"total_steps={step + 200}")
    assert resumed.returncode == 0, resumed.stderr
    assert assert_accounts_are_exact(folder)["stored"] >= step + 100
