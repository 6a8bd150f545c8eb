"""Nothing that becomes of the terminal ends a run, and every signal ends it in one line."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from quick import quick
from script import SCRIPT, rlcont
from tiny import TINY_A2C, tiny

from rlcont.core.process import LastingOutput
from rlcont.runs.console import format_return

SHORT = tiny("total_steps=200", "env=odd_envs:Odd-v0", "eval.episodes=1", base=TINY_A2C)
HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}


def state_of(folder):
    (run,) = folder.glob("outputs/*/*/*")
    return json.loads((run / "status.json").read_text())["state"]


def shell(folder, line, **environment):
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], cwd=folder, capture_output=True, text=True, env=HERE | environment
    )


LINE = f"{SCRIPT} {' '.join(SHORT)}"


@pytest.mark.parametrize(
    "line",
    [
        f"{LINE} | head -1",
        pytest.param(f"{LINE} 2>&1 | true", marks=pytest.mark.slow),
        f"{LINE} > /dev/full",
        pytest.param(f"{LINE} >&-", marks=pytest.mark.slow),
        pytest.param(f"{LINE} >&- 2>&- <&-", marks=pytest.mark.slow),
    ],
)
def test_a_reader_that_leaves_a_full_disk_and_closed_streams_end_no_run(line, tmp_path):
    result = shell(tmp_path, line)
    assert result.returncode == 0
    assert result.stderr in ("", "rlcont: the output cannot be written (No space left on device); it is dropped\n")
    assert ("full" in line) == bool(result.stderr)
    assert state_of(tmp_path) == "finished"


@pytest.mark.parametrize("command", ["--help", "--cfg", "runs", "--completion bash"])
def test_a_reader_that_leaves_is_no_failure_of_what_prints(command, tmp_path):
    (tmp_path / "outputs").mkdir()
    result = shell(tmp_path, f"{SCRIPT} {command} | true")
    assert "Traceback" not in result.stderr
    assert "Broken pipe" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_of_a_terminal_shows_what_it_can(encoding, tmp_path):
    result = subprocess.run(
        [SCRIPT, *SHORT], cwd=tmp_path, capture_output=True, env=HERE | {"PYTHONIOENCODING": encoding}
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert (" +- " if encoding == "ascii" else " ± ") in result.stdout.decode(encoding)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGHUP, 129),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("workers", quick([2, 1]))
def test_every_signal_to_all_of_a_run_s_processes_ends_it_with_a_checkpoint(number, code, workers, tmp_path):
    short = ("log.every=20", "eval.every=1000000", "env=odd_envs:Odd-v0", "compile=false", f"workers={workers}")
    with subprocess.Popen(
        [SCRIPT, *tiny("total_steps=1000000", *short, base=TINY_A2C)],
        cwd=tmp_path,
        env=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while "steps/s" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, number)
        _, errors = process.communicate()
    assert process.returncode == code
    assert errors.startswith("rlcont: interrupted at step ")
    assert errors.count("\n") == 1
    assert list(tmp_path.glob("outputs/*/*/*/checkpoints/step-*"))


API = """
import sys, rlcont
rlcont.train(*sys.argv[1:])
print("after")
"""


@pytest.mark.parametrize("rest", ["| head -1", "> /dev/full"])
def test_a_reader_that_leaves_and_a_full_disk_end_no_run_of_a_script(rest, tmp_path):
    (tmp_path / "mine.py").write_text(API)
    result = shell(tmp_path, f"{sys.executable} mine.py {' '.join(SHORT)} {rest}")
    assert result.stderr in ("", "rlcont: the output cannot be written (No space left on device); it is dropped\n")
    assert state_of(tmp_path) == "finished"


def test_a_script_s_terminal_of_any_encoding_shows_what_it_can(tmp_path):
    (tmp_path / "mine.py").write_text(API)
    result = shell(tmp_path, f"{sys.executable} mine.py {' '.join(SHORT)}", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert " +- " in result.stdout
    assert result.stdout.endswith("\nafter\n")


PRINTING = tiny("total_steps=200", "env=odd_envs:Odd-v0", "env.kwargs.fault=prints", "workers=2", base=TINY_A2C)


@pytest.mark.parametrize("rest", ["| head -1", pytest.param("", marks=pytest.mark.slow)])
def test_what_an_environment_prints_in_a_worker_ends_no_run(rest, tmp_path):
    result = shell(tmp_path, f"{SCRIPT} {' '.join(PRINTING)} {rest}", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert rest or "simulating +-0.1" in result.stdout
    assert state_of(tmp_path) == "finished"


def test_the_bar_of_a_terminal_that_has_no_lines_is_spelled(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", output)
    with LastingOutput():
        print("━━── ±", flush=True)
    assert output.buffer.getvalue() == b"##-- +-\n"
    assert sys.stdout is output


STAGES = ("rlcont.cli.commands", "hydra", "gymnasium", "torch", "tensorboard", "rlcont.training.run")
"""Modules that a start imports, early to late."""


@pytest.mark.parametrize("module", quick(STAGES, 2))
def test_ctrl_c_while_a_module_is_imported_is_one_line_and_leaves_nothing(module, tmp_path):
    stage = f"""
import builtins, os, signal, sys
original = builtins.__import__
def interrupted(name, *arguments, **keywords):
    if name == {module!r}:
        builtins.__import__ = original
        os.kill(os.getpid(), signal.SIGINT)
    return original(name, *arguments, **keywords)
from rlcont.cli.main import main
builtins.__import__ = interrupted
sys.argv = ["rlcont", *{SHORT!r}]
main()
"""
    result = subprocess.run([sys.executable, "-c", stage], cwd=tmp_path, env=HERE, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "rlcont: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_a_start_is_one_line_and_nothing_half_made(tmp_path):
    from interrupted_starts import outcomes

    assert set(outcomes(tmp_path, 20)) == {"one line"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0.0"),
        (-1e-30, "-1e-30"),
        (0.04, "0.04"),
        (-0.34, "-0.3"),
        (12.345, "12.3"),
        (-123456.0, "-123456.0"),
        (3e30, "3e+30"),
    ],
)
def test_returns_of_any_size_keep_digits_that_say_something(value, shown):
    assert format_return(value) == shown


def test_a_long_evaluation_tells_how_far_it_is(monkeypatch):
    from rlcont.envs.config import EnvConfig
    from rlcont.training import evaluate

    monkeypatch.setattr(evaluate, "WORD_SECONDS", 0.0)
    evaluator = evaluate.Evaluator(
        EnvConfig(id="Lottery-v0", kwargs={}, max_episode_steps=None, wrappers=(), info=()), 3, 0
    )
    words = []
    evaluator.tell = words.append

    class Still:
        def act(self, obs, *, explore):
            return obs[:, :1] * 0

    evaluator(Still())
    assert words[0] == "step 0 of episode 1 of 3"
    assert len(words) > 1


def test_the_folder_may_be_gone_where_nothing_is_kept(tmp_path):
    result = rlcont(tmp_path, "eval", "nowhere")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
