"""A sweep that was stopped goes on: what is missing or failed is run, what was cut off goes on, and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from script import SCRIPT, rlcont
from tiny import TINY_A2C, tiny

from rlcont.cli.actions import resume, train
from rlcont.core.errors import UserError
from rlcont.runs.status import read_status
from rlcont.sweep.again import read_sweep

SWEEP = tiny("seed=0,1,2,3", "total_steps=1000", "checkpoint.every=200", "eval.every=500", base=TINY_A2C)


def evaluations(folder):
    """Without the column of times."""
    return {
        path.parent.name: [line.rpartition(",")[0] for line in path.read_text().splitlines()]
        for path in folder.glob("*/evaluations.csv")
    }


def weights(folder):
    return {path.parts[-3]: path.read_bytes() for path in folder.glob("*/policies/last.safetensors")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sweep that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    result = rlcont(folder, "-m", *SWEEP)
    assert result.returncode == 0, result.stdout + result.stderr
    (sweep,) = (folder / "outputs" / "sweeps").iterdir()
    return sweep


@pytest.mark.slow
def test_a_sweep_whose_jobs_met_every_fate_ends_as_if_nothing_had_happened(tmp_path, whole):
    sweep = tmp_path / "sweep"
    shutil.copytree(whole, sweep)
    finished = (sweep / "s0" / "config.yaml").stat().st_mtime_ns, (sweep / "s0" / "status.json").read_bytes()
    # One is cut off after 400 steps, one never began, the folder of one is gone.
    shutil.rmtree(sweep / "s3")
    for name in ("s1", "s2"):
        status = json.loads((sweep / name / "status.json").read_text())
        (sweep / name / "status.json").write_text(json.dumps({**status, "state": "killed"}))
    shutil.rmtree(sweep / "s2" / "checkpoints")
    steps = sorted((sweep / "s1" / "checkpoints").glob("step-*"))
    assert len(steps) == 2
    shutil.rmtree(steps[1])
    result = rlcont(tmp_path, "resume", "sweep")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 of 4 jobs, " in result.stdout
    assert "[1/4]" not in result.stdout
    assert result.stdout.count("finished") >= 4
    assert evaluations(sweep) == evaluations(whole)
    assert weights(sweep) == weights(whole)
    assert "from step 800" in (sweep / "s1" / "output.log").read_text()
    assert "from step" not in (sweep / "s2" / "output.log").read_text()
    assert (sweep / "s0" / "config.yaml").stat().st_mtime_ns == finished[0]
    assert (sweep / "s0" / "status.json").read_bytes() == finished[1]
    assert len(list((sweep / "s2").glob("events*"))) == 1
    again = rlcont(tmp_path, "resume", "sweep")
    assert (again.returncode, again.stdout) == (0, "sweep: finished, all 4 jobs\n")


@pytest.mark.slow
def test_jobs_that_were_killed_while_they_ran_go_on(tmp_path):
    words = tiny("seed=0,1", "total_steps=4000", "checkpoint.every=200", "eval.every=2000", base=TINY_A2C)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([SCRIPT, "-m", *words], cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        while len(list(tmp_path.glob("outputs/sweeps/*/*/checkpoints/step-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
        killed = [child for child in psutil.Process(process.pid).children() if "sweep.job" in " ".join(child.cmdline())]
        for child in killed:
            child.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == 1
    assert killed
    result = rlcont(tmp_path, "resume", str(sweep), "sweep.jobs=1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [read_status(sweep / name).state for name in ("s0", "s1")] == ["finished"] * 2
    assert ", 1 at once; " in result.stdout


@pytest.mark.slow
def test_a_job_that_is_another_than_the_sweep_made_is_not_run(tmp_path, whole):
    sweep = tmp_path / "sweep"
    shutil.copytree(whole, sweep)
    path = sweep / "s1" / "config.yaml"
    path.write_text(path.read_text().replace("seed: 1", "seed: 7"))
    assert not read_sweep(sweep).unfinished
    (sweep / "s1" / "status.json").unlink()
    with pytest.raises(UserError, match=r"s1: its config.yaml is not the one that the sweep made"):
        read_sweep(sweep)
    shutil.rmtree(sweep / "s1")
    description = json.loads((sweep / "sweep.json").read_text())
    description["jobs"][1]["config"] = "0" * 64
    (sweep / "sweep.json").write_text(json.dumps(description))
    with pytest.raises(
        UserError, match=r"s1: is gone and cannot be made again: .*seed=1.* gives another configuration now"
    ):
        read_sweep(sweep)
    assert not (sweep / "s1").exists()


def test_a_call_that_is_refused_leaves_the_sweep_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("rlcont.sweep.runner.run_jobs", lambda *_: 0)
    with pytest.raises(SystemExit):
        train(overrides=["env=Pendulum-v1", "seed=0,1", f"output={tmp_path}"], flags={"-m"})
    (sweep,) = tmp_path.glob("sweeps/*")
    status = sweep / "s0" / "status.json"
    status.write_text(json.dumps({**json.loads(status.read_text()), "state": "interrupted", "step": 77}))
    shutil.rmtree(sweep / "s1")
    before = status.read_bytes()
    with pytest.raises(UserError, match=r"sweep.jobs=none: must be"):
        resume(sweep, overrides=["sweep.jobs=none"])
    assert status.read_bytes() == before
    assert not (sweep / "s1").exists()
    with pytest.raises(SystemExit):
        resume(sweep, overrides=[])
    assert [read_status(sweep / name).state for name in ("s0", "s1")] == ["waiting"] * 2


@pytest.mark.parametrize("content", ["", "{}", '{"jobs": [{"folder": 3}], "at_once": 1}', '{"jobs": 5}'])
def test_a_broken_description_is_one_line(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    result = rlcont(tmp_path, "resume", ".")
    assert result.returncode == 2
    assert result.stderr.startswith("rlcont: sweep.json: no description of a ")
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_only_the_number_of_jobs_can_be_changed(tmp_path, whole):
    for words, said in (
        ("total_steps=5000", "fixed for the whole sweep"),
        ("sweep.jobs=none", "sweep.jobs=none: must be"),
    ):
        result = rlcont(tmp_path, "resume", str(whole), words)
        assert result.returncode == 2
        assert said in result.stderr
