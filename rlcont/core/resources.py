"""What a run may take of memory and cores: the machine's, or less where a container or a sweep shares them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from rlcont.core.errors import UserError

MEMORY_SHARE = "RLCONT_MEMORY_SHARE"
MOST_THREADS = 8
"""Networks of a few hundred units do not keep more busy."""


def check_memory(key: str, needed: int, available: int) -> None:
    """Refuses what would not fit.

    Args:
        key: the setting that asks for the memory, with its value.
        needed: bytes it takes.
        available: bytes there are.

    Raises:
        UserError: `needed` exceeds `available`.
    """
    if needed > available:
        raise UserError(f"{key}: needs {needed / 2**30:.2f} GiB of memory, {available / 2**30:.2f} GiB are available")


def available_memory() -> int:
    """Bytes one run may still take.

    The smallest of what the machine has free and what each enclosing control group allows; or what RLCONT_MEMORY_SHARE
    says, set by whoever starts several runs at once.
    """
    share = os.environ.get(MEMORY_SHARE)
    return int(share) if share else min([psutil.virtual_memory().available, *_cgroup_headrooms()])


def prepare_threads() -> None:
    """Decides, before torch is loaded, on its threads and on how they wait, unless the user's environment does.

    Left to itself, a thread of GNU OpenMP that waits for others spins for milliseconds. On a machine with anything
    else to do the others are not running, and an update takes ten times as long.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(threads_for(available_cores())))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def threads_for(cores: int) -> int:
    """Threads of a run that has `cores` to itself: at least one, no more than there are physical cores."""
    physical = psutil.cpu_count(logical=False) or MOST_THREADS
    return max(1, min(cores, physical, MOST_THREADS))


def available_cores() -> int:
    """Cores this process may keep busy: those it may run on, or fewer where a control group grants less time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *_cgroup_quotas()])))


def _cgroup_headrooms(proc: Path = Path("/proc"), sys_fs: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Limit minus use, page cache not counted, of this process's control groups and their parents."""
    headrooms = []
    for group, is_unified in _control_groups("memory", proc, sys_fs):
        if is_unified:
            headrooms += _headroom(group, "memory.max", "memory.current", "inactive_file")
        else:
            headrooms += _headroom(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return headrooms


def _cgroup_quotas(proc: Path = Path("/proc"), sys_fs: Path = Path("/sys/fs/cgroup")) -> list[float]:
    """Cores' worth of time that this process's control groups and their parents grant."""
    quotas = []
    for group, is_unified in _control_groups("cpu", proc, sys_fs):
        names = ("cpu.max",) if is_unified else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
        except OSError:
            continue
        if quota not in ("max", "-1"):
            quotas.append(int(quota) / int(period))
    return quotas


def _control_groups(controller: str, proc: Path, sys_fs: Path) -> Iterator[tuple[Path, bool]]:
    """Folders of this process's groups and their parents, each with whether it is of the unified hierarchy."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        is_unified = controllers == ""
        if not is_unified and controller not in controllers.split(","):
            continue
        root = sys_fs if is_unified else sys_fs / controller
        group = Path(path.lstrip("/"))
        for part in (group, *group.parents):
            yield root / part, is_unified


def _headroom(folder: Path, limit_name: str, usage_name: str, cache_name: str) -> list[int]:
    try:
        limit = (folder / limit_name).read_text().strip()
        usage = int((folder / usage_name).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return []
    if limit == "max":
        return []
    return [max(int(limit) - usage + int(statistics.get(cache_name, 0)), 0)]


def has_display() -> bool:
    """Whether a window can be opened; elsewhere than on Linux it is taken for granted."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def prepare_drawing() -> None:
    """Lets MuJoCo draw without a display where there is none, and loads it: it reads how to draw only then.

    Raises:
        UserError: the libraries for that are missing.
    """
    if not has_display():
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        importlib.import_module("mujoco")
    except Exception as error:  # Of whatever kind the missing library makes it.
        raise UserError(
            f"video=true: MuJoCo cannot draw with MUJOCO_GL={os.environ.get('MUJOCO_GL')} ({error}); on Debian and "
            "Ubuntu: apt install libegl1 libgl1-mesa-dri for egl, libosmesa6 for osmesa"
        ) from error
