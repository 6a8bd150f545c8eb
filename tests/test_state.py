"""State that comes from parts, and what is refused because no checkpoint would hold it."""

import functools
import itertools
import random
from collections import deque

import numpy as np
import pytest
import torch
from test_ddpg import make_agent

from rlcont.core.hidden_state import check_parts
from rlcont.core.packing import from_message, to_message
from rlcont.core.state import Parts
from rlcont.nn.optim import Adam


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


class Slotted:
    __slots__ = ("rng",)

    def __init__(self):
        self.rng = np.random.default_rng()


HIDDEN = {
    "a generator in a helper": lambda: Helper(np.random.default_rng()),
    "a torch generator in a helper": lambda: Helper(torch.Generator()),
    "a tensor in a helper": lambda: Helper(torch.zeros(1)),
    "a network in a helper's list": lambda: Helper([torch.nn.Linear(1, 1)]),
    "a container of a new layer": lambda: Helper(torch.nn.Sequential(torch.nn.Linear(1, 1))),
    "a generator in a closure": lambda: (lambda rng: lambda: rng.random())(np.random.default_rng()),
    "a generator in a partial": lambda: functools.partial(np.random.Generator.random, np.random.default_rng()),
    "a bound method of a helper": lambda: Helper(np.random.default_rng()).__init__,
    "a generator's method in a partial": lambda: functools.partial(np.random.default_rng().normal, 0),
    "a bound method of a generator": lambda: np.random.default_rng().random,
    "a default argument": lambda: (lambda rng: lambda x, r=rng: r.random())(np.random.default_rng()),
    "a generator in a deque": lambda: deque([torch.Generator()]),
    "a generator in slots": Slotted,
    "an old generator": lambda: Helper(np.random.RandomState(0)),
    "a generator of Python's": lambda: Helper(random.Random(0)),
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
    arranged = torch.nn.Sequential(thing.module, thing.several[0])
    thing.arranged = lambda x: arranged(x)
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


def test_so_is_a_number_that_comes_up_later_but_not_a_part():
    thing = Thing()
    thing.later = None
    check_parts(thing)
    thing.later, thing.another = np.ones(2), torch.Generator()
    thing.state_dict()
    thing.best = 0.0
    with pytest.raises(TypeError, match=r"Thing\.best changes and is not saved"):
        thing.state_dict()


@pytest.mark.parametrize("underway", [itertools.cycle([1, 2]), iter([1]), (x for x in [1])])
def test_what_is_underway_is_refused(underway):
    thing = Thing()
    thing.order = [underway]
    with pytest.raises(TypeError, match=r"Thing\.order\[0\] is a .*, whose place no checkpoint would hold"):
        check_parts(thing)


@pytest.mark.parametrize(
    ("before", "after"),
    [([1, 2], [1, 3]), ({"a": 1.0}, {"a": 2.0}), (np.int64(3), np.int64(4)), (True, False), (None, 1), ("low", "high")],
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


class Noisy(torch.nn.Linear):
    def __init__(self, hidden):
        super().__init__(2, 1)
        self.hidden = hidden


@pytest.mark.parametrize("hidden", [torch.Generator(), torch.zeros(1)])
def test_state_that_a_network_does_not_save_is_refused(hidden):
    thing = Thing()
    thing.noisy = Noisy(hidden)
    with pytest.raises(TypeError, match=r"Noisy\.hidden is a (Generator|Tensor) that no checkpoint would hold"):
        check_parts(thing)
    thing.noisy = Noisy(torch.nn.Parameter(torch.zeros(1)))
    check_parts(thing)


def changed(change):
    thing = Thing()
    thing.weights, thing.counts = torch.zeros(3), np.zeros(3, np.int64)
    state = from_message(to_message(thing.state_dict()))
    change(state)
    return thing, state


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(weights=torch.zeros(1)),
        lambda state: state.update(counts=np.full(3, 0.75)),
        lambda state: state["several"].pop("1"),
    ],
)
def test_a_state_of_another_form_is_refused(change):
    thing, state = changed(change)
    with pytest.raises((KeyError, ValueError), match="saved"):
        thing.load_state_dict(state)


def test_a_number_that_is_no_number_and_stays_so_is_no_change():
    thing = Thing()
    thing.bound = float("nan")
    check_parts(thing)
    thing.state_dict()


def test_an_optimiser_below_another_part_is_asked_whether_all_was_finite():
    agent = make_agent()
    agent.helper = Inner(0)
    agent.helper.optimizer = Adam(torch.zeros(2), 0.1)
    assert agent.is_finite()
    agent.helper.optimizer.step(torch.tensor([float("nan"), 0.0]))
    assert not agent.is_finite()


def test_a_step_size_that_is_written_in_place_is_saved():
    one, other = Adam(torch.zeros(2), 0.1), Adam(torch.zeros(2), 0.1)
    one.lr.fill_(0.05)
    other.load_state_dict(one.state_dict())
    assert other.lr.item() == pytest.approx(0.05)
