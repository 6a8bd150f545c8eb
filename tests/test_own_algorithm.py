"""algo=my_package:MyAlgo: an algorithm outside rlcont does all that one of rlcont's own does."""

import importlib
import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack

import pytest
import torch
import yaml
from own_algorithm import AGENT, CONFIG, NAME, VALUES, write_package
from quick import quick
from script import rlcont
from tiny import TINY, tiny

from rlcont.algos.find import agent_class, config_class
from rlcont.config.compose import make_plan
from rlcont.config.names import existing_file
from rlcont.core.errors import UserError
from rlcont.training.build import build

PAIR = "outputs/Pendulum-v1/scaled_plugin-Scaled"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The environment variables of a user who put the package's folder on the path."""
    folder = tmp_path_factory.mktemp("plugin")
    write_package(folder)
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def plugin_without_torch(plugin, tmp_path_factory):
    """The same where torch cannot be imported."""
    folder = tmp_path_factory.mktemp("no_torch")
    (folder / "torch.py").write_text("raise SystemExit('torch was\\nimported')\n")
    return {"PYTHONPATH": f"{folder}:{plugin['PYTHONPATH']}"}


def config_of(*overrides):
    return make_plan(list(overrides)).config


def said(cwd, env, *arguments):
    result = rlcont(cwd, *arguments, env=env)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def trained(plugin, tmp_path_factory):
    """A folder in which the algorithm was trained once, and the run."""
    folder = tmp_path_factory.mktemp("trained")
    said(folder, plugin, f"algo={NAME}", "algo.scale=0.8", "checkpoint.every=200", *TINY)
    (run,) = (folder / PAIR).iterdir()
    return folder, run


def test_it_trains_with_its_own_values_on_top_of_those_it_begins_from(trained):
    _, run = trained
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["algo_name"], config["algorithm"]) == (NAME, NAME)
    assert (config["algo"]["scale"], config["algo"]["gamma"]) == (0.8, 0.99)
    assert config["noise"] == {"kind": "none"}
    assert json.loads((run / "run.json").read_text())["choices"]["algo"] == NAME


@pytest.mark.slow
def test_its_own_method_decides_what_is_learned(trained, plugin, tmp_path):
    _, run = trained
    said(tmp_path, plugin, "algo=ddpg", "noise=none", "tuned=none", *TINY)
    said(tmp_path, plugin, f"algo={NAME}", "algo.scale=1.0", *TINY)
    losses = [path.read_text() for path in sorted(tmp_path.glob("outputs/*/*/*/evaluations.csv"))]
    returns = [re.findall(r"-\d+\.\d+", text) for text in losses]
    assert returns[0] == returns[1]
    assert re.findall(r"-\d+\.\d+", (run / "evaluations.csv").read_text()) != returns[0]


@pytest.mark.slow
def test_its_run_is_played_listed_compared_and_exported(trained, plugin):
    folder, run = trained
    assert f"{NAME} on Pendulum-v1" in said(folder, plugin, "eval", str(run), "episodes=2")
    assert NAME in said(folder, plugin, "runs")
    assert NAME in said(folder, plugin, "compare", "outputs", "to=compared")
    assert (folder / "compared").is_dir()
    assert "acts as the agent" in said(folder, plugin, "export", str(run), "to=exported")
    assert (folder / "exported" / "policy.onnx").exists()


@pytest.mark.slow
def test_its_run_goes_on(trained, plugin):
    folder, run = trained
    assert "from step 400" in said(folder, plugin, "resume", str(run), "total_steps=500")


@pytest.mark.slow
def test_a_sweep_holds_it_beside_rlconts_own(tmp_path, plugin):
    said(tmp_path, plugin, "-m", f"algo=ddpg,{NAME}", *tiny("total_steps=200"))
    runs = [path.parent for path in tmp_path.glob("outputs/sweeps/*/*/status.json")]
    assert {run.name for run in runs} == {"algo-ddpg", "algo-scaled_plugin-Scaled"}
    assert all(json.loads((run / "status.json").read_text())["state"] == "finished" for run in runs)


@pytest.mark.slow
def test_a_search_writes_a_tuned_file_for_it(tmp_path, plugin):
    words = tiny("algo.scale=0.5,1.0", "search.trials=2", "search.sampler=random", "total_steps=200", "eval.every=100")
    said(tmp_path, plugin, "search", f"algo={NAME}", *words)
    (path,) = tmp_path.glob(f"outputs/searches/*/tuned/{NAME}/Pendulum-v1.yaml")
    assert yaml.safe_load(path.read_text())["algo"]["scale"] in (0.5, 1.0)


def test_help_and_completion_know_its_keys(tmp_path, plugin_without_torch):
    text = " ".join(said(tmp_path, plugin_without_torch, "--help", f"algo={NAME}").split())
    assert "algo.scale number above 0, at most 2; default 0.9 Factor of the TD targets." in text
    assert "algo.gamma number from 0 to 1; default 0.99" in text
    assert "algo.auto_noise.kind gaussian, none or ou; default none" in text
    assert "algo.auto_noise.sigma" not in text
    answer = said(tmp_path, plugin_without_torch, "--candidates", f"algo={NAME}", "algo.sc").split()
    assert answer == ["algo.scale="]


@pytest.mark.parametrize(
    ("word", "expected"),
    quick(
        [
            ("algo.scal=1", "algo.scal=1: no such key; did you mean algo.scale?"),
            ("algo.scale=3", "algo.scale=3: must be a number above 0, at most 2"),
            ("algo.scale=high", "algo.scale=high: must be a number above 0, at most 2"),
            ("algo.xyzzy=1", f"no such key; rlcont --help algo={NAME} lists them"),
        ]
    ),
)
def test_a_mistake_in_its_keys_costs_one_line_without_torch(tmp_path, plugin_without_torch, word, expected):
    for sweep in ([], ["-m", "seed=0,1"]):
        result = rlcont(tmp_path, f"algo={NAME}", "env=Pendulum-v1", word, *sweep, env=plugin_without_torch)
        assert result.returncode == 2
        assert expected in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["eval", "resume", "export"])
def test_a_run_whose_algorithm_is_gone_costs_one_line(trained, command):
    folder, run = trained
    result = rlcont(folder, command, str(run), "total_steps=900" if command == "resume" else "policy=last")
    assert result.returncode == 2
    assert f"algo={NAME}: module 'scaled_plugin' cannot be imported" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """Writes a module of this test's own and returns its name."""
    name = "own_" + re.sub(r"\W", "_", request.node.name)
    monkeypatch.syspath_prepend(tmp_path)

    def write(text, values=VALUES):
        (tmp_path / f"{name}.py").write_text(text)
        if values:
            (tmp_path / "Scaled.yaml").write_text(values)
        importlib.invalidate_caches()
        return name

    return write


def test_one_module_may_hold_both_classes(module):
    name = f"{module(CONFIG + AGENT)}:Scaled"
    plan = make_plan([f"algo={name}", "env=Pendulum-v1", "algo.scale=0.7"])
    assert plan.config.algo.scale == 0.7
    assert plan.config.total_steps == make_plan(["env=Pendulum-v1"]).config.total_steps
    assert (config_class(name).__name__, agent_class(name).__name__) == ("ScaledConfig", "Scaled")


def test_its_updates_have_one_thread_where_it_is_not_told(module):
    """It may change between one and two by the clock, and nobody knows that another's update has the same numbers."""
    name = f"{module(CONFIG + AGENT)}:Scaled"
    torch.set_num_threads(2)
    chosen = {}
    for typed in ("auto", "2"):
        config = make_plan(tiny(f"algo={name}", f"threads={typed}")).config
        with ExitStack() as stack:
            agent = build(config, stack).training.agent
            chosen[typed] = torch.get_num_threads(), agent.accelerate.__class__.__name__
    torch.set_num_threads(1)
    assert chosen == {"auto": (1, "Acceleration"), "2": (2, "Acceleration")}


def test_its_values_need_not_begin_from_anothers(module, tmp_path):
    values = yaml.safe_load(existing_file("algo", "ddpg").read_text())
    name = f"{module(CONFIG + AGENT, yaml.safe_dump({**values, 'scale': 1.5}))}:Scaled"
    plan = make_plan([f"algo={name}", "env=Pendulum-v1"])
    assert plan.config.algo.scale == 1.5
    assert plan.config.noise.sigma == 0.1


@pytest.mark.parametrize(
    ("text", "values", "cls", "expected"),
    [
        (CONFIG + AGENT, None, "Scaled", "algo={name}:Scaled: has no file of values; expected {folder}/Scaled.yaml"),
        (CONFIG + AGENT, VALUES, "Scald", "expected {folder}/Scald.yaml; did you mean Scaled?"),
        ("", VALUES, "Scaled", "algo={name}:Scaled: {name} defines no class ScaledConfig"),
        (
            "class ScaledConfig: ...",
            VALUES,
            "Scaled",
            "ScaledConfig must be derived from rlcont.algos.base.AlgorithmConfig",
        ),
        ("import no_such_thing", VALUES, "Scaled", "cannot be imported (No module named 'no_such_thing')"),
        (
            "1 / 0",
            VALUES,
            "Scaled",
            "cannot be imported (ZeroDivisionError: division by zero (",
        ),
        ("def", VALUES, "Scaled", "cannot be imported (invalid syntax"),
        (CONFIG, "scale: [", "Scaled", "{folder}/Scaled.yaml, line 1: broken YAML"),
        (
            CONFIG,
            VALUES + "scal: 1\n",
            "Scaled",
            "{folder}/Scaled.yaml: algo.scal: no such key; did you mean algo.scale?",
        ),
        (
            CONFIG,
            VALUES.replace("0.9", "9.0"),
            "Scaled",
            "{folder}/Scaled.yaml: algo.scale=9.0: must be a number above 0",
        ),
        (CONFIG, VALUES.replace("scale: 0.9", ""), "Scaled", "algo.scale: must be given, in the YAML file of algo="),
        pytest.param(
            CONFIG,
            VALUES.replace("scale: 0.9", "scael: 0.9"),
            "Scaled",
            "algo.scale: must be given, in the YAML file of algo={name}:Scaled; it has no key scael",
            id="misspelt",
        ),
        (CONFIG, VALUES.replace("ddpg", "dpg"), "Scaled", "algo=dpg: allowed: a2c, d4pg, ddpg, ppo, sac, td3"),
    ],
)
def test_what_is_wrong_with_it_costs_one_line(module, tmp_path, text, values, cls, expected):
    name = module(text, values)
    with pytest.raises(UserError) as caught:
        config_of(f"algo={name}:{cls}", "env=Pendulum-v1")
    assert expected.format(name=name, folder=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "defines no class Scaled"),
        ("class Scaled: ...", "Scaled must be derived from rlcont.core.agent.Agent"),
        (
            "from rlcont.core.agent import Agent\n\n\nclass Scaled(Agent): ...",
            "Scaled must define act, cut_off, learn, ",
        ),
    ],
)
def test_an_agent_that_is_none_costs_one_line(module, text, expected):
    with pytest.raises(UserError, match=expected):
        agent_class(f"{module(text)}:Scaled")


def test_a_configuration_that_leaves_something_open_costs_one_line(module):
    text = (
        "from rlcont.algos.base import AlgorithmConfig\nfrom rlcont.core.schema import schema\n\n\n"
        "@schema\nclass ScaledConfig(AlgorithmConfig): ..."
    )
    with pytest.raises(UserError, match="ScaledConfig must define memory_demand, num_updates"):
        config_class(f"{module(text)}:Scaled")


@pytest.mark.parametrize("name", ["no_such_module:Scaled", "no_such_package.module:Scaled", "sys:Scaled", ":Scaled"])
def test_a_module_that_is_nowhere_costs_one_line(name):
    with pytest.raises(UserError, match="cannot be imported") as caught:
        make_plan([f"algo={name}"])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_it_can_be_installed_from_a_wheel(tmp_path):
    project, wheels, target, empty = (tmp_path / name for name in ("project", "wheels", "target", "empty"))
    empty.mkdir()
    write_package(project)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "scaled-plugin"\nversion = "1"\n'
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, project],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": ""},
    )
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, timeout=300)
    said(empty, {"PYTHONPATH": str(target)}, f"algo={NAME}", *tiny("total_steps=200"))
    assert len(list((empty / PAIR).iterdir())) == 1
