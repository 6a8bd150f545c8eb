"""Imports point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rlcont"
MODULES = {str(path.relative_to(PACKAGE).with_suffix("")).replace("/", "."): path for path in PACKAGE.rglob("*.py")}
FOUNDATION = {"core", "lazy", "schema"}
LIGHT = {"errors", "names", "fields", "words", "help", "completion"}
PARTS = FOUNDATION | {
    "acting",
    "explorer",
    "nets",
    "noise",
    "normalize",
    "optim",
    "policies",
    "schedule",
    "seeding",
    "state",
    "support",
}


def imports(name: str) -> set[str]:
    """Modules that a file of the package imports: rlcont's own without the prefix, others by their root."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module is not None
            found |= {f"rlcont.{alias.name}" for alias in node.names} if node.module == "rlcont" else {node.module}
    return {
        module.removeprefix("rlcont.") if module.startswith("rlcont.") else module.split(".")[0] for module in found
    }


def own(name: str) -> set[str]:
    return {module for module in imports(name) if module in MODULES or f"{module}.__init__" in MODULES}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("ops.") and "__init__" not in name])
def test_ops_import_only_torch(name):
    assert own(name) <= {"lazy"}
    assert not imports(name) & {"numpy", "gymnasium", "hydra", "omegaconf"}


def test_nets_import_only_torch():
    assert not own("nets")
    assert imports("nets") <= {"__future__", "collections", "copy", "functools", "torch", "typing"}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("memory.") and "__init__" not in name])
def test_memory_knows_only_the_vocabulary(name):
    assert {module for module in own(name) if not module.startswith("memory.")} <= FOUNDATION


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("algos.") and "__init__" not in name])
def test_an_algorithm_imports_parts_and_at_most_its_parent(name):
    above = {
        module for module in own(name) if not module.startswith(("memory.", "ops.", "algos.")) and module not in PARTS
    }
    assert not above
    assert len([module for module in own(name) if module.startswith("algos.")]) <= 1
    assert not imports(name) & {"hydra", "omegaconf", "gymnasium", "tensorboard", "rich", "torch"}


def test_the_loop_knows_no_algorithm_no_configuration_and_no_terminal():
    assert own("train") <= {"core", "envs", "evaluate"}


def test_only_accelerate_compiles_and_lowers_precision():
    words = ("torch.compile(", "_dynamo", "bfloat16)")
    assert [name for name in MODULES if any(word in MODULES[name].read_text() for word in words)] == ["accelerate"]


def test_only_envs_its_camera_and_its_snapshots_import_gymnasium():
    users = {name for name in MODULES if imports(name) & {"gymnasium", "mujoco"}}
    assert users == {"camera", "envs", "snapshot"}
    assert [name for name in MODULES if own(name) & {"camera", "snapshot"}] == ["envs"]


def test_a_worker_loads_no_torch():
    code = "import sys, rlcont.envs.workers as w; w.to_message([1]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(LIGHT))
def test_help_and_completion_need_nothing_heavy(name):
    assert own(name) <= LIGHT
    standard = {
        "__future__",
        "ast",
        "collections",
        "difflib",
        "functools",
        "math",
        "pathlib",
        "re",
        "textwrap",
        "typing",
    }
    assert imports(name) - own(name) <= standard | {"yaml"}


def test_hydra_stops_at_compose_and_overrides():
    users = {name for name in MODULES if imports(name) & {"hydra", "omegaconf"}}
    assert users <= {"compose", "overrides", "cli"}


def test_only_commands_and_a_sweeps_job_know_of_the_build():
    assert {name for name in MODULES if "build" in own(name)} <= {"cli", "sweep.job", "report.play"}


def test_nothing_that_is_kept_is_read_with_pickle():
    for name in MODULES:
        text = MODULES[name].read_text()
        assert not imports(name) & {"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}, name
        for word in ("torch.load", "torch.save", "allow_pickle=True", "unsafe_load", "full_load"):
            assert word not in text, name
        for call in (*text.split("np.load(")[1:], *text.split("np.save(")[1:]):
            assert "allow_pickle=False" in call.split("\n")[0], name


def test_what_stands_around_the_core_is_never_imported_by_it():
    around = {
        name
        for name in MODULES
        if name.startswith(("sweep.", "search.", "report.")) or name in ("listing", "differences")
    }
    core = set(MODULES) - around - {"cli"}
    assert not {(name, module) for name in core for module in own(name) & around}


@pytest.mark.parametrize(
    "name", ["status", "differences", "listing", *(n for n in MODULES if n.startswith(("sweep.", "search.")))]
)
def test_watching_runs_needs_neither_torch_nor_the_environments(name):
    heavy = {"build", "train", "envs", "evaluate", "log", "nets"}
    assert own(name) & heavy == ({"build"} if name == "sweep.job" else set())
    assert "torch" not in imports(name)


def test_every_package_is_in_the_wheel():
    import tomllib

    pyproject = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    packages = {"rlcont", "rlcont.configs"} | {f"rlcont.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    assert set(pyproject["tool"]["setuptools"]["packages"]) == packages
