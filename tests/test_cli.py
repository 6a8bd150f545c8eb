"""The installed console script, as a user types it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from script import SCRIPT, rlcont
from tiny import TINY, TINY_A2C, tiny

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    result = rlcont(folder, "algo=ddpg", *TINY)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_training_leaves_a_complete_run_and_nothing_else(trained):
    folder, result = trained
    assert result.stderr == ""
    assert [path.name for path in folder.iterdir()] == ["outputs"]
    (run,) = (folder / "outputs" / "Pendulum-v1" / "ddpg").iterdir()
    names = {path.name for path in run.iterdir() if not path.name.startswith("events.out.")}
    assert names == {"config.yaml", "run.json", "status.json", "evaluations.csv", "policies", "checkpoints", ".lock"}
    description = json.loads((run / "run.json").read_text())
    assert description["command"].startswith("rlcont algo=ddpg env=Pendulum-v1")


def test_piped_output_is_plain_lines_and_ends_with_the_figure_and_the_folder(trained):
    _, result = trained
    lines = result.stdout.splitlines()
    assert "\x1b" not in result.stdout
    assert sum("steps/s" in line and "ETA" in line for line in lines) == 4
    figure = (
        r"400 steps in \d:\d\d:\d\d, last evaluation -\d+\.\d ± \d+\.\d "
        r"\(2 episodes, mean ± standard deviation\); outputs/Pendulum-v1/ddpg/"
    )
    assert re.search(figure, lines[-1])


@pytest.mark.slow
def test_eval_plays_the_kept_policy_on_the_runs_own_episodes(trained):
    folder, result = trained
    (run,) = (folder / "outputs" / "Pendulum-v1" / "ddpg").iterdir()
    figure = re.search(r"last evaluation (\S+ ± \S+)", result.stdout.splitlines()[-1])
    played = rlcont(folder, "eval", str(run), "episodes=2")
    assert played.returncode == 0
    assert f"return {figure[1]} over 2 episodes" in played.stdout
    other = rlcont(folder, "eval", str(run), "episodes=2", "seed=99", "policy=best")
    assert f"return {figure[1]}" not in other.stdout


@pytest.mark.slow
def test_eval_plays_on_this_machine_what_was_trained_on_another_device(trained, tmp_path):
    folder, _ = trained
    (run,) = (folder / "outputs" / "Pendulum-v1" / "ddpg").iterdir()
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text.replace("device: auto", "device: cuda"))
    assert "device: cuda" in (copy / "config.yaml").read_text()
    played = rlcont(tmp_path, "eval", "run", "episodes=2")
    assert played.returncode == 0, played.stderr
    assert "over 2 episodes" in played.stdout


@pytest.mark.slow
def test_a_sweep_by_a_launcher_of_hydra_runs_every_combination(tmp_path):
    result = rlcont(tmp_path, "-m", "hydra/launcher=basic", *tiny("total_steps=200", "seed=0,1", "noise=ou,none"))
    assert result.returncode == 0, result.stderr
    runs = list((tmp_path / "outputs" / "Pendulum-v1" / "ddpg").iterdir())
    assert len(runs) == 4
    seen = set()
    for run in runs:
        text = (run / "config.yaml").read_text()
        seen.add((re.search(r"kind: (ou|none)", text)[1], re.search(r"seed: (\d)", text)[1]))
    assert seen == {("ou", "0"), ("ou", "1"), ("none", "0"), ("none", "1")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "algo", "base", "workers"),
    [
        (signal.SIGINT, 130, "ddpg", TINY, []),
        (signal.SIGTERM, 143, "a2c", TINY_A2C, ["workers=2"]),
    ],
)
def test_a_signal_ends_a_run_with_a_checkpoint_that_it_goes_on_from(tmp_path, number, code, algo, base, workers):
    command = [SCRIPT, *tiny("total_steps=1e6", "eval.every=1e6", "compile=false", *workers, base=base)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while "steps/s" not in process.stdout.readline():
            assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == code
    (run,) = (tmp_path / "outputs" / "Pendulum-v1" / algo).iterdir()
    said = re.fullmatch(r"rlcont: interrupted at step (\d+); rlcont resume (\S+) goes on\n", errors)
    assert said[2] == str(run.relative_to(tmp_path))
    assert (run / "policies" / "last.safetensors").exists()
    assert len((run / "evaluations.csv").read_text().splitlines()) == 2
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    assert not psutil.wait_procs(children, timeout=300)[1]

    step = int(said[1])
    resumed = rlcont(tmp_path, "resume", said[2], f"total_steps={step + 100}", "checkpoint.keep=1")
    assert resumed.returncode == 0, resumed.stderr
    assert f"from step {step}; " in resumed.stdout
    assert [path.name for path in (run / "checkpoints").glob("step-*")] == [f"step-{step + 100:012}"]
    assert f"total_steps: {step + 100}\n" in (run / "config.yaml").read_text()
    (sitting,) = json.loads((run / "run.json").read_text())["resumed"]
    assert (sitting["step"], sitting["changes"]["checkpoint.keep"]) == (step, 1)
    assert rlcont(tmp_path, "resume", said[2]).stdout.endswith("total_steps=N trains on\n")


@pytest.mark.slow
def test_a_second_signal_ends_a_run_at_once(tmp_path):
    command = [SCRIPT, *tiny("env=fate_env:Fate-v0", "env.kwargs.fate=hang")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "fate has struck" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "once more ends it at once" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)  # The second decides the code.
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 143
    assert errors == "rlcont: interrupted twice; what came after the last checkpoint is lost\n"


def test_the_jobs_of_a_sweep_are_listed_without_being_started(tmp_path):
    result = rlcont(tmp_path, "-m", "--cfg", "env=Pendulum-v1", "seed=0,1", "algo=ddpg,td3", "sweep.jobs=1")
    assert result.stdout.splitlines() == [
        "algo-ddpg_s0: env=Pendulum-v1 seed=0 algo=ddpg sweep.jobs=1",
        "algo-td3_s0: env=Pendulum-v1 seed=0 algo=td3 sweep.jobs=1",
        "algo-ddpg_s1: env=Pendulum-v1 seed=1 algo=ddpg sweep.jobs=1",
        "algo-td3_s1: env=Pendulum-v1 seed=1 algo=td3 sweep.jobs=1",
        "4 jobs, 1 at once",
    ]
    assert list(tmp_path.iterdir()) == []


def test_cfg_prints_the_resolved_configuration_and_trains_nothing(tmp_path):
    result = rlcont(tmp_path, "--cfg", "env=HalfCheetah-v4", "noise=ou")
    assert "warmup_steps: 25000" in result.stdout
    assert "kind: ou" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_wheel_carries_the_configs_and_works_away_from_the_repository(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    source, wheels, target, empty = (tmp_path / name for name in ("source", "wheels", "target", "empty"))
    empty.mkdir()
    for part in ("rlcont", "configs", "docs/results/zoo"):
        shutil.copytree(ROOT / part, source / part)
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, source)
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(source)], check=True, timeout=300
    )
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, timeout=300)
    code = "import rlcont, sys; from rlcont.cli.main import main; print(rlcont.__file__, file=sys.stderr); main()"

    def installed_rlcont(*arguments):
        result = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr
        assert str(target) in result.stderr
        return result.stdout

    assert "id: Hopper-v5" in installed_rlcont("--cfg", "env=Hopper-v5")
    for shell in ("bash", "zsh", "fish"):
        assert installed_rlcont("--completion", shell) == (ROOT / "rlcont" / "cli" / f"completion.{shell}").read_text()
    assert installed_rlcont("-m", *tiny("total_steps=200", "seed=0,1")).count("finished") == 4
    assert "over 1 episode" in installed_rlcont("eval", "zoo:ppo/Hopper-v4", "episodes=1")
    configs = {str(path.relative_to(ROOT / "configs")) for path in (ROOT / "configs").rglob("*.yaml")}
    installed = target / "rlcont" / "configs"
    assert {str(path.relative_to(installed)) for path in installed.rglob("*.yaml")} == configs
