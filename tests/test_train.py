"""Whole runs, small: reproducible, undisturbed by evaluation, learning."""

import csv
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY_A2C, tiny

from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.core.types import EnvStep
from rlcont.envs.episodes import Episodes
from rlcont.envs.vector import Environments
from rlcont.training.collector import InlineCollector
from rlcont.training.interval import Interval
from rlcont.training.run import run


def tiny_run(tmp_path, *overrides):
    return whole_run(tiny(f"output={tmp_path}", *overrides))


def tiny_a2c_run(tmp_path, *overrides):
    return whole_run(tiny(f"output={tmp_path}", *overrides, base=TINY_A2C))


def whole_run(overrides):
    plan = make_plan(overrides)
    return run(plan.config, plan.choices)


def evaluations(folder):
    with (folder / "evaluations.csv").open() as file:
        return [(int(row["step"]), float(row["return_mean"]), float(row["return_std"])) for row in csv.DictReader(file)]


def scalars(folder, tags):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def same_weights(one, other):
    weights, others = (load_file(folder / "policies" / "last.safetensors") for folder in (one, other))
    return weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in weights)


@pytest.mark.parametrize("overrides", [["noise=ou"], ["num_envs=3", "algo.normalize_obs=true"]])
def test_the_same_seed_gives_the_same_run(tmp_path, overrides):
    one, other = (tiny_run(tmp_path, *overrides) for _ in range(2))
    assert one != other
    assert evaluations(one) == evaluations(other)
    assert same_weights(one, other)


@pytest.mark.parametrize("policy", ["gaussian", "squashed", "beta"])
def test_the_same_seed_gives_the_same_run_of_a2c_with_any_number_of_workers(tmp_path, policy):
    one, other, stepped_by_two = (
        tiny_a2c_run(tmp_path, f"algo.policy={policy}", f"workers={workers}") for workers in (1, 1, 2)
    )
    assert evaluations(one) == evaluations(other) == evaluations(stepped_by_two)
    assert same_weights(one, other)
    assert same_weights(one, stepped_by_two)


def test_evaluating_a2c_more_often_changes_no_training_number(tmp_path):
    tags = ["train/return", "learn/policy_loss", "learn/value_loss", "learn/entropy", "train/action_mean"]
    often, seldom = (tiny_a2c_run(tmp_path, f"eval.every={every}") for every in (50, 400))
    assert len(evaluations(often)) > len(evaluations(seldom))
    assert scalars(often, tags) == scalars(seldom, tags)
    assert same_weights(often, seldom)


def test_a_run_leaves_torchs_threads_as_they_were(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    tiny_a2c_run(tmp_path, "workers=2")
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)


def test_another_seed_gives_another_run(tmp_path):
    one, other = tiny_run(tmp_path, "seed=0"), tiny_run(tmp_path, "seed=1")
    assert evaluations(one) != evaluations(other)
    assert not same_weights(one, other)


def test_the_frequency_of_evaluation_changes_no_training_number(tmp_path):
    tags = ["train/return", "learn/critic_loss", "learn/actor_loss", "train/action_mean"]
    often, seldom = (
        tiny_run(tmp_path, f"eval.every={every}", "algo.normalize_obs=true", "noise=ou") for every in (50, 400)
    )
    assert len(evaluations(often)) > len(evaluations(seldom))
    assert scalars(often, tags) == scalars(seldom, tags)
    assert same_weights(often, seldom)


def test_evaluations_come_at_the_start_on_schedule_and_at_the_end(tmp_path):
    folder = tiny_run(tmp_path, "eval.every=150", "num_envs=4")
    assert [step for step, *_ in evaluations(folder)] == [0, 152, 300, 400]


def test_every_evaluated_policy_is_kept_if_asked(tmp_path):
    folder = tiny_run(tmp_path, "eval.save_policies=true")
    kept = {path.stem for path in (folder / "policies").glob("*.safetensors")}
    assert kept == {"last", "best", "step-0", "step-200", "step-400"}
    last, final = (load_file(folder / "policies" / f"{name}.safetensors") for name in ("last", "step-400"))
    assert all(torch.equal(last[key], final[key]) for key in last)


def test_a_replay_that_does_not_fit_is_refused_with_the_figures_before_a_folder_exists(tmp_path):
    with pytest.raises(UserError, match=r"algo.replay_size=1000000000000: needs 33527\.61 GiB .* are available"):
        tiny_run(tmp_path / "outputs", "algo.replay_size=1e12", "total_steps=1e12")
    assert not (tmp_path / "outputs").exists()


def step_of(reward, ended, valid):
    num = len(reward)
    obs = np.zeros((num, 1), np.float32)
    action = np.array([[0.5], [-1.0]], np.float32)
    flags = np.array(ended)
    return EnvStep(obs, action, np.array(reward, np.float32), obs, flags, flags & False, obs, np.array(valid))


def test_interval_figures_by_hand():
    interval, episodes = Interval(), Episodes(2)

    def add(reward, ended, valid, metrics):
        interval.add(episodes.add(step_of(reward, ended, valid)), metrics)

    add([1, 10], [False, False], [True, True], {"loss": torch.tensor(1.0)})
    add([2, 20], [True, False], [True, True], {})
    add([4, 0], [False, True], [True, False], {"loss": torch.tensor(4.0)})
    summary = interval.summary()
    assert summary["train/return"] == (3 + 30) / 2
    assert summary["train/length"] == 2
    assert summary["learn/loss"] == 2.5
    assert summary["train/action_mean"] == -0.25
    assert summary["train/action_std"] == 0.75
    assert summary["train/action_saturated"] == 0.5
    add([8, 0], [True, False], [True, True], {})
    assert interval.summary()["train/return"] == 4 + 8


def test_metrics_on_the_cpu_are_kept_as_numbers_which_a_resume_keeps_too():
    interval, other = Interval(), Interval()
    values = [torch.tensor(0.1), torch.tensor(0.7), torch.tensor(1e-8)]
    expected = torch.stack(values)
    tensors = [weakref.ref(value) for value in values]
    for value in values:
        interval.add(Episodes(2).add(step_of([0, 0], [False, False], [True, True])), {"loss": value})
    del values, value
    assert [tensor() for tensor in tensors] == [None, None, None]
    other.load_state_dict(interval.state_dict(), "cpu")
    assert torch.equal(other.state_dict()["metrics"]["loss"], expected)
    assert other.summary()["learn/loss"] == interval.summary()["learn/loss"] == expected.mean().item()


def test_time_spent_evaluating_does_not_count_in_steps_per_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rlcont.training.interval.time.perf_counter", lambda: now[0])
    interval = Interval()
    interval.add(Episodes(2).add(step_of([0, 0], [False, False], [True, True])), {})
    now[0] = 1.0
    with interval.paused():
        now[0] = 100.0
    now[0] = 101.0
    assert interval.summary()["train/steps_per_second"] == 1.0


def test_environments_get_actions_of_one_type_whatever_an_agent_gives():
    given = []

    class Agent:
        act = staticmethod(lambda obs, *, explore: np.full((1, 1), 0.1))
        observe = staticmethod(lambda step: None)

    class Spied(Environments):
        def step(self, action):
            given.append(action.dtype)
            return super().step(action)

    collector = InlineCollector(Agent(), Spied(make_plan(["env=Pendulum-v1"]).config.env, [0]))
    collector.collect()
    assert given == [np.float32]
