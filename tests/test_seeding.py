import zlib

import numpy as np
import pytest
import torch
from global_generators import untouched_global_generators
from hypothesis import given
from hypothesis import strategies as st

from rlcont.core.seeding import integers, numpy_generator, torch_generator

SEEDS = st.integers(0, 2**63)
NAMES = st.text(min_size=1, max_size=12)


def draw_numpy(seed, name):
    return numpy_generator(seed, name).integers(0, 2**62, 4).tolist()


def draw_torch(seed, name):
    return torch.randint(0, 2**62, (4,), generator=torch_generator(seed, name)).tolist()


def draw_integers(seed, name):
    return integers(seed, name, 4)


DRAWS = [draw_numpy, draw_torch, draw_integers]


@pytest.mark.parametrize("draw", DRAWS)
@given(seed=SEEDS, name=NAMES)
def test_seed_and_name_decide_the_stream(draw, seed, name):
    assert draw(seed, name) == draw(seed, name)


@pytest.mark.parametrize("draw", DRAWS)
@given(seed=SEEDS, name=NAMES)
def test_another_seed_or_name_is_another_stream(draw, seed, name):
    assert draw(seed, name) != draw(seed + 1, name)
    assert draw(seed, name) != draw(seed, name + "'")


def test_streams_of_near_seeds_and_names_do_not_cross():
    names = ("init", "warmup", "noise", "replay", "environments", "evaluation")
    streams = {tuple(draw_integers(seed, name)) for seed in range(50) for name in names}
    assert len(streams) == 300


def test_drawing_from_one_generator_never_moves_another():
    expected = draw_numpy(0, "noise")
    first, second = numpy_generator(0, "warmup"), numpy_generator(0, "noise")
    first.standard_normal(1000)
    assert second.integers(0, 2**62, 4).tolist() == expected


@given(seed=SEEDS, count=st.integers(1, 20))
def test_integers_are_31_bit_and_more_of_them_begin_with_the_fewer(seed, count):
    values = integers(seed, "environments", count)
    assert len(values) == count
    assert all(type(value) is int and 0 <= value < 2**31 for value in values)
    assert integers(seed, "environments", count + 3)[:count] == values


def test_integers_use_all_31_bits():
    values = np.array(integers(0, "environments", 2000))
    assert all(((values >> bit) & 1).mean() == pytest.approx(0.5, abs=0.06) for bit in range(31))


def test_the_streams_are_those_of_the_names_checksum():
    # Neither the process (Python's hash of a string) nor the order of creation has a say.
    sequence = np.random.SeedSequence(7, spawn_key=(zlib.crc32(b"noise"),))
    expected = np.random.default_rng(sequence).standard_normal(5)
    np.testing.assert_array_equal(numpy_generator(7, "noise").standard_normal(5), expected)


def test_the_global_generators_stay_as_they_are():
    with untouched_global_generators():
        for draw in DRAWS:
            draw(0, "init")
