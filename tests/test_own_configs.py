"""RLCONT_CONFIGS: folders of a user's own YAML files, asked before the installed ones."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from script import rlcont
from tiny import TINY, tiny

from rlcont.config.compose import expand_sweep, make_plan
from rlcont.config.fields import option_fields
from rlcont.config.names import CONFIG_DIR, options
from rlcont.core.errors import UserError

HEADER = "# @package _global_\n"
FILES = {
    "algo/mine.yaml": "# My DDPG.\ndefaults: [ddpg, _self_]\ntau: 0.02\nauto_noise: {kind: ou}\n",
    "env/Short.yaml": "id: Pendulum-v1\nkwargs: {}\nmax_episode_steps: 20\n",
    "env/Pendulum-v1.yaml": "id: Pendulum-v1\nkwargs: {g: 5.0}\nmax_episode_steps: 50\n",
    "noise/small.yaml": "# Little noise.\nkind: gaussian\nsigma: 1e-2\n",
    "noise/late.yaml": "# Noise that ends.\ndefaults: [gaussian, _self_]\ndecay: {kind: linear}\n",
    "tuned/mine/Pendulum-v1.yaml": HEADER + "algo: {gamma: 0.5}\n",
    "tuned/ddpg/push_env:Push-v0.yaml": HEADER + "total_steps: 700\nalgo: {warmup_steps: 300}\n",
    "experiment/quick.yaml": HEADER
    + "defaults:\n  - override /algo: mine\n  - override /noise: small\ntotal_steps: 1500\n",
}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("configs"), FILES)


@pytest.fixture
def own(folder, monkeypatch):
    monkeypatch.setenv("RLCONT_CONFIGS", str(folder))
    return folder


def config_of(*overrides):
    return make_plan(list(overrides)).config


def error_of(*overrides):
    with pytest.raises(UserError) as caught:
        config_of(*overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def said(cwd, env, *arguments):
    result = rlcont(cwd, *arguments, env=env)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.usefixtures("own")
def test_an_algorithms_file_may_begin_from_rlconts_own_and_has_its_own_tuned_file():
    config = config_of("algo=mine", "env=Pendulum-v1")
    assert (config.algo_name, config.algorithm, config.algo.tau, config.algo.gamma) == ("mine", "ddpg", 0.02, 0.5)
    assert config_of("algo=mine", "env=Hopper-v4").algo.gamma == 0.99


@pytest.mark.usefixtures("own")
def test_a_noise_has_the_values_of_its_file_and_else_those_of_its_kind():
    noise = config_of("noise=small").noise
    assert (noise.kind, noise.sigma, noise.decay.kind, noise.decay.final) == ("gaussian", 0.01, "none", 0.1)
    assert config_of("noise=small", "noise.decay.kind=linear").noise.decay.kind == "linear"
    assert (config_of("noise=late").noise.sigma, config_of("noise=late").noise.decay.kind) == (0.1, "linear")
    assert error_of("noise=small", "noise.theta=1") == (
        "noise.theta=1: noise=small has no theta; did you mean noise=ou?"
    )


@pytest.mark.usefixtures("own")
def test_a_file_of_the_same_name_counts_in_place_of_the_installed_one():
    env = config_of("env=Pendulum-v1").env
    assert (env.kwargs, env.max_episode_steps) == ({"g": 5.0}, 50)


@pytest.mark.usefixtures("own")
def test_a_file_may_name_an_environment_with_other_arguments():
    env = config_of("env=Short").env
    assert (env.id, env.max_episode_steps) == ("Pendulum-v1", 20)


@pytest.mark.usefixtures("own")
def test_an_experiment_of_ones_own_chooses_files_of_ones_own():
    config = config_of("experiment=quick", "env=Hopper-v4", "algo.warmup_steps=100")
    assert (config.algo.tau, config.noise.sigma, config.total_steps) == (0.02, 0.01, 1500)


@pytest.mark.usefixtures("own")
def test_an_environment_of_ones_own_has_a_tuned_file_of_ones_own(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    config = config_of("env=push_env:Push-v0")
    assert (config.total_steps, config.algo.warmup_steps) == (700, 300)
    assert config_of("env=push_env:Push-v0", "tuned=none").total_steps == 1_000_000


@pytest.mark.usefixtures("own")
def test_a_glob_of_a_sweep_finds_them():
    jobs = expand_sweep(["noise=glob(*a*)", "seed=0"])
    assert {job[0] for job in jobs} == {"noise=auto", "noise=gaussian", "noise=late", "noise=small"}


def test_the_first_of_several_folders_counts(folder, tmp_path, monkeypatch):
    first = write(tmp_path, {"noise/small.yaml": "kind: ou\n"})
    monkeypatch.setenv("RLCONT_CONFIGS", f"{first}{os.pathsep}{folder}")
    assert config_of("noise=small").noise.kind == "ou"
    assert config_of("algo=mine", "env=Hopper-v4").algo.tau == 0.02


def test_help_and_completion_know_them(folder, tmp_path):
    env = {"RLCONT_CONFIGS": str(folder)}
    text = " ".join(said(tmp_path, env, "--help", "algo=mine", "noise=small").split())
    assert "mine My DDPG" in text
    assert "small Little noise" in text
    assert "experiment= a named set of choices" in text
    assert "quick" in text
    assert "algo.tau number above 0, at most 1; default 0.02" in text
    assert "noise.sigma number at least 0; default 0.01" in text
    assert "algo.auto_noise.theta number above 0; default 0.15" in text
    assert said(tmp_path, env, "--candidates", "noise=s").split() == ["noise=small"]
    assert said(tmp_path, env, "--candidates", "noise=small", "noise.si").split() == ["noise.sigma="]
    assert "RLCONT_CONFIGS" in text


@pytest.mark.usefixtures("own")
def test_hints_know_them():
    assert "did you mean small?" in error_of("noise=smal")
    assert "did you mean mine?" in error_of("algo=min")
    assert {"mine", "ddpg"} <= set(options("algo"))
    assert "noise.sigma" in {field.key for field in option_fields("noise", "small")}


@pytest.mark.parametrize(
    ("name", "text", "typed", "expected"),
    [
        ("noise/bad.yaml", "kind: gaussian\nsigma: -1\n", "noise=bad", "noise.sigma=-1: must be a number at least 0"),
        ("noise/bad.yaml", "kind: gausian\n", "noise=bad", "noise.kind=gausian: must be one of"),
        ("noise/bad.yaml", "sigma: 1\n", "noise=bad", "noise.kind: must be given"),
        ("noise/bad.yaml", "kind: [\n", "noise=bad", "line 2: broken YAML"),
        ("noise/bad.yaml", "- 1\n", "noise=bad", "must hold keys and values, not a list"),
        ("algo/bad.yaml", "defaults: [ddpg, _self_]\ntauu: 1\n", "algo=bad", "algo.tauu: no such key; did you mean"),
        ("algo/ddpg.yaml", "defaults: [ddpg, _self_]\n", "algo=ddpg", "begins from itself"),
        (
            "tuned/ddpg/Hopper-v4.yaml",
            HEADER + "algo: {tau: 7}\n",
            "env=Hopper-v4",
            "algo.tau=7: must be a number above 0",
        ),
        ("experiment/bad.yaml", HEADER + "seeed: 1\n", "experiment=bad", "seeed: no such key; did you mean seed?"),
        (
            "experiment/bad.yaml",
            HEADER + "env: {id: Hopper-v4}\n",
            "experiment=bad",
            "choose the environment with env=",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(tmp_path, monkeypatch, name, text, typed, expected):
    write(tmp_path, {name: text})
    monkeypatch.setenv("RLCONT_CONFIGS", str(tmp_path))
    message = error_of(typed)
    assert expected in message
    assert str(tmp_path / name) in message


def test_keys_that_an_algorithms_file_lacks_are_named(tmp_path, monkeypatch):
    values = yaml.safe_load((CONFIG_DIR / "algo" / "ddpg.yaml").read_text())
    del values["tau"], values["actor"]["lr"]
    write(tmp_path, {"algo/ddpg.yaml": yaml.safe_dump(values)})
    monkeypatch.setenv("RLCONT_CONFIGS", str(tmp_path))
    assert error_of("env=Hopper-v4") == "algo.actor.lr, algo.tau: must be given, in the YAML file of algo=ddpg"
    assert error_of("env=Hopper-v4", "algo.tau=0.1") == (
        "algo.tau=0.1: must be given in the YAML file of algo=ddpg before it can be typed"
    )


def test_an_algorithms_file_that_begins_from_none_is_refused(tmp_path, monkeypatch):
    write(tmp_path, {"algo/bad.yaml": "tau: 0.1\n"})
    monkeypatch.setenv("RLCONT_CONFIGS", str(tmp_path))
    assert error_of("algo=bad") == (
        "algo=bad: its file must begin from that of an algorithm, as in defaults: [ddpg, _self_]"
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (None, "RLCONT_CONFIGS={folder}: no such folder"),
        ({}, "RLCONT_CONFIGS={folder}: holds none of the folders algo, env, noise, actors, tuned, experiment"),
        ({"config.yaml": "seed: 1\n", "algo/a.yaml": "{}\n"}, "RLCONT_CONFIGS={folder}: config.yaml is not read there"),
    ],
)
def test_a_wrong_folder_costs_one_line(tmp_path, files, expected):
    folder = tmp_path / "configs"
    if files is not None:
        folder.mkdir()
        write(folder, files)
    empty = tmp_path / "empty"
    empty.mkdir()
    for words in (["env=Pendulum-v1"], ["-m", "env=Pendulum-v1", "seed=0,1"], ["--help"]):
        result = rlcont(empty, *words, env={"RLCONT_CONFIGS": str(folder)})
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
        assert expected.format(folder=folder) in result.stderr
    assert list(empty.iterdir()) == []


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A run with files of the user's own."""
    cwd = tmp_path_factory.mktemp("trained")
    said(cwd, {"RLCONT_CONFIGS": str(folder)}, "algo=mine", "noise=small", "checkpoint.every=200", *TINY)
    (run,) = (cwd / "outputs" / "Pendulum-v1" / "mine").iterdir()
    return cwd, run


@pytest.mark.slow
def test_a_run_with_them_needs_them_no_longer(trained):
    cwd, run = trained
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["algo"]["tau"], config["noise"]["sigma"], config["env"]["kwargs"]) == (0.02, 0.01, {"g": 5.0})
    played = said(cwd, {}, "eval", str(run), "episodes=2")
    assert re.search(r"mine on Pendulum-v1, policy last of step 400: return -?\d", played)
    assert "from step 400" in said(cwd, {}, "resume", str(run), "total_steps=500")
    result = rlcont(cwd, "resume", str(run), "eval.every=0")
    assert result.stderr == "rlcont: eval.every=0: must be a whole number at least 1, or null\n"


@pytest.mark.slow
def test_a_sweep_runs_with_them(folder, tmp_path):
    env = {"RLCONT_CONFIGS": str(folder)}
    text = said(tmp_path, env, "-m", "algo=mine", "noise=small,late", *tiny("total_steps=200"))
    assert text.count("finished") >= 2
    sigmas = {
        yaml.safe_load(path.read_text())["noise"]["sigma"] for path in tmp_path.glob("outputs/sweeps/*/*/config.yaml")
    }
    assert sigmas == {0.01, 0.1}


@pytest.mark.slow
def test_a_launcher_of_hydras_runs_with_them(folder, tmp_path):
    env = {"RLCONT_CONFIGS": str(folder)}
    said(tmp_path, env, "-m", "hydra/launcher=basic", "algo=mine", "noise=auto,small", *tiny("total_steps=200"))
    noises = [
        yaml.safe_load(path.read_text())["noise"] for path in tmp_path.glob("outputs/Pendulum-v1/mine/*/config.yaml")
    ]
    assert sorted((noise["kind"], noise["sigma"]) for noise in noises) == [("gaussian", 0.01), ("ou", 0.2)]


def test_no_torch_is_loaded_to_find_a_mistake_in_them(folder):
    code = (
        "import sys\n"
        "from rlcont.config.compose import make_plan\n"
        "make_plan(['algo=mine', 'env=Hopper-v4', 'noise=small'])\n"
        "assert 'torch' not in sys.modules and 'gymnasium' not in sys.modules"
    )
    env = {**os.environ, "RLCONT_CONFIGS": str(folder)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=300)
