"""Prioritised replay against its formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_replay import ACTION_DIM, OBS_DIM, ids_of, stored_ids, transitions

from rlcont.memory.block_sums import BlockSums
from rlcont.memory.prioritized import PrioritizedReplay
from rlcont.memory.replay import Replay
from rlcont.memory.sizes import BLOCK, block_sums_bytes


def make_sums(values):
    sums = BlockSums(len(values))
    sums.set(np.arange(len(values)), np.array(values, float))
    return sums


SIZES = [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK**2, BLOCK**2 + 1, 5000]


@pytest.mark.parametrize("size", SIZES)
def test_a_draw_finds_what_a_running_sum_over_all_numbers_finds(size):
    rng = np.random.default_rng(0)
    values = rng.random(size) * (rng.random(size) < 0.7)
    values[size // 2] = 1
    shares = rng.random(2000)
    found, probability = make_sums(values).find(shares)
    places = shares * values.sum()
    np.testing.assert_array_equal(found, np.searchsorted(values.cumsum(), places, side="right").clip(max=size - 1))
    np.testing.assert_allclose(probability, values[found] / values.sum())


@pytest.mark.parametrize("size", SIZES)
def test_the_first_and_the_last_place_find_a_number_that_is_not_zero(size):
    values = np.zeros(size)
    values[[size // 3, size // 2]] = 0.1, 0.7
    found, _ = make_sums(values).find(np.array([0, 1, np.nextafter(1, 9)]))
    assert (values[found] > 0).all()


@given(
    size=st.integers(1, 200),
    changes=st.lists(st.tuples(st.integers(0, 199), st.floats(0.001, 1e6)), min_size=1, max_size=30),
)
def test_shares_are_those_of_the_numbers_after_any_changes(size, changes):
    sums, values = BlockSums(size), np.zeros(size)
    for index, value in changes:
        sums.set(np.array([index % size]), np.array([value]))
        values[index % size] = value
        found, probability = (each.item() for each in sums.find(np.array([0.5])))
        assert probability == pytest.approx(values[found] / values.sum())
    np.testing.assert_array_equal(sums.leaves, values)


def test_rebuilt_sums_equal_those_that_their_leaves_were_read_from():
    rng = np.random.default_rng(1)
    sums, other = make_sums([*rng.random(2000), *np.zeros(1000)]), make_sums(rng.random(3000))
    other.rebuild(sums.leaves[:2000])
    shares = rng.random(500)
    assert all(map(np.array_equal, other.find(shares), sums.find(shares)))


def make_replay(capacity, seed=0, alpha=0.6, beta=0.4, num_batches=100):
    generator = torch.Generator().manual_seed(seed)
    return PrioritizedReplay(capacity, OBS_DIM, ACTION_DIM, generator, alpha=alpha, beta=beta, num_batches=num_batches)


@pytest.mark.parametrize("cls", [Replay, PrioritizedReplay])
@given(expected=st.integers(1, 90), sizes=st.lists(st.integers(1, 40), max_size=6))
def test_with_fewer_rows_allocated_a_replay_is_the_same_to_the_bit_and_grows_where_more_comes(cls, expected, sizes):
    """Of 70 transitions, which fill two blocks."""
    own = {} if cls is Replay else {"alpha": 0.6, "beta": 0.4, "num_batches": 100}
    whole, lean = (
        cls(70, OBS_DIM, ACTION_DIM, torch.Generator().manual_seed(0), "cpu", room, **own) for room in (None, expected)
    )
    added = 0
    for size in sizes:
        batches = []
        for replay in (whole, lean):
            replay.add(transitions(range(added, added + size)))
            batches.append(replay.sample(16))
            replay.prioritize(batches[-1], batches[-1].reward.abs())
        added += size
        assert all(map(torch.equal, *batches))
    assert len(lean.rows) == min(70, max(expected, added))
    first = max(0, added - 70)
    np.testing.assert_array_equal(lean.read(first, added), whole.read(first, added))


def filled(num, **changes):
    replay = make_replay(num, **changes)
    replay.add(transitions(range(num)))
    return replay


def set_priorities(replay, priorities):
    """As if one batch had held every row."""
    replay.prioritize(replay.last(len(replay)), torch.tensor(priorities))


def chi_square(counts, shares):
    """Pearson's statistic; of nine counts it is above 26.1 once in a thousand times."""
    expected = shares / shares.sum() * counts.sum()
    return ((counts - expected) ** 2 / expected).sum()


def test_rows_are_drawn_as_often_as_the_formula_says():
    priorities = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 5.0, 10.0, 0.3, 50.0])
    replay = filled(10, alpha=0.6)
    set_priorities(replay, priorities)
    powers = (priorities + replay.eps) ** 0.6
    counts = np.bincount(np.concatenate([ids_of(replay.sample(1)) for _ in range(5000)]), minlength=10)
    assert counts[0] <= 2
    assert chi_square(counts[1:], powers[1:]) < 26.1
    # And not as alpha = 1 or 0 would have it.
    for wrong in (1.0, 0.0):
        assert chi_square(counts[1:], priorities[1:] ** wrong) > 50


def test_a_batch_takes_one_row_from_each_equal_stretch_of_the_sum():
    replay = filled(8, alpha=1.0)
    set_priorities(replay, np.ones(8))
    for _ in range(20):
        assert sorted(ids_of(replay.sample(8))) == list(range(8))
    # A row that has half of the sum fills half of every batch.
    set_priorities(replay, np.array([7.0, 1, 1, 1, 1, 1, 1, 1]))
    for _ in range(20):
        assert ids_of(replay.sample(14)).count(0) in (7, 8)


def test_weights_are_those_of_the_formula_and_beta_goes_to_one():
    priorities = np.array([1.0, 2.0, 4.0, 8.0])
    replay = filled(4, alpha=0.5, beta=0.4, num_batches=10)
    set_priorities(replay, priorities)
    probability = (priorities + replay.eps) ** 0.5
    probability /= probability.sum()
    for number in range(15):
        beta = min(1.0, 0.4 + 0.06 * number)
        batch = replay.sample(40)
        weight = (4 * probability[batch.slot.numpy()]) ** -beta
        np.testing.assert_allclose(batch.weight, weight / weight.max(), rtol=1e-5)
        assert batch.weight.dtype == torch.float32
        assert batch.weight.max() == 1


def test_with_alpha_zero_all_are_alike():
    replay = filled(5, alpha=0.0)
    set_priorities(replay, np.array([1.0, 100.0, 0.01, 5.0, 7.0]))
    batch = replay.sample(1000)
    assert np.bincount(ids_of(batch)).tolist() == [200] * 5
    assert (batch.weight == 1).all()


def test_a_new_row_has_the_highest_priority_there_has_been():
    replay = make_replay(100, alpha=1.0)
    replay.add(transitions([0, 1]))
    assert replay.sums.leaves[:2].tolist() == [1, 1]
    set_priorities(replay, np.array([9.0, 0.5]))
    replay.add(transitions([2]))
    assert replay.sums.leaves[:3].tolist() == pytest.approx([9, 0.5, 9], rel=1e-5)
    set_priorities(replay, np.array([1.0, 1.0, 1.0]))
    replay.add(transitions([3]))
    assert replay.sums.leaves[3].item() == pytest.approx(9)


def test_a_row_that_overwrites_another_has_a_priority_of_its_own():
    replay = make_replay(4, alpha=1.0)
    replay.add(transitions(range(4)))
    set_priorities(replay, np.array([1.0, 1.0, 1.0, 1e6]))
    set_priorities(replay, np.array([1.0, 1.0, 1.0, 1e-9]))
    replay.add(transitions([4, 5]))
    assert stored_ids(replay) == [4, 5, 2, 3]
    assert replay.sums.leaves.tolist() == pytest.approx([1e6, 1e6, 1, 1e-9 + replay.eps])
    _, probability = replay.sums.find(np.zeros(1))
    assert probability.item() == pytest.approx(1e6 / (2e6 + 1), rel=1e-9)
    assert set(ids_of(replay.sample(50))) == {4, 5}


def test_rows_that_were_never_written_are_never_drawn():
    replay = make_replay(5000)
    replay.rows.fill_(math.nan)
    replay.add(transitions(range(3)))
    assert set(ids_of(replay.sample(300))) == {0, 1, 2}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_priority_that_is_not_finite_counts_as_none_and_the_memory_lives_on(value):
    replay = filled(4, alpha=1.0)
    set_priorities(replay, np.array([1.0, value, 2.0, 1.0]))
    assert replay.max_priority == pytest.approx(2)
    assert replay.sums.leaves.tolist() == pytest.approx([1, 0, 2, 1], abs=1e-5)
    batch = replay.sample(100)
    assert set(ids_of(batch)) == {0, 2, 3}
    assert batch.weight.isfinite().all()


def test_a_loaded_replay_goes_on_the_same():
    replay, other = filled(40, seed=0), make_replay(40, seed=1)
    replay.add(transitions(range(40, 47)))
    set_priorities(replay, np.random.default_rng(0).random(40))
    replay.sample(8)
    other.rows.copy_(replay.rows)
    other.load_state_dict(replay.state_dict())
    for each in (replay, other):
        each.add(transitions([99]))
    for _ in range(3):
        batch, same = replay.sample(16), other.sample(16)
        assert torch.equal(batch.slot, same.slot)
        assert torch.equal(batch.weight, same.weight)
    assert np.array_equal(replay.sums.leaves, other.sums.leaves)


@pytest.mark.parametrize("size", SIZES)
def test_sums_take_as_much_memory_as_they_say(size):
    sums = BlockSums(size)
    assert sum(value.nbytes for name, value in vars(sums).items() if name != "leaves") == block_sums_bytes(size)


def test_what_is_logged_says_how_priorities_lie():
    replay = filled(4, alpha=1.0)
    figures = replay.prioritize(replay.sample(4), torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert figures["priority_mean"] == 3
    assert figures["priority_max"] == 6
    assert figures["weight_mean"] == 1
    assert replay.status() == {"replay_fill": 1, "priority_beta": pytest.approx(0.406)}
    lies = replay.distributions()["priority"]
    assert sum(lies.counts) == 4
    assert np.dot(lies.centres, lies.counts) == pytest.approx(12, abs=0.2)
