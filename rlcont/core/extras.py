"""Packages that only some commands need, which come with an extra of rlcont's."""

from __future__ import annotations

import importlib.util

from rlcont.core.errors import UserError


def require(what: str, extra: str, *modules: str) -> None:
    """Asks, without loading them, whether the modules that `what` needs are installed.

    Raises:
        UserError: one is not.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{what}: needs {module}; pip install 'rlcont[{extra}]' brings it")
