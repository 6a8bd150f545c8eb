"""Packages that only some commands need; each comes with an extra, such as rlcont[export]."""

from __future__ import annotations

import importlib.util

from rlcont.core.errors import UserError


def require(what: str, extra: str, *modules: str) -> None:
    """Checks that the modules that `what` needs are installed, without importing them.

    Raises:
        UserError: a module is missing.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{what}: needs {module}; install it by pip install 'rlcont[{extra}]'")
