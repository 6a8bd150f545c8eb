import numpy as np
import pytest

from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.core.seeding import integers
from rlcont.core.types import EnvSpec
from rlcont.envs.config import EnvConfig
from rlcont.memory.replay import Replay
from rlcont.training import evaluate as evaluate_module
from rlcont.training.build import make_policy
from rlcont.training.evaluate import MAX_ENVS, Evaluator


def config(env_id, max_episode_steps=None):
    return EnvConfig(id=env_id, kwargs={}, max_episode_steps=max_episode_steps, wrappers=(), info=())


class Constant:
    """Always the same action; keeps what it was asked."""

    def __init__(self, value=0.0, action_dim=1):
        self.action = np.full(action_dim, value, np.float32)
        self.explored, self.seen = [], []

    def act(self, obs, *, explore):
        self.explored.append(explore)
        self.seen.append(obs.copy())
        return np.stack([self.action] * len(obs))


class Sway:
    """A fixed function of the observation."""

    def act(self, obs, *, explore):
        return np.tanh(obs[:, :1] - obs[:, 1:2] + 0.3)


class RowCounter:
    """An action that depends on how many rows it is asked for at once."""

    def act(self, obs, *, explore):
        return np.full((len(obs), 1), len(obs) / 10, np.float32)


def lottery(episodes=8, seed=0):
    return Evaluator(config("Lottery-v0"), episodes, seed)


def test_the_return_is_the_undiscounted_sum_of_each_episode_s_own_rewards():
    policy = Constant(0.5)
    evaluation = lottery()(policy)
    lengths = policy.seen[0][:, 0]
    assert len(set(lengths)) > 3
    np.testing.assert_array_equal(evaluation.lengths, lengths)
    np.testing.assert_allclose(evaluation.returns, 5 * lengths + lengths * (lengths + 1) / 2)


def test_each_episode_receives_its_own_row_of_the_actions():
    class RowNumber:
        def act(self, obs, *, explore):
            return np.arange(len(obs), dtype=np.float32)[:, None] / 8

    evaluation = lottery()(RowNumber())
    lengths = evaluation.lengths
    expected = 10 * np.arange(8) / 8 * lengths + lengths * (lengths + 1) / 2
    np.testing.assert_allclose(evaluation.returns, expected, rtol=1e-6)


def test_the_policy_is_asked_about_every_running_episode_s_current_observation():
    policy = Constant()
    evaluation = lottery()(policy)
    assert len(policy.seen) == evaluation.lengths.max()
    for count, obs in enumerate(policy.seen):
        running = evaluation.lengths > count
        np.testing.assert_array_equal(obs[running, 0], evaluation.lengths[running])
        np.testing.assert_array_equal(obs[running, 1], count)


def test_an_episode_does_not_notice_that_others_have_ended():
    evaluation = lottery()(RowCounter())
    lengths = evaluation.lengths
    np.testing.assert_allclose(evaluation.returns, 8 * lengths + lengths * (lengths + 1) / 2, rtol=1e-6)


def test_the_policy_is_only_ever_asked_not_to_explore():
    policy = Constant()
    lottery()(policy)
    assert policy.explored == [False] * len(policy.explored)
    assert policy.explored


@pytest.mark.parametrize("env_id", ["Lottery-v0", "Hopper-v4", "Pendulum-v1"])
def test_every_call_plays_the_same_episodes_whatever_was_played_before(env_id):
    dim = 3 if env_id == "Hopper-v4" else 1
    small, large = Constant(-0.1, dim), Constant(0.8, dim)
    evaluate = Evaluator(config(env_id, max_episode_steps=30), 3, 0)
    first = evaluate(small)
    other = evaluate(large)
    again = evaluate(small)
    late = Evaluator(config(env_id, max_episode_steps=30), 3, 0)(large)
    for one, two in [(first, again), (other, late)]:
        assert one.returns.tobytes() == two.returns.tobytes()
        np.testing.assert_array_equal(one.lengths, two.lengths)
    assert (first.returns != other.returns).all()


def test_the_first_episodes_are_the_same_however_many_follow():
    few, many = lottery(episodes=3)(Sway()), lottery(episodes=8)(Sway())
    np.testing.assert_array_equal(few.returns, many.returns[:3])


def test_more_episodes_than_environments_are_played_in_turns():
    evaluator = lottery(episodes=25)
    assert len(evaluator.envs) == MAX_ENVS == 10
    evaluation = evaluator(Sway())
    assert evaluation.returns.shape == evaluation.lengths.shape == (25,)
    assert (evaluation.lengths[:10] != evaluation.lengths[10:20]).any()
    np.testing.assert_array_equal(evaluation.returns[:8], lottery(episodes=8)(Sway()).returns)


def test_the_seed_decides_which_episodes_are_played():
    def openings(seed):
        policy = Constant()
        Evaluator(config("Pendulum-v1", max_episode_steps=1), 4, seed)(policy)
        return policy.seen[0]

    np.testing.assert_array_equal(openings(0), openings(0))
    assert len(np.unique(np.concatenate([openings(0), openings(1)]), axis=0)) == 8


def test_evaluation_shares_no_seed_with_training():
    evaluate = Evaluator(config("Plain-v0"), 20, 0)
    assert not set(evaluate.seeds) & set(integers(0, "environments", 20))


def test_both_ways_of_ending_end_an_episode():
    evaluation = Evaluator(config("Lottery-v0", max_episode_steps=4), 8, 0)(Constant())
    free = lottery()(Constant())
    assert (free.lengths < 4).any()
    assert (free.lengths > 4).any()
    np.testing.assert_array_equal(evaluation.lengths, free.lengths.clip(max=4))


def test_an_episode_without_a_time_limit_that_never_ends_is_a_user_error(monkeypatch):
    monkeypatch.setattr(evaluate_module, "STEP_LIMIT", 50)
    policy = Constant()
    with pytest.raises(UserError, match=r"passed 50 steps without an end; set .* env.max_episode_steps=N") as error:
        Evaluator(config("Endless-v0"), 2, 0)(policy)
    assert "\n" not in str(error.value)
    assert len(policy.seen) == 50


def test_a_time_limit_beyond_the_step_limit_is_respected(monkeypatch):
    monkeypatch.setattr(evaluate_module, "STEP_LIMIT", 50)
    evaluation = Evaluator(config("Endless-v0", max_episode_steps=60), 2, 0)(Constant())
    np.testing.assert_array_equal(evaluation.lengths, [60, 60])


def test_a_breakdown_of_the_simulator_ends_its_episode_at_the_step_before():
    evaluate = Evaluator(config("HalfCheetah-v4", max_episode_steps=6), 3, 0)
    sound = evaluate(Constant(0.2, 6))

    class Saboteur(Constant):
        def act(self, obs, *, explore):
            if len(self.seen) == 2:
                evaluate.envs[1].env.unwrapped.data.qvel[:] = np.nan
            return super().act(obs, explore=explore)

    evaluation = evaluate(Saboteur(0.2, 6))
    np.testing.assert_array_equal(evaluation.lengths, [6, 2, 6])
    assert evaluation.returns[0] == sound.returns[0]
    assert evaluation.returns[2] == sound.returns[2]
    assert np.isfinite(evaluation.returns[1])


def test_closing_closes_every_environment():
    evaluate = Evaluator(config("Counter-v0"), 3, 0)
    evaluate.close()
    assert [env.env.unwrapped.closed for env in evaluate.envs] == [True] * 3


@pytest.mark.parametrize("algo", ["ddpg", "td3", "d4pg", "sac"])
def test_to_act_with_a_policy_takes_no_replay(algo, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a replay is made")

    monkeypatch.setattr(Replay, "__init__", refuse)
    config = make_plan([f"algo={algo}", "env=Pendulum-v1"]).config
    policy = make_policy(config, EnvSpec("Pendulum-v1", 3, 1, 200))
    assert policy.act(np.zeros((2, 3), np.float32), explore=False).shape == (2, 1)
