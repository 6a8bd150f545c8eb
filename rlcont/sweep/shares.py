"""Each job's share of the machine: threads, a GPU, memory."""

import re
import subprocess
from collections.abc import Mapping

from rlcont.core.resources import MEMORY_SHARE, available_cores, threads_for

THREADS = "OMP_NUM_THREADS"
DEVICES = "CUDA_VISIBLE_DEVICES"


def jobs_at_once(wanted: str | int, num_jobs: int) -> int:
    """How many jobs run at once: one per core for auto, at most `num_jobs`."""
    return min(num_jobs, available_cores() if wanted == "auto" else int(wanted))


def job_environment(
    slot: int, at_once: int, cores: int, memory: int, gpus: list[str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Environment variables of the job in slot `slot` of `at_once`.

    Threads and bytes of memory are divided evenly, GPUs are assigned in turn. A number of threads set by the user is
    kept.
    """
    environment = {THREADS: str(threads_for(cores // at_once)), **inherited, MEMORY_SHARE: str(memory // at_once)}
    if gpus:
        environment[DEVICES] = gpus[slot % len(gpus)]
    return environment


def visible_gpus(inherited: Mapping[str, str]) -> list[str]:
    """GPUs that jobs may use, as CUDA_VISIBLE_DEVICES names them: those it lists, else all of the machine."""
    if DEVICES in inherited:
        # CUDA ignores the list from the first invalid entry on, which is usually written as -1.
        listed = [name.strip() for name in inherited[DEVICES].split(",")]
        return listed[: next((i for i, name in enumerate(listed) if name in ("", "-1")), len(listed))]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return parse_gpus(listing)


def parse_gpus(listing: str) -> list[str]:
    """Identifiers in the output of `nvidia-smi -L`; for a GPU that is split by MIG, those of its instances."""
    gpus: list[str] = []
    for kind, uuid in re.findall(r"^\s*(GPU|MIG) .*UUID: ([^)]+)\)", listing, re.MULTILINE):
        if kind == "MIG" and gpus and gpus[-1].startswith("GPU-"):
            gpus.pop()
        gpus.append(uuid)
    return gpus
