"""A support that follows the returns, in proportion to them."""

import numpy as np
import pytest

from rlcont.nn.categorical import Support


def seen(*returns, bounds=None, num_atoms=11):
    support = Support(num_atoms, bounds, "cpu")
    for value in returns:
        support.include(np.array([value]))
        if support.outgrown():
            support.fit()
    return support


def test_given_bounds_are_obeyed_whatever_is_seen():
    support = seen(1e6, -1e6, bounds=(-10.0, 10.0), num_atoms=5)
    assert support.bounds == (-10, 10)
    assert support.atoms.tolist() == [-10, -5, 0, 5, 10]


def test_it_spans_the_returns_and_zero_with_a_margin():
    assert seen(10.0).bounds == pytest.approx((-3, 13))
    assert seen(-10.0).bounds == pytest.approx((-13, 3))
    support = seen(-2.0, 8.0)
    assert support.bounds == pytest.approx((-5, 11))
    assert support.atoms.tolist() == pytest.approx(np.linspace(-5, 11, 11).tolist())


def test_it_moves_only_when_a_return_comes_near_a_bound_and_never_shrinks():
    support = seen(10.0)
    # 11.8 and a tenth of the range: just inside 13.
    support.include(np.array([11.8]))
    assert not support.outgrown()
    support.include(np.array([11.9]))
    assert support.outgrown()
    support.fit()
    assert support.bounds == pytest.approx((-0.3 * 11.9, 1.3 * 11.9))
    support.include(np.zeros(5))
    assert not support.outgrown()
    support.include(np.array([-3.0]))
    assert support.outgrown()


def test_without_a_reward_there_is_nothing_to_fit_and_the_first_one_is_enough_however_small():
    support = seen(0.0, 0.0)
    assert not support.fitted
    support.include(np.empty(0))
    support.include(np.array([1e-6]))
    assert support.outgrown()
    support.fit()
    assert support.bounds == pytest.approx((-3e-7, 1.3e-6))


@pytest.mark.parametrize("unit", [1e-3, 1e3, 2.0**-10])
def test_it_is_in_proportion_to_the_rewards(unit):
    returns = np.random.default_rng(0).standard_normal(100).cumsum()
    one, other = seen(*returns), seen(*(unit * returns))
    assert other.bounds == pytest.approx(tuple(unit * bound for bound in one.bounds), rel=1e-9)


def test_growing_without_end_it_moves_few_times():
    support, moves = Support(11, None, "cpu"), 0
    for value in np.linspace(1, 1000, 20_000):
        support.include(np.array([value]))
        if support.outgrown():
            support.fit()
            moves += 1
    # Each time the range has grown by 1.3 / 1.1.
    assert moves == pytest.approx(np.log(1000) / np.log(1.3 / 1.1), abs=2)


def test_a_loaded_one_is_the_same():
    support, other = seen(-2.0, 8.0), Support(11, None, "cpu")
    other.load_state_dict(support.state_dict())
    assert other.state_dict() == support.state_dict()
    assert other.atoms.tolist() == support.atoms.tolist()
