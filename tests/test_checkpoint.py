"""What was saved comes back to the last bit, or not at all, whatever happens to the disk meanwhile."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from faults import Killed, at_operation, disk_full, killed
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcont.core.errors import UserError
from rlcont.core.types import Transitions
from rlcont.memory.replay import Replay
from rlcont.runs.checkpoint import FORMAT, Checkpoints, Damaged, _sealed

CAPACITY = 50


class World:
    """A replay and some state that go on and can be saved."""

    def __init__(self):
        self.replay = Replay(CAPACITY, 2, 1, torch.Generator().manual_seed(0))
        self.step = 0

    def go_on(self, steps):
        for _ in range(steps):
            row = np.full((1, 2), self.step, np.float32)
            number = np.full(1, self.step, np.float32)
            self.replay.add(Transitions(row, row[:, :1], number, number, row))
            self.step += 1

    def state(self):
        return {"step": self.step, "replay": self.replay.state_dict(), "weights": torch.full((3,), float(self.step))}

    def save(self, checkpoints):
        checkpoints.save(self.step, self.state(), self.replay)


def load(folder):
    """The world that the newest whole checkpoint holds, by a reader that knows nothing."""
    world = World()
    checkpoints = Checkpoints(folder, 2)
    state = checkpoints.load(world.replay)
    world.step = state["step"]
    world.replay.load_state_dict(state["replay"])
    assert torch.equal(state["weights"], torch.full((3,), float(world.step)))
    first = max(0, world.step - CAPACITY)
    assert world.replay.num_added == world.step
    assert world.replay.read(first, world.step)[:, 0].tolist() == list(range(first, world.step))
    return world, checkpoints


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.integers(0, 130), min_size=1, max_size=8), reload=st.lists(st.booleans(), min_size=8))
def test_whatever_the_steps_between_them_the_newest_comes_back_and_the_disk_stays_bounded(
    tmp_path_factory, steps, reload
):
    folder = tmp_path_factory.mktemp("run")
    world, checkpoints = World(), Checkpoints(folder, 2)
    taken = []
    for number, anew in zip(steps, reload, strict=False):
        world.go_on(number)
        world.save(checkpoints)
        taken.append(world.step)
        if anew:
            world, checkpoints = load(folder)
    assert load(folder)[0].step == taken[-1]
    assert Checkpoints(folder, 2).steps() == sorted(set(taken))[-2:]
    rows = sum(len(np.load(path)) for path in (folder / "checkpoints" / "rows").iterdir())
    assert rows <= 2 * CAPACITY + 2 * max(steps)
    assert not [path for path in (folder / "checkpoints").iterdir() if path.name.startswith((".", "damaged"))]


def test_rows_are_written_once(tmp_path):
    world, checkpoints = World(), Checkpoints(tmp_path, 2)
    for _ in range(4):
        world.go_on(10)
        world.save(checkpoints)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints" / "rows").iterdir()}
    names = [f"rows-{i:012}-{i + 10:012}.npy" for i in range(0, 50, 10)]
    assert sorted(before) == names[:4]
    world, checkpoints = load(tmp_path)
    world.go_on(10)
    world.save(checkpoints)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints" / "rows").iterdir()}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {names[4]}


def all_operations(tmp_path):
    """How many operations the third save takes."""
    world, checkpoints = two_saved(tmp_path / "counted")
    with at_operation(-1, killed) as done:
        world.save(checkpoints)
    assert len(done) == 20
    return len(done)


def two_saved(folder):
    folder.mkdir(parents=True)
    world, checkpoints = World(), Checkpoints(folder, 2)
    for _ in range(2):
        world.go_on(40)
        world.save(checkpoints)
    world.go_on(40)
    return world, checkpoints


def test_a_process_that_dies_at_any_operation_of_a_save_loses_at_most_that_save(tmp_path):
    outcomes = []
    for number in range(all_operations(tmp_path)):
        folder = tmp_path / str(number)
        world, checkpoints = two_saved(folder)
        with pytest.raises(Killed), at_operation(number, killed):
            world.save(checkpoints)
        world, checkpoints = load(folder)
        outcomes.append(world.step)
        world.go_on(120 - world.step)
        world.save(checkpoints)
        assert load(folder)[0].step == 120
        assert len(Checkpoints(folder, 2).steps()) == 2
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {80, 120}


def test_a_full_disk_at_any_operation_of_a_save_is_said_and_leaves_the_checkpoint_before(tmp_path):
    for number in range(all_operations(tmp_path)):
        folder = tmp_path / str(number)
        world, checkpoints = two_saved(folder)
        with (
            pytest.raises(UserError, match=r"step 120 cannot be written \(No space left"),
            at_operation(number, disk_full),
        ):
            world.save(checkpoints)
        assert not [name for name in files(folder) if "unfinished" in name]
        assert load(folder)[0].step in (80, 120)
        world.go_on(1)
        world.save(checkpoints)
        assert load(folder)[0].step == 121


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors", "manifest.json"])
def test_any_flipped_byte_is_found_and_the_checkpoint_before_is_loaded_and_said(tmp_path, name, caplog):
    two_saved(tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "step-000000000080" / name
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 150)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        caplog.clear()
        world = World()
        state = Checkpoints(tmp_path / "run", 2).load(world.replay)
        assert state["step"] == 40
        assert "step 80 is damaged" in caplog.text
        assert name in caplog.text
        aside = tmp_path / "run" / "checkpoints" / "damaged-step-000000000080"
        aside.rename(aside.with_name("step-000000000080"))
        path.write_bytes(content)
    assert load(tmp_path / "run")[0].step == 80


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors", "manifest.json"])
@pytest.mark.parametrize("how", ["cut", "empty", "gone", "longer"])
def test_a_file_of_another_length_is_found(tmp_path, name, how):
    two_saved(tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "step-000000000080" / name
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-1], "empty": b"", "gone": b"", "longer": content + b" "}[how])
    if how == "gone":
        path.unlink()
    assert load(tmp_path / "run")[0].step == 40


def test_after_a_fall_back_the_same_steps_can_be_saved_again(tmp_path):
    two_saved(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-000000000080" / "state.json").write_bytes(b"{}")
    world, checkpoints = load(tmp_path / "run")
    world.go_on(40)
    world.save(checkpoints)
    assert load(tmp_path / "run")[0].step == 80
    assert not [name for name in files(tmp_path / "run") if "damaged" in name]


def test_without_a_whole_checkpoint_nothing_is_begun_and_nothing_is_changed(tmp_path):
    with pytest.raises(UserError, match="no checkpoint to resume from"):
        Checkpoints(tmp_path, 2).load(None)
    two_saved(tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("step-*/state.json"):
        path.write_bytes(b"{}")
    before = files(tmp_path / "run")
    with pytest.raises(UserError, match=r"no checkpoint is whole \(steps 40, 80\); nothing was changed"):
        load(tmp_path / "run")
    assert files(tmp_path / "run") == before


ROWS = "rows-000000000000-000000000040.npy", "rows-000000000040-000000000080.npy"


@pytest.mark.parametrize("name", ROWS)
def test_any_flipped_byte_of_rows_is_found(tmp_path, name):
    two_saved(tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "rows" / name
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(Damaged, match=f"{name}: not what was written"):
            Checkpoints(tmp_path / "run", 2)._load(80, World().replay)


@pytest.mark.parametrize(("name", "step"), [(ROWS[0], None), (ROWS[1], 40)])
@pytest.mark.parametrize("how", ["changed", "cut in half", "gone"])
def test_damaged_rows_make_every_checkpoint_that_needs_them_damaged(tmp_path, name, step, how, caplog):
    two_saved(tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "rows" / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x" if how == "changed" else content[: len(content) // 2])
    if how == "gone":
        path.unlink()
    if step is None:
        with pytest.raises(UserError, match="no checkpoint is whole"):
            load(tmp_path / "run")
    else:
        assert load(tmp_path / "run")[0].step == step
    assert f"step 80 is damaged ({name}: " in caplog.text


@pytest.mark.parametrize("name", ["manifest.json", "arrays.safetensors"])
def test_a_file_that_may_not_be_read_is_named_and_not_called_damaged(tmp_path, name, monkeypatch):
    Checkpoints(tmp_path, 2).save(40, {"step": 40}, None)

    def refused(path):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(UserError, match=rf"step-000000000040/{name}: cannot be read \(Permission denied\)$"):
        Checkpoints(tmp_path, 2).load(None)
    monkeypatch.undo()
    assert Checkpoints(tmp_path, 2).load(None) == {"step": 40}


def test_rows_of_a_checkpoint_that_cannot_be_read_at_the_moment_are_kept(tmp_path, monkeypatch):
    world, checkpoints = two_saved(tmp_path / "run")
    read = Path.read_bytes

    def refused(path):
        if path.parent.name == "step-000000000080":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    world.save(checkpoints)
    monkeypatch.undo()
    (tmp_path / "run/checkpoints/step-000000000120/manifest.json").write_text("{")
    world, _ = load(tmp_path / "run")
    assert world.step == 80


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "checkpoints").write_text("a file is in the way")
    world = World()
    with pytest.raises(UserError, match=r"the checkpoint of step 0 cannot be written .*there is none yet"):
        world.save(Checkpoints(tmp_path, 2))


def test_a_checkpoint_of_another_format_is_refused_with_the_version_that_wrote_it(tmp_path):
    run = tmp_path / "run"
    two_saved(run)
    (run / "run.json").write_text(json.dumps({"packages": {"rlcont": "0.1.0"}}))
    seal_as_format(run, 80, FORMAT - 1)
    before = files(run)
    with pytest.raises(
        UserError, match=r"run: its checkpoints are those of rlcont 0\.1\.0, .* resume it with rlcont 0"
    ):
        load(run)
    assert files(run) == before
    # A damaged one says nothing of its format, and the one before it is taken.
    (run / "checkpoints" / "step-000000000080" / "manifest.json").write_bytes(b"{}")
    assert load(run)[0].step == 40


def test_the_version_is_unknown_where_the_run_does_not_say_it(tmp_path):
    two_saved(tmp_path / "run")
    seal_as_format(tmp_path / "run", 80, 99)
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(UserError, match="those of rlcont unknown"):
        Checkpoints(tmp_path / "run", 2).check_format()


def seal_as_format(run, step, number):
    path = run / "checkpoints" / f"step-{step:012}" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_bytes(_sealed(manifest | {"format": number}))
