"""Imports run one way: between packages by the table below, between files without a circle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from test_resume import ALGORITHMS
from tiny import tiny

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rlcont"
FILES = {str(path.relative_to(PACKAGE).with_suffix("")).replace("/", "."): path for path in PACKAGE.rglob("*.py")}
BELOW = {
    "core": set(),
    "nn": {"core"},
    "memory": {"core"},
    "envs": {"core"},
    "exploration": {"core", "nn", "memory"},
    "algos": {"core", "nn", "memory", "exploration"},
    "config": {"core", "envs", "exploration", "algos"},
    "runs": {"core", "config", "algos", "exploration"},
    "actors": {"core", "config", "algos", "envs"},
    "training": {"core", "config", "algos", "envs", "actors", "runs"},
    "sweep": {"core", "config", "runs", "training"},
    "search": {"core", "config", "runs", "sweep"},
    "report": {"core", "config", "envs", "runs", "training"},
    "cli": {"core", "config", "runs", "training", "sweep", "search", "report"},
}
"""The packages that each package may import from."""
ONLY = {
    "gymnasium": {"envs.door", "envs.spaces", "envs.mujoco", "envs.snapshot"},
    "mujoco": {"envs.mujoco", "envs.snapshot"},
    "hydra": {"config.compose", "config.overrides", "config.sources", "sweep.by_hydra"},
    "omegaconf": {"config.compose", "config.overrides", "config.sources", "sweep.by_hydra"},
    "ray": {"actors.pool", "actors.cluster"},
    "optuna": {"search.study", "search.runner", "search.winner"},
    "pickle": set(),
    "dill": set(),
    "cloudpickle": set(),
    "shelve": set(),
    "marshal": set(),
    "joblib": set(),
}
"""The files that alone may import a library."""
WITHOUT = {
    (
        "torch",
        "gymnasium",
        "hydra",
        "numpy",
    ): "__init__ runs.find cli.main cli.help cli.completion config.fields config.names algos.find",
    (
        "torch",
        "gymnasium",
    ): "config.compose config.validate cli.actions runs.listing runs.resume sweep.runner search.plan",
    ("torch",): "envs.workers envs.vector envs.box training.preflight sweep.job report.compare core.packing",
}
"""Files whose import must not load certain libraries: a typo, a list or a worker should not wait for them."""


def imports(name, at_load_only=False):
    """Modules that a file imports: rlcont's own without the prefix, others by their root."""
    tree = ast.parse(FILES[name].read_text())
    found = set()
    for node in tree.body if at_load_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {each if each.removeprefix("rlcont.") in FILES else str(node.module) for each in inside}
    return {each.removeprefix("rlcont.") if each.startswith("rlcont.") else each.split(".")[0] for each in found}


def own(name, at_load_only=False):
    return {each for each in imports(name, at_load_only) if each in FILES}


def test_packages_are_few_and_all_in_the_table():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(BELOW)
    assert len(list(PACKAGE.glob("[!_]*"))) <= 16


@pytest.mark.parametrize("name", [name for name in FILES if "." in name])
def test_a_file_imports_from_the_packages_below_its_own(name):
    package = name.partition(".")[0]
    assert {each.partition(".")[0] for each in own(name)} - {package} <= BELOW[package]


def test_files_import_without_a_circle():
    arrows = {name: own(name) for name in FILES}
    while leaves := [name for name, targets in arrows.items() if not targets & arrows.keys()]:
        for name in leaves:
            del arrows[name]
    assert not arrows


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_imported_where_it_belongs(library):
    assert {name for name in FILES if library in imports(name)} <= ONLY[library]


@pytest.mark.parametrize(
    ("libraries", "name"), [(key, name) for key, names in WITHOUT.items() for name in names.split()]
)
def test_what_has_to_start_quickly_loads_nothing_heavy(libraries, name):
    module = f"rlcont.{name}".removesuffix(".__init__")
    code = f"import sys, {module}; sys.exit(', '.join(sys.modules.keys() & {set(libraries)!r}) or 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_eager_run_loads_no_compiler_of_torch_and_no_symbolic_shapes(tmp_path):
    lines = [tiny("total_steps=200", f"output={tmp_path}", base=words) for words in ALGORITHMS.values()]
    code = (
        f"import sys, rlcont\nfor words in {lines!r}: rlcont.train(*words)\n"
        "sys.exit(', '.join(sys.modules.keys() & {'sympy', 'torch._dynamo', 'torch._inductor'}) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("algos.") and name.count(".") == 2])
def test_an_algorithm_imports_at_most_its_parent(name):
    algorithm = name.split(".")[1]
    others = {each.split(".")[1] for each in own(name) if each.startswith("algos.") and each.count(".") == 2}
    assert len(others - {algorithm}) <= 1


def test_the_loop_knows_no_algorithm_no_configuration_and_no_terminal():
    below = {"core.agent", "core.errors", "core.protocols", "core.types"}
    assert own("training.loop") <= below | {"training.evaluate", "training.interval"}


def test_three_modules_know_the_compiler():
    words = ("torch.compile(", "_dynamo", "_inductor")
    users = {name for name in FILES if any(word in FILES[name].read_text() for word in words)}
    assert users == {"training.ahead", "training.compiled", "training.libraries"}


def test_nothing_that_is_kept_is_read_with_pickle():
    for name, path in FILES.items():
        text = path.read_text()
        for word in ("torch.load", "torch.save", "allow_pickle=True", "unsafe_load", "full_load"):
            assert word not in text, name
        for call in (*text.split("np.load(")[1:], *text.split("np.save(")[1:]):
            assert "allow_pickle=False" in call.split("\n")[0], name
