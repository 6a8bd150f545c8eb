"""Episodes as files that show what happened."""

from pathlib import Path
from typing import ClassVar

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from script import rlcont
from tiny import TINY_A2C, tiny

from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError, require
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.report.play import evaluate_run
from rlcont.training.run import run


def make_run(tmp_path, env):
    plan = make_plan(tiny(f"output={tmp_path}", f"env=probe_envs:{env}", "tuned=none", base=TINY_A2C))
    return run(plan.config, plan.choices)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("drawn"), "Drawn-v0")


def frames(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    width, height = facts["size"]
    return facts, [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def test_every_step_of_every_episode_is_a_frame(drawn):
    said = evaluate_run(drawn, "last", 2, seed=None, video=True).splitlines()
    assert said[0] == evaluate_run(drawn, "last", 2, seed=None)
    assert said[1:] == [str(drawn / "videos" / f"last-seed-0-episode-{number}.mp4") for number in range(2)]
    for path in said[1:]:
        facts, seen = frames(path)
        assert (facts["size"], facts["fps"]) == ((50, 34), 25)
        assert [frame.mean() for frame in seen] == pytest.approx([20 * step for step in range(11)], abs=3)


def test_films_of_before_outlive_a_call_that_fails(drawn, monkeypatch):
    (film,) = evaluate_run(drawn, "last", 1, seed=1, video=True).splitlines()[1:]
    before = Path(film).read_bytes()

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rlcont.report.play.load_trained", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(drawn, "last", 1, seed=1, video=True)
    assert Path(film).read_bytes() == before
    assert [path.name for path in (drawn / "videos").glob("*seed-1*")] == [Path(film).name]


def test_an_environment_that_cannot_be_drawn_is_named(tmp_path):
    folder = make_run(tmp_path, "Plain-v0")
    with pytest.raises(UserError, match=r"env=probe_envs:Plain-v0 .*cannot be"):
        evaluate_run(folder, "last", 1, seed=None, video=True)
    assert not (folder / "videos").exists()


class Undrawn(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    metadata: ClassVar[dict] = {}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}


def test_an_environment_that_draws_no_pictures_is_told_which_mode_they_need():
    gymnasium.register("test_video/Undrawn-v0", Undrawn)
    kwargs = {"render_mode": "rgb_array"}
    env = BoxEnv(EnvConfig(id="test_video/Undrawn-v0", kwargs=kwargs, max_episode_steps=None, wrappers=(), info=()))
    env.reset(0)
    with pytest.raises(UserError, match=r"cannot be drawn: .*'render_modes'\] is \[\], and pictures need rgb_array$"):
        env.door.frame()


def test_without_a_display_or_what_draws_one_line_says_what_to_do(drawn):
    nothing = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "MUJOCO_GL": "nothing"}
    for word, said in (("render=true", "no display here"), ("video=true", "apt install libegl1 libgl1-mesa-dri")):
        result = rlcont(drawn, "eval", ".", word, env=nothing)
        assert result.returncode == 2
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_broken_mujoco_is_not_taken_for_a_missing_library_that_draws(drawn, tmp_path):
    (tmp_path / "mujoco").mkdir()
    (tmp_path / "mujoco" / "__init__.py").write_text("raise ImportError('libmujoco.so.4: cannot open')")
    result = rlcont(drawn, "eval", ".", "video=true", env={"PYTHONPATH": str(tmp_path)})
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "pip install --force-reinstall --no-deps mujoco mujoco-core mujoco-studio" in result.stderr


def test_a_package_that_is_missing_is_named_with_its_extra():
    require("video=true", "video", "numpy")
    with pytest.raises(UserError, match=r"video=true: needs no_such_module; install it by pip install '.\[video\]' in"):
        require("video=true", "video", "numpy", "no_such_module")
