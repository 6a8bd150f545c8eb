"""Environments that break Gymnasium's rules end in one line at once; those that keep them oddly are learned from."""

import collections
import contextlib
import copy
import dataclasses
import enum
import io
import re
from typing import NamedTuple

import gymnasium
import numpy as np
import odd_envs
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from hypothesis import given, settings
from hypothesis import strategies as st
from interruptions import differences, train
from odd_envs import CLOSING, RIGHT, STEP_ALONE, UNMADE, WRONG
from quick import quick
from tiny import TINY, TINY_A2C, tiny

import rlcont
from rlcont.algos.find import config_class
from rlcont.cli import actions
from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError, exit_code, raised_at
from rlcont.core.packing import from_message, to_message
from rlcont.envs import door, selftest
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.envs.selftest import findings
from rlcont.envs.spaces import Observations, difference
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments
from rlcont.report.play import evaluate_run
from rlcont.runs.folder import description
from rlcont.runs.resume import plan_resume
from rlcont.training.build import build
from rlcont.training.preflight import check_env
from rlcont.training.run import resume

OFF_POLICY = [
    *("algo.warmup_steps=10", "algo.batch_size=8", "algo.replay_size=500", "algo.actor.hidden=[8]"),
    *("algo.critic.hidden=[8]", "algo.n_step=1"),
]
ON_POLICY = ["algo.rollout_steps=10", "algo.num_minibatches=2", "algo.network.hidden=[8]"]
SMALL = {
    **{f"algo={algo}": OFF_POLICY for algo in ("ddpg", "td3", "sac")},
    "algo=d4pg": [*OFF_POLICY, "algo.num_atoms=5"],
    **{f"algo={algo}": ON_POLICY for algo in ("a2c", "ppo")},
}
STEPS = 24
"""Steps of each environment."""


def config(env_id, **kwargs):
    return EnvConfig(id=env_id, kwargs=kwargs, max_episode_steps=None, wrappers=(), info=())


def one_line(error):
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 800
    return line


def words(algo, fault, at, closing, num_envs):
    return [
        *(algo, *SMALL[algo], "tuned=none", "env=Odd-v0", f"env.kwargs.at={at}", f"num_envs={num_envs}"),
        *(f"env.kwargs.fault={fault!r}", f"env.kwargs.closing={closing!r}", "eval.episodes=1", "workers=1"),
        f"total_steps={STEPS * num_envs}",
    ]


@contextlib.contextmanager
def trained(algo, fault, at, closing="nothing", num_envs=2):
    """What a run is made of, and a list that fills with its steps."""
    with contextlib.ExitStack() as stack:
        parts = build(make_plan(words(algo, fault, at, closing, num_envs)).config, stack)
        agent, seen = parts.training.agent, []
        observe = agent.observe
        agent.observe = lambda step: (seen.append(step), observe(step))[1]
        yield parts, seen


# W1, W13, W14 and all of their kinds: what is given is checked at every step


def check_a_wrong_one(algo, fault, at, num_envs):
    if at == 0 and fault in STEP_ALONE:
        at = 1
    with trained(algo, fault, at, num_envs=num_envs) as (parts, seen), pytest.raises(UserError) as error:
        _train(parts.training)
    assert one_line(error).startswith("env=Odd-v0")
    assert len(seen) == max(at - 1, 0), "it was not found at once"


def _train(training):
    for _ in range(STEPS):
        training.advance()


def check_a_right_one(algo, fault, at, closing, num_envs):
    with trained(algo, fault, at, closing, num_envs) as (parts, seen):
        _train(parts.training)
        accounts = [env.env.unwrapped.account for env in parts.training.collector.envs.envs]
    for i, account in enumerate(accounts):
        columns = [np.array(column, np.float32) for column in zip(*account, strict=True)]
        names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
        for name, column in zip(names, columns, strict=True):
            rows = np.array([getattr(step, name)[i] for step in seen], np.float32)
            rows = np.clip(rows, -1, 1) if name == "action" else rows
            np.testing.assert_allclose(rows, column.reshape(rows.shape), rtol=1e-6, err_msg=name)
    if SMALL[algo] is not ON_POLICY:
        check_the_replay(parts.training.agent.rows, accounts)


def check_the_replay(replay, accounts):
    rows = replay.read(0, replay.num_added)
    size = odd_envs.SIZE
    assert len(rows) == STEPS * len(accounts)
    for i, account in enumerate(accounts):
        for row, (obs, action, reward, next_obs, terminated, _) in zip(rows[i :: len(accounts)], account, strict=True):
            np.testing.assert_array_equal(row[:size], np.float32(obs))
            np.testing.assert_allclose(row[size], action[0], rtol=1e-6)
            assert row[size + 1] == reward
            assert (row[size + 2] == 0) == terminated
            np.testing.assert_array_equal(row[size + 3 :], np.float32(next_obs))


ways = {"algo": st.sampled_from(sorted(SMALL)), "at": st.integers(0, 15), "num_envs": st.integers(1, 3)}


def misbehave(algo, fault, at, closing, num_envs):
    if fault in UNMADE:
        with pytest.raises(UserError, match="cannot be made: ") as error, trained(algo, fault, at):
            pass
        one_line(error)
    elif fault in WRONG:
        check_a_wrong_one(algo, fault, at, num_envs)
    else:
        check_a_right_one(algo, fault, at, closing, num_envs)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own_and_with_time_to_try(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(selftest, "SECONDS", 600.0)


@pytest.mark.slow
@settings(max_examples=1200)
@given(fault=st.sampled_from([*WRONG, *RIGHT, *UNMADE]), closing=st.sampled_from(sorted(CLOSING)), **ways)
def test_any_environment_ends_in_one_line_at_once_or_is_learned_from_to_the_letter(fault, closing, **way):
    with contextlib.chdir("."):
        misbehave(fault=fault, closing=closing, **way)


@settings(max_examples=15)
@given(fault=st.sampled_from([*WRONG, *RIGHT, *UNMADE]), closing=st.sampled_from(sorted(CLOSING)), **ways)
def test_some_environments_end_in_one_line_at_once_or_are_learned_from(fault, closing, **way):
    with contextlib.chdir("."):
        misbehave(fault=fault, closing=closing, **way)


@pytest.mark.slow
@settings(max_examples=200)
@given(fault=st.sampled_from([*WRONG, *RIGHT, *UNMADE]), closing=st.sampled_from(sorted(CLOSING)), **ways)
def test_the_command_ends_well_or_in_one_line_whatever_the_environment_does(fault, **way):
    said = io.StringIO()
    with contextlib.chdir("."), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = exit_code(lambda: actions.train(overrides=words(fault=fault, **way), flags=set()))
    mistakes = [line for line in said.getvalue().splitlines() if line.startswith("rlcont: env=Odd-v0")]
    assert "Traceback" not in said.getvalue()
    assert (code, len(mistakes)) == ((0, 0) if fault in RIGHT else (2, 1))


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("fault", WRONG)
def test_what_breaks_gymnasium_s_rules_is_one_line_at_its_step(fault, at):
    at = max(at, fault in STEP_ALONE)
    envs = Environments(config("Odd-v0", fault=fault, at=at), [0, 1])
    taken = []

    def play():
        taken.append(envs.reset())
        while len(taken) < 9:
            taken.append(envs.step(np.zeros((2, 1), np.float32)))

    with pytest.raises(UserError) as error:
        play()
    assert len(taken) == at, "it was not found at once"
    assert one_line(error).startswith("env=Odd-v0")


@pytest.mark.parametrize("fault", ["short", "without info", "raises", "exits", "reward None", "terminated 'no'"])
def test_it_is_the_same_line_from_a_worker_and_at_the_check_before_a_run(fault):
    lines = []
    for make in (Environments, lambda *arguments: WorkerEnvironments(*arguments, 2)):
        envs = make(config("odd_envs:Odd-v0", fault=fault, at=1), [0, 1])
        envs.reset()
        with pytest.raises(UserError) as error:
            envs.step(np.zeros((2, 1), np.float32))
        lines.append(one_line(error))
    with pytest.raises(UserError) as error:
        check_env(config("odd_envs:Odd-v0", fault=fault, at=1))
    assert lines == [one_line(error)] * 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("short", r"step gives an observation of shape \(1,\), its space has \(3,\)"),
        ("without info", r"step gives \(a ndarray, a float, False, False\); Gymnasium wants \(observation, reward, "),
        ("raises", r"cannot take a step: ValueError: this went wrong \(odd_envs.py, line \d+\)"),
        ("exits", r"cannot take a step: SystemExit: 0 \(odd_envs.py, line \d+\)"),
        ("raises in Python's own code", r"cannot take a step: IndexError: .* \(odd_envs.py, line \d+\)"),
        ("a long reward", r"the reward is an integer of 16610 bits; Gymnasium wants a number"),
        ("reward '1'", r"the reward is '1'; Gymnasium wants a number"),
        ("a reward of two", r"the reward is an array of shape \(2,\) and type float64; Gymnasium wants a number"),
        ("terminated None", r"terminated is None; Gymnasium wants True or False"),
        ("nan", r"observation 0 is nan; wanted is a finite number that float32 holds"),
        ("reward nan", r"the reward is nan; wanted is a finite number that float32 holds"),
    ],
)
def test_the_line_says_what_came_what_is_wanted_and_where(fault, said):
    env = BoxEnv(config("Odd-v0", fault=fault, at=1))
    env.reset(0)
    with pytest.raises(UserError, match=said):
        env.step(np.zeros(1))


class Parts(gymnasium.Env):
    """Observes a Dict within a Tuple, or what it is told to."""

    action_space = odd_envs.Odd.action_space
    observation_space = Tuple((Dict({"b": Discrete(3, start=1), "a": Box(0, 255, (2, 2), np.uint8)}), Box(-1, 1, ())))

    def __init__(self, observation, observation_space=observation_space):
        self.observation, self.observation_space = observation, observation_space

    def reset(self, *, seed=None, options=None):
        return self.observation, {}

    def step(self, action):
        return self.observation, 0.0, False, False, {}


gymnasium.register("Parts-v0", Parts)
PICTURE = np.array([[1, 2], [3, 300]])


def test_parts_of_an_observation_are_put_side_by_side_as_they_are():
    env = BoxEnv(config("Parts-v0", observation=({"a": PICTURE, "b": np.array([2])}, 0.5)))
    assert env.reset(0).tolist() == [1, 2, 3, 300, 0, 1, 0, 0.5]
    names = [(part["name"], part["size"]) for part in env.facts()["observations"]]
    assert names == [("0.a", 4), ("0.b", 3), ("1", 1)]


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        (({"a": PICTURE}, 0.5), "an observation without '0.b', which is in its space"),
        (({"a": PICTURE, "b": 0}, 0.5), r"an observation '0.b' that is 0, its space is Discrete\(3, start=1\)"),
        (({"a": PICTURE, "b": 4}, 0.5), "an observation '0.b' that is 4"),
        (({"a": PICTURE[0], "b": 1}, 0.5), r"an observation '0.a' of shape \(2,\), its space has \(2, 2\)"),
        (({"a": PICTURE, "b": 1},), "an observation without '1'"),
        (({"a": PICTURE, "b": 1}, None), "an observation '1' that is None"),
        (7, "an observation without '0.a'"),
    ],
)
def test_a_part_that_is_missing_or_wrong_is_named(observation, said):
    with pytest.raises(UserError, match=said):
        BoxEnv(config("Parts-v0", observation=observation)).reset(0)


class Spaceless(gymnasium.Env):
    def __init__(self, **spaces):
        vars(self).update(spaces)


gymnasium.register("Spaceless-v0", Spaceless)


@pytest.mark.parametrize(
    ("spaces", "said"),
    [
        ({}, "its actions are None, not continuous"),
        ({"action_space": (1,)}, r"its actions are \(a int\), not continuous"),
        ({"action_space": Box(-1, 1, (0,))}, "its actions are empty"),
        ({"action_space": Box(-1, 1, (1,))}, "its observation_space is None, not a space"),
        ({"action_space": Box(-1, 1, (1,)), "observation_space": Box(-1, 1, (0,))}, "are empty"),
    ],
)
def test_spaces_that_are_none_are_one_line(spaces, said):
    with pytest.raises(UserError, match=said):
        BoxEnv(config("Spaceless-v0", **spaces))


@pytest.mark.parametrize("name", ["action_space", "observation_space"])
@pytest.mark.parametrize("error", [RuntimeError("not yet"), KeyError(), SystemExit(0)])
def test_a_space_that_cannot_be_asked_for_is_one_line(name, error, monkeypatch):
    monkeypatch.setattr(odd_envs.Tame, name, property(lambda env: odd_envs._raise(error)))
    with pytest.raises(UserError, match=r"^env=Tame-v0: cannot be made: ") as said:
        BoxEnv(config("Tame-v0"))
    one_line(said)


@pytest.mark.parametrize("closing", ["raises", "exits"])
def test_an_environment_that_cannot_be_closed_is_a_warning(closing, caplog):
    door._warn_once.cache_clear()  # Another test may have closed one like it.
    env = BoxEnv(config("Odd-v0", closing=closing))
    env.close()
    env.close()
    said = {"raises": "RuntimeError: simulator gone", "exits": "SystemExit: 1"}[closing]
    assert caplog.text.count(f"env.kwargs.closing={closing}: cannot be closed: {said} (odd_envs.py, line ") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "import sys\nsys.exit()",
            r"module 'leaving' cannot be imported \(it exits when it is imported, exit code None\)",
        ),
        ("raise SystemExit('enough')", r"exits when it is imported, exit code enough\)"),
        ("import argparse\nargparse.ArgumentParser().parse_args(['x'])", r"exits when it is imported, exit code 2\)"),
        (
            "raise type('Away', (BaseException,), {})('gone')",
            r"cannot be imported \(Away: gone \(leaving.py, line 1\)\)",
        ),
        ("import not_installed", r"cannot be imported \(No module named 'not_installed'\)$"),
        ("\n{}['HOME_OF_SIM']", r"cannot be imported \(KeyError: 'HOME_OF_SIM' \(leaving.py, line 2\)\)$"),
        ("assert False", r"cannot be imported \(AssertionError \(leaving.py, line 1\)\)$"),
    ],
)
def test_a_module_that_exits_or_fails_when_it_is_imported_is_one_line(content, said, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaving.py").write_text(content)
    for use in (lambda: BoxEnv(config("leaving:Env-v0")), lambda: config_class("leaving:Agent")):
        with pytest.raises(UserError, match=said) as error:
            use()
        one_line(error)


@pytest.mark.parametrize("error", [KeyError("gravity"), TypeError("no gravity"), AssertionError()])
def test_what_a_constructor_raises_is_told_with_its_type_and_place(error, monkeypatch):
    monkeypatch.setattr(odd_envs.Tame, "__init__", lambda env: odd_envs._raise(error))
    said = re.escape(f"{type(error).__name__}: {error}".removesuffix(": "))
    with pytest.raises(UserError, match=rf"^env=Tame-v0: cannot be made: {said} \(odd_envs.py, line \d+\)$"):
        BoxEnv(config("Tame-v0"))


def test_an_error_that_a_package_raises_anew_is_told_with_its_place():
    """Gymnasium before 1.4 raised a constructor's error anew without naming the first as its cause."""
    again = compile("try:\n    make()\nexcept TypeError:\n    raise TypeError('anew')", "x/site-packages/y.py", "exec")
    with pytest.raises(TypeError, match="anew") as error:
        exec(again, {"make": lambda: odd_envs._raise(TypeError("no gravity"))})
    error.value.__traceback__ = error.value.__traceback__.tb_next  # Without this test's own line.
    assert re.fullmatch(r" \(odd_envs.py, line \d+\)", raised_at(error.value))


def test_a_bad_number_in_a_part_is_told_with_the_part_s_name():
    env = BoxEnv(config("Parts-v0", observation=({"a": PICTURE, "b": 1}, np.nan)))
    with pytest.raises(UserError, match=r"observation 7 \('1'\) is nan; wanted is a finite number"):
        env.reset(0)


@pytest.mark.parametrize("info", [{0: 1.0}, {("a", 1): 2.0, "is_success": True}, {}])
def test_keys_of_info_may_be_anything(info, monkeypatch):
    step = odd_envs.Tame.step
    monkeypatch.setattr(odd_envs.Tame, "step", lambda env, action: (*step(env, action)[:-1], info))
    assert findings(BoxEnv(config("Tame-v0")), saves=True) == []
    (line,) = findings(BoxEnv(dataclasses.replace(config("Tame-v0"), info=("speed",))), saves=True)
    assert line.endswith(f"gives no speed in its info so far; there is {', '.join(map(str, info)) or 'nothing'}")


# W3, W5: randomness


RANDOM = ["OfNumpy", "OfRandom", "OfItsSpace", "OfAPartOfItsSpace", "OfAnOldGenerator", "OfPythonsGenerator"]


@pytest.mark.parametrize("name", quick(RANDOM, 2))
@pytest.mark.parametrize("algo", [pytest.param("ddpg", marks=pytest.mark.slow), "a2c"])
def test_all_randomness_follows_the_seed_and_goes_on_where_it_was(name, algo, tmp_path):
    base = TINY if algo == "ddpg" else TINY_A2C
    short = ("total_steps=160", "eval.every=50", "log.every=40", "tuned=none", f"env=odd_envs:{name}-v0")
    one, again, parts = (tmp_path / part for part in ("one", "again", "parts"))
    one = train(tiny(*short, f"output={one}", base=base))
    again = train(tiny(*short, f"output={again}", base=base))
    parts = train(tiny(*short, f"output={parts}", base=base), [50, 100])
    assert differences(one, again) == []
    assert differences(one, parts) == []


@pytest.mark.parametrize("name", ["OfNumpy", "OfRandom"])
def test_every_process_that_steps_environments_has_generators_of_its_own(name):
    def play(envs):
        rows = [envs.reset(), *(envs.step(np.zeros((3, 1), np.float32)).obs_to_act_on for _ in range(50))]
        return np.stack(rows)

    envs, other = (WorkerEnvironments(config(f"odd_envs:{name}-v0"), [4, 5, 6], 3) for _ in range(2))
    first = play(envs)
    assert len(np.unique(first[0], axis=0)) == 3
    np.testing.assert_array_equal(play(other), first)
    state = envs.state_dict()
    assert sorted(state["globals"]) == ["0", "1", "2"]
    gone_on = []
    for one in (envs, other):  # One after the other, since both have environments in this process.
        one.put_back(copy.deepcopy(state))
        gone_on.append([one.step(np.zeros((3, 1), np.float32)).obs_to_act_on for _ in range(50)])
    np.testing.assert_array_equal(*gone_on)
    envs.close()
    other.close()


def test_an_environment_that_cannot_be_saved_plays_other_episodes_each_time_it_goes_on():
    envs = Environments(config("state_envs:snapshot/Opaque-v0"), [4])
    envs.reset()
    openings = []
    for _ in range(3):
        for _ in range(5):
            envs.step(np.zeros((1, 1), np.float32))
        other = Environments(config("state_envs:snapshot/Opaque-v0"), [4])
        state = envs.state_dict()
        state["envs"][0]["generator"] = None  # As of an environment that draws from somewhere else.
        openings.append(other.put_back(state)[0].tolist())
    assert len({str(opening) for opening in openings}) == 3


def test_a_module_that_changes_what_torch_computes_in_changes_no_run():
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        with trained("algo=ddpg", "nothing", 0) as (parts, _):
            assert next(iter(parts.training.agent.policy_state().values())).dtype == torch.float32
            _train(parts.training)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("algo", quick(["algo=ddpg", "algo=a2c"]))
def test_an_environment_that_changes_what_torch_computes_changes_no_run(algo, monkeypatch):
    def reset(env, **kwargs):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return kept(env, **kwargs)

    def learned(env_reset):
        monkeypatch.setattr(odd_envs.Odd, "reset", env_reset)
        with trained(algo, "nothing", 0) as (parts, _):
            _train(parts.training)
            return {name: each.tolist() for name, each in parts.training.agent.policy_state().items()}

    kept = odd_envs.Odd.reset
    assert learned(reset) == learned(kept)


def test_an_environment_changes_how_numpy_treats_an_overflow_for_itself_alone(monkeypatch):
    def step(env, action):
        np.seterr(all="raise")
        obs, *rest = kept(env, action)
        return obs * 1e-50, *rest

    kept = odd_envs.Tame.step
    monkeypatch.setattr(odd_envs.Tame, "step", step)
    before = np.geterr()
    envs = Environments(config("Tame-v0"), [0, 1])
    envs.reset()
    for _ in range(3):
        assert not envs.step(np.zeros((2, 1), np.float32)).next_obs.any()
    assert np.geterr() == before


# The self-test: what cannot be reproduced or saved is told


@pytest.mark.parametrize("name", ["Tame", "Odd", *RANDOM])
def test_there_is_nothing_to_tell_of_an_environment_that_follows_its_seed_and_can_be_saved(name):
    assert findings(BoxEnv(config(f"{name}-v0")), saves=True) == []


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Pendulum-v1", "HalfCheetah-v4", "MountainCarContinuous-v0"])
def test_there_is_nothing_to_tell_of_gymnasium_s_own(env_id):
    assert findings(BoxEnv(config(env_id)), saves=True) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Unseeded", "cannot be reproduced: two episodes of one seed differ at the reset"),
        ("OfItsClass", "cannot be saved: what it does depends on more than its attributes"),
        ("OfItsModule", "cannot be saved: what it does depends on more than its attributes"),
        ("OfASlot", "cannot be saved: what it does depends on more than its attributes"),
        ("NormalizedReward", "keeps running statistics (return_rms)"),
        ("NormalizedObservation", "keeps running statistics (obs_rms)"),
    ],
)
def test_what_cannot_be_reproduced_or_saved_is_one_line_each(name, said):
    (line,) = findings(BoxEnv(config(f"{name}-v0")), saves=True)
    assert line.startswith(f"{name}-v0 {said}")


def test_where_remote_actors_have_running_statistics_a_line_says_that_evaluation_has_not():
    (line,) = findings(BoxEnv(config("NormalizedReward-v0")), saves=True, is_remote=True)
    assert line.startswith("NormalizedReward-v0 keeps running statistics (return_rms); each actor keeps its own and")


gymnasium.register("UnseededReward-v0", lambda: NormalizeReward(odd_envs.Unseeded()))
gymnasium.register("UnseededObservation-v0", lambda: NormalizeObservation(odd_envs.Unseeded()))


@pytest.mark.parametrize("name", ["UnseededReward", "UnseededObservation"])
def test_running_statistics_do_not_hide_what_cannot_be_reproduced(name):
    env = BoxEnv(config(f"{name}-v0"))
    before = wrapper_of(env)
    one, other = findings(env, saves=False)
    assert "keeps running statistics" in one
    assert "cannot be reproduced: two episodes of one seed differ at the reset" in other
    assert wrapper_of(env) == before


def wrapper_of(env):
    """What a normalising wrapper keeps."""
    (wrapper,) = (part for part in env.snapshots.take() if part["statistics"])
    kept = [*wrapper["statistics"].values(), wrapper["attributes"]]
    return [{name: np.asarray(value).tolist() for name, value in each.items()} for each in kept]


def test_an_environment_that_is_too_slow_to_be_tried_is_told(monkeypatch):
    monkeypatch.setattr(selftest, "SECONDS", 0.0)
    (line,) = findings(BoxEnv(config("Unseeded-v0")), saves=True)
    assert line.startswith("Unseeded-v0 is too slow, here and now, to be tried")


class Foreign(np.random.PCG64):
    """A bit generator that no checkpoint can hold."""


class Height(enum.IntEnum):
    LOW = 0


class Point(NamedTuple):
    x: float = 0.0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.longdouble(0), "Tame.held: an array of "),
        (np.zeros(2, np.longdouble), "Tame.held: an array of "),
        ({"deep": [np.longdouble(0)]}, "Tame.held.deep.0: an array of "),
        pytest.param(10**5000, "Tame.held: an integer of 16610 bits cannot be saved", id="a long integer"),
        # What would come back as another type: a step that relies on its own would fail, or go another way.
        (collections.defaultdict(int), "Tame.held is a defaultdict"),
        (collections.OrderedDict(), "Tame.held is a OrderedDict"),
        (Point(), "Tame.held is a Point"),
        (Height.LOW, "Tame.held is a Height"),
        ([Height.LOW], "Tame.held is a list"),
        (np.ma.masked_array([0.0]), "Tame.held is a MaskedArray"),
        (np.random.Generator(Foreign()), "Tame.held"),
    ],
)
def test_whatever_cannot_be_saved_is_one_line_and_an_episode_that_begins_anew(value, said, monkeypatch):
    envs = Environments(config("Tame-v0"), [0])
    bare = envs.first.env.unwrapped
    bare.held = value
    (line,) = findings(envs.first, saves=True)
    assert re.search(r"cannot be saved within an episode \(.*\); a resumed run begins one$", line)
    assert said in line
    envs.reset()
    envs.step(np.zeros((1, 1), np.float32))
    other = Environments(config("Tame-v0"), [0])
    assert other.put_back(from_message(to_message(envs.state_dict())))[1].all()
    bare._np_random = value  # Nor can the generator be saved.
    assert other.put_back(from_message(to_message(envs.state_dict())))[1].all()


def test_what_can_be_neither_reproduced_nor_saved_is_two_lines():
    one, other = findings(BoxEnv(config("UnseededLater-v0")), saves=True)
    assert "cannot be reproduced: two episodes of one seed differ at step 1;" in one
    assert "cannot be saved" in other


@pytest.mark.parametrize("error", [ZeroDivisionError("by what"), SystemExit(3)])
@pytest.mark.parametrize("method", ["state_dict", "load_state_dict"])
def test_a_state_that_cannot_be_taken_or_put_back_is_one_line(method, error, monkeypatch):
    def own(name):
        return lambda env, *state: odd_envs._raise(error) if name == method else {}

    for name in ("state_dict", "load_state_dict"):
        monkeypatch.setattr(odd_envs.Tame, name, own(name), raising=False)
    (line,) = findings(BoxEnv(config("Tame-v0")), saves=True)
    assert line.startswith("Tame-v0 cannot be saved")
    assert method == "load_state_dict" or f"Tame.state_dict raises {type(error).__name__}: {error}" in line


def test_without_checkpoints_nothing_is_said_of_saving():
    assert findings(BoxEnv(config("OfItsClass-v0")), saves=False) == []


@pytest.mark.parametrize(
    ("space", "value", "said"),
    [
        (Box(0, 255, (8, 8, 3), np.uint8), 7, r"seems to give images \(the observation \(8, 8, 3\)\)"),
        (Box(0, 1, (8, 8, 3), np.float32), 0.5, r"seems to give images \(the observation \(8, 8, 3\)\)"),
        (
            Box(0, np.inf, (2,), np.float64),
            1.7e9,
            r"gives an observation 0 of 1.7e\+09, which float32 resolves only to 1.3e\+02",
        ),
    ],
)
def test_observations_that_suit_no_network_are_told(space, value, said):
    env = BoxEnv(config("Parts-v0", observation=np.full(space.shape, value, space.dtype), observation_space=space))
    (line,) = findings(env, saves=False)
    assert re.search(said, line)


def test_numbers_that_grow_too_large_within_an_episode_are_told(monkeypatch):
    env = BoxEnv(config("Tame-v0"))
    monkeypatch.setattr(env.door, "_step", lambda action: (np.array([0, 1e9]), 0.0, False, False, {}))
    (line,) = [line for line in findings(env, saves=False) if "float32" in line]
    assert "gives an observation 1 of 1e+09" in line


# W4: running statistics


@pytest.mark.parametrize("name", ["NormalizedReward", "NormalizedObservation"])
def test_running_statistics_come_back_in_training_evaluation_and_eval(name, tmp_path):
    short = ("total_steps=160", "eval.every=50", "log.every=40", f"env=odd_envs:{name}-v0")
    whole = train(tiny(*short, f"output={tmp_path / 'whole'}"))
    parts = train(tiny(*short, f"output={tmp_path / 'parts'}"), [30, 110])
    assert differences(whole, parts) == []
    last = (whole / "evaluations.csv").read_text().splitlines()[-1].split(",")
    played = evaluate_run(whole, "last", 2, None)
    assert f"return {float(last[1]):.1f} ± " in played


# W2: a run knows its spaces

DEFAULTS = {"episodes": None, "seed": None, "video": False, "render": False, "to": None, "csv": None}


def test_a_run_is_refused_an_environment_with_other_spaces(tmp_path, monkeypatch):
    folder = train(tiny("total_steps=120", "env=odd_envs:Tame-v0", f"output={tmp_path}"))
    assert description(folder)["spaces"]["actions"] == {"shape": [1], "low": -1.0, "high": 1.0}
    others = {
        "action_space": [Box(-3, 3, (1,)), Box(np.float32([-1]), np.float32([2])), Box(-1, 1, (1, 1))],
        "observation_space": [Box(-9, 8, (2,)), Box(-9, 9, (1, 2)), Dict({"a": Box(-9, 9, (2,))})],
    }
    for name, spaces in others.items():
        for space in spaces:
            with monkeypatch.context() as changed:
                changed.setattr(odd_envs.Tame, name, space)
                what = "actions" if name == "action_space" else "observations"
                for refused in (
                    lambda: check_env(config("odd_envs:Tame-v0"), folder),
                    lambda: resume(plan_resume(folder, ["total_steps=200"])),
                    lambda: rlcont.load(folder),
                    lambda: actions.export(folder, policy="last", to=None),
                    lambda: actions.evaluate(folder, policy="last", **DEFAULTS),
                ):
                    with pytest.raises(UserError, match=f"its {what} were .* and are ") as error:
                        refused()
                    one_line(error)
    check_env(config("odd_envs:Tame-v0"), folder)


def box(size, **changes):
    low, high = np.full(size, -9.0), np.full(size, 9.0)
    for place, value in changes.items():
        high[int(place.removeprefix("at"))] = value
    return Box(low, high, dtype=np.float64)


class Named(Discrete):
    """A space of a name of choice."""

    def __init__(self, name):
        super().__init__(3)
        self.name = name

    def __repr__(self):
        return self.name


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (box(100, at0=8), box(100, at0=8, at59=7), "[0] high [59] 9.0 and are [0] high [59] 7.0"),
        (box(200), box(200, at150=7), "[0] high [150] 9.0 and are [0] high [150] 7.0"),
        (Dict({str(i): box(2) for i in range(30)}), Dict({str(i): box(2) for i in range(31)}), "size: 2"),
        (Named("a" * 400), Named("a" * 400 + "b"), "aab ..."),
        (MultiDiscrete([2] * 200 + [2, 3]), MultiDiscrete([2] * 200 + [3, 2]), "3 2])"),
    ],
)
def test_of_long_spaces_the_first_difference_is_told(before, now, said):
    facts = [{"observations": Observations(space).facts()} for space in (before, now)]
    line = difference(*facts)
    assert said in line
    was, are = line.removeprefix("its observations were ").split(" and are ")
    assert was != are
    assert len(line) < 700


# Simulators that allow one instance


class Single(odd_envs.Tame):
    """There can be one at a time."""

    there = 0

    def __init__(self):
        Single.there += 1
        if Single.there > 1:
            raise RuntimeError("the simulator is taken")

    def close(self):
        Single.there -= 1


gymnasium.register("Single-v0", Single)


@pytest.mark.parametrize("algo", ["ddpg", "a2c"])
def test_a_simulator_of_which_one_can_be_there_is_trained_in_without_evaluation(algo, tmp_path, capsys):
    base = TINY if algo == "ddpg" else TINY_A2C
    alone = ("env=Single-v0", "num_envs=1", "eval.every=null", "total_steps=120", "log.every=40", "tuned=none")
    check_env(config("Single-v0"))
    whole = train(tiny(*alone, f"output={tmp_path / 'whole'}", base=base))
    assert "120 steps in 0:00:0" in (said := capsys.readouterr().out)
    assert ", no evaluation; " in said
    parts = train(tiny(*alone, f"output={tmp_path / 'parts'}", base=base), [50])
    assert differences(whole, parts) == []
    assert "over 3 episodes" in evaluate_run(whole, "last", 3, None)
    policy = rlcont.load(whole)
    assert Single.there == 0
    with contextlib.closing(gymnasium.make("Single-v0")) as env:
        assert env.action_space.contains(policy.act(env.reset()[0]))
