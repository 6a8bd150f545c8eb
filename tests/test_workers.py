"""Environments stepped by several processes: the numbers of one process, and no silence when one is lost."""

import os
import signal
import subprocess
import sys

import fate_env
import numpy as np
import psutil
import pytest

from rlcont.core.errors import UserError
from rlcont.envs import workers
from rlcont.envs.config import EnvConfig
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments, useful_workers


def config(env_id, **kwargs):
    return EnvConfig(id=env_id, kwargs=kwargs, max_episode_steps=None, wrappers=(), info=())


def play(envs, num_steps, seed=0):
    """Observations at the start, then every column of every step."""
    rng = np.random.default_rng(seed)
    columns = [envs.reset()]
    for _ in range(num_steps):
        action = rng.uniform(-1.2, 1.2, (len(envs), envs.spec.action_dim)).astype(np.float32)
        columns += envs.step(action)[:-1]
    return columns


@pytest.mark.parametrize(
    ("env_id", "num_envs", "num_workers"),
    [("probe_envs:Lottery-v0", 5, 3), ("Hopper-v4", 4, 2), ("Pendulum-v1", 3, 3)],
)
def test_the_numbers_are_those_of_one_process(env_id, num_envs, num_workers):
    seeds = list(range(10, 10 + num_envs))
    expected = play(Environments(config(env_id), seeds), 250)
    envs = WorkerEnvironments(config(env_id), seeds, num_workers)
    assert len(envs) == num_envs
    found = play(envs, 250)
    envs.close()
    ended = sum(column.sum() for column in expected if column.dtype == bool)
    assert ended > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_step_is_not_written_over_by_the_next():
    envs = WorkerEnvironments(config("probe_envs:Lottery-v0"), [0, 1, 2], 2)
    envs.reset()
    first = envs.step(np.zeros((3, 1), np.float32))
    kept = [column.copy() for column in first]
    for _ in range(5):
        envs.step(np.ones((3, 1), np.float32))
    envs.close()
    for column, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(column, copy)


def test_closing_ends_every_worker():
    envs = WorkerEnvironments(config("Pendulum-v1"), [0, 1, 2], 3)
    envs.reset()
    processes = [worker.process for worker in envs._workers]
    assert [process.poll() for process in processes] == [None, None]
    envs.close()
    assert [process.returncode for process in processes] == [0, 0]


def step_until_fate(envs):
    envs.reset()
    for _ in range(fate_env.LAST_STEP):
        envs.step(np.zeros((len(envs), 1), np.float32))


@pytest.mark.parametrize(
    ("fate", "error", "message", "exit_code"),
    [
        ("worker-die", UserError, r"env=fate_env:Fate-v0: a worker process died \(exit code -9\)", -9),
        ("worker-hang", UserError, r"env=fate_env:Fate-v0: a worker process did not answer for 3 s", -9),
        ("worker-raise", UserError, r"cannot take a step: RuntimeError: this is fate .*\(fate_env.py, line \d+\)$", 0),
    ],
)
def test_a_lost_worker_is_an_error_that_names_the_environment(fate, error, message, exit_code, monkeypatch):
    # A process that has to start takes longer than that on a busy machine.
    if fate == "worker-hang":
        monkeypatch.setattr(workers, "PATIENCE", 3)
    envs = WorkerEnvironments(config("fate_env:Fate-v0", fate=fate), [0, 1, 2], 2)
    with pytest.raises(error, match=message):
        step_until_fate(envs)
    envs.close()
    assert envs._workers[0].process.returncode == exit_code


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_worker_is_deaf_to_what_a_terminal_sends_to_all_its_processes(number):
    envs = WorkerEnvironments(config("Pendulum-v1"), [0, 1], 2)
    envs.reset()
    os.kill(envs._workers[0].process.pid, number)
    envs.step(np.zeros((2, 1), np.float32))
    envs.close()
    assert envs._workers[0].process.returncode == 0


def test_after_an_error_there_is_nothing_left_to_be_stepped():
    """The workers' answers to the step that failed would be taken for those to the next."""
    envs = WorkerEnvironments(config("Pendulum-v1"), [0, 1], 2)
    envs.reset()
    with pytest.raises(UserError, match="action is nan"):
        envs.step(np.full((2, 1), np.nan, np.float32))
    assert envs._workers[0].process.poll() is not None
    with pytest.raises(OSError, match="closed"):
        envs.step(np.zeros((2, 1), np.float32))
    envs.close()


def test_a_mistake_of_the_environment_reads_the_same_from_a_worker():
    own = Environments(config("probe_envs:NanAtStep3-v0"), [0])
    envs = WorkerEnvironments(config("probe_envs:NanAtStep3-v0"), [0, 1], 2)
    worker = envs._workers[0]

    def step_the_worker():
        worker.ask(np.zeros((1, 1), np.float32).tobytes())
        worker.answer()

    messages = []
    for opened, step in ((own, lambda: own.step(np.zeros((1, 1), np.float32))), (envs, step_the_worker)):
        opened.reset()
        step()
        step()
        with pytest.raises(UserError) as caught:
            step()
        messages.append(str(caught.value))
        opened.close()
    said = "env=probe_envs:NanAtStep3-v0: observation 0 is nan; wanted is a finite number that float32 holds"
    assert messages == [said, said]


def test_a_worker_is_deaf_to_ctrl_c_and_does_not_outlive_the_process_that_trains(tmp_path):
    # A script without the usual guard, which must not be run once more in the worker.
    (tmp_path / "script.py").write_text(
        "import sys\n"
        "from rlcont.envs.config import EnvConfig\n"
        "from rlcont.envs.workers import WorkerEnvironments\n"
        "config = EnvConfig(id='Pendulum-v1', kwargs={}, max_episode_steps=None, wrappers=(), info=())\n"
        "envs = WorkerEnvironments(config, [0, 1], 2)\n"
        "envs.reset()\n"
        "print(envs._workers[0].process.pid, flush=True)\n"
        "sys.stdin.readline()\n"
        "envs.reset()\n"
        "print('reset once more', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    command, pipe = [sys.executable, str(tmp_path / "script.py")], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
        parent.stdin.write("\n")
        assert parent.stdout.readline() == "reset once more\n"
        parent.kill()
        worker.wait(300)


@pytest.mark.parametrize(
    ("seconds", "num_envs", "cores", "expected"),
    [
        (1e-2, 8, 2, 2),
        (1e-2, 8, 16, 8),
        (1e-2, 1, 8, 1),
        (1e-2, 8, 1, 1),
        (1e-6, 8, 2, 1),
        (workers.EXCHANGE_SECONDS / 4, 8, 2, 1),
        (workers.EXCHANGE_SECONDS / 3, 8, 2, 2),
    ],
)
def test_auto_takes_workers_where_the_time_they_save_is_more_than_they_cost(
    monkeypatch, seconds, num_envs, cores, expected
):
    monkeypatch.setattr(workers, "_step_seconds", lambda config: seconds)
    assert useful_workers(config("Pendulum-v1"), num_envs, cores) == expected


def test_a_step_of_an_environment_is_timed(monkeypatch):
    now = iter((10.0, 15.0))
    monkeypatch.setattr("rlcont.envs.workers.time.thread_time", lambda: next(now))
    assert workers._step_seconds(config("Pendulum-v1")) == 5.0 / workers.TIMED_STEPS
