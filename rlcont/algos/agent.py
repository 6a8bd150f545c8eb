"""What the agents of all algorithms share."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from rlcont.core.state import Parts, contained
from rlcont.core.types import EnvSpec, Histogram


class BaseAgent(Parts):
    """An agent whose state, and whether it is finite, come from its parts; an `rlcont.core.protocols.Agent`."""

    counters: ClassVar[tuple[str, ...]] = ("num_steps", "num_updates")
    unsaved: ClassVar[tuple[str, ...]] = ("_guarded",)

    def __init__(self, config: Any, spec: EnvSpec, *, num_envs: int, device: str):
        self.config = config
        self.spec = spec
        self.num_envs = num_envs
        self.device = device
        self.num_steps = 0
        """Environment steps that were observed."""
        self.num_updates = 0
        """Gradient updates that were made."""

    @property
    def rows(self) -> Any:
        return None

    def is_finite(self) -> bool:
        return all(part.is_finite() for part in self._guarded)

    def remark(self, values: dict[str, float]) -> str:
        return ""

    def distributions(self) -> dict[str, Histogram]:
        return {}

    @classmethod
    def make_policy(cls, config: Any, noise: Any, spec: EnvSpec, *, seed: int, device: str) -> Any:
        """What is needed to act, an `rlcont.core.protocols.Policy`: here a whole agent for one environment."""
        make: Any = cls
        return make(config, noise, spec, num_envs=1, total_steps=1, seed=seed, device=device)

    @functools.cached_property
    def _guarded(self) -> list[Any]:
        """The parts that know whether all they met was finite: optimisers."""
        parts = self.parts().values()
        flat = [p for part in parts for p in (contained(part).values() if isinstance(part, list | tuple) else [part])]
        return [part for part in flat if hasattr(part, "is_finite")]
