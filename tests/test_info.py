"""Values of an environment's info, of training and of evaluation."""

import csv

import gymnasium
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny

import rlcont
from rlcont.core.types import Collected, Evaluation, joined
from rlcont.envs.config import EnvConfig
from rlcont.envs.episodes import Episodes
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments
from rlcont.runs.evaluations import add_evaluation, evaluation_row, read_evaluations, write_episodes
from rlcont.training.interval import Interval


class Counting(gymnasium.Env):
    """Episodes of five steps whose info counts them; every second one is a success, every third tells a distance."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self):
        self.episodes = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episodes, self.steps = self.episodes + 1, 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        info = {"is_success": self.episodes % 2 == 0, "steps": np.int64(self.steps), "note": "text"}
        info |= {"distance": 0.7 * self.episodes} if self.episodes % 3 == 0 else {}
        return np.zeros(1, np.float32), 0.0, self.steps == 5, False, info


gymnasium.register("test_info/Counting-v0", Counting)
NAMES = ("is_success", "steps", "distance", "note", "nowhere")
CONFIG = EnvConfig(id="test_info/Counting-v0", kwargs={}, max_episode_steps=None, wrappers=(), info=NAMES)


def test_training_logs_the_mean_over_the_episodes_that_gave_a_number():
    envs, episodes, interval = Environments(CONFIG, [0]), Episodes(1), Interval()
    envs.reset()
    for _ in range(5 * 6):
        interval.add(episodes.add(envs.step(np.zeros((1, 1), np.float32))), {})
    values = interval.summary()
    assert {tag: value for tag, value in values.items() if tag.startswith("train_info/")} == {
        "train_info/is_success": 0.5,  # Episodes 1 to 6.
        "train_info/steps": 5.0,
        "train_info/distance": (0.7 * 3 + 0.7 * 6) / 2,
    }
    assert "train_info/steps" not in Interval.summary(_with_one_step(interval))


def _with_one_step(interval):
    interval.add(Collected(np.zeros((1, 1)), np.empty(0), np.empty(0, np.int64)), {})
    return interval


def test_an_interval_keeps_its_values_over_a_resume():
    interval, other = Interval(), Interval()
    interval.add(Collected(np.zeros((2, 1)), np.ones(2), np.ones(2, np.int64), {"goal": np.array([1.0, np.nan])}), {})
    other.load_state_dict(interval.state_dict(), "cpu")
    assert other.summary()["train_info/goal"] == 1.0


@pytest.mark.slow
def test_workers_send_the_values_of_one_process():
    def played(envs):
        envs.reset()
        steps = [envs.step(np.zeros((3, 1), np.float32)) for _ in range(11)]
        envs.close()
        return [{name: values[step.ended] for name, values in step.info.items()} for step in steps if step.ended.any()]

    config = EnvConfig(id="test_info:test_info/Counting-v0", **{name: getattr(CONFIG, name) for name in FIELDS})
    for ours, theirs in zip(
        played(WorkerEnvironments(config, [0, 1, 2], 2)), played(Environments(config, [0, 1, 2])), strict=True
    ):
        assert ours.keys() == theirs.keys() == set(NAMES)
        for name in NAMES:
            np.testing.assert_array_equal(ours[name], theirs[name])


FIELDS = ("kwargs", "max_episode_steps", "wrappers", "info")


def test_parts_of_a_rollout_are_joined_where_they_have_values():
    nothing = Collected(np.zeros((1, 1)), np.empty(0), np.empty(0, np.int64))
    one = Collected(np.zeros((1, 1)), np.ones(1), np.ones(1, np.int64), {"goal": np.array([2.0])})
    assert joined([nothing, nothing]).info == {}
    assert joined([nothing, one, nothing, one]).info["goal"].tolist() == [2.0, 2.0]


def test_the_row_of_an_evaluation_has_the_mean_and_its_first_row_sets_the_columns(tmp_path):
    info = {"is_success": np.array([1.0, 0.0]), "seldom": np.array([np.nan, 3.0]), "never": np.full(2, np.nan)}
    whole = evaluation_row(Evaluation(np.array([1.0, 3.0]), np.array([5, 7]), info))
    assert {name: whole[name] for name in whole if name in info} == {"is_success": 0.5, "seldom": 3.0}
    add_evaluation(tmp_path, 0, whole, 0.0)
    add_evaluation(tmp_path, 10, evaluation_row(Evaluation(np.ones(1), np.ones(1), {"later": np.ones(1)})), 1.0)
    assert [list(row)[-3:] for row in read_evaluations(tmp_path)] == [["seconds", "is_success", "seldom"]] * 2
    assert [row["is_success"] for row in read_evaluations(tmp_path)] == ["0.5", ""]


def test_a_run_logs_them_and_says_what_its_environment_does_not_give(tmp_path, capfd):
    run = rlcont.train(
        f"output={tmp_path}",
        "env.info=[is_success,steps,distanec]",
        *tiny("eval.episodes=4", "env=test_info/Counting-v0", "tuned=none"),
    )
    assert "gives no distanec in its info so far; there is is_success, steps, note" in capfd.readouterr().out
    events = EventAccumulator(str(run))
    events.Reload()
    assert [event.value for event in events.Scalars("train_info/steps")] == [5.0] * 4
    assert {event.value for event in events.Scalars("eval_info/is_success")} <= {0.0, 0.25, 0.5, 0.75, 1.0}
    rows = list(csv.DictReader((run / "evaluations.csv").open()))
    assert [float(row["steps"]) for row in rows] == pytest.approx([5.0] * 3)
    assert rlcont.evaluations(run)[-1]["steps"] == 5.0


def test_the_episodes_of_an_evaluation_as_a_table(tmp_path):
    evaluation = Evaluation(np.array([1.5, -2.0]), np.array([5, 7]), {"goal": np.array([1.0, 0.0]), "no": [np.nan] * 2})
    write_episodes(tmp_path / "episodes.csv", [11, 2**40], evaluation)
    assert (tmp_path / "episodes.csv").read_text().splitlines() == [
        "episode,seed,return,steps,goal",
        "0,11,1.5,5,1.0",
        f"1,{2**40},-2.0,7,0.0",
    ]
