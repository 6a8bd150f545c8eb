from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlcont.core.types import Transitions
from rlcont.memory.replay import Replay
from rlcont.memory.sizes import replay_bytes, row_width

OBS_DIM, ACTION_DIM = 3, 2


def make_replay(capacity, seed=0):
    return Replay(capacity, OBS_DIM, ACTION_DIM, torch.Generator().manual_seed(seed))


def transitions(ids):
    """Rows whose every field says which transition it belongs to, and which field it is."""
    base = 100.0 * np.asarray(ids, np.float32)[:, None]
    columns = np.arange(OBS_DIM, dtype=np.float32)
    obs, next_obs = base + columns, base + 50 + columns
    action = base + 20 + columns[:ACTION_DIM]
    return Transitions(obs, action, base[:, 0] + 30, base[:, 0] + 40, next_obs)


def ids_of(batch):
    """The transitions in `batch`, after a check that each field of each row belongs to it."""
    ids = ((batch.reward - 30) / 100).round().int().tolist()
    for field, expected in zip(batch[:5], transitions(ids), strict=True):
        np.testing.assert_array_equal(field.numpy(), expected)
    return ids


def stored_ids(replay):
    """The transition in every slot, by slot."""
    return ((replay.rows[: len(replay), OBS_DIM + ACTION_DIM] - 30) / 100).round().int().tolist()


def test_a_batch_is_float32_with_vectors_for_reward_and_discount():
    replay = make_replay(10)
    replay.add(Transitions(*(field.astype(np.float64) for field in transitions(range(4)))))
    batch = replay.sample(6)
    assert [tuple(field.shape) for field in batch] == [(6, 3), (6, 2), (6,), (6,), (6, 3), (6,), (6,)]
    assert {field.dtype for field in batch[:6]} == {torch.float32}
    assert batch.weight.tolist() == [1] * 6
    assert batch.slot.dtype == torch.int64


def test_rows_come_back_whole():
    replay = make_replay(50)
    for first in range(0, 40, 4):
        replay.add(transitions(range(first, first + 4)))
    assert set(ids_of(replay.sample(1000))) == set(range(40))


def test_one_add_of_several_rows_wraps_around():
    replay = make_replay(5)
    replay.add(transitions([0, 1, 2]))
    replay.add(transitions([3, 4, 5, 6]))
    assert stored_ids(replay) == [5, 6, 2, 3, 4]
    replay.add(transitions([7]))
    assert stored_ids(replay) == [5, 6, 7, 3, 4]
    assert set(ids_of(replay.sample(300))) == {3, 4, 5, 6, 7}


def test_one_add_may_fill_the_whole_ring_from_anywhere():
    replay = make_replay(4)
    replay.add(transitions([0, 1, 2]))
    replay.add(transitions([3, 4, 5, 6]))
    assert stored_ids(replay) == [4, 5, 6, 3]


@given(capacity=st.integers(1, 9), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_the_ring_holds_what_a_bounded_deque_holds(capacity, sizes):
    replay, oldest_first = make_replay(capacity), deque(maxlen=capacity)
    next_id = 0
    for size in sizes:
        ids = range(next_id, next_id + min(size, capacity))
        replay.add(transitions(ids))
        oldest_first.extend(ids)
        next_id += len(ids)
        assert len(replay) == len(oldest_first)
        if oldest_first:
            slots = stored_ids(replay)
            first = slots.index(oldest_first[0])
            assert slots[first:] + slots[:first] == list(oldest_first)
            assert set(ids_of(replay.sample(200))) == set(oldest_first)


def test_more_rows_at_once_than_the_capacity_are_refused():
    with pytest.raises(AssertionError):
        make_replay(3).add(transitions(range(4)))


def test_unwritten_rows_are_never_sampled():
    replay = make_replay(1000)
    replay.rows.fill_(float("nan"))
    replay.add(transitions([0, 1]))
    assert sorted(set(ids_of(replay.sample(500)))) == [0, 1]


def test_sampling_is_uniform_and_independent_of_position():
    replay = make_replay(10)
    replay.add(transitions(range(7)))
    replay.add(transitions(range(7, 14)))
    counts = np.bincount(ids_of(replay.sample(20_000)), minlength=14)
    assert (counts[:4] == 0).all()
    assert np.abs(counts[4:] - 2000).max() < 5 * np.sqrt(20_000 * 0.1 * 0.9)


def test_sampling_is_with_replacement():
    replay = make_replay(10)
    replay.add(transitions([0, 1]))
    assert len(ids_of(replay.sample(64))) == 64


def test_the_replay_keeps_copies():
    replay = make_replay(4)
    fields = transitions([0, 1])
    replay.add(fields)
    for field in fields:
        field += 1000
    batch = replay.sample(20)
    assert set(ids_of(batch)) == {0, 1}
    for field in batch:
        field += 1000
    assert set(ids_of(replay.sample(20))) == {0, 1}


def test_a_million_half_cheetah_rows_take_little_more_than_their_payload():
    replay = Replay(1_000_000, 17, 6, torch.Generator())
    payload = 1_000_000 * (17 + 6 + 1 + 1 + 17) * 4
    tensors = [value for value in vars(replay).values() if isinstance(value, torch.Tensor)]
    arrays = [value for value in vars(replay).values() if isinstance(value, np.ndarray)]
    taken = sum(tensor.untyped_storage().nbytes() for tensor in tensors) + sum(a.nbytes for a in arrays)
    assert payload <= taken <= 1.1 * payload
    assert row_width(17, 6) == 42
    assert replay_bytes(1_000_000, 17, 6) == payload == 168_000_000


def test_with_its_state_and_its_rows_another_replay_goes_on_the_same():
    replay, other = make_replay(5, seed=0), make_replay(5, seed=1)
    replay.add(transitions([0, 1, 2, 3]))
    replay.add(transitions([4, 5, 6]))
    replay.sample(3)
    state = replay.state_dict()
    other.rows.copy_(replay.rows)
    other.load_state_dict(state)
    for each in (replay, other):
        each.add(transitions([7]))
    assert stored_ids(other) == stored_ids(replay) == [5, 6, 7, 3, 4]
    first = ids_of(replay.sample(50))
    assert ids_of(other.sample(50)) == first
    assert ids_of(replay.sample(50)) == ids_of(other.sample(50)) != first


def test_the_seed_alone_decides_what_is_sampled():
    replays = [make_replay(100, seed) for seed in (0, 0, 1)]
    for replay in replays:
        replay.add(transitions(range(100)))
    torch.manual_seed(0)
    first, second, third = (ids_of(replay.sample(50)) for replay in replays)
    assert first == second != third


def test_rows_that_live_elsewhere_are_drawn_by_the_same_generator():
    """Torch's meta device holds shapes and no numbers, and has no generator of its own."""
    here = make_replay(100)
    here.add(transitions(range(10)))
    there = Replay(here.capacity, OBS_DIM, ACTION_DIM, torch.Generator(), "meta")
    there.load_state_dict(here.state_dict())
    assert there.sample(4).obs.device.type == "meta"
    here.sample(4)
    assert torch.equal(there.state_dict()["generator"], here.state_dict()["generator"])
