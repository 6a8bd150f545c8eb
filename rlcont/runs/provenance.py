"""Where a run comes from: command line, time, code and packages."""

import contextlib
import datetime
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from rlcont import __version__

PACKAGES = ("torch", "gymnasium", "mujoco", "numpy", "hydra-core", "omegaconf", "pydantic", "tensorboard")
COMPUTING = ("rlcont", "torch", "gymnasium", "mujoco", "numpy")
"""Packages that a run's numbers come from."""


def provenance() -> dict[str, Any]:
    """Command line, start time, commit and versions of packages."""
    return {
        "command": shlex.join(["rlcont", *sys.argv[1:]]),
        "started": timestamp(),
        "commit": _git_commit(),
        **software(),
    }


def software() -> dict[str, Any]:
    """Versions of Python and of packages."""
    return {"python": platform.python_version(), "packages": _package_versions()}


def updated_packages(before: dict[str, str]) -> list[str]:
    """The packages of other versions than `before` that training computes with, each with both."""
    now = _package_versions()
    versions = [(name, before.get(name), now.get(name)) for name in COMPUTING]
    return [f"{name} {old} is {new} now" for name, old, new in versions if old and new and old != new]


def timestamp() -> str:
    """The current time to the second, with its time zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _git_commit() -> str | None:
    """Commit of the checkout that rlcont runs from, marked if there are changes; None outside a checkout."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = _git("status", "--porcelain", "--untracked-files=no")
        return _git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _package_versions() -> dict[str, str]:
    versions = {"rlcont": __version__}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
