"""What a machine with a GPU is, and whether torch can do there what rlcont needs: a row for each thing tried.

python benchmarks/gpu_facts.py cuda
"""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from gpu_rows import say

PACKAGES = ("rlcont", "torch", "triton", "numpy", "gymnasium", "mujoco", "pydantic", "safetensors", "pytest")


def machine(device: str) -> str:
    if device == "cpu":
        return "no GPU asked for"
    free, total = torch.cuda.mem_get_info()
    properties = torch.cuda.get_device_properties(0)
    return (
        f"{properties.name}, capability {properties.major}.{properties.minor}, {free / 2**30:.1f} of "
        f"{total / 2**30:.1f} GiB free, CUDA {torch.version.cuda}"
    )


def processor(device: str) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def versions(device: str) -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def driver(device: str) -> str:
    if device == "cpu":
        return "not asked for"
    command = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,power.limit", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def product(device: str) -> str:
    x = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(0))
    expected = x.double() @ x.double()
    error = ((x.to(device) @ x.to(device)).cpu() - expected).norm() / expected.norm()
    return f"relative error of a float32 product {error:.1e} (TF32 would be 3e-4)"


def compiled(device: str) -> str:
    x = torch.randn(1000, device=device)
    result = torch.compile(lambda x: (x.sin() * x).sum(), fullgraph=True, dynamic=False)(x)
    return f"off by {(result - (x.sin() * x).sum()).abs().item():.1e}"


def recorded(device: str) -> str:
    if device == "cpu":
        return "not asked for"
    x, graph = torch.ones(4, device=device), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.add_(1)
    for _ in range(3):
        graph.replay()
    return f"three replays of adding 1 to 1 give {x[0].item():.0f}"


def scatter_add_repeats(device: str) -> str:
    rng = torch.Generator().manual_seed(0)
    source = torch.rand(256, 51, generator=rng).to(device)
    index = torch.randint(51, (256, 51), generator=rng).to(device)
    sums = [torch.zeros_like(source).scatter_add(1, index, source) for _ in range(50)]
    return f"{sum(torch.equal(one, sums[0]) for one in sums)} of 50 equal the first to the last bit"


TRIED: tuple[Callable[[str], str], ...] = (
    *(machine, processor, versions, driver, product, recorded, scatter_add_repeats, compiled),
)

if __name__ == "__main__":
    failed = False
    for what in TRIED:
        start = time.perf_counter()
        try:
            said = what(sys.argv[1])
        except Exception as error:
            traceback.print_exc()
            said, failed = f"failed: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}", True
        seconds = round(time.perf_counter() - start, 2)
        say("machine", what=what.__name__.replace("_", " "), said=said, seconds=seconds)
    sys.exit(failed)
