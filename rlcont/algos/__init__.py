"""The algorithms, one file each: a configuration dataclass and an agent.

`algo=NAME` is the class in `rlcont/algos/NAME.py` whose name is NAME in upper or mixed case; its
`Config` is the dataclass that `configs/algo/NAME.yaml` fills in. There is no other registry.

Such a class is an `rlcont.core.Agent` made by `NAME(config, noise, spec, *, num_envs, total_steps, seed, device,
accelerate)`. It has a static `memory_demand(config, spec, num_envs)`, and says whether it is `on_policy`: whether an
update must see the very policy that acted. Its `Config` has `check_run(total_steps, num_envs, noise)` and
`num_updates(total_steps, num_envs)`.
"""

from __future__ import annotations

import importlib
from typing import Any


def load_algorithm(name: str) -> Any:
    """The agent class that `algo=name` stands for."""
    module = importlib.import_module(f"{__name__}.{name}")
    for attribute, value in vars(module).items():
        if attribute.lower() == name and hasattr(value, "Config"):
            return value
    raise AttributeError(f"{module.__name__} defines no class {name!r} with a Config")
