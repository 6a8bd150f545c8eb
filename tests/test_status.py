"""What a run says of itself to whoever watches."""

import dataclasses
import json
import subprocess
import sys

import psutil
import pytest

from rlcont.core.errors import UserError
from rlcont.runs.status import StatusFile, read_status, write_status


@pytest.fixture
def gone():
    """A process that is over."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_it_is_there_from_the_start_and_after_the_end(tmp_path):
    file = StatusFile(tmp_path, "running", 100)
    assert read_status(tmp_path).state == "running"
    file.update(step=50, return_mean=1.5)
    file.end(None)
    status = read_status(tmp_path)
    assert (status.state, status.step, status.total_steps, status.return_mean) == ("finished", 50, 100, 1.5)
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_it_is_written_once_a_second_at_most(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rlcont.runs.status.time.monotonic", lambda: now[0])
    file = StatusFile(tmp_path, "running", 100)
    now[0] = 0.9
    file.update(step=1)
    assert read_status(tmp_path).step == 0
    now[0] = 1.0
    file.update(train_return=2.0)
    assert (read_status(tmp_path).step, read_status(tmp_path).train_return) == (1, 2.0)


@pytest.mark.parametrize(
    ("error", "state", "line"),
    [
        (None, "finished", None),
        (KeyboardInterrupt(), "interrupted", None),
        (ValueError("first\nsecond"), "failed", "ValueError: first"),
        (MemoryError(), "failed", "MemoryError"),
        (UserError("env=X: has no end"), "failed", "env=X: has no end"),
    ],
)
def test_an_end_is_told_with_its_reason(tmp_path, error, state, line):
    StatusFile(tmp_path, "running", 1).end(error)
    status = read_status(tmp_path)
    assert (status.state, status.error) == (state, line)


def test_a_failure_in_ones_own_code_is_told_with_its_place(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("def learn():\n    return 1 / 0\n")
    code = {}
    exec(compile(own.read_text(), own, "exec"), code)
    with pytest.raises(ZeroDivisionError) as caught:
        code["learn"]()
    StatusFile(tmp_path, "running", 1).end(caught.value)
    assert read_status(tmp_path).error == "ZeroDivisionError: division by zero (mine.py, line 2)"


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_who_says_it_goes_on_but_has_no_process_was_killed(tmp_path, gone, state):
    status = dataclasses.replace(StatusFile(tmp_path, state, 1).status, pid=gone)
    write_status(tmp_path, status)
    assert read_status(tmp_path).state == "killed"
    write_status(tmp_path, dataclasses.replace(status, host="another"))
    assert read_status(tmp_path).state == state
    write_status(tmp_path, dataclasses.replace(status, state="finished"))
    assert read_status(tmp_path).state == "finished"


def test_a_process_with_the_same_number_is_not_the_same(tmp_path):
    status = StatusFile(tmp_path, "running", 1).status
    write_status(tmp_path, dataclasses.replace(status, pid_started=status.pid_started - 3600))
    assert read_status(tmp_path).state == "killed"


def test_a_process_that_nobody_has_buried_is_gone_too(tmp_path):
    status = StatusFile(tmp_path, "running", 1).status
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    child.stdout.read()
    process = psutil.Process(child.pid)
    while process.status() != psutil.STATUS_ZOMBIE:
        pass
    write_status(tmp_path, dataclasses.replace(status, pid=child.pid, pid_started=process.create_time()))
    assert read_status(tmp_path).state == "killed"
    child.wait()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"{}", b'{"state": "running"}', b"\xff"])
def test_a_damaged_one_is_one_line(tmp_path, content):
    (tmp_path / "status.json").write_bytes(content)
    with pytest.raises(UserError, match=r"status\.json: damaged \(.*delete it to resume the run$"):
        read_status(tmp_path)


@pytest.mark.parametrize("changes", [{"pid": "one"}, {"pid_started": None}, {"more": 1}])
def test_values_of_another_kind_are_damage_too(tmp_path, changes):
    status = dataclasses.asdict(StatusFile(tmp_path, "running", 1).status)
    (tmp_path / "status.json").write_text(json.dumps({**status, **changes}))
    with pytest.raises(UserError, match=r"status\.json: damaged"):
        read_status(tmp_path)


def test_a_run_without_one_has_none(tmp_path):
    assert read_status(tmp_path) is None
