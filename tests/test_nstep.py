"""n-step transitions against sums by loops, across ends of episodes of every kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import assert_same, column, make_step

from rlcont.core.types import Transitions
from rlcont.memory.nstep import NStep

OBS_DIM, ACTION_DIM = 2, 1


class Stream:
    """T steps of E environments; obs and action say which step and environment they are of."""

    def __init__(self, num_steps, num_envs, seed, broken=0.0):
        rng = np.random.default_rng(seed)
        shape = (num_steps, num_envs)
        self.reward = rng.standard_normal(shape).astype(np.float32)
        self.terminated = rng.random(shape) < 0.15
        self.truncated = rng.random(shape) < 0.15
        self.valid = rng.random(shape) >= broken
        # A simulator that broke down has ended its episode, cut off.
        self.truncated |= ~self.valid
        self.terminated &= self.valid
        self.env = np.arange(num_envs, dtype=np.float32)

    def obs(self, time):
        return np.stack([np.full(len(self.env), time, np.float32), self.env], 1)

    def next_obs(self, time):
        return self.obs(time) + np.float32([0.5, 0])

    def step(self, time):
        action = (10 * time + self.env)[:, None]
        flags = (self.terminated[time], self.truncated[time])
        step = make_step(self.obs(time), action, self.reward[time], self.next_obs(time), *flags)
        return step._replace(valid=self.valid[time])

    def expected(self, n, gamma):
        """(env, time) -> (reward, discount, time of next_obs), of all steps whose transition is complete."""
        num_steps, num_envs = self.reward.shape
        rows = {}
        for env in range(num_envs):
            for start in range(num_steps):
                if not self.valid[start, env]:
                    continue
                total, k = 0.0, 0
                while start + k < num_steps and self.valid[start + k, env]:
                    now = start + k
                    total += gamma**k * float(self.reward[now, env])
                    k += 1
                    over = self.terminated[now, env] or self.truncated[now, env]
                    cut = now + 1 < num_steps and not self.valid[now + 1, env]
                    if k == n or over or cut:
                        rows[env, start] = (total, 0.0 if self.terminated[now, env] else gamma**k, now)
                        break
        return rows


def rows_of(transitions):
    """The same, of what was returned, in order."""
    rows = {}
    for obs, action, reward, discount, next_obs in zip(*transitions, strict=True):
        time, env = int(obs[0]), int(obs[1])
        assert action[0] == 10 * time + env
        assert next_obs[1] == env
        assert next_obs[0] % 1 == 0.5
        assert (env, time) not in rows
        rows[env, time] = (float(reward), float(discount), int(next_obs[0]))
    return rows


def joined(parts):
    return Transitions(*map(np.concatenate, zip(*parts, strict=True)))


@given(
    n=st.integers(1, 6),
    gamma=st.sampled_from([0.0, 0.9, 1.0]),
    num_envs=st.integers(1, 4),
    num_steps=st.integers(1, 30),
    broken=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 1000),
)
def test_it_equals_loops_over_random_ends(n, gamma, num_envs, num_steps, broken, seed):
    stream, fold = Stream(num_steps, num_envs, seed, broken), NStep(n, gamma, num_envs, OBS_DIM, ACTION_DIM)
    rows = rows_of(joined([fold.add(stream.step(time)) for time in range(num_steps)]))
    expected = stream.expected(n, gamma)
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        assert row == pytest.approx(expected[key], rel=1e-5, abs=1e-6)


def test_by_hand():
    fold = NStep(3, 0.5, 1, 1, 1)
    steps = [make_step(column(i), column(-i), float(2**i), column(i + 1)) for i in range(4)]
    assert [len(fold.add(step).obs) for step in steps[:2]] == [0, 0]
    # 1 + 2 / 2 + 4 / 4, then 2 + 4 / 2 + 8 / 4.
    first, second = fold.add(steps[2]), fold.add(steps[3])
    assert (first.obs, first.action, first.reward, first.discount, first.next_obs) == (0, 0, 3, 0.125, 3)
    assert (second.obs, second.action, second.reward, second.discount, second.next_obs) == (1, -1, 6, 0.125, 4)
    # The time limit ends what is open: of steps 2, 3 and 4, with as many rewards as there were.
    last = fold.add(make_step(column(4), column(-4), 16.0, column(5), truncated=True))
    assert last.obs[:, 0].tolist() == [2, 3, 4]
    assert last.reward.tolist() == [4 + 4 + 4, 8 + 8, 16]
    assert last.discount.tolist() == [0.125, 0.25, 0.5]
    assert last.next_obs[:, 0].tolist() == [5, 5, 5]
    # Nothing of it is left in the next episode, which terminates at once.
    other = fold.add(make_step(column(9), column(0), 1.0, column(10), terminated=True))
    assert (other.obs, other.reward, other.discount, other.next_obs) == (9, 1, 0, 10)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_cut_off_ends_what_is_open_where_it_is_told(n):
    fold = NStep(n, 0.9, 2, OBS_DIM, ACTION_DIM)
    stream = Stream(3, 2, 0)
    stream.terminated[:], stream.truncated[:] = False, False
    for time in range(3):
        fold.add(stream.step(time))
    rows = rows_of(fold.cut_off(np.array([False, True])))
    assert sorted(rows) == [(1, time) for time in range(max(0, 4 - n), 3)]
    for (_, time), (_, discount, end) in rows.items():
        assert discount == pytest.approx(0.9 ** (3 - time))
        assert end == 2
    assert len(fold.cut_off(np.array([False, True])).obs) == 0
    assert len(fold.cut_off(np.array([True, False])).obs) == n - 1


def test_rows_of_an_environment_come_oldest_first():
    fold = NStep(4, 0.9, 2, OBS_DIM, ACTION_DIM)
    stream = Stream(3, 2, 0)
    stream.terminated[:], stream.truncated[:] = False, False
    stream.truncated[2] = True
    rows = [fold.add(stream.step(time)) for time in range(3)][-1]
    assert [key for key in rows_of(rows) if key[0] == 1] == [(1, 0), (1, 1), (1, 2)]


def test_what_it_returned_is_not_changed_later():
    fold = NStep(1, 0.9, 1, OBS_DIM, ACTION_DIM)
    stream = Stream(4, 1, 0)
    first = fold.add(stream.step(0))
    kept = Transitions(*(field.copy() for field in first))
    for time in range(1, 4):
        fold.add(stream.step(time))
    assert_same(list(first), list(kept))


def test_a_loaded_one_goes_on_the_same():
    stream, fold, other = Stream(20, 3, 3), NStep(4, 0.9, 3, OBS_DIM, ACTION_DIM), NStep(4, 0.9, 3, OBS_DIM, ACTION_DIM)
    for time in range(7):
        fold.add(stream.step(time))
    other.load_state_dict(fold.state_dict())
    for time in range(7, 20):
        assert_same(list(other.add(stream.step(time))), list(fold.add(stream.step(time))))
