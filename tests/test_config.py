"""Composition and validation: every YAML file, precedence, types, ranges, names."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from quick import quick

from rlcont.config import names
from rlcont.config.compose import expand_sweep, make_plan
from rlcont.config.names import CONFIG_DIR, options
from rlcont.config.run import RunConfig
from rlcont.config.validate import validate
from rlcont.core.errors import UserError

TUNED = [name for name in options("tuned") if name != "none"]


def config_of(*overrides: str) -> RunConfig:
    return make_plan(list(overrides)).config


def error_of(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        config_of(*overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", TUNED)
def test_every_tuned_file_is_picked_up_by_its_own_pair(name):
    algo, env = name.split("/")
    plan = make_plan([f"algo={algo}", f"env={env}"])
    assert plan.choices["tuned"] == name
    assert plan.config != config_of(f"algo={algo}", f"env={env}", "tuned=none")


@pytest.mark.parametrize("name", TUNED)
def test_every_tuned_file_says_its_source_and_what_was_measured(name):
    text = (CONFIG_DIR / "tuned" / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    assert "# Source: " in text
    assert "# Measured: " in text


@pytest.mark.parametrize("env", quick(sorted({name.partition("/")[2] for name in TUNED}), 3))
def test_all_algorithms_have_one_size_on_a_task(env):
    configs = [config_of(f"algo={algo}", f"env={env}") for algo in options("algo")]
    assert len({config.total_steps for config in configs}) == 1


@pytest.mark.parametrize("env", ["HalfCheetah", "Hopper", "Walker2d", "Ant", "Humanoid", "Reacher", "Swimmer"])
def test_a_tuned_v5_file_inherits_v4(env):
    assert config_of(f"env={env}-v5").algo == config_of(f"env={env}-v4").algo


@pytest.mark.parametrize("env", options("env"))
def test_every_curated_environment_composes_under_its_own_id(env):
    assert config_of(f"env={env}").env.id == env


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_composes(experiment):
    plan = make_plan([f"experiment={experiment}"])
    if experiment.startswith("article/"):
        assert plan.choices["tuned"] == "none"


@pytest.mark.parametrize("noise", options("noise"))
def test_every_noise_composes(noise):
    expected = "gaussian" if noise == "auto" else noise
    assert config_of(f"noise={noise}").noise.kind == expected


def test_the_article_fixes_its_own_settings_and_the_command_line_may_change_them():
    article = config_of("experiment=article/ddpg")
    assert (article.env.id, article.total_steps) == ("HalfCheetah-v4", 1_000_000)
    assert article.algo.actor.hidden == (400, 300)
    assert (article.algo.actor.lr, article.algo.critic.lr) == (1e-4, 1e-3)
    assert (article.noise.kind, article.noise.theta, article.noise.sigma) == ("ou", 0.15, 0.2)
    changed = config_of("experiment=article/ddpg", "env=Hopper-v4", "total_steps=50000", "noise=gaussian")
    assert (changed.env.id, changed.total_steps, changed.noise.kind) == ("Hopper-v4", 50_000, "gaussian")
    assert changed.algo == article.algo


def test_command_line_beats_experiment_beats_tuned_beats_algorithm(tmp_path, monkeypatch):
    import shutil

    configs = tmp_path / "configs"
    shutil.copytree(CONFIG_DIR, configs)
    (configs / "tuned" / "ddpg" / "HalfCheetah-v4.yaml").write_text(
        "# @package _global_\nalgo: {tau: 0.2, gamma: 0.2, batch_size: 2}\n"
    )
    (configs / "experiment" / "mine.yaml").write_text("# @package _global_\nalgo: {tau: 0.3, gamma: 0.3}\n")
    monkeypatch.setattr(names, "CONFIG_DIR", configs)
    algo = config_of("experiment=mine", "algo.tau=0.4").algo
    assert (algo.tau, algo.gamma, algo.batch_size) == (0.4, 0.3, 2)
    assert algo.replay_size == config_of("tuned=none").algo.replay_size


def test_a_typed_noise_wins_over_the_tuned_one():
    config = config_of("env=HalfCheetah-v4", "noise=ou", "noise.sigma=0.7")
    assert (config.noise.kind, config.noise.sigma) == ("ou", 0.7)


def test_what_noise_auto_stands_for_can_be_changed_and_counts_only_with_auto():
    assert config_of("algo.auto_noise.sigma=0.3").noise.sigma == 0.3
    assert "noise=auto" in error_of("noise=ou", "algo.auto_noise.sigma=0.3")


def test_auto_noise_of_another_kind_takes_nothing_from_the_kind_before(tmp_path, monkeypatch):
    """The literal values are those of configs/noise/ou.yaml."""
    folder = tmp_path / "own"
    for name, text in {
        "algo/silent": "defaults: [ddpg, _self_]\nauto_noise: {kind: none}\n",
        "tuned/ddpg/Pendulum-v1": "# @package _global_\nalgo: {auto_noise: {kind: ou}}\n",
        "tuned/ddpg/Hopper-v4": "# @package _global_\nalgo: {auto_noise: {kind: gaussian, decay: {kind: linear}}}\n",
        "experiment/quieter": "# @package _global_\nalgo: {auto_noise: {theta: 0.3}}\n",
    }.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("RLCONT_CONFIGS", str(folder))
    noise = config_of("env=Pendulum-v1").noise
    assert (noise.kind, noise.theta, noise.sigma, noise.mu, noise.dt) == ("ou", 0.15, 0.2, 0.0, 1.0)
    noise = config_of("env=Pendulum-v1", "experiment=quieter", "algo.auto_noise.mu=0.1").noise
    assert (noise.theta, noise.sigma, noise.mu) == (0.3, 0.2, 0.1)
    assert config_of("algo=silent", "env=Hopper-v4").noise == config_of("noise=none").noise
    noise = config_of("env=Hopper-v4").noise
    assert (noise.kind, noise.sigma, noise.decay.kind) == ("gaussian", 0.1, "linear")


def test_a_typed_kind_of_auto_noise_takes_nothing_from_the_kind_before():
    assert config_of("algo.auto_noise.kind=ou") == config_of("noise=ou")
    assert config_of("algo.auto_noise.kind=ou", "algo.auto_noise.theta=0.3").noise.theta == 0.3
    assert config_of("algo.auto_noise.kind=none") == config_of("noise=none")
    assert "no such key" in error_of("algo.auto_noise.kind=none", "algo.auto_noise.sigma=0.3")


def test_what_auto_stands_for_is_a_number_of_the_algorithms():
    for algo, num_envs, every in (("ddpg", 1, 10_000), ("d4pg", 1, 10_000), ("a2c", 16, 100_000), ("ppo", 8, 100_000)):
        config = config_of(f"algo={algo}", "tuned=none")
        assert (config.num_envs, config.checkpoint.every) == (num_envs, every)
    assert config_of("num_envs=auto", "checkpoint.every=auto") == config_of()


def test_a_registered_id_without_a_file_composes():
    plan = make_plan(["env=MountainCarContinuous-v0"])
    assert dataclasses.asdict(plan.config.env) == {
        "id": "MountainCarContinuous-v0",
        "kwargs": {},
        "max_episode_steps": None,
        "wrappers": (),
        "info": ("is_success",),
    }
    assert plan.choices["tuned"] is None


def test_an_id_in_a_module_of_the_users_composes(tmp_path, monkeypatch):
    (tmp_path / "mine_for_test.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v0', 'gymnasium.envs.classic_control.pendulum:PendulumEnv', max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert config_of("env=mine_for_test:Mine-v0").env.id == "mine_for_test:Mine-v0"


def test_environment_arguments_need_no_plus():
    config = config_of("env=Ant-v5", "env.kwargs.forward_reward_weight=2.0", "env.max_episode_steps=50")
    assert config.env.kwargs == {"forward_reward_weight": 2.0}
    assert config.env.max_episode_steps == 50


def test_a_sweep_expands_globs_and_arguments():
    jobs = expand_sweep(["env=glob(*Cheetah*)", "seed=range(2)", "env.kwargs.frame_skip=3"])
    assert len(jobs) == 4
    assert {config_of(*job).env.id for job in jobs} == {"HalfCheetah-v4", "HalfCheetah-v5"}
    assert {config_of(*job).seed for job in jobs} == {0, 1}
    assert all(config_of(*job).env.kwargs == {"frame_skip": 3} for job in jobs)


def test_the_tuned_settings_can_be_taken_away():
    assert config_of("~tuned") == config_of("tuned=none")


def test_a_count_may_be_typed_as_a_power_of_ten():
    assert config_of("total_steps=2e6").total_steps == 2_000_000


def test_a_saved_configuration_is_read_back_equal():
    config = config_of("noise=ou", "env.kwargs.a=1", "algo.max_grad_norm=0.5")
    assert validate(dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("algo.lrr=1", "did you mean algo.actor.lr or algo.critic.lr?"),
        ("algo.buffer=1", "no such key; rlcont --help algo=ddpg lists them"),
        ("algo.batchsize=1", "algo.batch_size"),
        ("totalsteps=5", "total_steps"),
        ("algo.actor.lr=abc", "algo.actor.lr=abc"),
        ("algo.actor.lr=true", "algo.actor.lr=true"),
        ("algo.actor.lr=-1", "must be a number above 0"),
        ("algo.actor.lr=nan", "must be a number above 0"),
        ("algo.actor.layer_norm=1", "must be true or false"),
        ("algo.actor.hidden=[]", "as in [256,256]"),
        ("algo.actor.hidden=16", "algo.actor.hidden=16: must be a list of widths"),
        ("~noise", "only tuned and experiment can be taken away"),
        ("~algo.gamma", "algo.gamma=VALUE"),
        ("env.id=Hopper-v4", "env=Hopper-v4"),
        ("algo.actor.hidden=[16,0]", "each item a whole number at least 1"),
        ("algo.actor.activation=rleu", "relu"),
        ("algo.gamma=1.5", "must be a number from 0 to 1"),
        ("algo.tau=0", "must be a number above 0, at most 1"),
        ("seed=1.5", "must be a whole number at least 0"),
        ("seed=-1", "must be a whole number at least 0"),
        ("num_envs=0", "must be auto or a whole number from 1 to 4096"),
        ("device=gpu", "cuda"),
        ("total_steps=500", "algo.warmup_steps"),
        ("algo.replay_size=10", "algo.batch_size"),
        ("+algo.actor.extra=1", "no such key"),
        ("+extra=1", "no such key"),
        ("algo=dpg", "did you mean ddpg"),
        ("env=HalfCheeta-v4", "HalfCheetah-v4"),
        ("env=no_such_module:Env-v0", "no_such_module"),
        ("noise=gausian", "did you mean gaussian"),
        ("noise.sigma=0.3", "noise=gaussian noise.sigma=0.3"),
        ("tuned=ddpg/HalfCheeta-v4", "did you mean ddpg/HalfCheetah-v4"),
        ("tuned=null", "none"),
        ("experiment=article/dpg", "did you mean article/ddpg"),
        ("seed=1,2", "add -m"),
        ("seed=[1", "seed=[1"),
        ("algo.auto_noise.kind=ouu", "gaussian, none, ou"),
        ("algo.auto_noise.sigma=-1", "noise.sigma"),
    ],
)
def test_a_mistake_costs_one_line_that_names_it(override, expected):
    message = error_of(override)
    assert expected in message
    assert "Traceback" not in message


def test_noise_that_never_settles_is_refused():
    assert error_of("noise=ou", "noise.theta=2", "noise.dt=1").startswith("noise: theta=2")
    assert "must be a number above 0" in error_of("noise=ou", "noise.theta=0")


def test_a_batch_larger_than_the_run_is_refused():
    assert "algo.batch_size=600" in error_of("total_steps=500", "algo.warmup_steps=0", "algo.batch_size=600")


def test_an_unknown_key_in_a_tuned_file_is_refused(tmp_path, monkeypatch):
    import shutil

    configs = tmp_path / "configs"
    shutil.copytree(CONFIG_DIR, configs)
    (configs / "tuned" / "ddpg" / "HalfCheetah-v4.yaml").write_text("# @package _global_\nalgo: {taau: 0.2}\n")
    monkeypatch.setattr(names, "CONFIG_DIR", configs)
    assert error_of() == "configs/tuned/ddpg/HalfCheetah-v4.yaml: algo.taau: no such key; did you mean algo.tau?"


def test_nothing_heavy_is_imported_to_find_a_mistake():
    code = (
        "import sys\n"
        "from rlcont.config.compose import make_plan\n"
        "from rlcont.config.validate import validate\n"
        "make_plan(['env=HalfCheetah-v4']).config\n"
        "assert 'torch' not in sys.modules and 'gymnasium' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
