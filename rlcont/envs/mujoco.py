"""MuJoCo's peculiarities: its warnings, its camera, and breakdowns of the simulation."""

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium

from rlcont.core.errors import UserError

# glfw, which MuJoCo imports, asks its library's version in a process of its own: a twentieth of
# a second, and a traceback of that process at Ctrl-C. It does not where it is told which library to take.
_glfw = importlib.util.find_spec("glfw")
if _glfw is not None and _glfw.origin is not None:
    _library = Path(_glfw.origin).with_name("wayland" if os.environ.get("XDG_SESSION_TYPE") == "wayland" else "x11")
    if (_library / "libglfw.so").exists():
        os.environ.setdefault("PYGLFW_LIBRARY", str(_library / "libglfw.so"))

try:
    import mujoco

    set_user_warning = mujoco.set_mju_user_warning  # A broken installation is a package without contents.
except Exception as error:  # The type depends on what is missing.
    drawing = os.environ.get("MUJOCO_GL")
    command = [sys.executable, "-P", "-c", "import mujoco; mujoco.MjModel"]
    undrawn = os.environ | {"MUJOCO_GL": "disabled"}
    if drawing and subprocess.run(command, env=undrawn, capture_output=True).returncode == 0:
        raise UserError(
            f"MuJoCo cannot draw with MUJOCO_GL={drawing} ({error}); on Debian and Ubuntu: "
            "apt install libegl1 libgl1-mesa-dri for egl, libosmesa6 for osmesa"
        ) from error
    raise UserError(
        f"mujoco cannot be imported ({error}); pip deletes shared files when it upgrades from 3 to 4, and "
        "pip install --force-reinstall --no-deps mujoco mujoco-core mujoco-studio brings them back"
    ) from error

log = logging.getLogger(__name__)

# Gymnasium warns of every -v4 id. MuJoCo prints warnings and appends them to MUJOCO_LOG.TXT in the working directory,
# already while it compiles a model.
gymnasium.logger.min_level = gymnasium.logger.ERROR
set_user_warning(lambda message: log.debug("mujoco: %s", message))


def follow(env: gymnasium.Env[Any, Any]) -> None:
    """Makes the camera follow the body, if the model has a tracking camera.

    Gymnasium 1.4 keeps the camera where an episode starts, so that a running body leaves the picture after twenty
    steps. Videos use the model's own camera. Windows, where the mouse moves the camera, use one that tracks the same
    body.
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
    """A function that returns whether MuJoCo broke down in the last step; always False without MuJoCo.

    If a position, velocity or acceleration is huge or not finite, MuJoCo resets itself to the initial state, counts
    that, and continues without an error.
    """
    bare: Any = env.unwrapped
    if not isinstance(getattr(bare, "data", None), mujoco.MjData):
        return lambda: False
    bad = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)

    data: Any = None
    counts: Any = None

    def broke() -> bool:
        nonlocal data, counts
        if bare.data is not data:
            data, counts = bare.data, bare.data.warning.number[bad]  # A view, which costs more than to read it.
        # MuJoCo checks the state at the start of a step. These calls check the one that this step led to.
        mujoco.mj_checkPos(bare.model, data)
        mujoco.mj_checkVel(bare.model, data)
        if not any(counts.tolist()):
            return False
        counts[:] = 0
        return True

    return broke
