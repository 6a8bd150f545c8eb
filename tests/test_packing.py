import json
from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlcont.core.packing import BIT_GENERATORS, from_message, pack, to_message, unpack

DTYPES = ["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8"]
ARRAYS = hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
PLAIN = st.none() | st.booleans() | st.integers(-(2**140), 2**140) | st.floats() | st.text(max_size=5)
KEYS = st.text(max_size=4) | st.integers() | st.tuples(st.integers(), st.text(max_size=2))
TREES = st.recursive(
    PLAIN | ARRAYS | st.floats(width=32).map(np.float32) | ARRAYS.map(np.array).map(torch.from_numpy),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(lambda items: deque(items, maxlen=4))
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one, other):
    assert type(one) is type(other)
    match one:
        case torch.Tensor():
            same(one.numpy(), other.numpy())
        case np.ndarray() | np.generic():
            assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        case dict():
            assert list(one) == list(other)
            same(list(one.values()), list(other.values()))
        case list() | tuple() | deque():
            assert len(one) == len(other)
            assert getattr(one, "maxlen", None) == getattr(other, "maxlen", None)
            for pair in zip(one, other, strict=True):
                same(*pair)
        case float():
            assert np.float64(one).tobytes() == np.float64(other).tobytes()
        case _:
            assert one == other


@given(TREES)
def test_every_state_comes_back_as_it_was(tree):
    same(unpack(*pack(tree)), tree)
    same(from_message(to_message(tree)), tree)


@pytest.mark.parametrize("name", BIT_GENERATORS)
def test_a_generator_goes_on_where_it_was(name):
    generator = np.random.Generator(BIT_GENERATORS[name](3))
    generator.integers(0, 5, dtype=np.int32)
    twin = unpack(*pack({"a": [generator]}))["a"][0]
    assert twin.random(5).tolist() == generator.random(5).tolist()
    assert twin.integers(0, 5, 7, dtype=np.int32).tolist() == generator.integers(0, 5, 7, dtype=np.int32).tolist()


@pytest.mark.parametrize(
    "thing",
    [
        object(),
        lambda: 0,
        b"bytes",
        np.array(["text"]),
        np.array([object()]),
        1j,
        pytest.param(10**5000, id="a long integer"),
    ],
)
def test_what_cannot_be_saved_is_named_with_its_place(thing):
    with pytest.raises(TypeError, match=r"^a\.b\.1: "):
        pack({"a": {"b": [0, thing]}})


class Unlisted(list):
    def __iter__(self):
        raise RuntimeError("no list")


def test_what_cannot_even_be_looked_at_cannot_be_saved():
    with pytest.raises(TypeError, match=r"it cannot be saved \(RuntimeError: no list\)"):
        pack({"a": Unlisted()})


def test_keys_with_dots_keep_arrays_apart():
    tree = {"a": {"b": np.ones(2)}, "a.b": np.zeros(3), "a.b'": np.zeros(1)}
    same(unpack(*pack(tree)), tree)


def test_what_is_given_back_is_nobody_elses():
    tree = {"x": np.zeros(3)}
    packed = pack(tree)
    unpack(*packed)["x"][:] = 1
    assert unpack(*packed)["x"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "skeleton",
    [
        {"$array": "missing"},
        {"$array": {}},
        {"$tensor": "missing"},
        {"$scalar": ["a"]},
        {"$object": "os.system"},
        {"$generator": {"bit_generator": "system", "state": {}}},
        {"$generator": "PCG64"},
        {"$generator": {"bit_generator": "PCG64", "state": {"state": "x"}}},
        {"$deque": [1]},
        {"$dict": [[1]]},
        {"$tuple": 3},
        {"$set": [[[]]]},
    ],
)
def test_a_foreign_file_is_refused(skeleton):
    with pytest.raises(ValueError, match="no packed state"):
        unpack(json.dumps(skeleton).encode(), pack({})[1])


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match="no packed state"):
        unpack(text, pack({})[1])


@pytest.mark.parametrize("arrays", [b"", b"x" * 7, b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}x", b"\x80\x04K\x01."])
def test_bytes_that_are_no_arrays_are_refused(arrays):
    with pytest.raises(ValueError, match="no packed state"):
        unpack(b"{}", arrays)
