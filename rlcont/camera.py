"""The camera of a MuJoCo environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco


def follow(env: gymnasium.Env[Any, Any]) -> None:
    """Has the camera go with the body, where the model has a camera that does.

    Gymnasium 1.4 looks at the place where an episode begins, and what has learned to run is out of the picture after
    twenty steps. In a file it is the model's own camera that goes along; in a window, where the mouse moves the
    camera, one that keeps its distance from the same body.
    """
    bare: Any = env.unwrapped
    if not hasattr(bare, "mujoco_renderer"):
        return
    camera = mujoco.mj_name2id(bare.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    if camera < 0:
        return
    renderer = bare.mujoco_renderer
    renderer.camera_id = camera
    tracking = {"type": mujoco.mjtCamera.mjCAMERA_TRACKING, "trackbodyid": int(bare.model.cam_bodyid[camera])}
    renderer.default_cam_config = {**(renderer.default_cam_config or {}), **tracking}
