"""Load a heavy module at its first use instead of at its import."""

import importlib.util
import sys


def lazy(name: str) -> None:
    """Registers `name` so that importing it costs nothing until an attribute is read.

    `import torch` takes two seconds; a typo on the command line should not. The files that
    declare an algorithm's configuration import torch as usual, and pay for it when an agent is built.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
