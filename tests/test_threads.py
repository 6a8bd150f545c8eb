"""One thread or two: the choice by the times of updates, and that it changes no bit."""

import logging
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from tiny import TINY, TINY_A2C, TINY_PPO, tiny

from rlcont.config.compose import make_plan
from rlcont.core import choice
from rlcont.core.choice import LONGEST_PAUSE, SETTLE, SHARE_OF_TRYING, SHORTEST_PAUSE, WINDOW, Choice
from rlcont.core.protocols import eager
from rlcont.envs.adaptive import AdaptiveEnvironments
from rlcont.envs.vector import Environments
from rlcont.nn.optim import clip_norm
from rlcont.training import build as parts
from rlcont.training import threads
from rlcont.training.accelerate import Acceleration
from rlcont.training.build import make_agent

IDLE, BUSY = {1: 0.007, 2: 0.005}, {1: 0.008, 2: 0.025}
"""Seconds of an update by its number of threads."""


class Machine:
    """Updates that take as long as the machine of the moment says, with a clock of its own."""

    def __init__(self):
        self.choice, self.now, self.made = Choice(2), 0.0, []

    def work(self, seconds, of):
        """Updates for so many seconds; returns (time, favourite) of each change."""
        end, changes = self.now + seconds, []
        while self.now < end:
            before = self.choice.favourite
            taken = of[self.choice.number]
            self.now += taken
            self.made.append((self.choice.number, taken))
            self.choice.update(taken, self.now)
            if self.choice.favourite != before:
                changes.append((self.now, self.choice.favourite))
        return changes


def test_two_threads_stay_where_they_are_faster():
    machine = Machine()
    assert machine.work(600, IDLE) == []
    assert machine.choice.favourite == 2


def test_slow_first_updates_decide_nothing():
    machine = Machine()
    machine.work(SETTLE * 20, {1: 20, 2: 20})
    assert machine.work(60, IDLE) == []


def test_one_thread_is_taken_at_once_when_two_become_slower_than_it():
    machine = Machine()
    machine.work(30, IDLE)
    start = machine.now
    [(at, favourite), *_] = machine.work(100, BUSY)
    assert favourite == 1
    assert at - start <= 2 * WINDOW * BUSY[2]


def test_a_machine_that_is_busy_from_the_start_is_found_out_by_the_first_comparison():
    machine = Machine()
    machine.work(SETTLE * BUSY[2], BUSY)
    start = machine.now
    changes = machine.work(100, BUSY)
    assert [favourite for _, favourite in changes] == [1]
    assert changes[0][0] - start < 5 * WINDOW * BUSY[2]


def test_two_threads_come_back_when_the_machine_is_idle_again():
    machine = Machine()
    machine.work(30, IDLE)
    machine.work(20, BUSY)
    assert [favourite for _, favourite in machine.work(LONGEST_PAUSE, IDLE)] == [2]


def test_trying_costs_little_on_a_busy_machine_and_on_an_idle_one():
    for of, best in ((IDLE, 2), (BUSY, 1), ({1: 0.008, 2: 1.0}, 1)):
        machine = Machine()
        machine.work((SETTLE + WINDOW + 3) * of[2], of)
        machine.made.clear()
        machine.work(1000, of)
        lost = sum(taken - of[best] for threads_used, taken in machine.made if threads_used != best)
        assert 0 < lost < 1.5 * SHARE_OF_TRYING * 1000


def test_pauses_grow_up_to_the_longest():
    machine = Machine()
    machine.work(2000, {1: 0.007, 2: 0.008})
    tried = np.flatnonzero([threads_used == 2 for threads_used, _ in machine.made])
    between = np.diff(np.cumsum([taken for _, taken in machine.made])[tried])
    pauses = between[between > SHORTEST_PAUSE / 2]
    np.testing.assert_allclose(pauses[1:6] / pauses[:5], 2, rtol=0.2)
    np.testing.assert_allclose(pauses[8:], LONGEST_PAUSE, rtol=0.1)


def test_a_load_that_comes_and_goes_changes_little():
    machine, changes = Machine(), []
    for _ in range(300):
        changes += machine.work(2, BUSY) + machine.work(2, IDLE)
    assert len(changes) < 40


def test_a_difference_within_the_noise_changes_nothing():
    machine = Machine()
    machine.work(600, {1: 0.00490, 2: 0.005})
    # Without a margin, both would be taken in turns.
    assert machine.choice.favourite in (1, 2)
    assert len(machine.work(600, {1: 0.005, 2: 0.00490})) <= 1


def test_a_change_is_told_and_made_and_not_too_often(monkeypatch, caplog):
    monkeypatch.setattr(choice, "SETTLE", 0)
    asked, clock, of = [], [0.0], [IDLE]
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock[0])
    adaptive = threads.AdaptiveThreads(eager)

    def update(batch):
        clock[0] += of[0][adaptive.choice.number]
        return {}

    update = adaptive(update)
    with caplog.at_level(logging.WARNING):
        for load in (IDLE, BUSY, IDLE, BUSY, IDLE, BUSY):
            of[0], end = load, clock[0] + 200
            while clock[0] < end:
                assert update(None) == {}
    assert asked[-1] == adaptive.choice.number == 1
    one, two = "rlcont: 1 thread updates faster at the moment", "rlcont: 2 threads update faster again"
    assert caplog.messages == [one, two, one]


def trained(overrides, compiled, numbers):
    """The state after three rounds of learning, by numbers of threads in turns."""
    config = make_plan(overrides).config
    envs = Environments(config.env, list(range(config.num_envs)))
    agent = make_agent(config, envs.spec, Acceleration(compiled, "fp32", "cpu", required=compiled))
    obs, num_learned = envs.reset(), 0
    while num_learned < 3:
        step = envs.step(agent.act(obs, explore=True))
        obs = step.obs_to_act_on
        agent.observe(step)
        torch.set_num_threads(numbers[num_learned % len(numbers)])
        num_learned += bool(agent.learn())
    torch.set_num_threads(1)
    return agent.state_dict()


def tensors(state):
    """All tensors of a state by their places."""
    if isinstance(state, dict):
        return {f"{key}.{place}": leaf for key, each in state.items() for place, leaf in tensors(each).items()}
    return {"": state} if isinstance(state, torch.Tensor) else {}


LARGE = {
    **{
        algo: tiny(
            f"algo={algo}",
            "tuned=none",
            "env=HalfCheetah-v4",
            "algo.batch_size=256",
            "algo.warmup_steps=300",
            "algo.actor.hidden=[256,256]",
            "algo.critic.hidden=[256,256]",
            "algo.max_grad_norm=0.5",
            base=TINY,
        )
        for algo in ("ddpg", "td3", "d4pg", "sac")
    },
    "a2c": tiny("env=HalfCheetah-v4", "algo.network.hidden=[256,256]", "algo.rollout_steps=64", base=TINY_A2C),
    "ppo": tiny("env=HalfCheetah-v4", "algo.network.hidden=[256,256]", "algo.rollout_steps=64", base=TINY_PPO),
}
"""Products, sums and networks that are large enough to be divided among threads."""


@pytest.mark.parametrize("algo", LARGE)
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "compiled"])
def test_an_update_is_the_same_with_one_thread_and_with_two(algo, compiled):
    one, two, both = (tensors(trained(LARGE[algo], compiled, numbers)) for numbers in ((1,), (2,), (2, 1)))
    assert [place for place in one if not torch.equal(one[place], two[place])] == []
    assert [place for place in one if not torch.equal(one[place], both[place])] == []


@pytest.mark.parametrize("resumed", [(), (2, 1)], ids=["new", "resumed"])
def test_a_run_on_two_cores_compares_threads_and_processes_on_its_way(resumed, monkeypatch):
    made = []
    monkeypatch.setattr(parts, "AdaptiveThreads", lambda inner: made.append(threads.AdaptiveThreads(inner)) or made[-1])
    overrides = tiny("env=HalfCheetah-v4", "num_envs=8", "threads=auto", "workers=auto", base=TINY_A2C)
    torch.set_num_threads(2)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, 1)
        training = parts.build(make_plan(overrides).config, stack, *resumed).training
        assert torch.get_num_threads() == 2
        assert isinstance(training.collector.envs, AdaptiveEnvironments)
        while training.agent.num_updates == 0:
            training.advance()
    (adaptive,) = made
    assert adaptive.choice.num_updates > 0


@pytest.mark.parametrize("algo", LARGE)
def test_an_agent_begins_the_same_with_one_thread_and_with_two(algo):
    config = make_plan(LARGE[algo]).config
    spec = Environments(config.env, [0]).spec
    states = []
    for number in (1, 2):
        torch.set_num_threads(number)
        states.append(tensors(make_agent(config, spec).state_dict()))
        assert torch.get_num_threads() == number
    torch.set_num_threads(1)
    assert [place for place in states[0] if not torch.equal(states[0][place], states[1][place])] == []


def test_a_clipped_gradient_is_the_same_with_one_thread_and_with_two():
    grad = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    one = clip_norm(grad, 0.5)
    torch.set_num_threads(2)
    two = clip_norm(grad, 0.5)
    torch.set_num_threads(1)
    assert torch.equal(one, two)
    torch.testing.assert_close(one.norm(), torch.tensor(0.5))
