"""Libraries of compiled updates: what a later process finds, and what it must not take for its own."""

import importlib.util
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from tiny import TINY_A2C, TINY_PPO, tiny

from rlcont import cli
from rlcont.config.compose import make_plan
from rlcont.nn import nets
from rlcont.training import ahead
from rlcont.training import libraries as library
from rlcont.training.accelerate import Acceleration
from rlcont.training.ahead import NotCompilable
from rlcont.training.build import build
from rlcont.training.compiled import CompiledUpdate, _with_own_code
from rlcont.training.libraries import LibraryUpdate
from rlcont.training.watched import WatchedValues

pytestmark = pytest.mark.slow  # They compile.

CODE = """
import torch

def raised(x):
    return x.exp()

def lowered(x):
    return -x.exp()

class Learner:
    scale = 2.0

    def __init__(self, layer=torch.nn.Tanh, power=2, weights=None):
        self.layer, self.power, self.function = layer(), power, torch.sin
        self.weights = torch.ones(3, requires_grad=True) if weights is None else weights

    def update(self, batch):
        loss = self.function(raised(self.layer(batch.x * self.weights * self.scale)) ** self.power).sum()
        (grad,) = torch.autograd.grad(loss, [self.weights])
        with torch.no_grad():
            self.weights.sub_(0.1 * grad)
        return {"loss": loss.detach(), "norm": grad.norm()}
"""


class Rows(NamedTuple):
    x: torch.Tensor


def batch(rows=2, dtype=torch.float32):
    return Rows(torch.linspace(-1, 1, 3 * rows, dtype=dtype).reshape(rows, 3))


def module(path, code=CODE):
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("learners", path)
    sys.modules["learners"] = loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def in_a_new_process(learner, folder):
    """The update as a process would have it that has compiled nothing yet."""
    return LibraryUpdate(_with_own_code(learner.update), WatchedValues(learner.update, addresses=False), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose code counts as rlcont's own."""
    folder = tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "OWN", (*library.OWN, f"{folder}{os.sep}"))
        yield folder


@pytest.fixture(scope="module")
def made(folder):
    """That folder, with the module of a learner and the library of its update."""
    in_a_new_process(module(folder / "learners.py").Learner(), folder)(batch())
    return folder


@pytest.fixture
def nothing_is_made(monkeypatch):
    def trace(*_):
        raise NotCompilable("it would be made anew")

    monkeypatch.setattr(ahead, "trace", trace)


def libraries(folder):
    return sorted(folder.glob("updates/*/*"))


def test_a_later_process_loads_the_library_and_never_the_compiler(tmp_path):
    script = (
        "import sys, torch\n"
        "from test_accelerate import config, random_batch\n"
        "from rlcont.envs.box import BoxEnv\n"
        "from rlcont.training.accelerate import Acceleration\n"
        "from rlcont.training.build import make_agent\n"
        "run, NAMES = config(), ('_dynamo', '_inductor')\n"
        "agent = make_agent(run, BoxEnv(run.env).spec, Acceleration(True, 'fp32', 'cpu', required=True))\n"
        "for size in (32, 32, 16): print(agent.accelerated_update(random_batch(0, size))['critic_loss'].item())\n"
        "print(agent.actor.weights.sum().item(), [f'torch.{name}' in sys.modules for name in NAMES])\n"
    )
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", script]
    first, second = (subprocess.check_output(command, env=environment, text=True) for _ in range(2))
    assert len(libraries(tmp_path)) == 2
    assert first.endswith("[True, True]\n")
    assert second == first.replace("[True, True]", "[False, False]")


ON_POLICY = {
    "a2c": TINY_A2C,
    "raw observations": [*TINY_A2C, "algo.normalize_obs=false"],
    "ppo": TINY_PPO,
    "squashed": [*TINY_A2C, "algo.policy=squashed", "algo.entropy_coef=0.01"],
}


@pytest.mark.parametrize("name", ON_POLICY)
def test_updates_on_policy_become_libraries_too(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    run = make_plan(tiny("compile=true", "tuned=none", base=ON_POLICY[name])).config
    with ExitStack() as stack:
        training = build(run, stack).training
        while training.agent.num_updates < 2:
            training.advance()
    updates = {key: value for key, value in vars(training.agent).items() if key.startswith("accelerated_")}
    made = {key: update.fast.libraries for key, update in updates.items() if isinstance(update.fast, LibraryUpdate)}
    assert made.keys() == updates.keys()
    assert len(libraries(tmp_path)) == sum(map(len, made.values())) > 0


def test_a_library_computes_what_the_update_does(made, nothing_is_made):
    learners = module(made / "learners.py")
    plain, fast = learners.Learner(), learners.Learner()
    update = in_a_new_process(fast, made)
    for _ in range(5):
        expected, metrics = plain.update(batch()), update(batch())
        assert metrics.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(metrics[name], expected[name])
    torch.testing.assert_close(fast.weights, plain.weights)
    assert fast.weights.requires_grad
    assert not torch.equal(fast.weights, torch.ones(3))


OTHERS = {
    "a number": lambda learners: learners.Learner(power=3),
    "a layer of the same shape": lambda learners: learners.Learner(layer=torch.nn.Sigmoid),
    "double precision": lambda learners: learners.Learner(weights=torch.ones(3).double().requires_grad_()),
    "one number": lambda learners: learners.Learner(weights=torch.ones(1, requires_grad=True)),
    "strides": lambda learners: learners.Learner(weights=torch.ones(6)[::2].requires_grad_()),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_learner_with_another_value_or_layout_gets_a_library_of_its_own(other, made, nothing_is_made):
    learner = OTHERS[other](module(made / "learners.py"))
    with pytest.raises(NotCompilable, match="made anew"):
        in_a_new_process(learner, made)(batch())


CHANGES = {
    "a class attribute": lambda learners, learner: setattr(learners.Learner, "scale", 3.0),
    "a function in an attribute": lambda learners, learner: setattr(learner, "function", torch.cos),
    "a function of the module": lambda learners, learner: setattr(learners, "raised", learners.lowered),
    "the number of rows": lambda learners, learner: batch(rows=3),
    "the rows' type": lambda learners, learner: batch(dtype=torch.float64),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_was_read_must_be_the_same(change, made, nothing_is_made):
    learners = module(made / "learners.py")
    learner = learners.Learner()
    rows = CHANGES[change](learners, learner) or batch()
    with pytest.raises(NotCompilable, match="made anew"):
        in_a_new_process(learner, made)(rows)


def test_edited_code_is_compiled_anew(made, nothing_is_made, monkeypatch):
    (made / "edited.py").write_text(CODE.replace("0.1 * grad", "0.2 * grad"))
    learner = module(made / "learners.py").Learner()
    monkeypatch.setattr(library, "CODE", library._digest(library.OWN))
    with pytest.raises(NotCompilable, match="made anew"):
        in_a_new_process(learner, made)(batch())
    (made / "edited.py").unlink()
    assert library._digest(library.OWN[:-1]) == library._digest(library.OWN[:-1])
    assert library._digest(library.OWN) != library._digest(library.OWN[:-1])


@pytest.mark.parametrize(
    ("file", "known"),
    [
        (nets.__file__, True),
        (torch.nn.functional.__file__, True),
        (os.__file__, True),
        (str(Path(torch.__file__).parents[1] / "torch_like" / "layers.py"), False),
        (str(Path(os.__file__).parent / "site-packages" / "other" / "layers.py"), False),
        (str(Path(cli.__file__)), False),
        (__file__, False),
        ("<stdin>", False),
    ],
)
def test_the_code_that_a_librarys_name_stands_for(file, known):
    assert library._is_known(file) == known


@pytest.mark.parametrize(
    ("owner", "name", "value"), [(library, "_processor", lambda: "another"), (torch, "__version__", "9.9")]
)
def test_another_processor_or_torch_does_not_find_it(owner, name, value, made, nothing_is_made, monkeypatch):
    learner = module(made / "learners.py").Learner()
    monkeypatch.setattr(owner, name, value)
    with pytest.raises(NotCompilable, match="made anew"):
        in_a_new_process(learner, made)(batch())


@pytest.mark.parametrize("damaged", [library.LIBRARY, library.ORIGIN])
def test_what_is_damaged_is_made_again(damaged, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "OWN", (*library.OWN, f"{tmp_path}{os.sep}"))
    learners = module(tmp_path / "learners.py")
    in_a_new_process(learners.Learner(), tmp_path)(batch())
    (folder,) = libraries(tmp_path)
    whole = (folder / damaged).read_bytes()
    (folder / damaged).unlink()  # What this process has loaded of it stays.
    (folder / damaged).write_text("{")
    again, plain = learners.Learner(), learners.Learner()
    in_a_new_process(again, tmp_path)(batch())
    plain.update(batch())
    torch.testing.assert_close(again.weights, plain.weights)
    in_a_new_process(learners.Learner(), tmp_path)(batch())
    assert [(each / damaged).stat().st_size for each in libraries(tmp_path)] == [len(whole)]


def test_code_of_ones_own_is_compiled_in_each_process(tmp_path):
    learner, plain = (module(tmp_path / "learners.py").Learner() for _ in range(2))
    with pytest.raises(NotCompilable, match=r"code of its own in .*learners\.py"):
        in_a_new_process(learner, tmp_path)(batch())
    update = CompiledUpdate(learner.update, "cpu", required=True, folder=tmp_path)
    for _ in range(2):
        assert update(batch())["loss"].item() == pytest.approx(plain.update(batch())["loss"].item())
    assert not libraries(tmp_path)


class Remembers:
    """Its update replaces a tensor, in place of writing to it."""

    def __init__(self):
        self.last, self.total = torch.zeros(2)

    def update(self, batch):
        self.last = self.last + batch.x.sum()
        self.total = self.total + self.last
        return {"total": self.total.clone(), "rows": 2.0}


class Averages(torch.nn.Module):
    """Its update assigns a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))

    def update(self, batch):
        self.mean = 0.5 * self.mean + 0.5 * batch.x.mean(0)
        return {"sum": self.mean.sum()}


class Overlaps:
    """Its update writes through a view, and reads what it wrote."""

    def __init__(self):
        self.all = torch.arange(4.0)
        self.some = self.all[:2]

    def update(self, batch):
        self.all.add_(batch.x.sum())
        self.some.mul_(2)
        return {"sum": self.all.sum()}


class DoesNothing:
    def update(self, batch):
        return {}


@pytest.mark.parametrize("kind", [Remembers, Averages, Overlaps, DoesNothing])
def test_an_update_that_no_library_can_hold_is_still_right(kind, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(library, "OWN", (*library.OWN, __file__))
    plain, fast = kind(), kind()
    update = CompiledUpdate(fast.update, "cpu", required=True, folder=tmp_path)
    for value in (1.0, 2.0, 3.0):
        rows = Rows(torch.full((2, 3), value))
        assert update(rows) == plain.update(rows)
    assert not isinstance(update.fast, LibraryUpdate)
    assert not libraries(tmp_path)
    assert not [record for record in caplog.records if record.name.startswith("rlcont")]


def test_a_torch_whose_inner_parts_have_changed_compiles_without_a_library(folder, monkeypatch):
    learner, plain = (module(folder / "learners.py").Learner(power=5) for _ in range(2))
    before = len(libraries(folder))
    monkeypatch.setattr(ahead, "trace", lambda *_: torch._guards.NoSuchPart)
    update = CompiledUpdate(learner.update, "cpu", required=True, folder=folder)
    assert update(batch())["loss"].item() == pytest.approx(plain.update(batch())["loss"].item())
    assert len(libraries(folder)) == before


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_compile(folder):
    (folder / "updates").rename(folder / "aside") if (folder / "updates").exists() else None
    (folder / "updates").write_text("a file")
    learner, plain = (module(folder / "learners.py").Learner() for _ in range(2))
    update = CompiledUpdate(learner.update, "cpu", required=True, folder=folder)
    assert update(batch())["loss"].item() == pytest.approx(plain.update(batch())["loss"].item())
    (folder / "updates").unlink()
    (folder / "aside").rename(folder / "updates") if (folder / "aside").exists() else None


def test_a_full_disk_only_costs_the_next_run_its_library(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    learner, plain = (module(folder / "learners.py").Learner(power=4) for _ in range(2))
    monkeypatch.setattr(LibraryUpdate, "_keep", full)
    assert in_a_new_process(learner, folder)(batch())["loss"].item() == pytest.approx(
        plain.update(batch())["loss"].item()
    )


def test_what_stops_the_compiler_without_a_word_is_named_by_its_type(folder, monkeypatch):
    def stopped(*_):
        raise AssertionError

    monkeypatch.setattr(ahead, "_refuse_overlaps", stopped)
    learner = module(folder / "learners.py").Learner(power=5)
    with pytest.raises(NotCompilable, match=r"^AssertionError$"):
        in_a_new_process(learner, folder)(batch())


def test_shapes_without_end_are_not_compiled_without_end(made, monkeypatch):
    monkeypatch.setattr(library, "MOST_LAYOUTS", 1)
    update = in_a_new_process(module(made / "learners.py").Learner(), made)
    update(batch())
    with pytest.raises(NotCompilable, match="more than 1 shapes"):
        update(batch(rows=5))


def test_the_libraries_that_were_used_last_are_kept(made, monkeypatch):
    monkeypatch.setattr(library, "MOST_KEPT", 2)
    update = in_a_new_process(module(made / "learners.py").Learner(), made)
    origin = update._recognised(libraries(made)[0])
    for place in range(4):
        making = update.folder / f"making-{place}"
        making.mkdir()
        os.utime(making, (place, place))
        update._keep(making, origin._replace(outputs={"loss": place}))
    kept = [library.Origin.from_json((path / library.ORIGIN).read_text()).outputs for path in libraries(made)]
    assert len(kept) == 2
    assert {"loss": 3} in kept


def test_what_other_versions_have_left_is_dropped(made, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "MOST_UPDATES", 2)
    update = in_a_new_process(module(made / "learners.py").Learner(), made)
    origin = update._recognised(libraries(made)[0])
    for place in range(3):
        other = tmp_path / f"another{place}"
        other.mkdir()
        os.utime(other, (place, place))
    update.folder = tmp_path / "mine"
    making = update.folder / "making-it"
    making.mkdir(parents=True)
    update._keep(making, origin)
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "another2"}


def test_acceleration_keeps_libraries_where_torch_keeps_its_code(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    update = Acceleration(True, "fp32", "cpu")(module(tmp_path / "learners.py").Learner().update)
    assert update.fast.folder.parent == tmp_path / "updates"
