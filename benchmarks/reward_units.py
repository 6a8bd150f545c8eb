"""MuJoCo environments whose rewards are in another unit, for showing that settings need not know it.

PYTHONPATH=benchmarks rlcont algo=d4pg env=reward_units:HalfCheetah-x1000-v4
PYTHONPATH=benchmarks rlcont algo=d4pg env=reward_units:HalfCheetah-x0.001-v4
"""

from __future__ import annotations

from typing import Any

import gymnasium

UNITS = {"x1000": 1000.0, "x0.001": 0.001}


def make(env_id: str, unit: float, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """The environment `env_id`, its rewards multiplied by `unit`."""
    return gymnasium.wrappers.TransformReward(gymnasium.make(env_id, **kwargs), lambda reward: unit * float(reward))


for name in ("HalfCheetah", "Hopper"):
    for label, unit in UNITS.items():
        gymnasium.register(f"{name}-{label}-v4", make, kwargs={"env_id": f"{name}-v4", "unit": unit})
