"""Runs, sweeps and searches by a part of their name."""

import os
from pathlib import Path

import pytest
from script import rlcont

from rlcont.core.errors import UserError
from rlcont.runs.find import named_folder, run_folders


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Four runs, each started a minute after the one before; the last two are of one sweep."""
    names = ("Pendulum-v1/ddpg/20260101-s0", "Hopper-v4/ddpg/20260102-s0", "sweeps/20260103/s0", "sweeps/20260103/s1")
    for minute, name in enumerate(names):
        folder = tmp_path / "outputs" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("{}")
        (folder / "run.json").write_text("{}")
        os.utime(folder / "run.json", (60 * minute, 60 * minute))
    (tmp_path / "outputs/sweeps/20260103/sweep.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return Path("outputs")


@pytest.mark.parametrize(
    ("name", "whole", "found"),
    [
        ("latest", False, "sweeps/20260103/s1"),
        ("latest", True, "sweeps/20260103"),
        ("outputs/Pendulum-v1/latest", False, "Pendulum-v1/ddpg/20260101-s0"),
        ("20260102", False, "Hopper-v4/ddpg/20260102-s0"),
        ("outputs/Hopper-v4/ddpg/2026", False, "Hopper-v4/ddpg/20260102-s0"),
        ("20260103", True, "sweeps/20260103"),
        ("outputs/Hopper-v4", False, "Hopper-v4"),
    ],
)
def test_a_run_is_found(outputs, capsys, name, whole, found):
    assert named_folder(Path(name), whole=whole) == outputs / found
    assert capsys.readouterr().err == ("" if name == f"outputs/{found}" else f"{name}: {outputs / found}\n")


def test_several_are_refused_and_none_is_left_to_the_command(outputs):
    with pytest.raises(UserError, match="2026: 2 folders begin so, such as outputs/Hopper-v4/ddpg/20260102-s0; "):
        named_folder(Path("2026"))
    assert named_folder(Path("nowhere")) == Path("nowhere")
    with pytest.raises(UserError, match="elsewhere/latest: no run below elsewhere"):
        named_folder(Path("elsewhere/latest"))


def test_links_are_followed_and_each_run_counts_once(outputs):
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "sweep").symlink_to(Path("../outputs/sweeps/20260103"))
    (elsewhere / "again").symlink_to(Path("../outputs/sweeps"))
    (elsewhere / "loop").symlink_to(Path())
    found = {os.path.realpath(folder) for folder in run_folders(elsewhere)}
    assert found == {os.path.realpath(outputs / f"sweeps/20260103/s{seed}") for seed in (0, 1)}
    assert len(list(run_folders(elsewhere))) == 2


def test_the_commands_take_it(outputs):
    result = rlcont(".", "runs", "latest")
    assert result.stderr == "latest: outputs/sweeps/20260103\n"
    assert result.stdout.count("outputs/sweeps/20260103/s") == 2
    assert rlcont(".", "eval", "20260101").stderr.startswith("20260101: outputs/Pendulum-v1/ddpg/20260101-s0\nrlcont: ")
