"""torch, and what is built on it, loaded at first use.

`import torch` takes two seconds; a typo on the command line should not. Files that a configuration is validated
with (an algorithm's file and what it imports) take `torch`, `nets`, `policies` and `acting` from here; all others
import them as usual.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch

    from rlcont.nn import nets, policies
    from rlcont.nn import numpy_forward as acting
else:

    class _LazyModule:
        """Imports its module when an attribute is first read, and has all its attributes from then on."""

        def __init__(self, name: str):
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            module = importlib.import_module(self._name)
            vars(self).update(vars(module))
            return getattr(module, attribute)

    torch = _LazyModule("torch")
    acting = _LazyModule("rlcont.acting")
    nets = _LazyModule("rlcont.nets")
    policies = _LazyModule("rlcont.policies")
