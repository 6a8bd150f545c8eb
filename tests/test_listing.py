"""Which runs there are: `rlcont runs`."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from script import SCRIPT, rlcont
from tiny import tiny

from rlcont.config.compose import make_plan
from rlcont.runs.folder import create_run_folder
from rlcont.runs.labels import short_names, varying_keys
from rlcont.runs.listing import age
from rlcont.runs.status import StatusFile


def make_run(cwd, *overrides, **figures):
    plan = make_plan(tiny(f"output={cwd / 'outputs'}", *overrides))
    folder = create_run_folder(cwd / "outputs", plan.config, plan.choices)
    file = StatusFile(folder, "running", 400)
    file.update(**figures)
    file.end(None)
    return folder


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("listing")
    folders = [
        make_run(cwd, "noise=ou", "seed=0", step=400, train_return=-10.0, return_mean=-12.34),
        make_run(cwd, "noise=gaussian", "seed=1"),
        make_run(cwd, "env=HalfCheetah-v4", "algo.actor.lr=0.01"),
        make_run(cwd, "env=HalfCheetah-v4", "algo.actor.lr=0.02", "env.kwargs.forward_reward_weight=2.0"),
        make_run(cwd, "env=Hopper-v4"),
        make_run(cwd, "env=Hopper-v4", "seed=1"),
    ]
    for hour, folder in enumerate(folders):
        status = json.loads((folder / "status.json").read_text())
        status["started"] = f"2026-01-01T0{9 - hour}:00:00+00:00"
        (folder / "status.json").write_text(json.dumps(status))
    (folders[4] / "status.json").unlink()
    (folders[5] / "status.json").write_text("{")
    return cwd, folders


def rows(text):
    header, *lines = text.splitlines()
    starts = [header.index(name) for name in re.split("  +", header)]
    ends = [*starts[1:], None]
    return [[line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in lines]


def test_runs_are_listed_with_what_differs_the_newest_last(outputs):
    cwd, folders = outputs
    result = rlcont(cwd, "runs")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    listed = {str(cwd / row[-1]): row for row in rows(result.stdout)}
    assert set(listed) == set(map(str, folders))
    ou, gaussian, slow, weighted, unknown, unreadable = (listed[str(folder)] for folder in folders)
    assert ou[:6] == [
        "ddpg",
        "Pendulum-v1",
        "noise=ou sigma=0.2 seed=0",
        "400/400",
        "finished",
        "-12.3",
    ]
    assert gaussian[2:6] == ["noise=gaussian sigma=0.1 seed=1", "0/400", "finished", "-"]
    assert slow[2] == "actor.lr=0.01 forward_reward_weight=default"
    assert weighted[2] == "actor.lr=0.02 forward_reward_weight=2"
    assert unknown[1:6] == ["Hopper-v4", "", "-", "unknown", "-"]
    assert unreadable[4] == "unreadable"
    dated = [path for path in listed if path in map(str, folders[:4])]
    assert dated == [str(folder) for folder in reversed(folders[:4])]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["where=kind=ou"], [0]),
        (["where=algo=ddpg", "sort=return"], [4, 3, 2, 1, 0]),
        (["where=seed=1"], [1]),
        (["where=env=Hopper-v4"], [4]),
        (["where=actor.lr=0.02"], [3]),
        (["where=actor.lr=2e-2"], [3]),
        (["where=algo=ddpg,seed=1"], [1]),
        (["where=state=unreadable"], [5]),
        (["where=env=HalfCheetah-v4", "sort=age"], [3, 2]),
    ],
)
def test_runs_are_chosen_and_ordered(outputs, words, found):
    cwd, folders = outputs
    result = rlcont(cwd, "runs", *words)
    listed = [str(cwd / row[-1]) for row in rows(result.stdout)]
    assert sorted(listed) == sorted(str(folders[i]) for i in found)
    if 4 not in found:  # The run without a status is dated by its file.
        assert listed == [str(folders[i]) for i in found]


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("algoo=ddpg", "; did you mean algo?"),
        ("actor.l=0.02", "; did you mean algo.actor.lr?"),
        ("state=finishd", "; did you mean finished?"),
        ("seed=77", ""),
        ("hidden=[16", "; did you mean [16]?"),
    ],
)
def test_a_condition_that_no_run_meets_is_one_line(outputs, where, hint):
    result = rlcont(outputs[0], "runs", f"where={where}")
    assert result.stderr == f"rlcont: where={where}: no run in outputs has that{hint}\n"


def test_a_part_of_the_outputs_can_be_listed_and_one_run_alone(outputs):
    cwd, folders = outputs
    assert len(rows(rlcont(cwd, "runs", "outputs/HalfCheetah-v4").stdout)) == 2
    ((*_, folder),) = rows(rlcont(cwd, "runs", str(folders[0])).stdout)
    assert folder == str(folders[0])


def test_on_a_terminal_folders_stay_whole(outputs):
    cwd, folders = outputs
    screen, terminal = pty.openpty()
    with subprocess.Popen([SCRIPT, "runs", str(cwd)], stdout=terminal) as process:
        os.close(terminal)
        seen = b""
        while True:
            try:
                seen += os.read(screen, 65536)
            except OSError:  # how Linux says that nobody has the terminal open any more
                break
    os.close(screen)
    assert process.returncode == 0
    assert all(str(folder) in seen.decode() for folder in folders)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], ".: no run in it"),
        ([], "outputs: no such folder"),
        (["a", "b"], "a b: runs: name one folder"),
        (["--all"], "--all: no such option"),
        (["seed=1"], "seed=1: no such key"),
    ],
)
def test_a_mistake_costs_one_line(tmp_path, arguments, expected):
    result = rlcont(tmp_path, "runs", *arguments)
    assert result.returncode == 2
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_it_loads_neither_torch_nor_gymnasium(outputs):
    cwd, _ = outputs
    code = (
        "import sys; from rlcont.cli.main import main; sys.argv = ['rlcont', 'runs']; main(); "
        "sys.exit(bool({'torch', 'gymnasium', 'mujoco', 'hydra', 'tensorboard'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, timeout=300).returncode == 0


def test_what_varies_is_told_by_the_keys_that_rows_share():
    rows = [{"seed": 0, "a": [1], "b": 1}, {"seed": 1, "a": [1], "b": 2, "only": 3}, {"seed": 1, "b": 2, "only": 4}]
    assert varying_keys(rows) == ["b", "only", "seed"]
    assert varying_keys(rows[:1]) == []


def test_short_names_by_hand():
    assert short_names(["algo.actor.lr", "algo.tau"]) == {"algo.actor.lr": "lr", "algo.tau": "tau"}
    assert short_names(["algo.actor.lr", "algo.critic.lr", "lr"]) == {
        "algo.actor.lr": "actor.lr",
        "algo.critic.lr": "critic.lr",
        "lr": "lr",
    }
    assert short_names(["algo.actor.lr", "algo.tau"], ["algo.critic.lr"]) == {
        "algo.actor.lr": "actor.lr",
        "algo.tau": "tau",
    }
    assert short_names(["noise.kind", "noise.decay.kind"]) == {"noise.kind": "noise", "noise.decay.kind": "decay"}


def test_an_age_is_told_in_its_largest_unit():
    assert [age(seconds) for seconds in (-1, 59, 60, 7199, 7200, 3 * 86400)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h",
        "2 h",
        "3 d",
    ]
