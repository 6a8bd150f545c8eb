"""Memory there is: the machine's, a container's, a share of it; cores and threads."""

import os

import psutil
import pytest

from rlcont.core import resources
from rlcont.core.errors import UserError

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


def test_a_share_of_the_memory_is_what_there_is_for_a_run(monkeypatch):
    monkeypatch.setattr(resources, "_cgroup_headrooms", lambda: [1000 * MIB])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 4000 * MIB}))
    monkeypatch.delenv(resources.MEMORY_SHARE, raising=False)
    assert resources.available_memory() == 1000 * MIB
    monkeypatch.setenv(resources.MEMORY_SHARE, str(250 * MIB))
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


THREAD_VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(("cores", "physical", "expected"), [(2, 4, "2"), (16, 4, "4"), (64, 64, "8"), (3, None, "3")])
def test_a_run_takes_the_cores_there_are_up_to_what_it_can_use(monkeypatch, cores, physical, expected):
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(resources, "available_cores", lambda: cores)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: physical)
    resources.prepare_threads()
    assert [os.environ.get(name) for name in THREAD_VARIABLES] == [expected, None, "1000"]


def test_threads_that_the_user_set_stay_as_they_are(monkeypatch):
    values = ("7", "ACTIVE", None)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    for name, value in zip(THREAD_VARIABLES[:2], values, strict=False):
        monkeypatch.setenv(name, str(value))
    resources.prepare_threads()
    assert tuple(os.environ.get(name) for name in THREAD_VARIABLES) == values
