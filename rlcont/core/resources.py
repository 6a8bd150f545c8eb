"""Memory and cores that a run may use: the machine's, or less in a container or a sweep."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from rlcont.core.errors import UserError

MEMORY_SHARE = "RLCONT_MEMORY_SHARE"
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


def _cgroup_headrooms(proc: Path = Path("/proc"), sys_fs: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Limit minus usage, without page cache, of this process's control groups and their parents."""
    headrooms = []
    for group, is_unified in _control_groups("memory", proc, sys_fs):
        unified = ("memory.max", "memory.current", "inactive_file")
        older = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit_name, usage_name, cache_name = unified if is_unified else older
        try:
            limit = (group / limit_name).read_text().strip()
            usage = int((group / usage_name).read_text())
            statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        if limit != "max":
            headrooms.append(max(int(limit) - usage + int(statistics.get(cache_name, 0)), 0))
    return headrooms


def _cgroup_quotas(proc: Path = Path("/proc"), sys_fs: Path = Path("/sys/fs/cgroup")) -> list[float]:
    """CPU time that this process's control groups and their parents grant, in cores."""
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
    """Folders of this process's control groups and their parents; True for those of the unified hierarchy (v2)."""
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


def has_display() -> bool:
    """Whether a window can be opened; assumed on other systems than Linux."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def prepare_drawing() -> None:
    """Selects a renderer that needs no display for MuJoCo, which reads that when it is imported, if there is none."""
    if not has_display():
        os.environ.setdefault("MUJOCO_GL", "egl")
