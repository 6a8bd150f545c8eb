"""From the name of an algorithm to its classes."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from rlcont.core.errors import UserError


def config_class(name: str) -> Any:
    """The dataclass of an algorithm's hyper-parameters; loads no torch unless the algorithm's config module does.

    Raises:
        UserError: there is no such algorithm.
    """
    return _attribute(name, "config", "Config")


def agent_class(name: str) -> Any:
    """The class of an algorithm's agent; loads torch.

    Raises:
        UserError: there is no such algorithm.
    """
    return _attribute(name, "agent", "")


def yaml_file(name: str) -> Path | None:
    """The file of values of an algorithm `module:Class`: Class.yaml beside the module. None for rlcont's own names.

    Raises:
        UserError: the module cannot be found.
    """
    module, is_foreign, cls = name.rpartition(":")
    if not is_foreign:
        return None
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise _cannot_import(name, module, error) from error
    if spec is None or spec.origin is None:
        raise _cannot_import(name, module, ModuleNotFoundError(f"No module named {module!r}"))
    return Path(spec.origin).with_name(f"{cls}.yaml")


def _attribute(name: str, part: str, suffix: str) -> Any:
    package, is_foreign, cls = name.rpartition(":")
    if not is_foreign:
        package = f"rlcont.algos.{name}"
        if not name.isidentifier() or importlib.util.find_spec(package) is None:
            raise UserError(f"algo={name}: no such algorithm")
    module = _import(name, package, part)
    cls = cls or name
    wanted = f"{cls}{suffix}".lower()
    found = [value for key, value in vars(module).items() if key.lower() == wanted and isinstance(value, type)]
    if not found:
        raise UserError(f"algo={name}: {module.__name__} defines no class {cls}{suffix}")
    return found[0]


def _import(name: str, package: str, part: str) -> ModuleType:
    """`package.part`, or `package` itself where it is a single file or has no such part."""
    try:
        spec = importlib.util.find_spec(package)
        has_part = (
            spec is not None
            and spec.submodule_search_locations is not None
            and importlib.util.find_spec(f"{package}.{part}") is not None
        )
        return importlib.import_module(f"{package}.{part}" if has_part else package)
    except Exception as error:
        raise _cannot_import(name, package, error) from error


def _cannot_import(name: str, module: str, error: Exception) -> UserError:
    hint = "; is its folder in PYTHONPATH?" if isinstance(error, ModuleNotFoundError) else ""
    return UserError(f"algo={name}: module {module!r} cannot be imported ({error}){hint}")
