"""Memory and cores that a run may use: the machine's, or less in a container or a sweep."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from rlcont.core.errors import UserError

MEMORY_SHARE = "RLCONT_MEMORY_SHARE"
PROC, SYS_FS = Path("/proc"), Path("/sys/fs/cgroup")
USEFUL_THREADS = 8
"""Threads of torch beyond which networks of a few hundred units gain nothing."""


def check_memory(key: str, needed: int, available: int) -> None:
    """Refuses a setting, `key` with its value, that needs more bytes than are available."""
    if needed > available:
        raise UserError(f"{key}: needs {needed / 2**30:.2f} GiB of memory, {available / 2**30:.2f} GiB are available")


def available_memory() -> int:
    """Bytes that one run may still use.

    They are the minimum of the machine's free memory and what each enclosing control group allows; or
    RLCONT_MEMORY_SHARE, which a sweep sets for its jobs.
    """
    share = os.environ.get(MEMORY_SHARE)
    return int(share) if share else min([psutil.virtual_memory().available, *_cgroup_headrooms()])


def prepare_threads() -> None:
    """Sets how many threads torch has and how they wait, unless the environment does. Call it before torch is loaded.

    By default, a waiting thread of GNU OpenMP spins for milliseconds. On a busy machine the threads that it waits for
    are not running meanwhile, and an update takes ten times as long. Those that sleep at once are slow to wake.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(threads_for(available_cores())))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def threads_for(cores: int) -> int:
    """Threads of a run on `cores` cores: at least one, at most the number of physical cores."""
    physical = psutil.cpu_count(logical=False) or USEFUL_THREADS
    return max(1, min(cores, physical, USEFUL_THREADS))


def available_cores() -> int:
    """Cores that this process may use: those it may run on, or fewer if a control group grants less time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *_cgroup_quotas()])))


def _cgroup_headrooms(proc: Path = PROC, sys_fs: Path = SYS_FS) -> list[int]:
    """Limit minus usage, without page cache, of this process's control groups and their parents."""
    unified = ("memory.max", "memory.current", "memory.stat")
    older = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    headrooms = []
    for limit, usage, statistics in _control_files("memory", unified, older, proc, sys_fs):
        # The older ones have a count of the group alone besides, under the name that the unified ones use.
        counts = dict(line.split() for line in statistics.splitlines())
        cache = counts.get("total_inactive_file", counts.get("inactive_file", 0))
        if limit != "max":
            headrooms.append(max(int(limit) - int(usage) + int(cache), 0))
    return headrooms


def _cgroup_quotas(proc: Path = PROC, sys_fs: Path = SYS_FS) -> list[float]:
    """CPU time that this process's control groups and their parents grant, in cores."""
    files = _control_files("cpu", ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"), proc, sys_fs)
    pairs = (" ".join(texts).split() for texts in files)
    return [int(quota) / int(period) for quota, period in pairs if quota not in ("max", "-1")]


def _control_files(
    controller: str, unified: tuple[str, ...], older: tuple[str, ...], proc: Path, sys_fs: Path
) -> Iterator[list[str]]:
    """The contents of a controller's files in this process's control groups and their parents, where there are all.

    The files have other names in the unified hierarchy (v2) than in the older one.
    """
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
            with contextlib.suppress(OSError):
                yield [(root / part / name).read_text().strip() for name in (unified if is_unified else older)]


def has_display() -> bool:
    """Whether a window can be opened; assumed on other systems than Linux."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def prepare_drawing() -> None:
    """Selects a renderer that needs no display for MuJoCo, which reads that when it is imported, if there is none."""
    if not has_display():
        os.environ.setdefault("MUJOCO_GL", "egl")
