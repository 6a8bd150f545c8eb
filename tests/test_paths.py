"""Paths as people have them: relative where the directory changes, with an = in them, or of somebody else."""

import contextlib
import importlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import odd_envs
import pytest
from script import SCRIPT, rlcont
from test_video import frames
from tiny import TINY_A2C, tiny

from rlcont.cli.commands import COMMANDS
from rlcont.cli.words import read_words
from rlcont.config.compose import make_plan
from rlcont.core import typed
from rlcont.core.errors import UserError
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.report.play import evaluate_run
from rlcont.runs.resume import plan_resume
from rlcont.training import accelerate
from rlcont.training.preflight import check_env

HERE = {"PYTHONPATH": str(Path(__file__).parent)}
MOVING = ("env=odd_envs:Odd-v0", "env.kwargs.fault=chdir", "total_steps=200", "eval.episodes=1", "tuned=none")


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 30])
def test_a_run_lies_where_it_was_asked_for_wherever_its_environment_goes(tmp_path, at):
    command = tiny(*MOVING, f"env.kwargs.at={at}", "checkpoint.every=100", base=TINY_A2C)
    result = rlcont(tmp_path, *command, env=HERE)
    assert (result.returncode, result.stderr) == (0, "")
    folder = result.stdout.split("; ")[-1].strip()
    assert folder.startswith("outputs/odd_envs-Odd-v0/a2c/")
    resumed = rlcont(tmp_path, "resume", folder, "total_steps=240", env=HERE)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert resumed.stdout.rstrip().endswith(f"; {folder}")
    played = rlcont(tmp_path, "eval", folder, env=HERE)
    assert (played.returncode, played.stderr) == (0, "")
    (tmp_path / "mine" / "tuned").mkdir(parents=True)
    begun = rlcont(tmp_path, *command, f"init={folder}", "output=more", env=HERE | {"RLCONT_CONFIGS": "mine"})
    assert (begun.returncode, begun.stderr) == (0, "")
    shutil.rmtree(tmp_path / "more")
    assert [path.parent.name for path in tmp_path.rglob("config.yaml")] == [Path(folder).name]


def test_a_module_that_moves_when_it_is_imported_moves_nothing(tmp_path, monkeypatch):
    (tmp_path / "moving.py").write_text(
        "import os, gymnasium, odd_envs\nos.chdir('/')\ngymnasium.register('Moving-v0', odd_envs.Odd)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    make_plan(["env=moving:Moving-v0"])
    assert Path.cwd() == tmp_path


def test_a_typed_module_is_found_in_a_folder_with_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "a:b c"
    folder.mkdir()
    (folder / "module_of_mine.py").write_text("")
    monkeypatch.setenv(typed.VARIABLE, "")
    monkeypatch.chdir(folder)
    typed.allow("module_of_mine")
    with typed.importable("module_of_mine", "env=module_of_mine:X-v0"):
        importlib.import_module("module_of_mine")
    assert typed.way_on(Path("outputs/a run")) == "PYTHONPATH=. rlcont resume 'outputs/a run' goes on"
    monkeypatch.chdir(tmp_path)
    assert typed.way_on(tmp_path) == f"PYTHONPATH='{folder}' rlcont resume {tmp_path} goes on"
    typed.allow("gymnasium")  # Nothing of this working directory.
    assert typed.way_on(tmp_path) == f"PYTHONPATH='{folder}' rlcont resume {tmp_path} goes on"


WORDS = {
    "eval": ["x=1/run", "a=b=c/run", "episodes=3"],
    "resume": ["x=1/run", "a=b=c/run", "total_steps=9"],
    "export": ["x=1/run", "a=b=c/run", "to=there"],
    "runs": ["x=1/run", "a=b=c/run", None],
    "compare": ["x=1/run", "a=b=c/run", "threshold=3"],
}


@pytest.mark.parametrize("name", WORDS)
def test_a_folder_may_have_an_equals_sign_and_a_key_stays_a_key(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    *folders, key = WORDS[name]
    for folder in folders:
        Path(folder).mkdir(parents=True)
        assert read_words(COMMANDS[name], [folder, key] if key else [folder])[0] == [Path(folder)]
    Path("y=2").mkdir()
    assert read_words(COMMANDS[name], ["y=2"])[0] == [Path("y=2")]
    if key:
        Path(key).mkdir()  # A key that is known counts as one.
        assert read_words(COMMANDS[name], [folders[0], key])[0] == [Path(folders[0])]
    for word in ("cvs=a/b.csv", "output=/tmp/x", "env.kwargs.file=/tmp/m.xml"):  # A value may have a slash in it.
        if name == "resume":
            found = read_words(COMMANDS[name], [folders[0], word])
            assert (found[0], found[1]["overrides"]) == ([Path(folders[0])], [word])
        else:
            with pytest.raises(UserError, match=f"{word}: no such"):
                read_words(COMMANDS[name], [folders[0], word])
    if name != "resume":  # Which says more of an override that it does not take.
        with pytest.raises(UserError, match="z=3"):
            read_words(COMMANDS[name], [folders[0], "z=3"])


def test_a_tilde_that_the_shell_left_alone_is_told():
    with pytest.raises(UserError, match=rf"output=~/x: the shell leaves .* did you mean output={Path.home()}/x\?"):
        make_plan(["output=~/x"])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    overrides = tiny("env=odd_envs:Odd-v0", "total_steps=40", "checkpoint.every=null", base=TINY_A2C)
    assert rlcont(folder, *overrides, env=HERE).returncode == 0
    return next(folder.glob("outputs/*/*/*"))


PICTURES = {
    "grey": (lambda step: (20 * step, (34, 50), "uint8"), None),
    "one channel": (lambda step: (20 * step, (34, 50, 1), "uint8"), None),
    "four channels": (lambda step: (20 * step, (34, 50, 4), "uint8"), None),
    "two channels": (lambda step: (1, (34, 50, 2), "uint8"), r"an array of shape \(34, 50, 2\) and type uint8"),
    "floats": (lambda step: (0.5, (34, 50, 3), "float32"), r"an array of shape \(34, 50, 3\) and type float32"),
    "whole numbers": (lambda step: (1, (34, 50, 3), "int64"), "type int64; Gymnasium wants"),
    "nothing to see": (lambda step: (0, (0, 50, 3), "uint8"), r"an array of shape \(0, 50, 3\)"),
    "a film": (lambda step: (1, (2, 34, 50, 3), "uint8"), r"an array of shape \(2, 34, 50, 3\)"),
    "another size each time": (lambda step: (1, (34 + 2 * step, 50, 3), "uint8"), r"its pictures change from \(34, 50"),
    "none": (lambda step: None, "render gives None, not a picture"),
    "a list": (lambda step: [1, 2], "render gives a list, not a picture"),
    "a failure": (lambda step: 1 // 0, "cannot be drawn: ZeroDivisionError: integer division or modulo by zero"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_converted_or_told_and_no_half_film_stays(name, drawn, tmp_path, monkeypatch):
    draw, said = PICTURES[name]

    def render(self):
        given = draw(self.time)
        return np.full(given[1], given[0], given[2]) if isinstance(given, tuple) else given

    monkeypatch.setattr(odd_envs.Odd, "render", render, raising=False)
    if said is not None:
        with pytest.raises(UserError, match=said):
            evaluate_run(drawn, "last", 1, None, video=True, to=tmp_path / "films")
        assert not list((tmp_path / "films").glob("*"))
        return
    path = evaluate_run(drawn, "last", 1, None, video=True, to=tmp_path / "films").splitlines()[1]
    _, seen = frames(path)
    assert [frame.mean() for frame in seen] == pytest.approx([20 * step for step in range(8)], abs=3)


@pytest.mark.parametrize(("given", "used"), [(None, 30.0), ("fast", 30.0), (0, 30.0), (-5, 30.0), (12, 12.0)])
def test_frames_per_second_that_are_none_are_thirty(given, used, monkeypatch):
    monkeypatch.setattr(odd_envs.Odd, "metadata", {"render_modes": ["rgb_array"], "render_fps": given})
    assert (
        BoxEnv(EnvConfig(id="Odd-v0", kwargs={}, max_episode_steps=None, wrappers=(), info=())).frames_per_second
        == used
    )


def test_a_folder_that_cannot_be_written_is_one_line_for_a_film(drawn, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"to=\S+file/films: cannot be written"):
        evaluate_run(drawn, "last", 1, None, video=True, to=tmp_path / "file" / "films")


@contextlib.contextmanager
def nobody():
    """As a user who owns nothing, where this is root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_run_of_somebody_else_is_one_line(drawn):
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        folder = Path(scratch) / "run"
        shutil.copytree(drawn, folder)
        (folder / "checkpoints" / "step-000000000040").mkdir(parents=True)
        os.chmod(folder, 0o555)
        with nobody():
            for refused in (
                lambda: plan_resume(folder, []),
                lambda: evaluate_run(folder, "last", 1, None, video=True),
            ):
                with pytest.raises(UserError, match="cannot be written"):
                    refused()
        os.chmod(folder, 0o755)


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nothing", None])
def test_compiled_code_is_kept_elsewhere_where_there_is_no_home(home, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home is None:
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    else:
        monkeypatch.setenv("HOME", home)
    folder = accelerate._cache_folder()
    (folder / "code").write_text("")
    shutil.rmtree(folder)


def test_an_empty_variable_names_no_folder_for_compiled_code(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(accelerate.CACHE_DIR, "")
    assert accelerate._cache() == tmp_path / "rlcont/compiled"
    assert os.environ[accelerate.CACHE_DIR] == str(tmp_path / "rlcont/compiled")  # torch reads it too.


@pytest.mark.parametrize("compiled", ["false", pytest.param("true", marks=pytest.mark.slow)])
def test_a_user_without_a_name_and_a_home_trains(compiled, tmp_path):
    """As in a container that runs as a number: Python finds neither in the environment nor in the list of users."""
    (tmp_path / "sitecustomize.py").write_text(
        "import pwd\ndef nobody(uid): raise KeyError(f'getpwuid(): uid not found: {uid}')\npwd.getpwuid = nobody\n"
    )
    names = {"USER", "LOGNAME", "LNAME", "USERNAME", "HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"}
    environment = {key: value for key, value in os.environ.items() if key not in names}
    command = [SCRIPT, *tiny(f"compile={compiled}", f"output={tmp_path / 'outputs'}")]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "400 steps in" in result.stdout


def test_an_environment_is_checked_where_it_is_and_the_directory_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_env(EnvConfig(id="odd_envs:Odd-v0", kwargs={"fault": "chdir"}, max_episode_steps=None, wrappers=(), info=()))
    assert Path.cwd() == tmp_path


def test_a_directory_that_is_gone_is_one_line(tmp_path):
    (tmp_path / "gone").mkdir()
    result = subprocess.run(
        ["sh", "-c", f"rmdir ../gone; exec {SCRIPT} env=Pendulum-v1"],
        cwd=tmp_path / "gone",
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "the working directory is gone" in result.stderr
