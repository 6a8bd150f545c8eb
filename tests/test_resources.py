"""Memory there is: the machine's, a container's, a share of it."""

import psutil
import pytest

from rlcont import resources
from rlcont.core import UserError

MIB = 2**20


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_tightest_enclosing_group_counts_and_its_page_cache_does_not(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/user/job\n")
    for group, limit, used, cache in [("user", 500 * MIB, 300 * MIB, 50 * MIB), ("user/job", "max", 100 * MIB, 0)]:
        write(tmp_path / "cgroup" / group / "memory.max", f"{limit}\n")
        write(tmp_path / "cgroup" / group / "memory.current", f"{used}\n")
        write(tmp_path / "cgroup" / group / "memory.stat", f"anon 1\ninactive_file {cache}\n")
    assert resources._cgroup_headrooms(tmp_path / "proc", tmp_path / "cgroup") == [250 * MIB]


def test_the_older_control_groups_are_read_too(tmp_path):
    write(tmp_path / "proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/x\n")
    folder = tmp_path / "cgroup/memory/docker/x"
    write(folder / "memory.limit_in_bytes", f"{300 * MIB}\n")
    write(folder / "memory.usage_in_bytes", f"{100 * MIB}\n")
    write(folder / "memory.stat", f"total_inactive_file {10 * MIB}\n")
    assert resources._cgroup_headrooms(tmp_path / "proc", tmp_path / "cgroup") == [210 * MIB]


def test_without_control_groups_the_machine_counts(tmp_path):
    assert resources._cgroup_headrooms(tmp_path, tmp_path) == []


def test_jobs_that_run_at_once_share_the_memory(monkeypatch):
    monkeypatch.setattr(resources, "_cgroup_headrooms", lambda: [1000 * MIB])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 4000 * MIB}))
    monkeypatch.delenv(resources.CONCURRENT_JOBS, raising=False)
    assert resources.available_memory() == 1000 * MIB
    monkeypatch.setenv(resources.CONCURRENT_JOBS, "4")
    assert resources.available_memory() == 250 * MIB


def test_what_does_not_fit_is_refused_with_both_figures():
    resources.check_memory("algo.replay_size=1", 10, 10)
    with pytest.raises(UserError, match=r"algo.replay_size=9: needs 2\.00 GiB of memory, 1\.00 GiB are available"):
        resources.check_memory("algo.replay_size=9", 2 * 2**30, 2**30)


def test_the_smallest_quota_of_cores_counts(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/user/job\n")
    write(tmp_path / "cgroup/user/cpu.max", "250000 100000\n")
    write(tmp_path / "cgroup/user/job/cpu.max", "max 100000\n")
    assert resources._cgroup_quotas(tmp_path / "proc", tmp_path / "cgroup") == [2.5]
    write(tmp_path / "proc/self/cgroup", "4:cpu,cpuacct:/docker\n5:memory:/docker\n")
    write(tmp_path / "cgroup/cpu/docker/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "cgroup/cpu/docker/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert resources._cgroup_quotas(tmp_path / "proc", tmp_path / "cgroup") == [0.5]


@pytest.mark.parametrize(("quotas", "cores"), [([], 3), ([8.0], 3), ([2.5, 8.0], 2), ([0.5], 1)])
def test_cores_are_those_a_process_may_run_on_or_fewer(monkeypatch, quotas, cores):
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    monkeypatch.setattr(resources, "_cgroup_quotas", lambda: quotas)
    assert resources.available_cores() == cores
