"""The fast path against eager PyTorch, and what `auto` comes to."""

import contextvars
import copy
import dataclasses
import functools
import importlib
import json
import logging
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from quick import quick
from script import SCRIPT, rlcont
from tiny import tiny
from torch.utils import cpp_extension
from torch.utils._python_dispatch import TorchDispatchMode

from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.core.types import Batch
from rlcont.envs.box import BoxEnv
from rlcont.envs.vector import Environments
from rlcont.training import accelerate, watched
from rlcont.training import compiled as compiled_updates
from rlcont.training.accelerate import UPDATES_THAT_EARN_A_COMPILATION, Acceleration, choose
from rlcont.training.build import make_agent
from rlcont.training.compiled import CALLS_BEFORE_RECORDING
from rlcont.training.compiled import recorded as make_recorded
from rlcont.training.libraries import LibraryUpdate
from rlcont.training.watched import WatchedValues

NUM_STATES = 100
PLAIN = [
    *("algo.actor.layer_norm=false", "algo.actor.residual=false", "algo.critic.residual=false"),
    *("algo.normalize_obs=false", "algo.normalize_reward=false", "algo.n_step=3"),
]
"""With its own layers the last bit of D4PG's weights changes its actor's gradient in a quarter of the states."""
OPTIONS = {
    "plain": [],
    "all options": [
        "algo.normalize_obs=true",
        "algo.max_grad_norm=0.5",
        "algo.critic.layer_norm=true",
        "algo.average_rate=0.01",
    ],
    "d4pg": ["algo=d4pg", "algo.replay=prioritized", "algo.num_critics=1", "algo.target_sigma=0.0", *PLAIN],
    "td3": ["algo=td3"],
    "sac": ["algo=sac"],
}


def config(*overrides):
    small = ["algo.actor.hidden=[32,32]", "algo.critic.hidden=[32,32]", "algo.batch_size=32", "algo.replay_size=2000"]
    return make_plan(["env=Pendulum-v1", "total_steps=2000", *small, *overrides]).config


def load(agent, source):
    """Makes `agent` the same as `source`, replay rows included, but for its step sizes."""
    rates = [adam.lr.clone() for adam in adams(agent)]
    agent.load_state_dict(copy.deepcopy(source.state_dict()))
    for adam, rate in zip(adams(agent), rates, strict=True):
        adam.lr.copy_(rate)
    agent.replay.rows.copy_(source.replay.rows)


def networks(agent):
    names = ("actor", "critic", "target_actor", "target_critic", "temperature")
    return [getattr(agent, name).weights.detach() for name in names if hasattr(agent, name)]


def adams(agent):
    return [agent.actor_optimizer, agent.critic_optimizer]


def gradients(agent):
    """What the last update's optimisers were given, if their means were 0 before: mean = 0.1 gradient."""
    return [adam.mean / 0.1 for adam in adams(agent)]


def relative_error(value, expected):
    return ((value - expected).norm() / expected.norm()).item()


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [pytest.param(words, id=name) for name, words in OPTIONS.items()])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.1)])
def test_a_compiled_update_equals_an_eager_one_at_a_hundred_states_met_in_training(precision, tolerance, overrides):
    """Losses, gradients, the actor's step and, in fp32, new weights, from the same state and batch.

    bf16 carries 8 bits, and a compiled chain of operations rounds once where eager code rounds after each. Adam
    turns a gradient that is rounded across zero into a whole step of its weight, and the actor's gradient is
    taken through the stepped critic; so in bf16 the critic's step is made too small to matter. Adam's means begin at
    0, since a gradient that is read off a far larger mean has few digits left.

    Where the last bit of the weights alone changes a gradient by more than that, as it does D4PG's actor's in a few of
    these states, fp32 does not know it better, and four times that change is allowed, in a twentieth of the states.
    """
    run = config(*overrides)
    envs = Environments(run.env, [0])
    trained = make_agent(run, envs.spec)
    compared = run if precision == "fp32" else config(*overrides, "algo.critic.lr=1e-12")
    eager = make_agent(compared, envs.spec, Acceleration(False, precision, "cpu"))
    fast = make_agent(compared, envs.spec, Acceleration(True, precision, "cpu", required=True))
    nudged = make_agent(compared, envs.spec)
    rng = torch.Generator().manual_seed(0)
    obs, num_compared, num_unsure = envs.reset(), 0, 0
    while num_compared < NUM_STATES:
        step = envs.step(trained.act(obs, explore=True))
        obs = step.obs_to_act_on
        trained.observe(step)
        trained.learn()
        if trained.num_updates == 0 or trained.num_steps % 10:
            continue
        for agent in (eager, fast, nudged):
            load(agent, trained)
            for adam in adams(agent):
                adam.mean.zero_()
        for weights in networks(nudged):
            weights.mul_(1 + 2**-23 * (2 * torch.randint(2, weights.shape, generator=rng) - 1))
        batches = [agent.replay.sample(run.algo.batch_size) for agent in (eager, fast, nudged)]
        nudged.accelerated_update(batches[2])
        expected, metrics = eager.accelerated_update(batches[0]), fast.accelerated_update(batches[1])
        assert metrics.keys() == expected.keys()
        for name in metrics:
            torch.testing.assert_close(metrics[name], expected[name], rtol=tolerance, atol=tolerance)
        allowed = []
        for value, other, unsure in zip(*map(gradients, (fast, eager, nudged)), strict=True):
            allowed.append(max(tolerance, 4 * relative_error(unsure, other)) if precision == "fp32" else tolerance)
            assert relative_error(value, other) < allowed[-1]
        num_unsure += max(allowed) > tolerance
        steps = [agent.actor.weights.detach() - trained.actor.weights.detach() for agent in (fast, eager)]
        assert relative_error(*steps) < allowed[0]
        if precision == "fp32":
            for value, other in zip(networks(fast), networks(eager), strict=True):
                assert relative_error(value, other) < 1e-5
        num_compared += 1
    assert num_unsure <= NUM_STATES / 20
    if precision == "fp32":
        assert isinstance(fast.accelerated_update.fast, LibraryUpdate)
    envs.close()


@pytest.mark.parametrize("algo", ["ddpg", "d4pg", "sac"])
def test_in_bf16_too_the_actor_follows_the_critic_of_after_its_step(algo):
    """Autocast would keep the weights of before it, converted."""
    run = config(f"algo={algo}", "algo.critic.lr=0.05")
    spec = BoxEnv(run.env).spec
    agents = [make_agent(run, spec, Acceleration(False, precision, "cpu")) for precision in ("fp32", "bf16")]
    for seed in range(3):
        losses = [agent.accelerated_update(random_batch(seed))["actor_loss"].item() for agent in agents]
    assert losses[1] == pytest.approx(losses[0], rel=0.3)
    assert abs(losses[0]) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("algo", [["algo=a2c"], ["algo=ppo", "algo.num_minibatches=2", "algo.num_epochs=2"]])
@pytest.mark.parametrize("policy", ["gaussian", "bounded_gaussian", "squashed", "beta"])
def test_a_compiled_update_on_policy_equals_an_eager_one_at_states_met_in_training(policy, algo):
    small = ["num_envs=4", "algo.network.hidden=[32,32]", "algo.rollout_steps=16"]
    options = [f"algo.policy={policy}", "algo.entropy_coef=0.01"]
    run = make_plan(["env=Pendulum-v1", "tuned=none", *algo, *small, *options]).config
    envs = Environments(run.env, [0, 1, 2, 3])
    trained = make_agent(run, envs.spec)
    eager = make_agent(run, envs.spec)
    fast = make_agent(run, envs.spec, Acceleration(True, "fp32", "cpu", required=True))
    obs, num_compared = envs.reset(), 0
    while num_compared < NUM_STATES:
        step = envs.step(trained.act(obs, explore=True))
        obs = step.obs_to_act_on
        trained.observe(step)
        if trained.memory.full:
            for agent in (eager, fast):
                agent.load_state_dict(copy.deepcopy(trained.state_dict()))
            before = trained.network.weights.detach().clone()
            expected, metrics = eager.learn(), fast.learn()
            for name in expected:
                torch.testing.assert_close(metrics[name], expected[name], rtol=1e-3, atol=1e-4)
            steps = [agent.network.weights.detach() - before for agent in (fast, eager)]
            assert relative_error(*steps) < 1e-3
            num_compared += 1
        trained.learn()
    envs.close()


@pytest.mark.slow
def test_agents_of_one_process_keep_their_own_hyper_parameters():
    """Jobs of a sweep may share a process; only tensors are looked at before compiled code is used again."""
    for tau in (0.01, 0.5):
        run = config(f"algo.tau={tau}")
        spec = BoxEnv(run.env).spec
        agents = [make_agent(run, spec, Acceleration(c, "fp32", "cpu", required=c)) for c in (False, True)]
        for agent in agents:
            agent.accelerated_update(random_batch(0))
        eager, fast = (agent.target_actor.weights - agent.actor.weights.detach() for agent in agents)
        assert relative_error(fast, eager) < 1e-3


def random_batch(seed, size=32):
    rng = torch.Generator().manual_seed(seed)
    obs, next_obs = torch.randn(2, size, 3, generator=rng)
    action, (reward, discount) = torch.rand(size, 1, generator=rng), torch.rand(2, size, generator=rng)
    return Batch(obs, action, reward, discount, next_obs, torch.ones(size), torch.arange(size))


@pytest.mark.slow
def test_what_a_compiled_agent_saves_an_eager_one_goes_on_from_and_the_other_way_round():
    run = config()
    spec = BoxEnv(run.env).spec
    eager = make_agent(run, spec)
    fast = make_agent(run, spec, Acceleration(True, "fp32", "cpu", required=True))
    for first, second in ((eager, fast), (fast, eager)):
        for seed in range(5):
            first.accelerated_update(random_batch(seed))
        load(second, first)
        assert second.state_dict()["actor"].keys() == first.state_dict()["actor"].keys()
        for value, other in zip(networks(second), networks(first), strict=True):
            assert torch.equal(value, other)
        for agent in (first, second):
            agent.accelerated_update(random_batch(9))
        for value, other in zip(networks(second), networks(first), strict=True):
            assert relative_error(value, other) < 1e-5


@pytest.mark.slow
def test_compiled_updates_leave_nothing_behind():
    def update(batch):
        return {"sum": batch.sum()}

    accelerated = Acceleration(True, "fp32", "cpu", required=True)(update)
    accelerated(torch.ones(2))
    before = len(contextvars.copy_context())
    for _ in range(10):
        accelerated(torch.ones(2))
    assert len(contextvars.copy_context()) == before


def test_on_cuda_a_compiled_update_is_recorded_and_an_eager_one_is_not(monkeypatch):
    made = []

    def compiled(update, **options):
        made.append("compiled")
        return update

    def library(update, watched, folder):
        made.append("library")
        return update

    def record(update, batch):
        made.append("recorded")
        return lambda: {"sum": update(batch)["sum"]}

    def update(batch):
        return {"sum": sum(tensor.sum() for tensor in batch)}

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(compiled_updates, "LibraryUpdate", library)
    monkeypatch.setattr(compiled_updates, "_record_cuda_graph", record)
    for device, compile_, expected in (
        ("cuda", True, ["compiled", "recorded"]),
        ("cpu", True, ["library"]),
        ("cuda", False, []),
    ):
        made.clear()
        accelerated = Acceleration(compile_, "fp32", device)(update)
        sums = [accelerated(random_batch(seed))["sum"] for seed in range(CALLS_BEFORE_RECORDING + 2)]
        assert sums == [update(random_batch(seed))["sum"] for seed in range(CALLS_BEFORE_RECORDING + 2)]
        assert made == expected


def test_an_update_that_cannot_be_compiled_runs_eagerly_and_says_so_once(caplog):
    weights, rng = torch.zeros(3), torch.Generator()

    def update(batch):
        weights.add_(batch.sum() + 0 * torch.rand(3, generator=rng))
        return {"sum": batch.sum()}

    accelerated = Acceleration(True, "fp32", "cpu")(update)
    for _ in range(2):
        assert accelerated(torch.ones(2))["sum"] == 2
    assert weights.tolist() == [4, 4, 4]
    (record,) = caplog.records
    assert "cannot be compiled" in record.message
    assert "\n" not in record.message
    with pytest.raises(UserError, match="compile=true: the update cannot be compiled"):
        Acceleration(True, "fp32", "cpu", required=True)(update)(torch.ones(2))
    assert weights.tolist() == [4, 4, 4]


FACTOR = 3
torch_factor = 1.0


class Helper:
    def __init__(self):
        self.power = 2

    def raised(self, y):
        return y**self.power


class StrongerHelper(Helper):
    def raised(self, y):
        return 2 * super().raised(y)


def with_anything(function):
    """A decorator such as one's own code has, whose wrapper names no argument."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@dataclasses.dataclass(frozen=True)
class Settings:
    width: int = 2
    kind: ClassVar[float] = 1.0


class Base:
    bonus = 0.5


class Reader(Base):
    """Its update reads Python values of many kinds."""

    scale = 2.0

    def __init__(self):
        self.count, self.is_on, self.nothing = 0, True, None
        self.helper, self.helpers = Helper(), [Helper()]
        self.table, self.betas = {"x": 1.0, "y": [1, 2]}, (0.9, 0.99)
        self.function, self.kinds = torch.sin, {"a"}
        self.tensors, self.fourier_hooks = (torch.ones(2),), 0.5
        self.settings = type("OwnSettings", (Settings,), {})()
        self.total = torch.zeros(())

    @property
    def is_due(self):
        return self.count % 2 == 0

    def update(self, batch, *, offset=1.0):
        y = batch * FACTOR * self.scale + self.table["x"] + self.table["y"][1] + self.betas[1] + offset
        y = self.helper.raised(y + 1 if self.is_due else y) + self.bonus
        y = y - 1 if "b" in self.kinds else y
        for helper in self.helpers:
            y = y * helper.power
        for tensor in self.tensors:
            y = y + tensor * self.fourier_hooks
        y = y * self.settings.kind + self.settings.width
        y = y + 1 if hasattr(self, "extra") else y
        y = self.function(y) if self.is_on and self.nothing is None else y
        self.total.add_(y.sum())
        return {"y": y.sum()}


CHANGES = {
    "self.count, which has changed from 0 to 1": lambda r: setattr(r, "count", 1),
    "self.is_on, which has changed from True to False": lambda r: setattr(r, "is_on", False),
    "self.nothing": lambda r: setattr(r, "nothing", 1.0),
    "self.helper.power": lambda r: setattr(r.helper, "power", 3),
    "self.helpers[0].power": lambda r: setattr(r.helpers[0], "power", 3),
    "len(self.helpers)": lambda r: r.helpers.append(Helper()),
    "self.table['x']": lambda r: r.table.update(x=2.0),
    "self.table['y'][1]": lambda r: r.table["y"].__setitem__(1, 5),
    "self.betas": lambda r: setattr(r, "betas", (0.9, 0.5)),
    "self.scale, which has changed from 2.0 to 5.0": lambda r: setattr(r, "scale", 5.0),
    "self.bonus, which has changed from 0.5 to 1.5": lambda r: setattr(r, "bonus", 1.5),
    "self.function": lambda r: setattr(r, "function", torch.cos),
    "type(self.helper)": lambda r: setattr(r, "helper", StrongerHelper()),
    "frozenset(self.kinds)": lambda r: r.kinds.add("b"),
    "len(self.tensors)": lambda r: setattr(r, "tensors", (*r.tensors, torch.ones(2))),
    "self.fourier_hooks": lambda r: setattr(r, "fourier_hooks", 1.0),
    "self.settings.kind": lambda r: setattr(type(r.settings), "kind", 2.0),
    "self.settings": lambda r: setattr(r, "settings", Settings(width=3)),
    "hasattr(self, 'extra')": lambda r: setattr(r, "extra", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("said", CHANGES)
def test_a_python_value_that_an_update_reads_and_that_changes_is_named_and_never_frozen(said, caplog):
    plain, fast, strict = Reader(), Reader(), Reader()
    accelerated = Acceleration(True, "fp32", "cpu")(fast.update)
    required = Acceleration(True, "fp32", "cpu", required=True)(strict.update)
    for reader, update in ((plain, plain.update), (fast, accelerated), (strict, required)):
        update(torch.ones(2))
        update(torch.ones(2))
        CHANGES[said](reader)
    for _ in range(2):
        assert accelerated(torch.ones(2))["y"].item() == pytest.approx(plain.update(torch.ones(2))["y"].item())
    assert fast.total.item() == pytest.approx(plain.total.item())
    (record,) = caplog.records
    assert f"the update reads {said}" in record.message
    assert record.message.endswith("it runs eagerly")
    with pytest.raises(UserError, match=r"compile=true: the update reads .*; allowed: auto, false"):
        required(torch.ones(2))


class Decorated(Reader):
    update = with_anything(Reader.update)


def test_an_update_in_a_wrapper_is_watched_too(caplog):
    reader = Decorated()
    update = Acceleration(True, "fp32", "cpu")(reader.update)
    update(torch.ones(2))
    reader.scale = 5.0
    assert update(torch.ones(2))["y"].item() == pytest.approx(changed(scale=5.0))
    assert "the update reads args[0].scale, which has changed from 2.0 to 5.0" in caplog.text


def changed(**values):
    """What a reader computes that has these values from the start."""
    reader = Reader()
    for name, value in values.items():
        setattr(reader, name, value)
    return reader.update(torch.ones(2))["y"].item()


def test_a_variable_of_the_surrounding_function_is_watched(caplog):
    factor = 1.0

    def update(batch):
        return {"sum": (factor * batch).sum()}

    accelerated = Acceleration(True, "fp32", "cpu")(update)
    assert accelerated(torch.ones(2))["sum"] == 2
    factor = 3.0
    assert accelerated(torch.ones(2))["sum"] == 6
    assert "the update reads factor, which has changed from 1.0 to 3.0" in caplog.text


@pytest.mark.parametrize("name", quick(["torch_factor", "FACTOR"]))
def test_a_variable_of_the_module_is_watched_whatever_its_name(name, monkeypatch, caplog):
    update = Acceleration(True, "fp32", "cpu")(lambda batch: {"sum": (batch * FACTOR * torch_factor).sum()})
    before = update(torch.ones(2))["sum"].item()
    monkeypatch.setitem(globals(), name, 3 * globals()[name])
    assert update(torch.ones(2))["sum"].item() == pytest.approx(3 * before)
    assert f"the update reads {name}, which has changed" in caplog.text


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.act, self.powers, self.table = torch.sin, [2, 3], {"x": 1.0}

    def forward(self, x):
        x = self.act(x) + sum(self.table.values())
        return sum(x**power for power in self.powers)


class WithLayers:
    def __init__(self):
        self.net = torch.nn.Sequential(torch.nn.Sequential(Layer()))
        self.inner = self.net[0][0]
        self._parameters, self._buffers = [2.0], {"x": 1.0}

    def update(self, batch):
        y = self.net(batch) * sum(self._parameters)
        return {"y": (y + sum(self._buffers.values())).sum()}


IN_LAYERS = {
    "act": lambda reader: setattr(reader.inner, "act", torch.cos),
    "len(": lambda reader: reader.inner.powers.append(4),
    "table": lambda reader: reader.inner.table.update(y=1.0),
    "len(self._parameters)": lambda reader: reader._parameters.append(3.0),
    "tuple(self._buffers)": lambda reader: reader._buffers.update(y=2.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("said", IN_LAYERS)
def test_what_a_layer_reads_is_watched_too(said, caplog):
    plain, fast = WithLayers(), WithLayers()
    accelerated = Acceleration(True, "fp32", "cpu")(fast.update)
    accelerated(torch.ones(2))
    for reader in (plain, fast):
        IN_LAYERS[said](reader)
    assert accelerated(torch.ones(2))["y"].item() == pytest.approx(plain.update(torch.ones(2))["y"].item())
    (record,) = caplog.records
    assert said in record.message
    assert record.message.endswith("it runs eagerly")


def test_an_attribute_that_is_looked_for_is_found_by_the_guards_of_every_torch():
    newer = SimpleNamespace(
        guard_type="HASATTR", orig_guard=SimpleNamespace(create_fn=functools.partial(print, attr="scale"))
    )
    older = SimpleNamespace(guard_type="HASATTR", orig_guard=SimpleNamespace(create_fn=print))
    assert watched._what_is_read(newer, "L['self']") == "hasattr(L['self'], 'scale')"
    assert watched._what_is_read(older, "L['self'].scale") == "hasattr(L['self'], 'scale')"


def test_what_cannot_be_watched_the_compiler_looks_at(monkeypatch):
    what_is_read = watched._what_is_read

    def hidden(guard, expression):
        return None if "is_on" in expression else what_is_read(guard, expression)

    monkeypatch.setattr(watched, "_what_is_read", hidden)
    reader = Reader()
    update = Acceleration(True, "fp32", "cpu", required=True)(reader.update)
    assert update(torch.ones(2))["y"].item() == pytest.approx(changed())
    reader.is_on = False
    assert update(torch.ones(2))["y"].item() == pytest.approx(changed(is_on=False))


def test_a_tensor_that_is_replaced_is_noticed_where_addresses_count():
    reader = Reader()
    for addresses in (True, False):
        watched = WatchedValues(reader.update, addresses=addresses)
        options = {"guard_filter_fn": watched.take_over}
        torch.compile(reader.update, fullgraph=True, dynamic=False, options=options)(torch.ones(2))
        assert watched.change() == ""
        reader.total = torch.zeros(())
        assert watched.change().startswith("self.total.data_ptr()") == addresses
        torch.compiler.reset()


class Tied:
    def __init__(self):
        self.one = self.other = torch.ones(2)

    def update(self, batch):
        return {"sum": (self.one + 2 * self.other + batch).sum()}


def test_two_names_of_one_tensor_that_become_two_tensors_are_noticed(caplog):
    tied = Tied()
    update = Acceleration(True, "fp32", "cpu")(tied.update)
    assert update(torch.zeros(2))["sum"] == 6
    tied.other = torch.zeros(2)
    assert update(torch.zeros(2))["sum"] == 2
    assert "which has changed from True to False" in caplog.text


def test_what_does_not_change_stays_compiled(caplog):
    reader, update = Reader(), Acceleration(True, "fp32", "cpu", required=True)
    accelerated = update(reader.update)
    values = [accelerated(torch.full((2,), float(i)))["y"].item() for i in range(4)]
    assert values == pytest.approx([Reader().update(torch.full((2,), float(i)))["y"].item() for i in range(4)])
    assert not caplog.records


def test_what_cannot_be_compiled_is_told_with_file_line_and_code(caplog):
    def update(batch):
        if batch.sum() > 0:
            return {"sum": batch.sum()}
        return {"sum": -batch.sum()}

    Acceleration(True, "fp32", "cpu")(update)(torch.ones(2))
    (record,) = caplog.records
    assert re.search(r"test_accelerate\.py, line \d+: if batch\.sum\(\) > 0:", record.message)


def cannot_be_recorded(update, batch):
    """What torch does where CUDA refuses a call: ending the recording fails too, with less to say."""
    try:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nCompile with ...")
    finally:
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")


def test_an_update_that_cannot_be_recorded_runs_eagerly_and_says_so_once(caplog, monkeypatch):
    weights = torch.zeros(3)

    def update(batch):
        weights.add_(batch.obs.sum())
        return {"sum": batch.obs.sum()}

    monkeypatch.setattr(torch, "compile", lambda update, **options: update)
    monkeypatch.setattr(compiled_updates, "_record_cuda_graph", cannot_be_recorded)
    batch = random_batch(0)
    accelerated = Acceleration(True, "fp32", "cuda")(update)
    num_calls = CALLS_BEFORE_RECORDING + 3
    for _ in range(num_calls):
        assert accelerated(batch)["sum"] == batch.obs.sum()
    torch.testing.assert_close(weights, (num_calls * batch.obs.sum()).expand(3))
    reason = "the update cannot be recorded as a CUDA graph (CUDA error: operation not permitted when stream is"
    assert [record.message for record in caplog.records] == [f"rlcont: {reason} capturing); it runs eagerly"]

    accelerated = Acceleration(True, "fp32", "cuda", required=True)(update)
    for _ in range(CALLS_BEFORE_RECORDING):
        accelerated(batch)
    with pytest.raises(UserError, match=r"compile=true: the update cannot be recorded .* capturing\); allowed: auto"):
        accelerated(batch)


class NothingFromTheHost(TorchDispatchMode):
    """Refuses what no CUDA graph can hold: tensors made of Python's numbers, and asking the device for a number."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in ("lift_fresh", "_local_scalar_dense", "nonzero"), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("host", [lambda x: torch.tensor([1.0]), lambda x: x.item(), lambda x: x if x > 0 else -x])
def test_what_comes_from_the_host_is_refused(host):
    with pytest.raises(AssertionError), NothingFromTheHost():
        host(torch.ones(()))


@pytest.mark.parametrize("overrides", OPTIONS.values(), ids=OPTIONS)
def test_an_update_takes_nothing_from_the_host(overrides):
    run = config(*overrides)
    agent = make_agent(run, BoxEnv(run.env).spec)
    with NothingFromTheHost():
        agent.update(random_batch(0))


@pytest.mark.parametrize("algo", ["a2c", "ppo"])
@pytest.mark.parametrize("policy", ["gaussian", "bounded_gaussian", "squashed", "beta"])
def test_an_update_on_policy_takes_nothing_from_the_host(policy, algo):
    small = ["num_envs=4", "algo.rollout_steps=16", "algo.normalize_obs=true", "algo.normalize_reward=true"]
    options = [f"algo.policy={policy}", "algo.entropy_coef=0.01", "algo.max_grad_norm=0.5"]
    run = make_plan([f"algo={algo}", "env=Pendulum-v1", "tuned=none", *small, *options]).config
    envs = Environments(run.env, [0, 1, 2, 3])
    agent = make_agent(run, envs.spec)
    obs = envs.reset()
    while not agent.memory.full:
        step = envs.step(agent.act(obs, explore=True))
        obs = step.obs_to_act_on
        agent.observe(step)
    with NothingFromTheHost():
        prepared = agent.prepare(agent.memory.tensors)
        for rows in agent.passes(agent.memory.tensors, prepared):
            agent.update(rows)
    envs.close()


def test_a_gpus_user_is_not_told_to_give_up_fp32(monkeypatch, recwarn):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    advise = importlib.import_module("torch._inductor.compile_fx")._warn_tf32_disabled.__wrapped__
    with pytest.warns(UserWarning, match="TensorFloat32"):
        advise()
    Acceleration(True, "fp32", "cuda")(lambda batch: {})
    advise()
    assert not [warning for warning in recwarn if "TensorFloat32" in str(warning.message)]


def test_a_recorded_update_copies_batches_in_and_metrics_out():
    """What a CUDA graph does is played by a function that ever reads one batch and writes one output."""
    run = config()
    spec = BoxEnv(run.env).spec
    plain, agent = make_agent(run, spec), make_agent(run, spec)
    recordings = []

    def record(update, batch):
        output = {}

        def replay():
            for name, value in update(batch).items():
                output.setdefault(name, torch.empty_like(value)).copy_(value)
            return output

        recordings.append(batch)
        return replay

    recorded = make_recorded(agent.update, record)
    seen, expected = [], []
    for seed in range(8):
        batch = random_batch(seed)
        seen.append(recorded(batch))
        expected.append(plain.update(batch))
        assert len(recordings) == (seed >= CALLS_BEFORE_RECORDING)
        assert all(torch.equal(one, other) for one, other in zip(batch, random_batch(seed), strict=True))
    for metrics, others in zip(seen, expected, strict=True):
        assert metrics.keys() == others.keys()
        assert all(torch.equal(value, others[name]) for name, value in metrics.items())
    for value, other in zip(networks(agent), networks(plain), strict=True):
        assert torch.equal(value, other)


def test_an_update_is_recorded_on_tensors_like_those_of_the_calls_before():
    """Code compiled anew for other strides could not be recorded. A replay's batches are views into wider rows."""
    strides = []

    def update(batch):
        strides.append(tuple(tensor.stride() for tensor in batch))
        return {"sum": batch.obs.sum()}

    recorded = make_recorded(update, lambda update, batch: lambda: update(batch))
    obs, next_obs = torch.ones(4, 9)[:, :3], torch.ones(4, 9)[:, 6:]
    batch = random_batch(0, 4)._replace(obs=obs, next_obs=next_obs)
    for _ in range(CALLS_BEFORE_RECORDING + 2):
        recorded(batch)
    assert len(strides) == CALLS_BEFORE_RECORDING + 2
    assert len(set(strides)) == 1


# What auto comes to

MANY, FEW = UPDATES_THAT_EARN_A_COMPILATION, UPDATES_THAT_EARN_A_COMPILATION - 1


@pytest.fixture(autouse=True)
def no_debug_of_torch(caplog):
    caplog.set_level("WARNING")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A PATH that holds nothing but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path


def install(tools: Path, name: str):
    (tools / name).write_text("#!/bin/sh\n")
    (tools / name).chmod(0o755)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_auto_compiles_a_long_run_where_there_is_a_compiler(tools, compiler):
    without = choose("auto", "fp32", "cpu", MANY)
    assert not without.compile
    assert "no C++ compiler" in without.reason
    install(tools, compiler)
    assert choose("auto", "fp32", "cpu", MANY) == Acceleration(True, "fp32", "cpu")
    short = choose("auto", "fp32", "cpu", FEW)
    assert not short.compile
    assert f"{FEW} updates" in short.reason


def test_the_compiler_that_cxx_names_is_the_one_that_counts(tools, monkeypatch):
    install(tools, "g++")
    monkeypatch.setenv("CXX", "icpx")
    assert "icpx" in choose("auto", "fp32", "cpu", MANY).reason
    install(tools, "icpx")
    assert choose("auto", "fp32", "cpu", MANY).compile


def test_python_without_its_headers_cannot_compile(tools, monkeypatch):
    install(tools, "g++")
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tools)})
    assert "Python.h" not in choose("auto", "fp32", "cpu", MANY).reason
    assert "python3-dev" in choose("auto", "fp32", "cpu", MANY).reason


def test_what_is_typed_is_obeyed_or_refused(tools):
    with pytest.raises(UserError, match=r"compile=true: no C\+\+ compiler .* allowed: auto, false"):
        choose(True, "fp32", "cpu", MANY)
    install(tools, "g++")
    assert choose(True, "fp32", "cpu", 1) == Acceleration(True, "fp32", "cpu", required=True)
    assert choose(False, "fp32", "cpu", MANY) == Acceleration(False, "fp32", "cpu")


def test_bf16_is_for_those_who_ask_and_they_are_told_where_it_is_no_faster(tools, monkeypatch):
    monkeypatch.setattr(accelerate, "_bf16_gain", lambda: 0.5)
    typed = choose(False, "bf16", "cpu", MANY)
    assert (typed.precision, typed.reason) == ("bf16", "bf16 products are no faster than fp32 on this cpu")
    monkeypatch.setattr(accelerate, "_bf16_gain", lambda: 2.0)
    assert choose(False, "auto", "cpu", MANY) == Acceleration(False, "fp32", "cpu")
    assert choose(False, "bf16", "cpu", MANY).reason == ""


def test_what_bf16_gains_is_measured_on_a_product_in_each_precision(monkeypatch):
    seconds, now, seen = {torch.float32: 0.004, torch.bfloat16: 0.001}, [0.0], []
    product = torch.nn.functional.linear

    def timed(*operands: torch.Tensor) -> torch.Tensor:
        result = product(*operands)
        seen.append(result.dtype)
        now[0] += seconds[result.dtype] * (3 if len(seen) < 3 else 1)
        return result

    monkeypatch.setattr(torch.nn.functional, "linear", timed)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    assert accelerate._bf16_gain() == pytest.approx(4.0)
    assert set(seen) == set(seconds)


def test_without_a_compiler_compile_true_is_refused(tmp_path):
    result = rlcont(tmp_path, *tiny("compile=true"), env={"PATH": str(tmp_path)})
    assert result.returncode == 2
    assert result.stderr.startswith("rlcont: compile=true: no C++ compiler")
    assert list(tmp_path.iterdir()) == []


def test_a_cuda_toolkit_on_a_machine_without_a_gpu_is_no_news(monkeypatch):
    said = []
    monkeypatch.setattr(cpp_extension.logger, "handle", said.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_HOME", "/usr")
    cpp_extension.logger.setLevel(logging.WARNING)
    cpp_extension._find_cuda_home()
    assert said
    said.clear()
    choose(True, "fp32", "cpu", 1)
    cpp_extension._find_cuda_home()
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("auto", " (not compiled: no C++ compiler (g++ or clang++) on PATH)"),
        ("false", ""),
    ],
)
def test_without_a_compiler_a_long_run_says_in_one_line_that_it_is_eager_and_learns(tmp_path, typed, reason):
    command = [SCRIPT, *tiny("total_steps=1e6", "eval.every=1e6", "precision=fp32"), f"compile={typed}"]
    environment = {**os.environ, "PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        while not any("step 400/" in line for line in lines):
            lines.append(process.stdout.readline())
            assert process.poll() is None
        process.kill()
    assert [line for line in lines if "updates in" in line] == [f"eager updates in fp32{reason}, 1 thread on cpu\n"]


@pytest.mark.slow
def test_a_compiled_run_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.delenv(accelerate.CACHE_DIR, raising=False)  # torch sets it for itself when it compiles here.
    cache = tmp_path / "cache"
    result = rlcont(tmp_path, *tiny("compile=true", "precision=bf16"), env={"XDG_CACHE_HOME": str(cache)})
    assert result.returncode == 0, result.stderr
    assert list((cache / "rlcont" / "compiled").rglob("*.so")), "compiled code is kept for the next run"
    assert "compiled updates in bf16" in result.stdout
    (run,) = (tmp_path / "outputs" / "Pendulum-v1" / "ddpg").iterdir()
    assert json.loads((run / "run.json").read_text())["acceleration"] == {
        "compile": True,
        "precision": "bf16",
        "device": "cpu",
        "threads": 1,
        "workers": 1,
    }


@pytest.mark.slow
def test_code_that_was_being_compiled_when_its_process_was_killed_is_compiled_anew(tmp_path, monkeypatch):
    monkeypatch.delenv(accelerate.CACHE_DIR, raising=False)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert rlcont(tmp_path, *tiny("compile=true"), env=cache).returncode == 0
    files = list((tmp_path / "cache").rglob("*.so"))
    assert all(accelerate._is_whole(path) for path in files)
    for path in files:
        os.truncate(path, path.stat().st_size // 2)
        os.utime(path, (0, 0))
    result = rlcont(tmp_path, *tiny("compile=true"), env=cache)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(accelerate._is_whole(path) for path in files if path.exists())


def test_half_written_libraries_are_discarded_unless_they_may_be_in_work(tmp_path):
    whole = Path(torch._C.__file__).read_bytes()
    lengths = {"whole": len(whole), "cut": len(whole) // 2, "head": 63, "empty": 0, "in_work": len(whole) // 2}
    for name, length in lengths.items():
        path = tmp_path / "ab" / f"{name}.so"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(whole[:length])
        if name != "in_work":
            os.utime(path, (0, 0))
    (tmp_path / "ab" / "text.so").write_text("x" * 100)
    os.utime(tmp_path / "ab" / "text.so", (0, 0))
    accelerate._discard_damaged(tmp_path)
    assert {path.stem for path in tmp_path.rglob("*.so")} == {"whole", "in_work", "text"}
