"""An update as compiled code, and on CUDA as a recorded graph."""

import logging
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rlcont.core.errors import UserError
from rlcont.core.protocols import Update
from rlcont.core.types import Metrics
from rlcont.training.ahead import NotCompilable, for_any_number_of_threads
from rlcont.training.libraries import LibraryUpdate
from rlcont.training.watched import WatchedValues

log = logging.getLogger(__name__)

CALLS_BEFORE_RECORDING = 3
Recorder = Callable[[Update, Any], Callable[[], Metrics]]
"""From an update and the batch it is to read to a function that replays it."""


class RecordingError(Exception):
    """An update that cannot be recorded; the message is the reason, one line."""


class CompiledUpdate:
    """An update as compiled code: on the CPU a library, on CUDA replayed as a graph; eager where that cannot be.

    Compiled code holds the Python values that the update read as constants. They are watched, and the update runs
    eagerly from the moment that one of them has changed.

    Args:
        required: whether an update that cannot be compiled, or whose Python values change, is an error.
        folder: where libraries are kept for later runs.
    """

    def __init__(self, update: Update, device: str, required: bool, folder: Path):
        self.update = update
        self.device = device
        self.required = required
        self.watched: WatchedValues | None = WatchedValues(update, addresses=device == "cuda")
        if device == "cuda":
            self.fast = recorded(just_in_time(update, self.watched, device), _record_cuda_graph)
        else:
            self.fast = LibraryUpdate(_with_own_code(update), self.watched, folder)

    def __call__(self, batch: NamedTuple) -> Metrics:
        if self.watched is not None and (change := self.watched.change()):
            self._give_up(
                f"the update reads {change}; compiled code takes it for a constant (write into a tensor instead)"
            )
        if self.watched is None:
            return self.update(batch)
        try:
            return self.fast(batch)
        # Each of these is raised before anything is computed, so nothing is half done.
        except NotCompilable as reason:
            log.debug("no library can be made of the update: %s", reason)
            self.fast = just_in_time(self.update, self.watched, self.device)
            return self(batch)
        except RecordingError as error:
            self._give_up(f"the update cannot be recorded as a CUDA graph ({error})", error)
        except torch._dynamo.exc.TorchDynamoException as error:
            self._give_up(f"the update cannot be compiled ({_reason(error)})", error)
        return self.update(batch)

    def _give_up(self, why: str, error: Exception | None = None) -> None:
        if self.required:
            raise UserError(f"compile=true: {why}; allowed: auto, false") from error
        log.warning("rlcont: %s; it runs eagerly", why)
        self.watched = None


def just_in_time(update: Update, watched: WatchedValues, device: str) -> Update:
    """`update`, compiled in this process at its first call."""
    # Tensors are looked at by the compiler before each call, Python values by `watched`, which is cheaper.
    options: dict[str, Any] = {"guard_filter_fn": watched.take_over}
    # On a GPU the compiler recommends TF32, which rounds to 10 bits; fp32 is what was asked for.
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
    if device == "cpu":
        options |= for_any_number_of_threads()
    compiled: Update = torch.compile(_with_own_code(update), fullgraph=True, dynamic=False, options=options)
    # Made once: torch keeps something of every patch for ever.
    gradients_in_the_graph = torch._dynamo.config.patch(trace_autograd_ops=True)

    def run(batch: NamedTuple) -> Metrics:
        with gradients_in_the_graph:
            return compiled(batch)

    return run


def _reason(error: BaseException) -> str:
    """The first line of what the compiler or CUDA says, and the place in the user's code that it is about."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    stack = getattr(error, "real_stack", None)
    return f"{reason}; {Path(stack[-1].filename).name}, line {stack[-1].lineno}: {stack[-1].line}" if stack else reason


def _with_own_code(update: Update) -> Update:
    """`update` with a code object that no other function has.

    The compiler keeps what it made with the code object, where another agent's update would find it: made for other
    hyper-parameters, which are not looked at.
    """
    function: Any = getattr(update, "__func__", update)
    own = types.FunctionType(function.__code__.replace(), function.__globals__, closure=function.__closure__)
    own.__defaults__, own.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return types.MethodType(own, update.__self__) if hasattr(update, "__self__") else own


def recorded(update: Update, record: Recorder) -> Update:
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
