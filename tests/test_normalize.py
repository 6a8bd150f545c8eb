import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from worlds import assert_same

from rlcont.nn.categorical import Support
from rlcont.nn.normalize import RewardScale, RunningNorm, RunningReturn


def test_moments_and_map_by_hand():
    norm = RunningNorm(1)
    norm.update(np.array([[1.0], [3.0]], np.float32))
    norm.update(np.array([[5.0]], np.float32))
    assert norm.count == 3
    assert norm.mean == pytest.approx(3.0)
    assert norm.var == pytest.approx(8 / 3)
    # 2 / sqrt(8/3)
    np.testing.assert_allclose(norm(torch.tensor([[5.0], [3.0]])), [[1.2247449], [0.0]], rtol=1e-6)


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any),
    offset=st.sampled_from([0.0, -3.0, 1000.0]),
    scale=st.sampled_from([0.01, 1.0, 50.0]),
    seed=st.integers(0, 100),
)
def test_moments_equal_numpys_over_all_rows_in_any_split(sizes, offset, scale, seed):
    rng = np.random.default_rng(seed)
    pieces = [(offset + scale * rng.standard_normal((size, 3))).astype(np.float32) for size in sizes]
    norm = RunningNorm(3)
    for piece in pieces:
        norm.update(piece)
    rows = np.concatenate(pieces).astype(np.float64)
    assert norm.count == len(rows)
    np.testing.assert_allclose(norm.mean, rows.mean(0), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(norm.var, rows.var(0), rtol=1e-8, atol=1e-10)


def test_normalised_rows_have_mean_zero_and_deviation_one():
    rows = (7 + 3 * np.random.default_rng(0).standard_normal((500, 2))).astype(np.float32)
    norm = RunningNorm(2)
    norm.update(rows)
    normal = norm(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(0), 1, atol=1e-5)


def test_before_any_row_observations_pass_as_they_are():
    obs = torch.tensor([[0.5, -2.0]])
    torch.testing.assert_close(RunningNorm(2)(obs), obs)


def test_no_rows_change_nothing():
    norm = RunningNorm(2)
    norm.update(np.ones((0, 2), np.float32))
    assert norm.count == 0
    assert norm.mean.tolist() == [0, 0]
    assert norm.var.tolist() == [1, 1]


def test_the_map_is_clipped_at_ten_deviations():
    norm = RunningNorm(1)
    norm.update(np.array([[-1.0], [1.0]], np.float32))
    np.testing.assert_allclose(norm(torch.tensor([[9.0], [25.0], [-25.0]])), [[9], [10], [-10]], rtol=1e-6)


def test_a_constant_dimension_maps_to_zero():
    norm = RunningNorm(1)
    for _ in range(3):
        norm.update(np.full((2, 1), 0.1, np.float32))
    assert norm(torch.full((1, 1), 0.1)).item() == 0


def test_the_variance_survives_a_large_offset():
    rows = (1e6 + np.random.default_rng(0).integers(-2, 3, (400, 1))).astype(np.float32)
    norm = RunningNorm(1)
    for row in rows:
        norm.update(row[None])
    assert norm.var.item() == pytest.approx(rows.astype(np.float64).var(), rel=1e-6)


def test_the_map_is_float32_for_any_leading_shape_and_leaves_its_input_alone():
    norm = RunningNorm(2)
    rows = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    norm.update(rows)
    assert rows.tolist() == [[1, 2], [3, 6]]
    obs = torch.tensor([5.0, 0.0]).expand(4, 3, 2).clone()
    normal = norm(obs)
    assert normal.dtype == torch.float32
    np.testing.assert_allclose(normal, np.broadcast_to([3.0, -2.0], (4, 3, 2)), rtol=1e-6)
    assert (obs == torch.tensor([5.0, 0.0])).all()


def test_a_loaded_state_maps_and_goes_on_like_the_original():
    rng = np.random.default_rng(0)
    norm, other = RunningNorm(3), RunningNorm(3)
    norm.update(rng.standard_normal((10, 3)))
    other.update(rng.standard_normal((4, 3)) - 5)
    state = norm.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    kept = copy.deepcopy(state)
    other.load_state_dict(state)
    obs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other(obs), norm(obs))
    more = rng.standard_normal((6, 3)) + 1
    for each in (norm, other):
        each.update(more)
    assert torch.equal(other(obs), norm(obs))
    assert other.count == norm.count == 16
    assert_same(state, kept)


# Rewards


def steps(num_steps, num_envs, seed=0, scale=1.0):
    """Rewards, ends and validity [T, E]; rows that are not valid end their episode."""
    rng = np.random.default_rng(seed)
    reward = (scale * rng.standard_normal((num_steps, num_envs)) + 1).astype(np.float32)
    valid = rng.random(reward.shape) > 0.15
    return reward, (rng.random(reward.shape) < 0.2) | ~valid, valid


def going_on(*rewards):
    """Steps that are valid and end nothing."""
    reward = np.array(rewards, np.float32)
    return reward, np.zeros(reward.shape, bool), np.ones(reward.shape, bool)


def returns_by_loops(gamma, reward, ended, valid):
    """The discounted return up to each valid row, from the start of its episode, in float64."""
    returns = []
    for env in range(reward.shape[1]):
        start = 0
        for now in range(len(reward)):
            if valid[now, env]:
                terms = [gamma ** (now - then) * float(reward[then, env]) for then in range(start, now + 1)]
                returns.append(sum(terms))
            if ended[now, env]:
                start = now + 1
    return np.array(returns)


class FromSteps(RewardScale):
    """A reward scale together with the returns it is fed with."""

    def __init__(self, gamma, num_envs):
        super().__init__()
        self.running = RunningReturn(gamma, num_envs)

    def state_dict(self):
        return {"scale": super().state_dict(), "running": self.running.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state["scale"])
        self.running.load_state_dict(state["running"])

    def take(self, reward, ended, valid):
        self.update(self.running(reward, ended, valid))


def scaled(scale, *rewards):
    return scale(torch.tensor(rewards)).tolist()


def test_the_reward_scale_by_hand():
    scale = FromSteps(0.5, 2)
    # Returns: 1, 2; then 1/2 + 3 and 2/2 + 4. Their mean is 2.875 and their variance 9.1875 / 4.
    scale.take(*going_on([1.0, 2.0], [3.0, 4.0]))
    assert scale.count == 4
    assert scale.mean == pytest.approx(2.875)
    assert scale.var == pytest.approx(2.296875)
    assert scaled(scale, 3.0, -1.0) == pytest.approx([3 / 1.5155445, -1 / 1.5155445], rel=1e-6)
    # 3.5/2 + 0.25 = 2 and 5/2 - 2.5 = 0: the six returns have the mean 2.25 and the squares' mean 46.25 / 6.
    scale.take(*going_on([0.25, -2.5]))
    assert scale.var == pytest.approx(46.25 / 6 - 2.25**2)
    assert scaled(scale, 1.0) == pytest.approx([(46.25 / 6 - 5.0625) ** -0.5], rel=1e-6)


def test_before_any_step_rewards_pass_as_they_are():
    assert scaled(FromSteps(0.99, 1), 3.0, -0.25) == [3.0, -0.25]


def test_an_end_restarts_the_return_of_its_environment_alone():
    scale = FromSteps(0.5, 2)
    reward, ended, valid = going_on([1.0, 1.0], [1.0, 1.0])
    ended[0, 0] = True
    # 1, 1, then 1 in the first environment and 3/2 in the second: the row that ends an episode still counts.
    scale.take(reward, ended, valid)
    assert scale.count == 4
    assert scale.mean == pytest.approx(4.5 / 4)
    # 1/2 + 0.5 and 1.5/2 + 0.25; the end reaches into the next call, where the returns are 1/2 + 1 and 1.
    reward, ended, valid = going_on([0.5, 0.25])
    ended[0, 1] = True
    scale.take(reward, ended, valid)
    assert scale.mean == pytest.approx((4.5 + 1 + 1) / 6)
    scale.take(*going_on([1.0, 1.0]))
    assert scale.mean == pytest.approx((6.5 + 1.5 + 1) / 8)


def test_rows_that_are_not_valid_neither_count_nor_reach_the_next_episode():
    reward, ended, valid = going_on([1.0, 2.0], [1e6, 1.0], [4.0, 3.0])
    ended[1, 0], valid[1, 0] = True, False
    scale = FromSteps(0.5, 2)
    scale.take(reward, ended, valid)
    # 1, -, 4 and 2, 2, 4.
    assert scale.count == 5
    assert scale.mean == pytest.approx(13 / 5)
    assert scale.var == pytest.approx(41 / 5 - (13 / 5) ** 2)


def test_steps_of_which_none_is_valid_change_no_moment():
    scale = FromSteps(0.5, 1)
    scale.take(*going_on([1.0], [4.0]))
    before = scaled(scale, 1.0)
    scale.take(np.ones((3, 1), np.float32), np.ones((3, 1), bool), np.zeros((3, 1), bool))
    assert scale.count == 2
    assert scaled(scale, 1.0) == before
    assert scale.running.returns.tolist() == [[0], [0], [0]]


@given(
    sizes=st.lists(st.integers(0, 8), min_size=1, max_size=6).filter(any),
    num_envs=st.integers(1, 3),
    gamma=st.sampled_from([0.0, 0.9, 1.0]),
    size=st.sampled_from([0.01, 1.0, 50.0]),
    seed=st.integers(0, 100),
)
def test_moments_of_the_return_equal_those_of_loops_in_any_split_of_time(sizes, num_envs, gamma, size, seed):
    columns = steps(sum(sizes), num_envs, seed, size)
    scale = FromSteps(gamma, num_envs)
    for piece in zip(*(np.split(column, np.cumsum(sizes)[:-1]) for column in columns), strict=True):
        scale.take(*piece)
    returns = returns_by_loops(gamma, *columns)
    assert scale.count == len(returns)
    if len(returns):
        np.testing.assert_allclose(scale.mean, returns.mean(), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(scale.var, returns.var(), rtol=1e-8, atol=1e-10)
        expected = np.clip(size / np.sqrt(returns.var() + 1e-8), None, 10)
        assert scaled(scale, size) == pytest.approx([expected], rel=1e-5)


@given(num_envs=st.integers(1, 3), gamma=st.sampled_from([0.0, 0.9, 1.0]), seed=st.integers(0, 100))
def test_lowest_and_highest_are_those_of_all_steps_that_a_sum_could_begin_with(num_envs, gamma, seed):
    reward, ended, valid = steps(12, num_envs, seed)
    rows = RunningReturn(gamma, num_envs)(reward, ended, valid)
    expected = []
    for now, env in np.argwhere(valid):
        (before,) = np.nonzero(ended[:now, env])
        first = before[-1] + 1 if len(before) else 0
        sums = [
            sum(gamma ** float(now - then) * float(reward[then, env]) for then in range(start, now + 1))
            for start in range(first, now + 1)
        ]
        expected.append((sums[0], min(sums), max(sums)))
    np.testing.assert_allclose(rows, np.array(expected).reshape(-1, 3), rtol=1e-9, atol=1e-9)


def ending_with(last):
    """The sums of an episode of 300 steps that cost 1 each, and one more."""
    reward = np.array([[-1.0]] * 300 + [[last]])
    ended = np.zeros(reward.shape, bool)
    ended[-1] = True
    return RunningReturn(0.99, 1)(reward, ended, ~np.zeros(reward.shape, bool))


@pytest.mark.parametrize("last", [100.0, -300.0, 300.0])
def test_what_an_episode_ends_with_lies_within_the_bounds_of_what_values_may_be(last):
    """The value of the state before it: a sum over the whole episode does not show it."""
    support = Support(11, None, "cpu")
    support.include(ending_with(last))
    support.fit()
    low, high = support.bounds
    assert low < last < high
    scale = RewardScale(bound=5.0)
    scale.update(ending_with(last))
    assert abs(scaled(scale, last)[0]) < 5 + 1e-5


def test_scaled_rewards_keep_their_sign_and_zero_and_are_clipped_at_ten_deviations():
    scale = FromSteps(0.0, 2)
    # The returns have the mean 6 and the deviation 2, and the mean is not taken off.
    scale.take(*going_on([4.0, 8.0]))
    assert scaled(scale, 0.0, 1.0, -3.0, 19.0, 21.0, -1e6) == pytest.approx([0, 0.5, -1.5, 9.5, 10, -10], rel=1e-6)


def test_rewards_that_are_all_zero_stay_finite():
    scale = FromSteps(0.9, 1)
    scale.take(*going_on([0.0], [0.0]))
    assert scaled(scale, 0.0, 1.0) == [0, 10]


def test_scaling_is_float32_for_any_shape_and_leaves_its_inputs_alone():
    columns = steps(5, 2)
    kept = [column.copy() for column in columns]
    scale = FromSteps(0.9, 2)
    scale.take(*columns)
    reward = torch.full((4, 3), 2.0)
    result = scale(reward)
    assert result.dtype == torch.float32
    assert result.shape == (4, 3)
    assert (reward == 2).all()
    assert (result != 2).all()
    for column, before in zip(columns, kept, strict=True):
        np.testing.assert_array_equal(column, before)
    scale.take(*columns)
    assert (scale(reward) != result).all()


def test_a_loaded_reward_scale_scales_and_goes_on_like_the_original():
    scale, other = FromSteps(0.9, 2), FromSteps(0.9, 2)
    scale.take(*steps(10, 2))
    other.take(*steps(4, 2, seed=1, scale=50.0))
    # One of them in the middle of an episode.
    assert scale.running.returns.any()
    state = scale.state_dict()
    kept = copy.deepcopy(state)
    other.load_state_dict(state)
    assert scaled(other, 1.0) == scaled(scale, 1.0)
    for each in (scale, other):
        each.take(*steps(6, 2, seed=2))
    assert scaled(other, 1.0) == scaled(scale, 1.0)
    np.testing.assert_array_equal(other.running.returns, scale.running.returns)
    np.testing.assert_equal(state, kept)


def sums(*returns):
    """Those of rewards of one sign."""
    return np.array([returns] * 3).T


def test_a_bound_holds_the_largest_return():
    scale = RewardScale(bound=5.0)
    scale.update(sums(1.0, -1.0, 1.0, -1.0))
    # The deviation is 1; 1 / 5 is less.
    assert scaled(scale, 0.5) == pytest.approx([0.5])
    scale.update(sums(-60.0))
    # 60 / 5 is less than the deviation still, which the many returns of 0 that follow bring down.
    deviation = np.array([1.0, -1.0, 1.0, -1.0, -60.0]).std()
    assert scaled(scale, 0.5) == pytest.approx([0.5 / max(deviation, 12.0)])
    scale.update(np.zeros((2000, 3)))
    assert scaled(scale, 0.5, -60.0) == pytest.approx([0.5 / 12, -5.0])
    other = RewardScale(bound=5.0)
    other.load_state_dict(scale.state_dict())
    assert scaled(other, 0.5) == scaled(scale, 0.5)
