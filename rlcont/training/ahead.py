"""Compiles an update ahead of time: from Python to a library that needs neither Python nor the compiler.

torch traces the update to a graph of what it computes (torch._dynamo), the gradients in it and the writes to weights
are spelled out (make_fx, functionalize), and AOTInductor makes C++ of it.
"""

import ast
import math
import tempfile
import types
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rlcont.core.errors import one_line
from rlcont.core.protocols import Update
from rlcont.core.types import Metrics

THREADS_TO_DIVIDE_FOR = 2
"""Threads that a loop must be long enough for if compiled code is to divide it."""


class NotCompilable(Exception):
    """An update of which no library can be made; the message is the reason, one line."""


class Traced(NamedTuple):
    """An update as a graph."""

    graph: torch.fx.GraphModule
    """From the tensors that the update reads or writes to a list of those it makes."""
    expressions: list[str]
    """How the update calls the tensors that it reads."""
    tensors: tuple[torch.Tensor, ...]
    """These tensors."""
    outputs: dict[str, int]
    """By the name of each metric, its place in the list."""


def trace(update: Update, batch: NamedTuple, guard_filter: Any, is_known: Callable[[str], bool]) -> Traced:
    """Traces an update without making it.

    Raises:
        torch._dynamo.exc.TorchDynamoException: it cannot be traced.
        NotCompilable: it does more than write to tensors and return tensors that it made, or has code in a file that is
            not known.

    Args:
        guard_filter: is given what the compiler would look at before each call.
        is_known: whether the code in a file is that of the libraries' key.
    """
    graph: Any = None
    code: list[types.CodeType] = []
    tensors: tuple[torch.Tensor, ...] = ()
    stand_ins: list[torch.Tensor] = []

    def backend(module: torch.fx.GraphModule, _: Any) -> Any:
        nonlocal graph, code
        graph, code = module, list(torch._guards.TracingContext.get().traced_code)
        return stand_in

    def stand_in(*inputs: torch.Tensor) -> list[torch.Tensor]:
        # All is refused here, before the update's changes of Python objects are made with these stand-ins.
        nonlocal tensors
        if foreign := [each.co_filename for each in code if not is_known(each.co_filename)]:
            raise NotCompilable(f"it has code of its own in {foreign[0]}")
        if changed := _changed_objects(str(warning.message) for warning in said):
            raise NotCompilable(f"it changes {changed[0]}")
        (places,) = graph.graph.output_node().args
        tensors, stand_ins[:] = inputs, [torch.empty(0) for _ in places]
        return stand_ins

    traced = torch.compile(
        update, fullgraph=True, dynamic=False, backend=backend, options={"guard_filter_fn": guard_filter}
    )
    settings = torch._dynamo.config.patch(trace_autograd_ops=True, side_effect_replay_policy="warn")
    with warnings.catch_warnings(record=True) as said, settings:
        warnings.simplefilter("always")
        metrics: Metrics = traced(batch)
    places = {id(tensor): place for place, tensor in enumerate(stand_ins)}
    if not isinstance(metrics, dict) or not all(isinstance(name, str) for name in metrics):
        raise NotCompilable("it returns something else than a dictionary by name")
    if graph is None or not all(id(value) in places for value in metrics.values()):
        raise NotCompilable("it returns something else than tensors that it made")
    expressions = [node._dynamo_source.name for node in graph.graph.find_nodes(op="placeholder")]
    return Traced(graph, expressions, tensors, {name: places[id(value)] for name, value in metrics.items()})


def _changed_objects(said: Iterable[str]) -> list[str]:
    """The Python objects that an update changes, by what the compiler says of it.

    `torch.func.functional_call` puts weights into a network's parameters, and the old ones back.
    """
    lists = [message.partition("double check: ")[2] for message in said]
    changed = [name for each in lists if each for name in ast.literal_eval(each)]
    return [name for name in changed if not name.endswith("._parameters")]


def build(traced: Traced, path: Path) -> None:
    """Makes the library `path` of a traced update.

    Raises:
        NotCompilable: the compiler failed.
    """
    from torch._inductor import config as inductor
    from torch._inductor.compile_fx import compile_fx_aot
    from torch._inductor.decomposition import select_decomp_table
    from torch.fx.experimental.proxy_tensor import make_fx

    table = select_decomp_table()
    tensors = [_like(tensor).detach() for tensor in traced.tensors]
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=path.parent) as folder:
            warnings.simplefilter("ignore", FutureWarning)  # Of torch's own code.
            copies = [_like(tensor) for tensor in traced.tensors]
            versions = [copy._version for copy in copies]
            with_gradients = make_fx(_listed(traced.graph), table)(*copies)
            written = [copy._version > version for copy, version in zip(copies, versions, strict=True)]
            _refuse_overlaps(traced.tensors, written)
            functional = torch.func.functionalize(_listed(with_gradients), remove="mutations")
            options = for_any_number_of_threads() | {
                "aot_inductor.output_path": str(Path(folder, path.name)),
                "aot_inductor.precompile_headers": False,  # It takes 18 s and saves nothing.
            }
            if hasattr(inductor.aot_inductor, "enable_line_tables"):  # They make the library several times as large.
                options["aot_inductor.enable_line_tables"] = False
            with torch.no_grad():
                graph = make_fx(functional, table, tracing_mode="fake")(*tensors)
                compile_fx_aot(graph, [*tensors], config_patches=options)
            for made in Path(folder).glob(f"{path.stem}.*"):  # Beside the library, what it calls of torch by name.
                made.rename(path.with_name(made.name))
    except NotCompilable:
        raise
    except Exception as error:  # Whatever stops it, the update runs without the library.
        raise NotCompilable(one_line(error)) from error


def _refuse_overlaps(tensors: Iterable[torch.Tensor], written: Iterable[bool]) -> None:
    """The copies that a graph is made from do not share memory, so what is written must have its own."""
    places = [
        (tensor.untyped_storage().data_ptr(), is_written) for tensor, is_written in zip(tensors, written, strict=True)
    ]
    used = [place for place, _ in places]
    if any(is_written and used.count(place) > 1 for place, is_written in places):
        raise NotCompilable("a tensor that it writes shares its memory with another one")


def for_any_number_of_threads() -> dict[str, Any]:
    """Lets compiled code run with any number of threads, and to the same numbers; returns the options for it.

    Where a loop that sums is divided among threads, its result depends on their number, so only loops in which each
    output is computed by one thread are divided. The compiler, told that the number of threads may change, would
    divide the shortest of them too.
    """
    from torch._inductor import config
    from torch._inductor.codegen import cpp

    loop_nest: Any = cpp.LoopNest
    divisible = loop_nest.max_parallel_depth
    if not getattr(loop_nest, "keeps_numbers", False):

        def max_parallel_depth(nest: Any) -> Any:
            depth = divisible(nest)
            if nest.loops is None:
                return depth
            is_sum = nest.loops[depth.start_depth].is_reduction
            is_short = math.prod(loop.size for loop in nest.loops) < THREADS_TO_DIVIDE_FOR * config.cpp.min_chunk_size
            return cpp.ParallelDepth(0, depth.start_depth) if is_sum or is_short else depth

        loop_nest.max_parallel_depth = max_parallel_depth
        loop_nest.keeps_numbers = True
    return {"cpp.threads": THREADS_TO_DIVIDE_FOR, "cpp.dynamic_threads": True}


def _listed(graph: torch.fx.GraphModule) -> Any:
    return lambda *tensors: list(graph(*tensors))


def _like(tensor: torch.Tensor) -> torch.Tensor:
    """A copy laid out as `tensor` is."""
    copied = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    return copied.copy_(tensor.detach()).requires_grad_(tensor.requires_grad)
