import numpy as np
import pytest
import torch

from rlcont.memory.rollout import Rollout, RolloutMemory

NUM_STEPS, NUM_ENVS, OBS_DIM, ACTION_DIM = 4, 3, 2, 5


def make_memory():
    return RolloutMemory(NUM_STEPS, NUM_ENVS, OBS_DIM, ACTION_DIM)


def columns_of(step):
    """One step whose every number says its step, environment, field and column; flags differ from step to step."""
    base = 1000.0 * step + 100.0 * np.arange(NUM_ENVS)
    rows, envs = base[:, None], np.arange(NUM_ENVS)
    obs, sample = rows + 10 + np.arange(OBS_DIM), rows + 20 + np.arange(ACTION_DIM)
    next_obs = rows + 50 + np.arange(OBS_DIM)
    return obs, sample, base + 30, base + 40, next_obs, (step + envs) % 3 == 0, (step + envs) % 2 == 0


def filled(memory, steps):
    for step in steps:
        memory.add(*columns_of(step))
    return memory


def assert_holds(memory, steps):
    for name, tensor, *columns in zip(Rollout._fields, memory.tensors, *map(columns_of, steps), strict=True):
        np.testing.assert_array_equal(tensor[: len(columns)], np.stack(columns), err_msg=name)


def test_numbers_are_float32_and_flags_bool_one_row_per_step_and_environment():
    tensors = filled(make_memory(), range(NUM_STEPS)).tensors
    rows = (NUM_STEPS, NUM_ENVS)
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors._asdict().items()} == {
        "obs": ((*rows, OBS_DIM), torch.float32),
        "sample": ((*rows, ACTION_DIM), torch.float32),
        "reward": (rows, torch.float32),
        "discount": (rows, torch.float32),
        "next_obs": ((*rows, OBS_DIM), torch.float32),
        "ended": (rows, torch.bool),
        "valid": (rows, torch.bool),
    }


def test_steps_stand_in_the_order_they_were_written_each_in_its_field():
    assert_holds(filled(make_memory(), range(NUM_STEPS)), range(NUM_STEPS))


def test_it_is_full_after_exactly_its_number_of_steps():
    memory, full = make_memory(), []
    for step in range(NUM_STEPS):
        full.append(memory.full)
        memory.add(*columns_of(step))
    assert full == [False] * NUM_STEPS
    assert memory.full


def test_a_step_too_many_overwrites_nothing():
    memory = filled(make_memory(), range(NUM_STEPS))
    with pytest.raises(IndexError):
        memory.add(*columns_of(7))
    assert_holds(memory, range(NUM_STEPS))


def test_after_clear_the_next_rollout_takes_the_place_of_the_last():
    memory = filled(make_memory(), range(NUM_STEPS))
    memory.clear()
    assert not memory.full
    filled(memory, [10, 11])
    assert_holds(memory, [10, 11, 2, 3])
    assert not memory.full
    filled(memory, [12, 13])
    assert_holds(memory, [10, 11, 12, 13])
    assert memory.full


def test_what_was_added_is_a_copy():
    memory, columns = make_memory(), columns_of(0)
    memory.add(*columns)
    for column in columns:
        column[:] = False
    assert_holds(memory, [0])


def test_a_state_from_the_middle_of_a_rollout_goes_on_where_it_was():
    memory, other = filled(make_memory(), [0, 1]), filled(make_memory(), [20, 21, 22])
    addresses = [tensor.data_ptr() for tensor in other.tensors]
    other.load_state_dict(memory.state_dict())
    assert_holds(other, [0, 1])
    filled(other, [2, 3])
    assert other.full
    assert_holds(other, range(NUM_STEPS))
    assert [tensor.data_ptr() for tensor in other.tensors] == addresses
    assert not memory.full
    assert not memory.tensors.obs[2:].any()
