"""State that comes from parts, and what is refused because no checkpoint would hold it."""

import functools

import numpy as np
import pytest
import torch

from rlcont.core.hidden_state import check_parts
from rlcont.core.packing import from_message, to_message
from rlcont.core.state import Parts


class Inner(Parts):
    counters = ("_seen",)

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self._seen = seed


class Thing(Parts):
    counters = ("num",)
    unsaved = ("constant",)

    def __init__(self, seed=0):
        self.num = seed
        self.size = 3
        self.constant = torch.zeros(2)
        self.module = torch.nn.Linear(2, 1)
        self.generator = torch.Generator().manual_seed(seed)
        self.scalar = torch.tensor(float(seed))
        self._array = np.full(2, seed)
        self.inner = Inner(seed)
        self.several = [torch.nn.Linear(1, 1), {"rng": np.random.default_rng(seed), "name": "x"}]
        self.alias = self.module


class MoreThing(Thing):
    counters = ("extra",)

    def __init__(self, seed=0):
        super().__init__(seed)
        self.extra = seed


def draws(thing):
    return [
        thing.num,
        thing.module.weight.tolist(),
        torch.rand(2, generator=thing.generator).tolist(),
        thing.scalar.item(),
        thing._array.tolist(),
        thing.inner.rng.random(),
        thing.inner._seen,
        thing.several[0].bias.tolist(),
        thing.several[1]["rng"].random(),
    ]


def test_whatever_is_assigned_is_saved_and_comes_back():
    one, other = MoreThing(1), MoreThing(2)
    check_parts(one)
    state = one.state_dict()
    assert set(state) == {"num", "extra", "module", "generator", "scalar", "array", "inner", "several"}
    other.load_state_dict(from_message(to_message(state)))
    assert draws(other) == draws(one)
    assert other.extra == 1


def test_parts_are_written_in_place():
    thing = Thing(1)
    scalar, array = thing.scalar, thing._array
    thing.load_state_dict(from_message(to_message(Thing(5).state_dict())))
    assert thing.scalar is scalar
    assert thing._array is array
    assert (scalar.item(), array.tolist()) == (5.0, [5, 5])


def test_the_state_of_other_parts_is_refused():
    state = Thing().state_dict()
    with pytest.raises(KeyError, match="extra"):
        MoreThing().load_state_dict(state)
    del state["inner"]
    with pytest.raises(KeyError, match="inner"):
        Thing().load_state_dict(state)


class Helper:
    def __init__(self, value):
        self.value = value


HIDDEN = {
    "a generator in a helper": lambda: Helper(np.random.default_rng()),
    "a torch generator in a helper": lambda: Helper(torch.Generator()),
    "a tensor in a helper": lambda: Helper(torch.zeros(1)),
    "a network in a helper's list": lambda: Helper([torch.nn.Linear(1, 1)]),
    "a generator in a closure": lambda: (lambda rng: lambda: rng.random())(np.random.default_rng()),
    "a generator in a partial": lambda: functools.partial(np.random.Generator.random, np.random.default_rng()),
    "a bound method of a helper": lambda: Helper(np.random.default_rng()).__init__,
    "a generator in a set": lambda: {torch.Generator()},
    "a helper in a dictionary in a list": lambda: [{"deep": Helper(torch.Generator())}],
}


@pytest.mark.parametrize("what", HIDDEN)
def test_state_that_no_checkpoint_would_hold_is_refused_by_name(what):
    thing = Thing()
    thing.hidden = HIDDEN[what]()
    with pytest.raises(TypeError, match=r"Thing\.hidden.* that no checkpoint would hold"):
        check_parts(thing)
    nested = Thing()
    nested.inner.hidden = HIDDEN[what]()
    with pytest.raises(TypeError, match=r"Inner\.hidden"):
        check_parts(nested)


def test_what_refers_to_parts_is_not_refused():
    thing = Thing()
    thing.call = lambda: thing.inner.rng
    thing.bound = thing.inner.state_dict
    thing.helper = Helper(thing.module)
    thing.partial = functools.partial(print, thing.generator)
    thing.kind = Inner
    check_parts(thing)
    assert "call" not in thing.state_dict()


def test_a_number_that_changes_and_is_not_saved_is_named_by_the_first_checkpoint():
    thing = Thing()
    check_parts(thing)
    thing.num += 1
    thing.state_dict()
    thing.size += 1
    with pytest.raises(TypeError, match=r"Thing\.size changes and is not saved; name it in `counters`"):
        thing.state_dict()


@pytest.mark.parametrize(
    ("before", "after"), [([1, 2], [1, 3]), ({"a": 1.0}, {"a": 2.0}), (np.int64(3), np.int64(4)), (True, False)]
)
def test_so_is_a_collection_of_numbers_that_changes(before, after):
    thing = Thing()
    thing.table = before
    check_parts(thing)
    thing.state_dict()
    thing.table = after
    with pytest.raises(TypeError, match=r"Thing\.table changes"):
        thing.state_dict()


def test_two_parts_of_one_name_are_refused():
    thing = Thing()
    thing.array = np.zeros(1)
    with pytest.raises(TypeError, match="array with and without an underscore"):
        check_parts(thing)


def test_parts_in_lists_and_dictionaries_are_found_one_by_one():
    thing = Thing()
    assert [type(leaf).__name__ for leaf in thing.leaves()].count("Linear") == 2
    assert any(leaf is thing.several[1]["rng"] for leaf in thing.leaves())
