"""A user's own files in the working directory: ./configs, paths of files, and modules that were typed."""

import dataclasses
import json
import shutil

import pytest
import yaml
from own_algorithm import NAME, write_package
from script import rlcont
from tiny import tiny

import rlcont as rlcont_from_python
from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.runs.folder import config_text, load_config

HEADER = "# @package _global_\n"
ENV = """\
import gymnasium
import helper

gymnasium.register(
    "Mine-v0", entry_point="gymnasium.envs.classic_control:PendulumEnv", max_episode_steps=helper.LIMIT
)
"""
FILES = {
    "configs/algo/mine.yaml": "defaults: [ddpg, _self_]\ntau: 0.25\n",
    "configs/tuned/ddpg/Pendulum-v1.yaml": HEADER + "# Measured: not measured.\nalgo: {gamma: 0.5}\n",
    "elsewhere/best.yaml": HEADER + "algo: {gamma: 0.75}\n",
    "elsewhere/quick.yaml": HEADER + "defaults:\n  - override /algo: d4pg\ntotal_steps: 30000\n",
    "elsewhere/foreign.yaml": HEADER + "defaults:\n  - override /env: my_envs:Mine-v0\n",
    "my_envs.py": ENV,
    "helper.py": "LIMIT = 20\n",
}


@pytest.fixture
def cwd(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(*overrides):
    return dataclasses.asdict(make_plan(["env=Pendulum-v1", *overrides]).config)


@pytest.mark.usefixtures("cwd")
def test_configs_in_the_working_directory_count_and_paths_name_files():
    assert values()["algo"]["gamma"] == 0.5
    assert values("algo=mine")["algo"]["tau"] == 0.25
    assert values("tuned=elsewhere/best.yaml")["algo"]["gamma"] == 0.75
    assert values("tuned=none", "experiment=elsewhere/quick.yaml")["algo_name"] == "d4pg"
    with pytest.raises(UserError, match=r"tuned=elsewhere/bst.yaml: no such file"):
        values("tuned=elsewhere/bst.yaml")


def test_configs_that_are_not_rlconts_do_not_count(cwd):
    (cwd / "configs" / "config.yaml").write_text("{}")
    assert values()["algo"]["gamma"] != 0.5


@pytest.mark.slow
def test_a_run_names_the_folder_and_what_was_not_measured(cwd):
    first = rlcont(cwd, "algo=mine", *tiny("total_steps=200")).stdout.splitlines()[0]
    assert f", with files of {cwd / 'configs'}; outputs/" in first
    first = rlcont(cwd, *tiny("total_steps=200")).stdout.splitlines()[0]
    assert f", {cwd / 'configs/tuned/ddpg/Pendulum-v1'}, not measured; outputs/" in first


@pytest.mark.slow
def test_a_module_of_the_working_directory_is_imported_only_where_it_was_typed(cwd):
    one = tiny("env=my_envs:Mine-v0", "total_steps=200")
    trained = rlcont(cwd, "-m", "seed=0,1", "num_envs=2", "workers=2", *one)
    assert trained.returncode == 0, trained.stderr
    (run, _) = sorted(cwd.glob("outputs/sweeps/*/s[01]"))
    assert yaml.safe_load((run / "config.yaml").read_text())["env"]["id"] == "my_envs:Mine-v0"
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    for words in (["eval", str(run)], ["experiment=elsewhere/foreign.yaml"]):
        refused = rlcont(cwd, *words)
        assert refused.returncode == 2
        assert "my_envs" in refused.stderr
    assert rlcont(cwd, "eval", str(run), "episodes=1", env={"PYTHONPATH": "."}).returncode == 0


@pytest.fixture(scope="module")
def d4pg(tmp_path_factory):
    """A run of D4PG with noise of its own."""
    output = tmp_path_factory.mktemp("begun")
    return rlcont_from_python.train(f"output={output}", *tiny("algo=d4pg", "noise=ou", "algo.tau=0.125", "seed=3"))


def test_from_takes_a_runs_values_but_for_groups_and_keys_that_are_typed(d4pg):
    def config(*overrides):
        return make_plan([f"from={d4pg}", *overrides]).config

    before = load_config(d4pg)
    assert dataclasses.asdict(config()) == {**dataclasses.asdict(before), "output": "outputs"}
    assert config("algo.gamma=0.5", "seed=4").algo.tau == 0.125
    assert (config("algo.gamma=0.5").algo.gamma, config("seed=4").seed) == (0.5, 4)
    assert config("noise=gaussian").noise.kind == "gaussian"
    other = config("algo=ddpg", "total_steps=90000")
    assert (other.algo_name, other.algo.tau, other.noise.kind) == ("ddpg", 0.005, "ou")
    with pytest.raises(UserError, match=r"from=nowhere: no run"):
        make_plan(["from=nowhere"])


def test_what_an_algorithm_decided_for_its_run_another_one_decides_anew(tmp_path):
    ddpg = make_plan(["algo=ddpg", "env=Pendulum-v1", "eval.episodes=3"]).config
    (tmp_path / "config.yaml").write_text(config_text(ddpg))
    a2c = make_plan([f"from={tmp_path}", "algo=a2c"]).config
    plain = make_plan(["algo=a2c", "env=Pendulum-v1", "tuned=none"]).config
    assert (a2c.num_envs, a2c.noise, a2c.checkpoint.every) == (plain.num_envs, plain.noise, plain.checkpoint.every)
    assert (a2c.eval.episodes, a2c.total_steps) == (3, ddpg.total_steps)


def test_init_starts_from_the_policy_of_a_run(d4pg, tmp_path):
    short = tiny("algo=d4pg", "total_steps=200", f"output={tmp_path}", "eval.episodes=2", "seed=3")
    run = rlcont_from_python.train(f"init={d4pg}", *short)
    assert rlcont_from_python.evaluations(run)[0]["return_mean"] == pytest.approx(
        rlcont_from_python.evaluations(d4pg)[-1]["return_mean"]
    )
    with pytest.raises(UserError, match=r"of algo=d4pg does not fit; actor.body.0.weight is \[16, 3\]"):
        rlcont_from_python.train(
            f"init={d4pg}", *[word.replace("actor.hidden=[16]", "actor.hidden=[17]") for word in short]
        )
    with pytest.raises(UserError, match="init=nowhere: nowhere: no run"):
        rlcont_from_python.train("init=nowhere", *short)


def test_help_finds_an_algorithm_of_the_working_directory(tmp_path):
    write_package(tmp_path)
    assert "algo.scale" in rlcont(tmp_path, "--help", f"algo={NAME}").stdout


@pytest.mark.slow
def test_an_environment_without_a_time_limit_is_told_at_the_start(tmp_path):
    entry = "gymnasium.envs.classic_control:PendulumEnv"
    (tmp_path / "free.py").write_text(f"import gymnasium\ngymnasium.register('Free-v0', '{entry}')\n")
    words = tiny("env=free:Free-v0", "total_steps=150", "eval.every=null")
    said = rlcont(tmp_path, *words).stdout
    assert "free:Free-v0 is registered without a time limit; env.max_episode_steps=N sets one\n" in said
    said = rlcont(tmp_path, *words, "env.max_episode_steps=50").stdout
    assert "time limit" not in said
    assert "150 steps" in said


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"hidden": [17]}, r"actor.body.0.weight is \[16, 3\] there and \[17, 3\] here"),
        ({"residual": True, "hidden": [16, 16]}, "its layers are others"),
    ],
)
def test_a_policy_that_is_not_that_of_its_configuration_is_told(settings, why, d4pg, tmp_path):
    run = shutil.copytree(d4pg, tmp_path / "run")
    container = yaml.safe_load((run / "config.yaml").read_text())
    container["algo"]["actor"] |= settings
    (run / "config.yaml").write_text(yaml.safe_dump(container))
    with pytest.raises(UserError, match=rf"last\.safetensors: the policy does not fit the run's config.yaml; {why}"):
        rlcont_from_python.load(run)
