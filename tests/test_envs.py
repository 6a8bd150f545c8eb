import logging
import subprocess
import sys

import numpy as np
import pytest
from gymnasium.envs.registration import registry
from gymnasium.spaces import Box
from hypothesis import given, settings
from hypothesis import strategies as st
from script import rlcont

from rlcont.core.errors import UserError
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.envs.door import find_env
from rlcont.envs.vector import Environments

MUJOCO_IDS = [
    env_id
    for env_id, spec in registry.items()
    if str(spec.entry_point).startswith("gymnasium.envs.mujoco") and env_id != "Pusher-v4"
]


def config(env_id, max_episode_steps=None, **kwargs):
    return EnvConfig(id=env_id, kwargs=kwargs, max_episode_steps=max_episode_steps, wrappers=(), info=())


HALF_CHEETAH = BoxEnv(config("HalfCheetah-v4"))


def bare(env):
    return env.env.unwrapped


def line_of(error):
    """The message, which has to be one line that names the environment."""
    message = str(error.value)
    assert message.startswith("env=")
    assert "\n" not in message
    return message


# One transition's way


@pytest.mark.parametrize("seeds", [[0], [0, 1], [3, 8, 4]])
def test_every_field_of_every_step_is_right_across_terminations_and_truncations(seeds):
    envs = Environments(config("Counter-v0"), seeds)
    now = [(seed, 0, 0) for seed in seeds]
    np.testing.assert_array_equal(envs.reset(), now)
    steps = []
    for count in range(30):
        action = np.full((len(seeds), 1), count / 30, np.float32)
        steps.append((now, action, envs.step(action)))
        now = [_after(*row) for row in now]
    # Compared only now, because no later step may write into an earlier one.
    for now, action, step in steps:
        after = [(seed, episode, count + 1) for seed, episode, count in now]
        np.testing.assert_array_equal(step.obs, now)
        np.testing.assert_array_equal(step.action, action)
        np.testing.assert_array_equal(step.reward, [100 * e + t for _, e, t in after])
        np.testing.assert_array_equal(step.next_obs, after)
        np.testing.assert_array_equal(step.terminated, [(s + e) % 2 == 1 and t == 3 for s, e, t in after])
        np.testing.assert_array_equal(step.truncated, [t == 5 for _, _, t in after])
        np.testing.assert_array_equal(step.obs_to_act_on, [_after(*row) for row in now])
        np.testing.assert_array_equal(step.ended, step.terminated | step.truncated)
        assert step.valid.all()
        floats = (step.obs, step.next_obs, step.obs_to_act_on, step.reward)
        assert {array.dtype for array in floats} == {np.dtype(np.float32)}
        flags = (step.terminated, step.truncated, step.valid)
        assert {(array.dtype, array.shape) for array in flags} == {(np.dtype(bool), (len(seeds),))}
        assert step.reward.shape == (len(seeds),)
    assert sum(step.terminated.sum() for *_, step in steps) >= 3
    assert sum(step.truncated.sum() for *_, step in steps) >= 3


def _after(seed, episode, count):
    """Where the Counter goes on from: the next step, or the next episode's opening."""
    ends = count + 1 == (3 if (seed + episode) % 2 else 5)
    return (seed, episode + 1, 0) if ends else (seed, episode, count + 1)


def test_an_observation_is_no_view_of_the_environment_s_own_buffer():
    env = BoxEnv(config("Counter-v0"))
    opening = env.reset(2)
    first, *_ = env.step(np.zeros(1))
    env.step(np.zeros(1))
    np.testing.assert_array_equal([opening, first], [(2, 0, 0), (2, 0, 1)])


def test_an_episode_that_terminates_at_the_time_limit_is_both_terminated_and_truncated():
    envs = Environments(config("Counter-v0", max_episode_steps=3), [1])
    envs.reset()
    steps = [envs.step(np.zeros((1, 1))) for _ in range(6)]
    assert [bool(step.truncated[0]) for step in steps] == [False, False, True] * 2
    assert [bool(step.terminated[0]) for step in steps] == [False, False, True, False, False, False]


def test_a_second_reset_starts_again_from_the_seeds():
    envs = Environments(config("Counter-v0"), [4, 7])
    envs.reset()
    for _ in range(7):
        envs.step(np.zeros((2, 1)))
    np.testing.assert_array_equal(envs.reset(), [(4, 0, 0), (7, 0, 0)])
    np.testing.assert_array_equal(envs.step(np.zeros((2, 1))).obs, [(4, 0, 0), (7, 0, 0)])


@pytest.mark.parametrize("rows", [1, 3])
def test_a_wrong_number_of_actions_is_an_error(rows):
    envs = Environments(config("Counter-v0"), [0, 1])
    envs.reset()
    with pytest.raises(ValueError, match="actions for 2 environments"):
        envs.step(np.zeros((rows, 1)))


def test_closing_closes_every_environment():
    envs = Environments(config("Counter-v0"), [0, 1, 2])
    envs.close()
    assert [bare(env).closed for env in envs.envs] == [True] * 3


def test_closing_works_before_and_after_mujoco_ran():
    Environments(config("HalfCheetah-v4"), [0]).close()
    envs = Environments(config("HalfCheetah-v4"), [0])
    envs.reset()
    envs.step(np.zeros((1, 6)))
    envs.close()


# Time limits, seeds, keyword arguments


@pytest.mark.parametrize(
    ("env_id", "override", "expected"),
    [
        ("Counter-v0", None, 5),
        ("Counter-v0", 2, 2),
        ("Endless-v0", None, None),
        ("Endless-v0", 4, 4),
        ("HalfCheetah-v4", None, 1000),
        ("HalfCheetah-v4", 1500, 1500),
    ],
)
def test_the_time_limit_is_the_registered_one_unless_overridden(env_id, override, expected):
    assert BoxEnv(config(env_id, override)).spec.max_episode_steps == expected


def test_an_overridden_time_limit_truncates_at_that_step():
    envs = Environments(config("Endless-v0", max_episode_steps=4), [0])
    envs.reset()
    truncated = [bool(envs.step(np.zeros((1, 1))).truncated[0]) for _ in range(8)]
    assert truncated == [False, False, False, True] * 2


def arrays(step):
    """The fields of a step but for `info`, the last one."""
    return step[:-1]


def stream(env_id, seeds, steps=60):
    """The bytes of everything a few short episodes return under fixed actions."""
    envs = Environments(config(env_id, max_episode_steps=20), seeds)
    rng = np.random.default_rng(0)
    parts = [envs.reset()]
    for _ in range(steps):
        row = rng.uniform(-1, 1, envs.spec.action_dim).astype(np.float32)
        parts += arrays(envs.step(np.stack([row] * len(seeds))))
    return b"".join(part.tobytes() for part in parts)


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Hopper-v5", "Pendulum-v1"])
def test_equal_seeds_give_the_same_bits_and_other_seeds_do_not(env_id):
    first = stream(env_id, [5, 6])
    assert stream(env_id, [5, 6]) == first
    assert stream(env_id, [5, 7]) != first
    assert stream(env_id, [6, 5]) != first


def test_environments_of_one_run_open_differently_and_so_do_their_episodes():
    envs = Environments(config("Pendulum-v1", max_episode_steps=1), [1, 2])
    openings = [envs.reset(), *(envs.step(np.zeros((2, 1))).obs_to_act_on for _ in range(3))]
    assert len({row.tobytes() for row in np.concatenate(openings)}) == 8


def test_an_environment_is_not_moved_by_its_neighbours():
    alone = Environments(config("Hopper-v4"), [3])
    among = Environments(config("Hopper-v4"), [1, 3, 9])
    assert alone.reset()[0].tobytes() == among.reset()[1].tobytes()
    action = np.random.default_rng(0).uniform(-1, 1, (50, 3, 3)).astype(np.float32)
    for rows in action:
        one, three = alone.step(rows[1:2]), among.step(rows)
        for mine, all_three in zip(arrays(one), arrays(three), strict=True):
            assert mine[0].tobytes() == all_three[1].tobytes()


def test_keyword_arguments_reach_the_environment():
    plain = BoxEnv(config("HalfCheetah-v4"))
    with_position = BoxEnv(config("HalfCheetah-v4", exclude_current_positions_from_observation=False))
    assert (plain.spec.obs_dim, with_position.spec.obs_dim) == (17, 18)


# Actions


def received(space, actions):
    """What an environment with that action space receives for actions of the agent, [N, *shape]."""
    env = BoxEnv(config("Plain-v0", action_space=space))
    env.reset(0)
    for action in actions:
        env.step(action)
    return np.stack(bare(env).received)


@given(values=st.lists(st.floats(-3, 3, width=32), max_size=20))
def test_in_a_box_of_ones_scaling_is_skipped_and_changes_nothing(values):
    env = HALF_CHEETAH
    low, high = (bound.astype(np.float64) for bound in (env.low, env.high))
    agent = np.resize(np.float32([*values, -1, 1, np.finfo(np.float32).max]), (4, 6))
    scaled = (low + high) / 2 + ((high - low) / 2 + 4 * np.spacing(1.0)) * agent
    given_env = env.to_env(agent)
    np.testing.assert_array_equal(given_env, np.clip(scaled, low, high).astype(np.float32))
    assert given_env.dtype == np.float32
    assert not np.shares_memory(given_env, agent)


def test_actions_are_scaled_and_clipped_to_each_dimension_s_own_bounds():
    space = Box(np.float32([-2, 0, 1]), np.float32([4, 0.5, 3]))
    agent = np.float32([[-1, -1, -1], [1, 1, 1], [0, 0, 0], [0.5, -0.5, 0.5], [-7, 1.01, 1e30]])
    expected = np.float32([[-2, 0, 1], [4, 0.5, 3], [1, 0.25, 2], [2.5, 0.125, 2.5], [-2, 0.5, 3]])
    np.testing.assert_array_equal(received(space, agent), expected)


def test_an_action_of_two_dimensions_keeps_its_shape_and_order():
    space = Box(np.float64([[-1, -10], [-100, -1000]]), np.float64([[1, 10], [100, 1000]]), dtype=np.float64)
    env = BoxEnv(config("Plain-v0", action_space=space))
    assert env.spec.action_dim == 4
    action = received(space, np.float32([[0.25, 0.5, 0.75, -1]]))[0]
    np.testing.assert_allclose(action, [[0.25, 5], [75, -1000]], rtol=1e-12)
    assert action.dtype == np.float64


def test_an_environment_in_the_agent_s_own_box_receives_the_very_bits_of_the_agent():
    agent = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    assert received(Box(-1, 1, (3,)), agent).tobytes() == agent.tobytes()


bounds = st.floats(-(2.0**100), 2.0**100, width=32)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(bounds, bounds).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=4),
    st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=20),
    st.sampled_from([np.float32, np.float64]),
)
def test_the_action_map_is_exact_at_the_ends_monotone_and_inside_the_bounds(pairs, values, dtype):
    low, high = np.sort(np.array(pairs, dtype)).T
    agent = np.array([-1.0, *sorted(values), 1.0], np.float32).clip(-1, 1)
    out = received(Box(low, high, dtype=dtype), np.repeat(agent[:, None], len(low), axis=1))
    assert out.dtype == dtype
    np.testing.assert_array_equal(out[0], low)
    np.testing.assert_array_equal(out[-1], high)
    assert (np.diff(out, axis=0) >= 0).all()
    assert (out >= low).all()
    assert (out <= high).all()


def test_an_action_that_is_not_a_number_is_refused():
    env = BoxEnv(config("InvertedPendulum-v4"))
    env.reset(0)
    with pytest.raises(UserError, match="action is nan") as error:
        env.step(np.float32([np.nan]))
    line_of(error)


# What cannot be learned from is refused


@pytest.mark.parametrize(
    ("env_id", "reason"),
    [
        ("Unbounded-v0", "action bounds are infinite"),
        ("HalfBounded-v0", "action bounds are infinite"),
        ("ZeroWidth-v0", "zero width"),
        ("DiscreteActions-v0", "its actions are Discrete, not continuous"),
        ("CartPole-v1", "its actions are Discrete, not continuous"),
        ("IntegerActions-v0", "its actions are int64, not floating-point"),
        ("ListObservations-v0", "cannot be flattened"),
    ],
)
def test_spaces_that_do_not_fit_are_refused_when_the_environment_is_made(env_id, reason):
    with pytest.raises(UserError, match=reason) as error:
        Environments(config(env_id), [0])
    assert f"env={env_id}: " in line_of(error)


def test_an_observation_of_nan_is_refused_at_the_reset():
    envs = Environments(config("NanAtReset-v0"), [0])
    with pytest.raises(UserError, match="observation 0 is nan") as error:
        envs.reset()
    line_of(error)


@pytest.mark.parametrize(
    ("env_id", "good_steps", "reason"),
    [
        ("NanAtStep3-v0", 2, "observation 0 is nan"),
        ("HugeAtStep1-v0", 0, r"observation 0 is 1e\+300"),
        ("InfiniteReward-v0", 1, "reward is inf"),
        ("NanReward-v0", 0, "reward is nan"),
        ("HugeReward-v0", 0, r"reward is 1e\+39"),
    ],
)
def test_numbers_that_float32_cannot_hold_are_refused_at_their_step(env_id, good_steps, reason, recwarn):
    envs = Environments(config(env_id), [0])
    envs.reset()
    for _ in range(good_steps):
        assert envs.step(np.zeros((1, 1))).valid.all()
    with pytest.raises(UserError, match=reason) as error:
        envs.step(np.zeros((1, 1)))
    line_of(error)
    assert not recwarn.list


def test_a_large_number_that_float32_holds_is_let_through():
    envs = Environments(config("LargeAtStep1-v0"), [0])
    envs.reset()
    assert envs.step(np.zeros((1, 1))).next_obs == np.float32(1e38)


def test_dict_observations_are_flattened():
    envs = Environments(config("DictObservations-v0"), [0, 1])
    assert envs.spec.obs_dim == 7
    expected = np.float32([[1, 2, 3, 4, 0, 1, 0]] * 2)
    np.testing.assert_array_equal(envs.reset(), expected)
    np.testing.assert_array_equal(envs.step(np.zeros((2, 1))).next_obs, expected)


# Names


@pytest.mark.parametrize(
    ("env_id", "hint"),
    [
        ("HalfCheeta-v4", "HalfCheetah-v4 or HalfCheetah-v5"),
        ("HalfCheetah-v9", "HalfCheetah-v5 or HalfCheetah-v4"),
        ("HalfCheetah-v2", "HalfCheetah-v5 or HalfCheetah-v4"),
        ("Ant-v3", "Ant-v5 or Ant-v4"),
        ("Pendulum-v0", "Pendulum-v1"),
        ("Pendulum", "Pendulum-v1"),
    ],
)
def test_an_unknown_or_retired_id_is_answered_with_the_nearest_that_exist(env_id, hint):
    with pytest.raises(UserError, match="Gymnasium has no such environment; did you mean") as error:
        find_env(env_id)
    message = line_of(error)
    assert hint in message
    assert "-v2" not in message.replace(env_id, "")
    assert "-v3" not in message.replace(env_id, "")


def test_an_id_that_resembles_nothing_may_be_ones_own():
    with pytest.raises(UserError, match=r"no such environment; one of your own is env=MODULE:xyzzy$"):
        find_env("xyzzy")


def test_a_module_named_before_the_id_is_imported(tmp_path, monkeypatch):
    lines = "import gymnasium, probe_envs\ngymnasium.register('Mine-v0', probe_envs.Script)\n"
    (tmp_path / "my_own_envs.py").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    env = BoxEnv(config("my_own_envs:Mine-v0"))
    assert env.spec.env_id == "my_own_envs:Mine-v0"
    with pytest.raises(UserError, match=r"no such environment; did you mean my_own_envs:Mine-v0"):
        find_env("my_own_envs:Mine-v1")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No module named .*PYTHONPATH"), ("1 / 0", "division by zero"), ("(", "was never closed")],
)
def test_a_module_that_cannot_be_imported_is_one_line(content, reason, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    if content is not None:
        (tmp_path / "broken_envs.py").write_text(content)
    with pytest.raises(UserError, match=f"module 'broken_envs' cannot be imported .*{reason}") as error:
        find_env("broken_envs:Mine-v0")
    line_of(error)


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "HalfCheetah-v5", "Pendulum-v1", "Plain-v0"])
def test_an_unknown_keyword_argument_is_one_short_line(env_id):
    with pytest.raises(UserError, match=r"unexpected keyword argument 'gravitas'$") as error:
        BoxEnv(config(env_id, gravitas=3))
    assert line_of(error).startswith(f"env={env_id} env.kwargs.gravitas=3: cannot be made: ")


def test_pusher_v4_says_in_one_line_why_it_does_not_run():
    with pytest.raises(UserError, match="only supported on `mujoco<3`") as error:
        BoxEnv(config("Pusher-v4"))
    line_of(error)


# MuJoCo


def test_mujoco_ids_were_found():
    assert len(MUJOCO_IDS) == 21


@pytest.mark.parametrize("env_id", MUJOCO_IDS)
def test_mujoco_environments_make_reset_and_step(env_id):
    envs = Environments(config(env_id), [0])
    obs = envs.reset()
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = envs.step(rng.uniform(-1, 1, (1, envs.spec.action_dim)).astype(np.float32))
        np.testing.assert_array_equal(step.obs, obs)
        assert step.valid.all()
        assert step.next_obs.shape == (1, envs.spec.obs_dim)
        assert step.next_obs.dtype == step.obs_to_act_on.dtype == np.float32
        assert np.isfinite(step.next_obs).all()
        obs = step.obs_to_act_on
    assert envs.num_breakdowns == 0
    envs.close()


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Hopper-v4", "Ant-v5"])
@pytest.mark.parametrize(
    ("quantity", "value"), [("qpos", np.nan), ("qvel", 1e12), ("qvel", np.inf), ("qfrc_applied", 1e30)]
)
def test_a_breakdown_of_the_simulator_is_an_invalid_row_that_cuts_the_episode(env_id, quantity, value):
    envs = Environments(config(env_id), [1, 2])
    untouched = Environments(config(env_id), [1, 2])
    action = np.zeros((2, envs.spec.action_dim), np.float32)
    for each in (envs, untouched):
        each.reset()
        before = each.step(action)
    getattr(bare(envs.envs[1]).data, quantity)[:] = value
    step, healthy = envs.step(action), untouched.step(action)
    np.testing.assert_array_equal(step.valid, [True, False])
    np.testing.assert_array_equal(step.truncated, [False, True])
    np.testing.assert_array_equal(step.terminated, [False, False])
    assert step.reward[1] == 0
    np.testing.assert_array_equal(step.obs[1], before.next_obs[1])
    np.testing.assert_array_equal(step.next_obs[1], before.next_obs[1])
    assert np.isfinite(step.obs_to_act_on).all()
    assert (step.obs_to_act_on[1] != step.next_obs[1]).any()
    for mine, other in zip(arrays(step), arrays(healthy), strict=True):
        np.testing.assert_array_equal(mine[0], other[0])
    assert envs.num_breakdowns == 1
    for _ in range(3):
        following = envs.step(action)
        assert following.valid.all()
        assert not following.truncated.any()
    assert envs.num_breakdowns == 1


def spoil_step(env, spoil):
    """Lets `spoil(data, obs)` act at the end of each of the environment's own steps."""
    original = bare(env).step

    def step(action):
        obs, *rest = original(action)
        spoil(bare(env).data, obs)
        return obs, *rest

    bare(env).step = step


def test_a_state_that_went_bad_in_the_last_substep_is_a_breakdown_of_this_row_already():
    env = BoxEnv(config("HalfCheetah-v4"))
    opening = env.reset(0)

    def spoil(data, obs):
        data.qvel[:] = obs[:] = np.nan

    spoil_step(env, spoil)
    obs, reward, terminated, truncated, valid = env.step(np.zeros(6))
    np.testing.assert_array_equal(obs, opening)
    assert (reward, terminated, truncated, valid) == (0, False, True, False)


def test_an_observation_of_nan_is_an_error_where_the_simulator_is_sound():
    env = BoxEnv(config("HalfCheetah-v4"))
    env.reset(0)

    def spoil(data, obs):
        obs[4] = np.nan

    spoil_step(env, spoil)
    with pytest.raises(UserError, match="observation 4 is nan"):
        env.step(np.zeros(6))


def test_one_breakdown_is_seen_once_even_if_a_reset_leaves_mujoco_s_counters():
    env = BoxEnv(config("HalfCheetah-v4"))
    env.reset(0)
    bare(env).data.qvel[:] = 1e12
    env.door._info = {"x_position": 1.0}
    assert not env.step(np.zeros(6))[-1]
    assert env.door._info == {}  # What the last step of the episode before gave would count for this one.
    assert env.step(np.zeros(6))[-1]


def test_other_warnings_of_mujoco_are_no_breakdown():
    env = BoxEnv(config("HalfCheetah-v4"))
    env.reset(0)
    numbers = bare(env).data.warning.number
    numbers[:3] = 5
    numbers[-1] = 5
    assert env.step(np.zeros(6))[-1]


def test_warnings_of_mujoco_go_to_the_log(caplog):
    env = BoxEnv(config("HalfCheetah-v4"))
    env.reset(0)
    bare(env).data.qvel[:] = 1e12
    with caplog.at_level(logging.DEBUG, "rlcont.envs"):
        env.step(np.zeros(6))
    assert "QVEL" in caplog.text


def test_mujoco_and_gymnasium_print_nothing_and_write_no_file(tmp_path):
    script = """
import numpy as np
from rlcont.envs.vector import Environments
from rlcont.envs.config import EnvConfig

for env_id in ("HalfCheetah-v4", "Ant-v4"):
    envs = Environments(EnvConfig(id=env_id, kwargs={}, max_episode_steps=None, wrappers=(), info=()), [0])
    envs.reset()
    action = np.zeros((1, envs.spec.action_dim), np.float32)
    assert envs.step(action).valid.all()
    envs.envs[0].env.unwrapped.data.qvel[:] = 1e12
    assert not envs.step(action).valid.all()
    envs.close()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "raise ImportError('libmujoco.so.4: cannot open')", "import not_installed"])
def test_a_broken_mujoco_is_one_line_that_says_how_to_mend_it(content, tmp_path):
    (tmp_path / "mujoco").mkdir()
    (tmp_path / "mujoco" / "__init__.py").write_text(content)
    result = rlcont(tmp_path, "env=Pendulum-v1", env={"PYTHONPATH": str(tmp_path)})
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "pip install --force-reinstall --no-deps mujoco mujoco-core mujoco-studio" in result.stderr


def test_what_mujoco_cannot_draw_with_is_no_broken_mujoco(tmp_path):
    result = rlcont(tmp_path, "env=Pendulum-v1", env={"MUJOCO_GL": "nothing"})
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("rlcont: MuJoCo cannot draw with MUJOCO_GL=nothing (")
