"""From the name of an algorithm to its classes and its YAML file.

`ddpg` is the folder rlcont/algos/ddpg, with DDPGConfig in config.py and DDPG in agent.py. `my_package:MyAlgo` is an
importable package of anybody's with the same two files, or one module with both classes; its values are in MyAlgo.yaml
beside the module. Capitals do not count in the names of rlcont's own classes. There is no registry.

An agent is an `rlcont.core.agent.Agent`, made by `NAME(config, noise, spec, *, num_envs, total_steps, seed, device,
accelerate)`. The configuration is an `AlgorithmConfig` (algos/base.py).
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from rlcont.algos.base import AlgorithmConfig
from rlcont.core.errors import UserError
from rlcont.core.typed import importable


def config_class(name: str) -> Any:
    """The dataclass of an algorithm's hyper-parameters; loads no torch unless the algorithm's config module does."""
    return _checked(name, _class(name, "config", "Config"), AlgorithmConfig)


def is_foreign(name: str) -> bool:
    """Whether an algorithm is none of rlcont's own."""
    return ":" in name


def agent_class(name: str) -> Any:
    from rlcont.core.agent import Agent

    return _checked(name, _class(name, "agent", ""), Agent)


def _checked(name: str, found: Any, base: type) -> Any:
    """`found`, if it is derived from `base` and has all methods that `base` leaves open."""
    if not issubclass(found, base):
        raise UserError(f"algo={name}: {found.__name__} must be derived from {base.__module__}.{base.__name__}")
    missing = sorted(found.__abstractmethods__)
    if missing:
        raise UserError(f"algo={name}: {found.__name__} must define {', '.join(missing)}")
    return found


def yaml_file(name: str) -> Path | None:
    """The file of values of an algorithm `module:Class`: Class.yaml beside the module. None for rlcont's own names."""
    module, is_foreign, cls = name.rpartition(":")
    if not is_foreign:
        return None
    spec = _spec(name, module)
    folder = spec.submodule_search_locations[0] if spec.submodule_search_locations else Path(spec.origin).parent
    return Path(folder, f"{cls}.yaml")


def _class(name: str, part: str, suffix: str) -> Any:
    """The class that an algorithm's package defines in `part`; capitals do not count in rlcont's own names."""
    package, is_foreign, cls = name.rpartition(":")
    if not is_foreign:
        package = f"rlcont.algos.{name}"
        if not name.isidentifier() or importlib.util.find_spec(package) is None:
            raise UserError(f"algo={name}: no such algorithm")
    # The package itself holds both classes where it is a single file.
    is_package = _spec(name, package).submodule_search_locations is not None
    with importable(package, f"algo={name}"):
        has_part = is_package and importlib.util.find_spec(f"{package}.{part}") is not None
        module = importlib.import_module(f"{package}.{part}" if has_part else package)
    wanted = f"{cls or name}{suffix}"
    for key, value in vars(module).items():
        if isinstance(value, type) and (key == wanted or (not is_foreign and key.lower() == wanted.lower())):
            return value
    raise UserError(f"algo={name}: {module.__name__} defines no class {wanted}")


def _spec(name: str, module: str) -> Any:
    with importable(module, f"algo={name}"):
        spec = importlib.util.find_spec(module)
        if spec is None or not (spec.has_location or spec.submodule_search_locations):
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    return spec
