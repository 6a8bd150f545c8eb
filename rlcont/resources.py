"""How much memory a run may take: the machine's, or less where a container or a sweep shares it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from rlcont.core import UserError

CONCURRENT_JOBS = "RLCONT_CONCURRENT_JOBS"


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
    """Bytes one job may still take.

    The smallest of what the machine has free and what each enclosing control group allows, divided by the number of
    jobs that run at once (RLCONT_CONCURRENT_JOBS, set by whoever starts them; 1 if unset).
    """
    bounds = [psutil.virtual_memory().available, *_cgroup_headrooms()]
    return min(bounds) // int(os.environ.get(CONCURRENT_JOBS, "1"))


def _cgroup_headrooms(proc: Path = Path("/proc"), sys_fs: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Limit minus use, page cache not counted, of this process's control groups and their parents."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    headrooms = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = sys_fs, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = sys_fs / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = Path(path.lstrip("/"))
        for part in (group, *group.parents):
            headrooms += _headroom(root / part, *names)
    return headrooms


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
