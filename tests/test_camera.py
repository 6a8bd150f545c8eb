"""What runs away stays in the picture."""

import numpy as np
import pytest

from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig


def drawn(env_id, **kwargs):
    env = BoxEnv(
        EnvConfig(
            id=env_id, kwargs={"render_mode": "rgb_array", **kwargs}, max_episode_steps=None, wrappers=(), info=()
        )
    )
    env.reset(0)
    return env.env.unwrapped


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "HalfCheetah-v5", "Hopper-v4", "Walker2d-v4", "Ant-v4"])
def test_the_camera_goes_with_what_runs(env_id):
    bare = drawn(env_id)
    camera = bare.mujoco_renderer.camera_id
    assert camera >= 0
    before = bare.data.cam_xpos[camera].copy()
    away = bare.data.qpos.copy()
    away[0] += 100
    bare.set_state(away, bare.data.qvel)
    np.testing.assert_allclose(bare.data.cam_xpos[camera] - before, [100, 0, 0], atol=0.1)


def test_in_a_window_it_keeps_its_distance_from_the_torso():
    settings = drawn("HalfCheetah-v4").mujoco_renderer.default_cam_config
    assert (settings["trackbodyid"], settings["distance"]) == (1, 4.0)


def test_a_camera_that_was_asked_for_is_left_alone():
    assert drawn("HalfCheetah-v4", camera_id=-1).mujoco_renderer.camera_id == -1


@pytest.mark.parametrize("env_id", ["InvertedPendulum-v4", "Pendulum-v1"])
def test_what_has_no_such_camera_is_drawn_as_it_is(env_id):
    assert getattr(getattr(drawn(env_id), "mujoco_renderer", None), "camera_id", -1) == -1
