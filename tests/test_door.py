"""rlcont from Python: train, load, evaluations."""

import math

import gymnasium
import numpy as np
import pytest
from tiny import tiny

import rlcont
from rlcont.core.errors import UserError
from rlcont.envs.spaces import Observations
from rlcont.runs.evaluations import read_evaluations
from rlcont.runs.folder import load_config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    output = tmp_path_factory.mktemp("door") / "outputs"
    return rlcont.train(f"output={output}", *tiny("eval.episodes=1"))


def test_a_policy_plays_the_episodes_of_the_evaluation(run):
    policy, env = rlcont.load(run), gymnasium.make("Pendulum-v1")
    from rlcont.core.seeding import integers

    obs, _ = env.reset(seed=integers(0, "evaluation", 1)[0])
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(policy.act(obs))
        total, over = total + reward, terminated or truncated
    assert total == pytest.approx(rlcont.evaluations(run)[-1]["return_mean"], rel=1e-4)


def test_a_batch_gives_the_actions_of_its_rows(run):
    policy, envs = rlcont.load(str(run), "best"), gymnasium.make_vec("Pendulum-v1", 3)
    obs, _ = envs.reset(seed=0)
    actions = policy.act(obs)
    assert actions.shape == (3, 1)
    assert envs.single_action_space.contains(actions[0])
    np.testing.assert_allclose(actions, [policy.act(row) for row in obs], rtol=1e-5)


@pytest.mark.parametrize(
    ("obs", "said"),
    [
        ([1.0, 2.0], r"act takes no observation of shape \(2,\), its space has \(3,\)"),
        (None, "act takes no observation that is None"),
        ("text", "act takes no observation that is 'text'"),
        ([[1.0], [1.0, 2.0]], "act takes no observation that is a list"),
        ([0.0, math.nan, 0.0], "observation 1 is nan; wanted is a finite number"),
    ],
)
def test_what_is_no_observation_is_one_line(run, obs, said):
    with pytest.raises(UserError, match=f"^env=Pendulum-v1: {said}"):
        rlcont.load(run).act(obs)


def test_an_empty_batch_has_no_actions(run):
    assert rlcont.load(run).act(np.empty((0, 3), np.float32)).shape == (0, 1)


def test_a_file_that_was_edited_in_between_is_read_anew(tmp_path):
    file, configs = tmp_path / "mine.yaml", []
    for gamma in (0.9, 0.8):
        file.write_text(f"# @package _global_\nalgo:\n  gamma: {gamma}\n")
        configs.append(load_config(rlcont.train(f"output={tmp_path / 'outputs'}", f"tuned={file}", *tiny())))
    assert [config.algo.gamma for config in configs] == [0.9, 0.8]


def test_evaluations_are_the_numbers_of_the_table(run):
    assert [row["step"] for row in rlcont.evaluations(run)] == [0, 200, 400]
    with pytest.raises(UserError, match=r"typo/run.json: no description of a run"):
        rlcont.evaluations(run / "typo")
    assert rlcont.evaluations(run)[1]["return_mean"] == float(read_evaluations(run)[1]["return_mean"])


def test_a_run_goes_on(tmp_path):
    run = rlcont.train(f"output={tmp_path / 'outputs'}", *tiny("eval.episodes=1"))
    assert rlcont.resume(run, "total_steps=600") == run
    assert [row["step"] for row in rlcont.evaluations(run)] == [0, 200, 400, 600]
    assert rlcont.resume(str(run)) == run  # It is finished.
    for words, said in ((["total_steps=1"], "is at step 600 already"), (["seed=1"], "fixed for the whole run")):
        with pytest.raises(UserError, match=said):
            rlcont.resume(run, *words)
    with pytest.raises(UserError, match="nowhere: no run"):
        rlcont.resume("nowhere")


def test_a_mistake_is_one_exception():
    with pytest.raises(UserError, match=r"^seeed=1: no such key; did you mean seed"):
        rlcont.train("seeed=1")
    for word, said in (("sweep.jobs=2", "add -m"), ("search.trials=3", "rlcont search"), ("-m", "on the command line")):
        with pytest.raises(UserError, match=f"^{word}: counts only .*{said}"):
            rlcont.train(word)
    with pytest.raises(UserError, match="zoo:nothing: the zoo has"):
        rlcont.train("init=zoo:nothing")
    with pytest.raises(UserError, match="resume: counts only on the command line, as in: rlcont resume"):
        rlcont.train("resume", "outputs")
    with pytest.raises(rlcont.UserError, match="nowhere: no run"):
        rlcont.load("nowhere")
    with pytest.raises(rlcont.UserError, match=r"\['env=Pendulum-v1'\]: must be a text"):
        rlcont.train(["env=Pendulum-v1"])
    assert repr(rlcont.load("zoo:ppo/Hopper-v4")).endswith("ppo on Hopper-v4, step 1000000>")


def test_observations_of_a_dictionary_are_flat_one_by_one_and_in_a_batch():
    space = gymnasium.spaces.Dict(a=gymnasium.spaces.Box(-1, 1, (2,)), b=gymnasium.spaces.Discrete(3))
    flat, is_batch = Observations(space).flat({"a": np.array([0.5, 1.0]), "b": 2})
    assert (flat.tolist(), is_batch) == ([[0.5, 1.0, 0, 0, 1]], False)
    batch = {"a": np.array([[0.5, 1.0], [0, 0]], np.float32), "b": np.array([2, 0])}
    for wrong, said in (
        ({"a": [0.0, 0.0]}, "without 'b'"),
        ({**batch, "b": [2]}, "'b' that is a list, in a batch of 2"),
    ):
        with pytest.raises(ValueError, match=f"an observation {said}"):
            Observations(space).flat(wrong)
    flat, is_batch = Observations(space).flat(batch)
    assert (flat.tolist(), is_batch) == ([[0.5, 1, 0, 0, 1], [0, 0, 1, 0, 0]], True)
