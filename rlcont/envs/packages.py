"""Environments of other packages: what to install and what to type."""

import importlib.util
import re

PACKAGES = (
    (r"Fetch|AdroitHand|Hand(Reach|Manip)|FrankaKitchen|(Ant|Point)Maze", "gymnasium_robotics", "gymnasium-robotics"),
    (r"dm_control/", "shimmy", "'shimmy[dm-control]'"),
)
"""How ids look, the module that registers them, and what pip calls it."""
MUJOCO = "'mujoco<3.4'"
"""Their models do not load in newer ones."""


def package_hint(env_id: str) -> str:
    """What to install and what to type for the id of a known package; empty for others."""
    module, _, name = env_id.rpartition(":")
    for pattern, package, installed_as in PACKAGES:
        if module == package or (not module and re.search(pattern, name)):
            install = "" if importlib.util.find_spec(package) else f"pip install {installed_as} {MUJOCO}, and "
            return f"; {install}type env={package}:{name}"
    return ""
