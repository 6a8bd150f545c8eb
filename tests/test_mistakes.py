"""What a mistake on the command line costs: one line that helps, and nothing else."""

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from script import rlcont

from rlcont.config.compose import make_plan
from rlcont.config.fields import algorithm_fields, general_fields
from rlcont.config.foreign import THEIRS
from rlcont.config.names import options
from rlcont.core.errors import UserError
from rlcont.envs.packages import package_hint
from rlcont.runs.folder import load_config

ROOT = Path(__file__).parent.parent

COMMANDS_AND_OPTIONS = [
    ("version", "did you mean --version?"),
    ("search -m algo.gamma=0.9,0.99", "-m: does not count in a search"),
    ("tain", "did you mean train?"),
    ("evla outputs/run", "did you mean eval?"),
    ("ddpg HalfCheetah-v4", "did you mean algo=ddpg?"),
    ("algo=ddpg halfcheetah-v4", "did you mean env=HalfCheetah-v4?"),
    ("seed=1 train", "the command comes first, as in: rlcont train"),
    ("seed 3", "did you mean seed=3?"),
    ("seed = 3", "did you mean seed=3?"),
    ("seed= 3", "write it without a space, seed=3"),
    ("algo:ddpg", "did you mean algo=ddpg?"),
    ("--seed 3", "did you mean seed=3?"),
    ("--num-envs=4", "did you mean num_envs=4?"),
    ("--lr=1e-3", "did you mean algo.actor.lr or algo.critic.lr?"),
    ("--fast", "--fast: no such option; allowed: -m"),
    ("-M seed=0,1", "did you mean -m?"),
    ("--multirun=true seed=0,1", "--multirun takes no value"),
    ("-m train seed=0,1", "the command comes first"),
    ("-m --sed seed=0,1", "did you mean seed?"),
    ("--help algo=ddgp", "did you mean ddpg?"),
    ("--completion bsh", "did you mean bash?"),
]
SWEEPS = [
    ("-m sweep.jobs=0 seed=0,1", "sweep.jobs=0: must be auto or a whole number at least 1"),
    ("-m sweep.jobs=true seed=0,1", "sweep.jobs=true: must be auto or a whole number at least 1"),
    ("-m sweep.jobs=1,2", "sweep.jobs=1,2: must be one value for the whole sweep"),
    ("-m output=a,b", "output=a,b: must be one value for the whole sweep"),
    ("-m sweep.job=2 seed=0,1", "did you mean sweep.jobs?"),
    ("-m hydra.sweep.dir=x seed=0,1", "hydra.sweep.dir=x: counts only with a launcher of Hydra's"),
    ("-m hydra/launcher=basic sweep.jobs=2", "sweep.jobs=2: does not count with a launcher"),
    ("sweep.jobs=2", "sweep.jobs=2: counts only in a sweep; add -m"),
    ("-m sweep.zip=seed seed=0,1", "sweep.zip=seed: must be a list of keys, as in [algo.actor.lr,algo.critic.lr]"),
    ("-m seed=0,1,0", "seed=0: job 3 would be the same run as job 1; list each value once"),
    ("-m algo.gamma=0.9,0.90 seed=0,1", "algo.gamma=0.9 seed=0: job 3 would be the same run as job 1"),
    ("-m algo=ddpg,d4pg,ddpg", "algo=ddpg: job 3 would be the same run as job 1"),
    ("-m seed=0,0 algo.tau=0.1,0.1 sweep.zip=[seed,algo.tau]", "seed=0 algo.tau=0.1: job 2 would be the same run"),
    ("-m hydra/launcher=basic seed=0,0", "seed=0: job 2 would be the same run as job 1"),
    ("-m sweep.zip=[seed,num_envs] seed=0,1", "num_envs lists no values, as in num_envs=VALUE,VALUE"),
    (
        "-m sweep.zip=[seed,noise] seed=0,1,2 noise=ou,none",
        "as many values of each key are needed; there are 3 of seed",
    ),
    ("-m algo=ddpg,ppo algo.warmup_steps=100", "algo=ppo: algo.warmup_steps=100: no such key"),
    ("-m algo=ddpg,sac algo.batch_size=64,0", "algo=ddpg: algo.batch_size=0: "),
    ("-m seed=0,1 algo.tau=abc", "rlcont: algo.tau=abc: "),
]
RUNS = [
    ("runs nowhere", "nowhere: no such folder"),
    ("runs .", "no run in it"),
    ("runs seed=1", "seed=1: no such key; allowed: sort, where"),
    ("runs --all", "--all: no such option; write sort=return, where=algo=ddpg"),
    ("runs a b", "a b: runs: name one folder, as in: rlcont runs outputs"),
    ("compare", "name runs, sweeps or folders of them"),
    ("compare nowhere", "nowhere: no such folder"),
    ("compare .", ".: no run in it has an evaluation"),
    ("compare . treshold=3", "did you mean threshold?"),
    ("compare . threshold=high", "threshold=high: must be a number"),
    ("compare . --to=x", "--to=x: no such option; write to=DIR, threshold=RETURN"),
]
GROUPS_AND_KEYS = [
    ("algo=DDPG", "did you mean ddpg?"),
    ("tuned=none algo.warmup_steps=1000 algo.n_step=1002", "algo.n_step=1002: must be at most 1001, the steps of each"),
    ("num_envs=100 algo.n_step=3 algo.replay_size=299", "and what may be complete at once (num_envs=100 times"),
    ("algo=d4pg algo.v_min=0.0", "v_min and v_max are given both, or neither (null)"),
    ("algo=d4pg algo.v_min=1.0 algo.v_max=1.0", "v_min=1.0 must be below v_max=1.0"),
    ("algo=d4pg algo.v_min=1e9 algo.v_max=1000000100", "are 2 apart; numbers of 32 bits allow at least 64"),
    ("algo=d4pg algo.v_min=-1e-37 algo.v_max=1e-37", "numbers of 32 bits allow at least 1.2e-38 there"),
    ("algo=d4pg algo.v_min=-2e38 algo.v_max=2e38", "and 3.4e+38 from the first to the last"),
    ("algo=d4pg algo.normalize_reward=true algo.return_bound=3e38", "and 3.4e+38 from the first to the last"),
    ("algo=d4pg algo.v_min=-1e39 algo.v_max=1e39", "algo.v_min=-1e+39: must be 0 or from 1.2e-38 to 3.4e+38 in size"),
    ("algo=d4pg algo.return_bound=null", "give return_bound, or v_min and v_max"),
    ("noise=gausian", "did you mean gaussian?"),
    ("experiment=article/dpg", "did you mean article/ddpg?"),
    ("tuned=HalfCheetah-v4", "did you mean ddpg/HalfCheetah-v4?"),
    ("gamma=.9", "did you mean algo.gamma?"),
    ("lr=1e-3", "did you mean algo.actor.lr or algo.critic.lr?"),
    ("+seed=1", "write seed=1"),
    ("++algo.gama=1", "did you mean algo.gamma?"),
    ("hydra.run.dir=elsewhere", "sweeps only; add -m"),
    ("seed==1", "did you mean seed=1?"),
    ("~seed", "only tuned and experiment can be taken away"),
    ("-m algo=ddpg,ddgp", "did you mean ddpg?"),
    ("-m noise=ou,gausian seed=0,1", "did you mean gaussian?"),
    ("-m totalsteps=1e5,1e6", "did you mean total_steps?"),
    ("-m hydra/launcher=joblibb seed=0,1", "hydra/launcher=joblibb: "),
    ("-m lr=1e-3,1e-4", "did you mean algo.actor.lr or algo.critic.lr?"),
    ("-m tuned=none,foo", "tuned=foo: allowed: none, ALGO/ENV of rlcont's own files"),
    ("-m experiment=article/ddpg,article/d4p", "did you mean article/d4pg?"),
    ("-m +seed=0,1", "no + is needed"),
]
TYPES = [
    ("seed=", "seed=: must be key=value, with a value"),
    ("seed=1.5", "seed=1.5: must be a whole number at least 0"),
    ("total_steps=1M", "did you mean total_steps=1e6?"),
    ("algo.actor.activation=rleu", "must be relu, tanh, elu, gelu or silu; did you mean relu?"),
    ("eval=5", "set eval.every=VALUE"),
    ("env.kwargs={g:1}", "as in env.kwargs.NAME=VALUE"),
    ("'env.kwargs.g=[1'", "rlcont: env.kwargs.g=[1: cannot be read"),
    ("seed=0,1", "several values make a sweep; add -m"),
    ("seed=[1", "cannot be read; quotes and brackets must close"),
    ("'output=runs seed=3'", "one word for several; drop the quotes around them"),
    ("'algo=ddpg env=Pendulum-v1'", "drop the quotes around them"),
    ("-m algo.actor.hidden=256,[64,64]", "algo.actor.hidden=256: must be a list of widths, as in [256,256]"),
    ("-m total_steps=20k,30k", "did you mean total_steps=20e3?"),
    ("-m seed=0,,1", "no value of a list may be missing"),
    ("-m seed=0.5,1", "seed=0.5: must be a whole number at least 0"),
    ("-m device=cpu,CUDA", "did you mean cuda?"),
]
RANGES = [
    ("algo.gamma=1.5", "algo.gamma=1.5: must be a number from 0 to 1"),
    ("num_envs=5000", "must be auto or a whole number from 1 to 4096"),
    ("num_envs=aut", "did you mean auto?"),
    ("workers=0", "must be auto or a whole number at least 1"),
    ("workers=2", "must be at most num_envs=1"),
    ("algo=a2c noise=ou", "allowed: auto, none"),
    ("algo=d4pg algo.return_bound=null", "algo: normalize_reward=true changes the unit of values"),
    ("algo=a2c tuned=HalfCheetah-v4", "did you mean a2c/HalfCheetah-v4?"),
    ("algo=a2c algo.auto_num_envs=4", "type num_envs=4"),
    ("algo.auto_checkpoint_every=4", "type checkpoint.every=4"),
    ("checkpoint.every=0", "checkpoint.every=0: must be auto or a whole number at least 1, or null"),
    ("checkpoint.keep=none", "checkpoint.keep=none: must be a whole number at least 1"),
    ("algo=a2c algo.policy=betta", "did you mean beta?"),
    ("algo=a2c algo.policy=beta algo.init_std=0.6", "must be from 0.02 to 0.55"),
    ("algo=a2c algo.warmup_steps=5", "no such key"),
    ("algo=a2c total_steps=50", "must fit into total_steps=50"),
    ("algo=ppo algo.clip_rnage=0.1", "did you mean algo.clip_range?"),
    ("algo=ppo algo.clip_range=1.5", "algo.clip_range=1.5: must be a number above 0, at most 1"),
    ("algo=ppo noise=ou", "noise=ou: PPO explores"),
    ("algo=ppo tuned=none algo.num_minibatches=3", "must divide the 2048 rows"),
    ("algo=a2c algo.lr_decay.kind=exponential", "never reached"),
    ("-m algo=a2c,ddpg noise=auto,ou", "noise=ou: A2C explores"),
    ("seed=1e20", "must be below 2^63"),
    ("-m algo.gamma=0.9,1.9", "algo.gamma=1.9: must be a number from 0 to 1"),
    ("-m algo.tau=0.1,0", "must be a number above 0, at most 1"),
    ("-m seed=interval(0,1)", "as in seed=0,1 or seed=range(5)"),
    ("-m seed=range(0)", "stands for no value at all"),
]
COMBINATIONS = [
    ("env=Pendulum-v1 total_steps=500", "algo.warmup_steps=1000: must be below total_steps=500"),
    ("algo.replay_size=10", "must hold at least a batch (algo.batch_size=256)"),
    ("algo.updates_per_step=1e-9", "no update falls due"),
    ("env=Pendulum-v1 tuned=none total_steps=2000", "or nothing is learned; did you mean algo.warmup_steps=200?"),
    ("total_steps=3,000", "add -m; did you mean total_steps=3000?"),
    ("algo.actor.hidden=400,300", "add -m; did you mean algo.actor.hidden=[400,300]?"),
    ("-m seed=0-2", "must be a whole number at least 0; did you mean seed=range(0,3)?"),
    ("algo=blurry", "or one of your own as algo=MODULE:CLASS"),
    ("env=tank.py:Tank-v0", "tank.py is a file; did you mean env=tank:Tank-v0?"),
    ("sweep seed=0,1", "a sweep is rlcont -m KEY=VALUE,VALUE ..."),
    ("algo.updates_per_step=1e-9 actors=ray", "no update falls due"),
    ("algo=td3 algo.policy_delay=5000000", "or the actor never learns"),
    ("algo=td3 algo.target_every=1000000", "must be at most 495000, the actor's updates in total_steps=1000000, or"),
    ("noise.sigma=0.3", "as in noise=gaussian noise.sigma=0.3"),
    ("noise=gaussian noise.theta=0.1", "noise=gaussian has no theta; did you mean noise=ou?"),
    ("noise=none noise.sigma=0.1", "noise=none has no sigma; did you mean noise=gaussian or noise=ou?"),
    ("noise=ou noise.decay.steps=100", "add noise.decay.kind=linear or exponential"),
    ("algo.auto_noise.decay.final=0.5", "nothing decays; add algo.auto_noise.decay.kind=linear or exponential"),
    ("-m init=zoo:nothing,zoo:ddpg/Pendulum-v1", "zoo:nothing: the zoo has "),
    ("noise=ou noise=gaussian", "noise is typed twice"),
    ("env=Pendulum-v1 algo.replay_size=1e12 total_steps=1e12", "GiB"),
    ("stop_at=-150 eval.every=null", "stop_at=-150.0: goes by evaluations; there is none with eval.every=null"),
    ("-m seed=0,1 seed=2", "seed is typed twice"),
    ("-m noise=ou,none noise.sigma=0.1,0.2", "noise=none has no sigma"),
    ("-m noise=ou noise.decay.final=0.1,0.2", "add noise.decay.kind=linear or exponential"),
    ("-m env=Pendulum-v1 algo.replay_size=1e5,1e12 total_steps=1e12", "algo.replay_size=1000000000000: needs"),
    ("-m algo.batch_size=64,1e7", "algo.batch_size=10000000: must be below total_steps=1000000"),
]
ENVIRONMENTS = [
    ("env=halfcheetah", "did you mean HalfCheetah-v5 or HalfCheetah-v4?"),
    ("env=CartPole-v1", "its actions are Discrete, not continuous (Box)"),
    ("env=Pusher-v4", "mujoco<3"),
    ("env=no_such_module:Env-v0", "; set PYTHONPATH to its folder, as in PYTHONPATH=. rlcont ..."),
    ("env=Pendulum-v1 env.kwargs.g=strong", "env=Pendulum-v1 env.kwargs.g=strong: cannot take a step"),
    (
        "-m env=Pendulum-v1,Pendulum-v2 seed=0,1",
        "Pendulum-v2: Gymnasium has no such environment; did you mean Pendulum-v1",
    ),
    ("-m env=Pendulum-v1,CartPole-v1", "env=CartPole-v1: its actions are Discrete"),
    ("-m env=glob(*Cheeta-*)", "stands for no value at all"),
    ("-m env=Ant-v5 env.kwargs.legs=3,4", "env.kwargs.legs=3: cannot be made"),
]
OUTPUTS = [
    ("env=Pendulum-v1 output=/proc/nowhere", "output=/proc/nowhere: cannot be written"),
    ("env=Pendulum-v1 output=/dev/null/runs", "cannot be written (Not a directory at /dev/null)"),
    ("-m env=Pendulum-v1 output=/dev/null seed=0,1", "output=/dev/null: cannot be written"),
]
EVAL = [
    ("eval", "name one run folder"),
    ("eval nowhere", "nowhere: no run (it has no config.yaml)"),
    ("eval nowhere elsewhere", "name one run folder"),
    ("eval nowhere episode=3", "did you mean episodes?"),
    ("eval nowhere episodes=none", "episodes=none: must be a whole number from 1 to 100000"),
    ("eval nowhere episodes=0", "episodes=0: must be a whole number from 1 to 100000"),
    ("eval nowhere video=yes", "video=yes: must be true or false"),
    ("eval nowhere video=true render=true", "one of them; a window or files"),
    ("eval nowhere seed=1 seed=2", "seed is typed twice"),
    ("eval nowhere csv=.", "csv=.: is a folder; name a file in it"),
    ("export nowhere", "nowhere: no run (it has no config.yaml)"),
    ("export", "export: name one run folder, as in: rlcont export outputs/HalfCheetah-v4/ddpg/RUN"),
    ("export nowhere polcy=best", "did you mean policy?"),
    ("export nowhere to=a to=b", "to is typed twice"),
    ("eval nowhere seed=", "seed=: must be a whole number at least 0"),
    ("eval nowhere --policy best", "did you mean policy=VALUE?"),
]
RESUME = [
    ("resume", "name one folder of a run, sweep or search"),
    ("resume nowhere", "nowhere: no run (it has no config.yaml)"),
    ("resume nowhere total_step=9", "did you mean total_steps?"),
    ("resume nowhere algo.lr=0.1", "algo.lr=0.1: fixed for the whole run"),
    (
        "resume nowhere --total_steps=9",
        "no such option; resume takes one folder of a run, sweep or search and key=value words",
    ),
    ("resume nowhere --total-steps=9", "did you mean total_steps=9?"),
    ("resum nowhere", "did you mean resume?"),
]
OTHER_LIBRARIES = [
    ("learning_starts=100", "did you mean algo.warmup_steps?"),
    ("algo.buffer_size=1e5", "did you mean algo.replay_size?"),
    ("learning_rate=1e-3", "did you mean algo.actor.lr or algo.critic.lr?"),
    ("--learning-rate 1e-3", "did you mean algo.actor.lr or algo.critic.lr?"),
    ("algo=a2c learning_rate=1e-3", "did you mean algo.lr?"),
    ("algo=a2c n_steps=5", "did you mean algo.rollout_steps?"),
    ("algo=ddpg n_steps=5", "did you mean algo.n_step?"),
    ("algo=a2c algo.ent_coef=0.1", "did you mean algo.entropy_coef?"),
    ("ent_coef=0.1", "did you mean algo.entropy_coef of algo=a2c or ppo?"),
    ("algo=a2c learning_starts=9", "did you mean algo.warmup_steps of algo=d4pg or ddpg or sac or td3?"),
    ("-m n_envs=1,2", "did you mean num_envs?"),
    ("--seed 0", "did you mean seed=0?"),
    ("--env-id Hopper-v4", "did you mean env?"),
    ("-n 1000", "did you mean total_steps?"),
    ("-i trained.zip", "init=RUN_DIR starts from its policy"),
    ("--track", "log.wandb=PROJECT copies what every run writes for TensorBoard"),
    ("eval.freq=1000", "did you mean eval.every?"),
    ("verbose=1", "did you mean log.every?"),
    ("exp_name=first", "did you mean output?"),
    ("capture_video=true", "did you mean rlcont eval RUN_DIR video=true?"),
    ("search algo.actor.lr=loguniform(1e-5,1e-2)", "no function loguniform; allowed: interval(LOW,HIGH), tag(log,"),
    ("-m algo.gamma=linspace(0.9,0.99,3)", "no function linspace; allowed: interval(LOW,HIGH), tag(log,"),
    ("env=FetchReach-v4", "type env=gymnasium_robotics:FetchReach-v4"),
    ("env=dm_control/cheetah-run-v0", "type env=shimmy:dm_control/cheetah-run-v0"),
]
MISTAKES = [
    *OTHER_LIBRARIES,
    *RESUME,
    *COMMANDS_AND_OPTIONS,
    *SWEEPS,
    *RUNS,
    *GROUPS_AND_KEYS,
    *TYPES,
    *RANGES,
    *COMBINATIONS,
    *ENVIRONMENTS,
    *OUTPUTS,
    *EVAL,
]


@pytest.fixture(scope="module")
def no_torch(tmp_path_factory):
    """Where `import torch` ends the process with more than one line."""
    folder = tmp_path_factory.mktemp("no_torch")
    (folder / "torch.py").write_text("raise SystemExit('torch was\\nimported')\n")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def answers(tmp_path_factory, no_torch):
    """What is said to each mistake, and the folder it was typed in; in one process, which starts but once."""
    folders = {typed: tmp_path_factory.mktemp("typed") for typed, _ in MISTAKES}
    lines = [[str(folder), shlex.split(typed)] for typed, folder in folders.items()]
    result = subprocess.run(
        [sys.executable, Path(__file__).with_name("one_process.py")],
        input=json.dumps(lines),
        env={**os.environ, **no_torch},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    said = [SimpleNamespace(**answer) for answer in json.loads(result.stdout)]
    return {typed: (answer, folder) for (typed, folder), answer in zip(folders.items(), said, strict=True)}


def assert_one_line(result, expected):
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("rlcont: ")
    assert result.returncode == 2
    assert result.stdout == ""


@pytest.mark.parametrize(("typed", "expected"), MISTAKES)
def test_a_mistake_costs_one_line_without_torch_and_leaves_nothing(answers, typed, expected):
    result, folder = answers[typed]
    assert_one_line(result, expected)
    assert list(folder.iterdir()) == []


def test_the_command_itself_says_the_same(tmp_path, no_torch, answers):
    for typed, expected in (RESUME[0], GROUPS_AND_KEYS[0], SWEEPS[0], ENVIRONMENTS[0]):
        result = rlcont(tmp_path, *shlex.split(typed), env=no_torch)
        assert_one_line(result, expected)
        assert result.stderr == answers[typed][0].stderr
    assert list(tmp_path.iterdir()) == []


def test_training_would_have_met_the_missing_torch(tmp_path, no_torch):
    assert "torch was" in rlcont(tmp_path, "env=Pendulum-v1", env=no_torch).stderr


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("FetchReach-v4", "gymnasium-robotics 'mujoco<3.4', and type env=gymnasium_robotics:FetchReach-v4"),
        ("gymnasium_robotics:A-v0", "gymnasium-robotics 'mujoco<3.4', and type env=gymnasium_robotics:A-v0"),
        ("dm_control/a-b-v0", "'shimmy[dm-control]' 'mujoco<3.4', and type env=shimmy:dm_control/a-b-v0"),
        ("HalfCheetah-v9", ""),
    ],
)
def test_an_environment_of_a_package_says_what_to_install(monkeypatch, typed, hint):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert package_hint(typed) == (hint and f"; pip install {hint}")


def test_every_name_of_another_library_leads_to_a_key_of_some_algorithm():
    known = {
        field.key for field in [*general_fields(), *(f for algo in options("algo") for f in algorithm_fields(algo))]
    }
    ends = {key[place:] for key in known for place, sign in enumerate(f".{key}") if sign == "."}
    theirs = {name for names in THEIRS.values() for name in names.split()}
    assert THEIRS.keys() - {"env", "noise", "env.kwargs.NAME", "rlcont eval RUN_DIR video=true"} <= ends
    assert not theirs & {key.rpartition(".")[2] for key in known}


HEADER = "# @package _global_\n"


@pytest.mark.parametrize("sweep", [[], pytest.param(["-m", "seed=0,1"], marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("file", "text", "typed", "expected"),
    [
        ("tuned/ddpg/Pendulum-v1", HEADER + "algo: {taau: 1}\n", [], "algo.taau: no such key; did you mean algo.tau?"),
        ("tuned/ddpg/Pendulum-v1", HEADER + "algo: {tau: 7}\n", [], "algo.tau=7: must be a number above 0, at most 1"),
        ("tuned/ddpg/Pendulum-v1", HEADER + "noise: {sigma: 1}\n", [], "set algo.auto_noise.sigma"),
        ("tuned/ddpg/Pendulum-v1", "algo: {tau: 0.1}\n", [], "must begin with # @package _global_"),
        ("tuned/ddpg/Pendulum-v1", HEADER + "- tau\n", [], "must hold keys and values"),
        ("experiment/mine", HEADER + "algo:\n  tau: [\n", ["experiment=mine"], "line 4: broken YAML"),
        ("experiment/mine", HEADER + "seeed: 3\n", ["experiment=mine"], "seeed: no such key; did you mean seed?"),
        ("experiment/mine", HEADER + "seed: \x01\n", ["experiment=mine"], "broken YAML (unacceptable character"),
        ("experiment/mine", HEADER + "# gr\udcfcn\n", ["experiment=mine"], "must be a text in UTF-8"),
        ("experiment/mine", HEADER + "sweep: {zip: [seed]}\n", ["experiment=mine"], "counts only where it is typed"),
        ("noise/mine", "kind: gaussian\nsigma: \x01\n", ["noise=mine"], "broken YAML (unacceptable character"),
        ("algo/mine", "defaults: [ddpg, _self_]\ngamm: 1\n", ["algo=mine"], "algo.gamm: no such key; did you mean"),
        ("config", "seed: 1: 2\n", [], "line 1: broken YAML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, no_torch, file, text, typed, expected, sweep):
    # The installed files are found beside the package, which needs no copy of its own.
    source, empty = tmp_path / "source", tmp_path / "empty"
    empty.mkdir()
    shutil.copytree(ROOT / "configs", source / "configs")
    (source / "rlcont").symlink_to(ROOT / "rlcont")
    (source / "configs" / f"{file}.yaml").write_text(text, errors="surrogateescape")
    result = subprocess.run(
        [sys.executable, "-m", "rlcont", "env=Pendulum-v1", *typed, *sweep],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": f"{source}:{no_torch['PYTHONPATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert_one_line(result, expected)
    assert f"configs/{file}.yaml" in result.stderr
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: [\n", "run/config.yaml: no configuration of a run"),
        ("- 1\n", "run/config.yaml: no configuration of a run"),
        ("seed: 0\n", "run/config.yaml: no configuration of a run"),
    ],
)
def test_a_broken_run_cannot_be_played(tmp_path, no_torch, text, expected):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(text)
    assert_one_line(rlcont(tmp_path, "eval", "run", env=no_torch), expected)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("algorithm", "nope", "algo=nope: no such algorithm"),
        ("algorithm", 5, "no configuration of a run"),
        ("algo", 5, "no configuration of a run"),
        ("noise", 5, "noise=5: stands for several keys"),
        ("noise", {"kind": "gauss"}, "noise.kind=gauss: must be one of"),
        ("env", {"id": 5, "kwargs": {}, "max_episode_steps": None}, "env="),
        ("eval", None, "eval=null: stands for several keys; set eval.every=VALUE"),
        ("seed", "x", "seed=x: must be a whole number at least 0"),
        ("sead", 1, "sead: no such key; did you mean seed?"),
    ],
)
def test_a_configuration_that_no_run_wrote_is_refused(tmp_path, key, value, expected):
    container = dataclasses.asdict(make_plan(["env=Pendulum-v1"]).config)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(container | {key: value}))
    with pytest.raises(UserError) as caught:
        load_config(tmp_path)
    assert expected in str(caught.value)
    assert str(tmp_path / "config.yaml") in str(caught.value)


def test_a_folder_above_a_run_suggests_it(tmp_path, no_torch):
    run = tmp_path / "outputs" / "Pendulum-v1" / "ddpg" / "one"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(rlcont(tmp_path, "--cfg", "env=Pendulum-v1").stdout)
    assert_one_line(rlcont(tmp_path, "eval", "outputs", env=no_torch), "did you mean outputs/Pendulum-v1/ddpg/one?")
    assert_one_line(rlcont(tmp_path, "eval", str(run), "policy=bets", env=no_torch), "has saved no policy yet")
    (run / "policies").mkdir()
    (run / "policies" / "best.safetensors").touch()
    assert_one_line(rlcont(tmp_path, "eval", str(run), "policy=bets", env=no_torch), "did you mean best?")
