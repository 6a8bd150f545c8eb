"""How the updates of a run are made fast on this machine: compiled or eager, in fp32 or bf16.

Everything else is written for eager PyTorch, which stays the reference.
"""

import contextlib
import dataclasses
import logging
import os
import shutil
import struct
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from rlcont.core.errors import UserError
from rlcont.core.protocols import Update
from rlcont.core.types import Metrics
from rlcont.training.compiled import CompiledUpdate

log = logging.getLogger(__name__)

UPDATES_THAT_EARN_A_COMPILATION = 7_500
"""Compiling takes 16 to 23 s once, for all runs to come, and saves 1 to 4 ms an update (docs/benchmarks.md)."""
CACHE_DIR = "TORCHINDUCTOR_CACHE_DIR"
"""The environment variable that says where compiled code is kept for the next run."""
SECONDS_TO_WRITE = 5.0
"""A library that was changed later than so long ago may still be being written by another run."""


@dataclasses.dataclass(frozen=True)
class Acceleration:
    """How updates run. Called with an update, it makes that one run so.

    `reason` says in a few words why an automatic choice was made; it is empty where there is nothing to explain.
    With `required`, an update that cannot be compiled is an error; without, it runs eagerly and says so.
    """

    compile: bool
    precision: Literal["fp32", "bf16"]
    device: str
    reason: str = ""
    required: bool = False

    def __call__(self, update: Update) -> Update:
        """`update` with matrix products in `precision`, compiled, and on CUDA replayed as a graph."""
        if self.precision == "bf16":
            update = _in_bf16(update, self.device)
        return CompiledUpdate(update, self.device, self.required, _cache()) if self.compile else update

    def facts(self) -> dict[str, Any]:
        """What was chosen, for the run's description."""
        return {"compile": self.compile, "precision": self.precision, "device": self.device}

    def __str__(self) -> str:
        text = f"{'compiled' if self.compile else 'eager'} updates in {self.precision}"
        return f"{text} ({self.reason})" if self.reason else text


def choose(
    compile_: Literal["auto"] | bool, precision: Literal["auto", "fp32", "bf16"], device: str, num_updates: int
) -> Acceleration:
    """What `compile` and `precision` come to for a run of `num_updates` updates on this machine.

    An automatic precision is fp32: agents trained in bf16 were behind after 100 k steps (docs/results/log.md).
    """
    required = compile_ is True
    is_long = num_updates >= UPDATES_THAT_EARN_A_COMPILATION
    wanted = required or (compile_ == "auto" and is_long)
    if wanted:
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # It warns of a toolkit without a GPU.
        _discard_damaged(_cache())
    obstacle = _obstacle_to_compiling(device) if wanted else ""
    if required and obstacle:
        raise UserError(f"compile=true: {obstacle}; allowed: auto, false")
    reason = f"not compiled: {obstacle}" if obstacle else ""
    if compile_ == "auto" and not is_long:
        reason = f"not compiled: {num_updates} updates are too few to earn it"
    if precision == "auto":
        precision = "fp32"
    elif precision == "bf16":
        on_gpu = device == "cuda"
        faster = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else _bf16_gain() > 1
        reasons = [reason, "" if faster else f"bf16 products are no faster than fp32 on this {device}"]
        reason = "; ".join(filter(None, reasons))
    return Acceleration(wanted and not obstacle, precision, device, reason, required)


def _bf16_gain() -> float:
    """How many times as fast as in fp32 a layer's product is in bf16, conversions and all, on this processor.

    Measured, in a twentieth of a second: to have the instructions says little. AVX-512 makes it twice as fast on
    a Zen 4 and half as fast on a Xeon without AMX. One thread, and the shortest of many times, so that other work on
    the machine does not decide.
    """
    x, weight = torch.ones(2, 256, 256)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def seconds(bf16: bool) -> float:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
            start = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            return time.perf_counter() - start

    in_fp32: list[float] = []
    in_bf16: list[float] = []
    while len(in_fp32) < 3 or sum(in_fp32) + sum(in_bf16) < 0.05:
        in_fp32.append(seconds(bf16=False))
        in_bf16.append(seconds(bf16=True))
    torch.set_num_threads(threads)
    return min(in_fp32) / min(in_bf16)


def _obstacle_to_compiling(device: str) -> str:
    """What keeps torch.compile from working here, or nothing."""
    if device == "cuda":
        return ""
    compiler = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ([compiler] if compiler else ["g++", "clang++"])):
        return f"no C++ compiler ({compiler or 'g++ or clang++'}) on PATH"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "Python's C headers (python3-dev) are not installed"
    return ""


def _in_bf16(update: Update, device: str) -> Update:
    """Weights, optimiser and losses stay in fp32; autocast converts what matrix products take.

    Nothing converted is kept: the weights change within an update.
    """

    def in_bf16(batch: NamedTuple) -> Metrics:
        with torch.autocast(device, torch.bfloat16, cache_enabled=False):
            return update(batch)

    return in_bf16


def _cache() -> Path:
    """Where compiled code is kept; torch is told, which would choose a temporary folder."""
    if not os.environ.get(CACHE_DIR):  # An empty one would be the working directory.
        os.environ[CACHE_DIR] = str(_cache_folder())
    return Path(os.environ[CACHE_DIR])


def _cache_folder() -> Path:
    """A folder in the user's cache; a temporary one where there is no home, or none that can be written."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rlcont", "compiled")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):
        return Path(tempfile.mkdtemp(prefix="rlcont-compiled-"))
    return folder


def _discard_damaged(folder: Path) -> None:
    """Deletes libraries that a process has left half written that was killed while it compiled.

    The compiler writes them in place, and loading one would fail, or end this process.
    """
    for path in folder.rglob("*.so"):
        with contextlib.suppress(OSError):  # Another run may have discarded it.
            if not _is_whole(path) and time.time() - path.stat().st_mtime > SECONDS_TO_WRITE:
                path.unlink()


def _is_whole(library: Path) -> bool:
    """Whether an ELF file (System V ABI, chapter 4) reaches to the end of its section headers, its last part."""
    with library.open("rb") as file:
        header = file.read(64)
    if len(header) < 64 or header[:4] != b"\x7fELF":
        return len(header) == 64  # Another system's library.
    (offset,) = struct.unpack_from("<Q", header, 0x28)
    size, number = struct.unpack_from("<HH", header, 0x3A)
    return library.stat().st_size >= offset + size * number
