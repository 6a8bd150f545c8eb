"""What is particular to MuJoCo: its warnings, its camera, and simulations that break down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gymnasium
import mujoco

log = logging.getLogger(__name__)

# Gymnasium warns of every -v4 id. MuJoCo prints its warnings and appends them to MUJOCO_LOG.TXT in the
# working directory, the first ones while it compiles a model.
gymnasium.logger.min_level = gymnasium.logger.ERROR
mujoco.set_mju_user_warning(lambda message: log.debug("mujoco: %s", message))


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


def breakdown_detector(env: gymnasium.Env) -> Callable[[], bool]:
    """A function that says whether MuJoCo broke down in the step just made (False without MuJoCo).

    On a position, velocity or acceleration that is not finite, or huge, MuJoCo puts itself back to the
    initial state, counts that, and steps on as if nothing had happened.
    """
    bare: Any = env.unwrapped
    if not isinstance(getattr(bare, "data", None), mujoco.MjData):
        return lambda: False
    bad = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)

    def broke() -> bool:
        # A step looks at the state it starts from; where this one led would only be looked at by the next.
        mujoco.mj_checkPos(bare.model, bare.data)
        mujoco.mj_checkVel(bare.model, bare.data)
        counts = bare.data.warning.number[bad]
        if not sum(counts.tolist()):
            return False
        counts[:] = 0
        return True

    return broke
