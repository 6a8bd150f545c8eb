"""Environments that change hands: the numbers of one process, whoever steps them, and nobody who cannot."""

import logging
import random
import time

import gymnasium
import numpy as np
import pytest
from test_workers import config, play

from rlcont.core.errors import UserError
from rlcont.envs import adaptive
from rlcont.envs.adaptive import AdaptiveEnvironments, can_move
from rlcont.envs.config import EnvConfig
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments, useful_workers

SEEDS = [10, 11, 12, 13]


class InTurns:
    """A choice that takes the other number after every third step."""

    def __init__(self, most, first, **_):
        self.most, self.number, self.favourite, self.taken = most, first, first, 0

    def update(self, seconds, now):
        assert 0 < seconds < now
        self.taken += 1
        if self.taken % 3 == 0:
            self.number = self.favourite = 1 if self.number > 1 else self.most


def opened(env_id="Hopper-v4", first=2):
    """Environments with a worker that is there."""
    envs = AdaptiveEnvironments(config(env_id), SEEDS, 2, first)
    envs.reset()
    while envs._together is None:
        envs.step(np.zeros((len(envs), envs.spec.action_dim), np.float32))
    while not envs._together.workers_are_there():
        time.sleep(0.01)
    return envs


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Ant-v5"])
def test_the_numbers_are_those_of_one_process_whoever_steps(monkeypatch, env_id):
    monkeypatch.setattr(adaptive, "Choice", InTurns)
    expected = play(Environments(config(env_id), SEEDS), 120)
    envs = opened(env_id)
    # One step was made until the worker was there; from here on both play the same.
    start = Environments(config(env_id), SEEDS)
    start.reset()
    envs.put_back(start.state_dict())
    monkeypatch.setattr(envs, "reset", lambda: start._obs)
    processes = []
    change = envs._change_hands
    monkeypatch.setattr(envs, "_change_hands", lambda: (change(), processes.append(envs.num_processes)))
    found = play(envs, 120)
    envs.close()
    assert len(processes) > 20
    assert set(processes) == {1, 2}
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_state_goes_from_either_hand_to_one_process(monkeypatch):
    monkeypatch.setattr(adaptive, "Choice", InTurns)
    envs, alone = opened(), Environments(config("Hopper-v4"), SEEDS)
    alone.reset()
    action = np.full((len(SEEDS), 3), 0.3, np.float32)
    for _ in range(8):
        envs.step(action)
        alone.put_back(envs.state_dict())
        before = envs.num_processes
        ours, theirs = envs.step(action), alone.step(action)
        for one, other in zip(ours[:-1], theirs[:-1], strict=True):
            np.testing.assert_array_equal(one, other)
        assert before in (1, 2)
    envs.close()


def test_workers_are_started_only_in_a_run_that_is_long_enough():
    envs = AdaptiveEnvironments(config("Hopper-v4"), SEEDS, 2, 1)
    play(envs, 5)
    assert envs._together is None
    envs._seconds_to_start = 0.0
    envs.step(np.zeros((4, 3), np.float32))
    assert envs._together is not None
    assert envs.num_processes == 1
    processes = [worker.process for worker in envs._together._workers]
    envs.close()
    assert [process.returncode for process in processes] == [0]


def test_the_faster_hand_is_taken_and_told(caplog):
    envs = AdaptiveEnvironments(config("Hopper-v4"), SEEDS, 2, 1)
    envs.reset()
    envs._seconds_to_start = 0.0
    clock, seconds = [0.0], {1: 4e-4, 2: 3e-4}
    action = np.zeros((4, 3), np.float32)
    envs.step(action)
    while not envs._together.workers_are_there():
        time.sleep(0.01)

    def work(num_steps):
        for _ in range(num_steps):
            taken = seconds[envs.num_processes]
            clock[0] += taken
            envs._consider(taken, clock[0])

    with caplog.at_level(logging.WARNING):
        work(4 * adaptive.WINDOW)
        assert envs.num_processes == 2
        seconds[2] = 5e-3
        work(4 * adaptive.WINDOW)
        assert envs.num_processes == 1
    envs.close()
    assert caplog.messages == [
        "rlcont: 2 processes step the environments faster at the moment",
        "rlcont: 1 process steps the environments faster at the moment",
    ]


def test_a_worker_that_cannot_be_had_is_told_and_done_without(monkeypatch, caplog):
    def fails(self):
        raise UserError("env=Hopper-v4: a worker process died (exit code 1)")

    monkeypatch.setattr(WorkerEnvironments, "workers_are_there", fails)
    envs = AdaptiveEnvironments(config("Hopper-v4"), SEEDS, 2, 2)
    with caplog.at_level(logging.WARNING):
        found = play(envs, 50)
    envs.close()
    for ours, theirs in zip(found, play(Environments(config("Hopper-v4"), SEEDS), 50), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    [line] = caplog.messages
    assert line.startswith("rlcont: one process steps the environments, as no other can: env=Hopper-v4: a worker")


def test_a_machine_without_room_for_another_process_is_done_without(monkeypatch, caplog):
    def refuse(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(adaptive, "WorkerEnvironments", refuse)
    envs = AdaptiveEnvironments(config("Hopper-v4"), SEEDS, 2, 2)
    envs.reset()
    for _ in range(20):
        envs.step(np.zeros((len(SEEDS), 3), np.float32))
    envs.close()
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("rlcont: one process steps the environments, as no other can: [Errno 11] Resource")


def test_an_environment_that_draws_from_the_process_stays_in_it(monkeypatch):
    monkeypatch.setattr(adaptive, "Choice", InTurns)
    envs = opened(first=2)
    random.random()
    for _ in range(10):
        envs.step(np.zeros((4, 3), np.float32))
    assert envs._is_settled
    assert envs.num_processes == 1
    envs.close()


def test_only_gymnasiums_own_simulations_move():
    def moves(env_id, wrappers=(), **kwargs):
        return can_move(EnvConfig(id=env_id, kwargs=kwargs, max_episode_steps=None, wrappers=wrappers, info=()))

    assert moves("HalfCheetah-v4")
    assert moves("Ant-v5", frame_skip=3)
    assert not moves("Pendulum-v1")
    assert not moves("probe_envs:Lottery-v0")
    assert not moves("Hopper-v4", wrappers=("TimeAwareObservation",))
    assert not moves("Hopper-v4", render_mode="human")


def test_an_environment_of_the_main_script_has_no_workers():
    class Own(gymnasium.Env):
        pass

    Own.__module__ = "__main__"
    gymnasium.register("OfTheMainScript-v0", Own)
    assert useful_workers(config("OfTheMainScript-v0"), 8, 2) == 1
    del gymnasium.registry["OfTheMainScript-v0"]
