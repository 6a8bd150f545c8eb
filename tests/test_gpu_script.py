"""The steps that gpu.sh goes through, on a machine without a GPU: by stand-ins for Python, and gpu_speed.py itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gpu_rows
import gpu_run
import gpu_speed
import pytest
from gpu_run import Step, environment, run_stage, stages
from tiny import TINY_A2C, tiny

ROOT = Path(__file__).parent.parent
STAND_IN = """#!/bin/sh
case "$*" in
  *{failing}*) echo "something broke"; exit 3 ;;
esac
echo '{{"table": "calls", "words": "'$#'"}}' >> "$GPU_ROWS"
echo "$DEVICE: went well"
"""


@pytest.fixture
def python(tmp_path):
    """Makes a command that takes Python's place: it adds a row, or fails where `failing` is in its words."""

    def make(failing="nothing"):
        path = tmp_path / "python"
        path.write_text(STAND_IN.format(failing=failing))
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs gpu_run.py in this process; returns its exit code and the report."""

    def run(python, *arguments):
        (tmp_path / "wheels").mkdir()
        (tmp_path / "wheels" / "rlcont.whl").touch()
        words = ["--device", "cpu", "--out", f"{tmp_path}/out", "--wheels", f"{tmp_path}/wheels", "--python", python]
        monkeypatch.setattr("sys.argv", ["gpu_run.py", *words, *arguments])
        code = gpu_run.main()
        return code, json.loads((tmp_path / "out" / "report.json").read_text())

    return run


def names(device="cuda"):
    return [step.name for steps in stages(device, "python", Path("wheels"), Path("scratch")) for step in steps]


def test_every_step_is_taken_and_reported(python, run, tmp_path, capsys):
    code, report = run(python())
    assert code == 0
    assert [step["step"] for step in report["steps"]] == names()
    assert {step["outcome"] for step in report["steps"]} == {"ok"}
    assert {step["last line"] for step in report["steps"]} == {"cpu: went well"}
    assert [row["table"] for row in report["figures"]] == ["calls"] * len(names())
    assert report["wheels"] == "rlcont.whl"
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## calls\n\n| words |\n" in text
    assert text in capsys.readouterr().out
    assert (tmp_path / "out" / "logs.txt").read_text().count("went well") == len(names())


@pytest.mark.parametrize("failing", ["pip", "gpu_checks", "a2c"])
def test_a_step_that_fails_stops_no_other(python, run, tmp_path, failing):
    code, report = run(python(failing))
    assert code == 1
    broken = [step for step in report["steps"] if step["outcome"] != "ok"]
    assert 1 <= len(broken) < len(names())
    assert {(step["outcome"], step["last line"]) for step in broken} == {("exit code 3", "something broke")}
    assert len(report["figures"]) == len(names()) - len(broken)
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.count("\nsomething broke\n```") == len(broken)


def test_without_time_nothing_is_begun_and_the_report_says_so(python, run):
    code, report = run(python(), "--seconds", "0")
    assert code == 1
    assert {step["outcome"] for step in report["steps"]} == {"left out: no time"}
    assert report["figures"] == []


def test_a_python_that_is_not_there_is_said(run):
    code, report = run("/no/python")
    assert code == 1
    assert {step["outcome"] for step in report["steps"]} == {"cannot be started: No such file or directory"}


@pytest.mark.parametrize(("limit", "left"), [(0.1, 1000), (1000, gpu_run.LEAST)], ids=["its own", "what is left"])
def test_a_step_that_hangs_is_ended_with_its_children_at_its_limit(tmp_path, monkeypatch, limit, left):
    """The write end of a pipe is held open by a child of the step, until it is ended."""
    if limit > left:
        monkeypatch.setattr(gpu_run, "LEAST", left := 0.1)
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: popen(*words, close_fds=False, **options))
    hanging = Step("hanging", ["/bin/sh", "-c", "sleep infinity & wait"], limit)
    results = run_stage([hanging], left, dict(os.environ), tmp_path)
    os.close(writing)
    assert os.read(reading, 1) == b"", "a child is still alive"
    os.close(reading)
    assert results[0].outcome == "given up at its time limit"


def test_steps_of_a_stage_run_side_by_side_each_with_its_own_limit(tmp_path):
    """The first ends when the second has begun; the third never does."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    commands = [f"cat {fifo}", f"echo begun > {fifo}", "sleep infinity"]
    steps = [
        Step("", ["/bin/sh", "-c", command], limit) for command, limit in zip(commands, (600, 600, 0.1), strict=True)
    ]
    results = run_stage(steps, 600, dict(os.environ), tmp_path)
    assert [result.outcome for result in results] == ["ok", "ok", "given up at its time limit"]
    assert results[0].last_line == "begun"


def test_steps_see_the_installed_package_and_write_into_the_scratch_folder_only(tmp_path):
    env = environment("cuda", tmp_path)
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path / "site")
    assert env["DEVICE"] == "cuda"
    for name in ("HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "GPU_ROWS"):
        assert Path(env[name]).is_relative_to(tmp_path)


def test_rows_are_read_as_they_were_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GPU_ROWS", str(tmp_path / "rows"))
    assert gpu_rows.read(tmp_path / "rows") == []
    gpu_rows.say("one", ms=1.5)
    gpu_rows.say("two", said="a | b")
    rows = [{"table": "one", "ms": 1.5}, {"table": "two", "said": "a | b"}]
    assert gpu_rows.read(tmp_path / "rows") == rows
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows
    assert "a \\| b" in gpu_run.table(rows)


def test_the_shell_script_passes_its_words_on(tmp_path):
    (tmp_path / "python3").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DEVICE": "cpu"}
    said = subprocess.run(
        ["bash", ROOT / "benchmarks/gpu.sh", "out", "wheels"], env=env, capture_output=True, text=True
    )
    words = ["--device", "cpu", "--out", "out", "--wheels", "wheels", "--seconds", "450"]
    assert said.stdout.split("\n")[1:-1] == words


@pytest.mark.parametrize("settings", [tiny("device=cpu"), tiny("device=cpu", base=TINY_A2C)], ids=["ddpg", "a2c"])
def test_speed_is_measured_of_a_loop_updates_and_acting(settings):
    figures = gpu_speed.measure(settings, seconds=0)
    expected = {"steps/s", "updates/s", "act, µs", "begun after, s"}
    assert figures.keys() == (expected - {"updates/s"} if "algo=a2c" in settings else expected)
    assert all(value > 0 for name, value in figures.items() if name != "begun after, s")


def test_a_case_that_fails_leaves_a_row_and_the_next_is_measured(monkeypatch, capsys):
    def measure(settings, seconds):
        if "compile=True" in settings:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        return {"steps/s": 1}

    monkeypatch.setattr(gpu_speed, "measure", measure)
    monkeypatch.setattr("sys.argv", ["gpu_speed.py", "--device", "cpu"])
    assert gpu_speed.main() == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == len(gpu_speed.CASES["cpu"])
    assert {row.get("error") for row in rows} == {None, "operation not permitted"}


@pytest.mark.parametrize("device", gpu_speed.CASES)
def test_the_settings_of_every_case_and_short_run_are_right(device):
    from rlcont.config.compose import make_plan

    commands = [step.command for step in gpu_run.short_runs("HalfCheetah-v4", device, sys.executable, Path("scratch"))]
    typed = [command[command.index("rlcont") + 1 :] for command in commands]
    for settings in [*typed, *(case.settings(device) for case in gpu_speed.CASES[device])]:
        assert make_plan(settings).config.device == device


@pytest.mark.slow
def test_a_failed_check_is_said_at_once(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_fails():\n    assert 1 == 2\n\ndef test_goes_on():\n    pass\n")
    env = os.environ | {"GPU_ROWS": str(tmp_path / "rows"), "PYTHONPATH": str(ROOT / "benchmarks")}
    env.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-p", "gpu_failures", "-p", "no:cacheprovider", "-n", "1", tmp_path]
    result = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "1 failed, 1 passed" in result.stdout
    assert gpu_rows.read(tmp_path / "rows") == [
        {"table": "failed checks", "check": "test_fails", "error": "assert 1 == 2"}
    ]


@pytest.mark.slow
def test_the_checks_hold_on_a_cpu(tmp_path):
    """Those of acting and of the memory; the others take minutes and ask what tests/ asks."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ROOT / "benchmarks" / "gpu_checks.py"]
    path = os.pathsep.join(str(ROOT / name) for name in ("tests", "benchmarks"))
    env = os.environ | {"DEVICE": "cpu", "PYTHONPATH": path, gpu_rows.FILE: str(tmp_path / "rows")}
    command += ["-k", "actions or remembers or refused or asked_for", "-o", "addopts="]
    checked = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert "14 passed" in checked.stdout
