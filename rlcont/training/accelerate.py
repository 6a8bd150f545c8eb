"""How an update is made fast: the one place that knows torch.compile, autocast and CUDA graphs.

Everything else is written for eager PyTorch, which stays the reference.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import shutil
import sysconfig
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from rlcont.core.errors import UserError
from rlcont.core.types import Metrics

log = logging.getLogger(__name__)

UPDATES_THAT_EARN_A_COMPILATION = 30_000
"""Compiling takes 21 s the first time and saves about a millisecond an update (docs/benchmarks.md)."""
CACHE_DIR = "TORCHINDUCTOR_CACHE_DIR"
"""The environment variable that says where compiled code is kept for the next run."""

CALLS_BEFORE_RECORDING = 3

Update = Callable[[Any], Metrics]
"""From a batch, a NamedTuple of tensors, to metrics; changes weights in place."""
Recorder = Callable[[Update, Any], Callable[[], Metrics]]
"""From an update and the batch it is to read to a function that replays it."""


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
        return _CompiledUpdate(update, self.device, self.required) if self.compile else update

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

    An automatic precision is fp32: agents trained in bf16 were behind after 100 k steps (docs/results/ddpg.md).

    Raises:
        UserError: compiling was asked for where it is not possible.
    """
    required = compile_ is True
    is_long = num_updates >= UPDATES_THAT_EARN_A_COMPILATION
    wanted = required or (compile_ == "auto" and is_long)
    if wanted:
        # torch._dynamo, which what follows imports, would choose a temporary folder.
        os.environ.setdefault(CACHE_DIR, str(_cache_folder()))
    obstacle = _obstacle_to_compiling(device) if wanted else ""
    if required and obstacle:
        raise UserError(f"compile=true: {obstacle}; allowed: auto, false")
    reason = f"not compiled: {obstacle}" if obstacle else ""
    if compile_ == "auto" and not is_long:
        reason = f"not compiled: {num_updates} updates are too few to earn it"
    if precision == "auto":
        precision = "fp32"
    elif precision == "bf16" and not _bf16_is_faster(device):
        reason = "; ".join([*filter(None, [reason]), f"bf16 products are no faster than fp32 on this {device}"])
    return Acceleration(wanted and not obstacle, precision, device, reason, required)


def _bf16_is_faster(device: str) -> bool:
    """Whether matrix products are faster in bf16 than in fp32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return _bf16_gain() > 1


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
    if not hasattr(torch._dynamo.config, "trace_autograd_ops"):
        return f"torch {torch.__version__} cannot compile gradients (2.11 or newer can)"
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


class RecordingError(Exception):
    """An update that cannot be recorded; the message is the reason, one line."""


class _CompiledUpdate:
    """An update as one compiled function, on CUDA replayed as a graph; eager where that cannot be.

    Compiled code holds the Python values that the update read as constants. They are watched, and the update runs
    eagerly from the moment that one of them has changed.

    Args:
        required: whether an update that cannot be compiled, or whose Python values change, is an error.
    """

    def __init__(self, update: Update, device: str, required: bool):
        self.update = update
        self.required = required
        self.watched: WatchedValues | None = WatchedValues(update)
        # Tensors are looked at by the compiler before each call, Python values by `watched`, which is cheaper.
        options: dict[str, Any] = {"guard_filter_fn": self.watched.take_over}
        # On a GPU the compiler recommends TF32, which rounds to 10 bits; fp32 is what was asked for.
        warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
        compiled: Update = torch.compile(_with_own_code(update), fullgraph=True, dynamic=False, options=options)
        # Made once: torch keeps something of every patch for ever.
        self.gradients_in_the_graph = torch._dynamo.config.patch(trace_autograd_ops=True)
        self.fast = _recorded(compiled, _record_cuda_graph) if device == "cuda" else compiled

    def __call__(self, batch: NamedTuple) -> Metrics:
        if self.watched is None:
            return self.update(batch)
        change = self.watched.change()
        if change:
            self._give_up(f"the update reads {change}; compiled code takes it for a constant (a tensor may change)")
            return self.update(batch)
        try:
            with self.gradients_in_the_graph:
                return self.fast(batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            # It is raised before anything is computed, so nothing is half done.
            self._give_up(f"the update cannot be compiled ({_reason(error)})", error)
            return self.update(batch)
        except RecordingError as error:
            # Recording computes nothing either.
            self._give_up(f"the update cannot be recorded as a CUDA graph ({error})", error)
            return self.update(batch)

    def _give_up(self, why: str, error: Exception | None = None) -> None:
        """From now on eager.

        Raises:
            UserError: compiling was required.
        """
        if self.required:
            raise UserError(f"compile=true: {why}; allowed: auto, false") from error
        log.warning("rlcont: %s; it runs eagerly", why)
        self.watched = None


class WatchedValues:
    """The Python values that compiled code holds as constants, by the expressions it read them by.

    Tuples and frozen dataclasses are watched as a whole, since what is in them cannot change.
    """

    def __init__(self, update: Update):
        function: Any = getattr(update, "__func__", update)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        names = {name: cell.cell_contents for name, cell in cells}
        if hasattr(update, "__self__"):
            names[function.__code__.co_varnames[0]] = update.__self__
        self.scope = {"L": names, "G": function.__globals__}
        self.values: dict[str, Any] = {}
        self.code: types.CodeType | None = None

    def take_over(self, guards: Any) -> list[bool]:
        """Keeps the compiler's guards on tensors alone, and watches the plain values that the others are about."""
        for guard in guards:
            # The compiler copies the dictionary of a class for each attribute, which takes long.
            expression = re.sub(r"dict\((.+)\.__dict__\)\['(\w+)'\]", r"\1.\2", guard.orig_guard.name)
            if re.search(r"__import_|\._(modules|parameters|buffers|\w*hooks\w*)\b|__mro__", expression):
                continue  # Code of libraries and the structure of networks: they do not change as training goes on.
            if isinstance(guard.value, list | dict):
                self._watch(f"len({expression})")
            elif _is_plain(guard.value):
                self._watch(expression)
            elif isinstance(guard.value, types.FunctionType) and "type(" not in expression:
                self._watch(expression)  # A function kept in an attribute; methods of classes do not change.
        self.code = compile(f"({''.join(f'{each},' for each in self.values)})", "watched values", "eval")
        return torch.compiler.keep_tensor_guards_unsafe(guards)

    def change(self) -> str:
        """What has changed since the update was compiled, or nothing."""
        if self.code is None or self._now() == tuple(self.values.values()):
            return ""
        for expression, before in self.values.items():
            try:
                now = eval(expression, self.scope)
            except (AttributeError, LookupError):
                now = "nothing"
            if now != before:
                return f"{_readable(expression)}, which has changed from {before!r} to {now!r}"
        return ""

    def _now(self) -> Any:
        assert self.code is not None
        try:
            return eval(self.code, self.scope)
        except (AttributeError, LookupError):  # Something is gone.
            return None

    def _watch(self, expression: str) -> None:
        owner = re.fullmatch(r"(?:len\()?(.+?)(?:\.\w+|\[[^\[\]]+\])\)?", expression)
        try:
            value = eval(expression, self.scope)
            holder = eval(owner[1], self.scope) if owner else None
        except Exception:  # An expression of the compiler's own that only it can evaluate.
            return
        if not _is_frozen(holder) and not isinstance(holder, tuple):
            self.values[expression] = value


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str | None) or _is_frozen(value)


def _is_frozen(value: Any) -> bool:
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _readable(expression: str) -> str:
    """An expression of the compiler's as it stands in the update."""
    return re.sub(r"L\['(\w+)'\]|G\['(\w+)'\]", lambda match: match[1] or match[2], expression)


def _reason(error: BaseException) -> str:
    """The first line of what the compiler or CUDA says, and the place in the user's code that it is about."""
    reason = str(error).strip().splitlines()[0]
    stack = getattr(error, "real_stack", None)
    return f"{reason}; {Path(stack[-1].filename).name}, line {stack[-1].lineno}: {stack[-1].line}" if stack else reason


def _with_own_code(update: Update) -> Update:
    """`update` with a code object that no other function has.

    The compiler keeps what it made with the code object, where another agent's update would find it: made for other
    hyper-parameters, which are not looked at.
    """
    function: Any = getattr(update, "__func__", update)
    own = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    own.__kwdefaults__ = function.__kwdefaults__
    return types.MethodType(own, update.__self__) if hasattr(update, "__self__") else own


def _recorded(update: Update, record: Recorder) -> Update:
    """`update` recorded once and replayed from then on: one launch, where there was one for each kernel.

    A recording reads and writes fixed addresses: batches are copied in, metrics are copied out. The first calls are
    made as they are, since what they set up (compiled code, workspaces) must not be recorded; they read the copies too,
    since code is compiled for the strides of its tensors, and a batch is views into wider rows.

    Raises:
        RecordingError: the update cannot be recorded.
    """
    num_calls = 0
    inputs: Any = None
    replay: Callable[[], Metrics] | None = None

    def run(batch: NamedTuple) -> Metrics:
        nonlocal num_calls, inputs, replay
        if inputs is None:
            inputs = type(batch)(*(tensor.clone() for tensor in batch))
        for fixed, tensor in zip(inputs, batch, strict=True):
            fixed.copy_(tensor)
        num_calls += 1
        if num_calls > CALLS_BEFORE_RECORDING and replay is None:
            try:
                replay = record(update, inputs)
            except RuntimeError as error:
                # What failed first is the reason; ending the recording then fails too.
                raise RecordingError(_reason(error.__context__ or error)) from error
        metrics = update(inputs) if replay is None else replay()
        return {name: value.clone() for name, value in metrics.items()}

    return run


def _record_cuda_graph(update: Update, batch: NamedTuple) -> Callable[[], Metrics]:
    """Records `update` without running it."""
    graph = torch.cuda.CUDAGraph()
    # Where recording fails, `torch.cuda.graph` leaves its own stream the current one.
    with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
        metrics = update(batch)

    def replay() -> Metrics:
        graph.replay()
        return metrics

    return replay


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "rlcont" / "compiled"
