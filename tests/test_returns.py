import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcont.nn.returns import gae, suffix_sums

FACTORS = st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0])
LENGTHS = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)


class Stretch:
    """Random experience in float64; episodes end both ways, each with the probability `end_rate`."""

    def __init__(self, num_steps, num_envs, gamma, end_rate, seed):
        rng = np.random.default_rng(seed)
        shape = (num_steps, num_envs)
        self.gamma = gamma
        self.terminated, self.truncated = rng.random((2, *shape)) < end_rate
        self.reward, self.value, self.next_value = 5 * rng.standard_normal((3, *shape))

    @property
    def columns(self):
        """What `gae` is called with, but for lambda."""
        discount = self.gamma * ~self.terminated
        ended = self.terminated | self.truncated
        return [torch.from_numpy(x) for x in (self.reward, discount, self.value, self.next_value, ended)]

    def advantage_by_definition(self, gae_lambda):
        """Sum over l of (gamma lambda)^l delta_{t+l}, as far as the episode of row t goes."""
        num_steps, num_envs = self.reward.shape
        advantage = np.zeros((num_steps, num_envs))
        for env in range(num_envs):
            for start in range(num_steps):
                for now in range(start, num_steps):
                    target = self.reward[now, env]
                    if not self.terminated[now, env]:
                        target += self.gamma * self.next_value[now, env]
                    delta = target - self.value[now, env]
                    advantage[start, env] += (self.gamma * gae_lambda) ** (now - start) * delta
                    if self.terminated[now, env] or self.truncated[now, env]:
                        break
        return advantage


@st.composite
def stretches(draw, min_steps=1):
    return Stretch(
        num_steps=draw(st.integers(min_steps, 40)),
        num_envs=draw(st.integers(1, 4)),
        gamma=draw(FACTORS),
        end_rate=draw(st.sampled_from([0.0, 0.05, 0.3, 1.0])),
        seed=draw(SEEDS),
    )


def equal(left, right):
    torch.testing.assert_close(left, torch.as_tensor(right), rtol=1e-11, atol=1e-11)


def test_advantages_by_hand_with_a_termination_and_a_truncation_in_the_middle():
    # The second row terminates in the first environment and is truncated in the second; gamma = lambda = 1/2.
    reward = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
    value = torch.tensor([[2.0, 2.0], [4.0, 4.0], [1.0, 1.0], [8.0, 8.0]])
    next_value = torch.tensor([[4.0, 4.0], [100.0, 100.0], [8.0, 8.0], [16.0, 16.0]])
    discount = torch.tensor([[0.5, 0.5], [0.0, 0.5], [0.5, 0.5], [0.5, 0.5]])
    ended = torch.tensor([[False, False], [True, True], [False, False], [False, False]])
    # Terminated: delta = 1 + 4/2 - 2 = 1, 2 - 4 = -2, 3 + 8/2 - 1 = 6, 4 + 16/2 - 8 = 4.
    # Truncated:  the second delta is 2 + 100/2 - 4 = 48.
    # From the end: 4, 6 + 4/4 = 7; then -2 and 48 alone; then 1 - 2/4 = 1/2 and 1 + 48/4 = 13.
    advantage = gae(reward, discount, value, next_value, ended, 0.5)
    assert advantage.dtype == torch.float32
    assert advantage.tolist() == [[0.5, 13.0], [-2.0, 48.0], [7.0, 7.0], [4.0, 4.0]]


def test_advantages_by_hand_of_three_steps_without_an_end():
    reward = torch.tensor([[1.0], [0.0], [-1.0]])
    value, next_value = torch.tensor([[10.0], [20.0], [30.0]]), torch.tensor([[20.0], [30.0], [40.0]])
    discount, ended = torch.full((3, 1), 0.9), torch.zeros(3, 1, dtype=torch.bool)
    # delta = 1 + 18 - 10 = 9, 27 - 20 = 7, -1 + 36 - 30 = 5; the factor is 0.8 * 0.9 = 0.72.
    # 7 + 0.72 * 5 = 10.6; 9 + 0.72 * 10.6 = 16.632.
    expected = torch.tensor([[16.632], [10.6], [5.0]])
    torch.testing.assert_close(gae(reward, discount, value, next_value, ended, 0.8), expected)


@settings(max_examples=100)
@given(stretch=stretches(), gae_lambda=FACTORS)
def test_advantages_are_the_sum_that_defines_them(stretch, gae_lambda):
    equal(gae(*stretch.columns, gae_lambda), stretch.advantage_by_definition(gae_lambda))


@given(stretch=stretches())
def test_lambda_zero_is_the_td_error_of_one_step(stretch):
    bootstrap = np.where(stretch.terminated, 0, stretch.gamma * stretch.next_value)
    equal(gae(*stretch.columns, 0.0), stretch.reward + bootstrap - stretch.value)


@given(num_steps=LENGTHS, gamma=FACTORS, seed=SEEDS)
def test_lambda_one_without_ends_is_the_discounted_return_minus_the_value(num_steps, gamma, seed):
    stretch = Stretch(num_steps, 2, gamma, 0.0, seed)
    stretch.next_value[:-1] = stretch.value[1:]
    expected = np.empty((num_steps, 2))
    running = stretch.next_value[-1]
    for step in reversed(range(num_steps)):
        running = stretch.reward[step] + gamma * running
        expected[step] = running - stretch.value[step]
    equal(gae(*stretch.columns, 1.0), expected)


@given(stretch=stretches(min_steps=2), data=st.data(), gae_lambda=st.sampled_from([0.5, 1.0]), terminates=st.booleans())
def test_rows_after_an_end_do_not_touch_the_episode_before_it(stretch, data, gae_lambda, terminates):
    end = data.draw(st.integers(0, len(stretch.reward) - 2))
    (stretch.terminated if terminates else stretch.truncated)[end] = True
    before = gae(*stretch.columns, gae_lambda)
    later = slice(end + 1, None)
    for column in (stretch.reward, stretch.value, stretch.next_value):
        column[later] = 1e6 - 3 * column[later]
    stretch.terminated[later] = ~stretch.terminated[later]
    after = gae(*stretch.columns, gae_lambda)
    assert torch.equal(after[: end + 1], before[: end + 1])
    assert (after[later] != before[later]).all()


def test_without_an_end_later_rows_do_count():
    stretch = Stretch(5, 1, 0.9, 0.0, seed=0)
    before = gae(*stretch.columns, 0.9)
    stretch.reward[4] += 1
    after = gae(*stretch.columns, 0.9)
    equal(after - before, 0.81 ** np.arange(4.0, -1, -1)[:, None])


@given(stretch=stretches(), gae_lambda=FACTORS)
def test_environments_are_independent(stretch, gae_lambda):
    together = gae(*stretch.columns, gae_lambda)
    for env in range(stretch.reward.shape[1]):
        alone = gae(*(column[:, env : env + 1] for column in stretch.columns), gae_lambda)
        assert torch.equal(together[:, env : env + 1], alone)


@given(
    num_rows=st.integers(1, 70),
    width=st.sampled_from([(), (1,), (3,)]),
    zero_rate=st.sampled_from([0.0, 0.2]),
    seed=SEEDS,
)
def test_suffix_sums_are_those_of_a_loop(num_rows, width, zero_rate, seed):
    rng = np.random.default_rng(seed)
    x, factor = rng.standard_normal((2, num_rows, *width))
    factor[rng.random(factor.shape) < zero_rate] = 0
    expected, below = np.empty_like(x), np.zeros(width)
    for row in reversed(range(num_rows)):
        below = expected[row] = x[row] + factor[row] * below
    given_x, given_factor = torch.from_numpy(x.copy()), torch.from_numpy(factor.copy())
    equal(suffix_sums(given_x, given_factor), expected)
    np.testing.assert_array_equal(given_x, x)
    np.testing.assert_array_equal(given_factor, factor)


@pytest.mark.parametrize("num_rows", [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33])
def test_suffix_sums_of_ones_count_the_rows_to_the_end(num_rows):
    counts = suffix_sums(torch.ones(num_rows), torch.ones(num_rows))
    assert counts.tolist() == list(range(num_rows, 0, -1))
