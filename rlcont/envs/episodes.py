"""Returns and lengths of the running episodes."""

import numpy as np

from rlcont.core.state import Parts
from rlcont.core.types import Array, Collected, EnvStep


class Episodes(Parts):
    """Return and length of the running episodes in E environments."""

    def __init__(self, num_envs: int):
        self._return = np.zeros(num_envs)
        self._length = np.zeros(num_envs, np.int64)

    def add(self, step: EnvStep) -> Collected:
        """Adds a step; returns its statistics, with the episodes that end in it."""
        self._return += step.reward
        self._length += step.valid
        ended = step.ended
        if not ended.any():
            return Collected(step.action, _NO_RETURNS, _NO_LENGTHS)
        info = {name: values[ended] for name, values in step.info.items()}
        collected = Collected(step.action, self._return[ended], self._length[ended], info)
        self.cut_off(ended)
        return collected

    def cut_off(self, envs: Array) -> None:
        """Resets return and length of the environments in the mask `envs` [E] bool."""
        self._return[envs] = 0
        self._length[envs] = 0


_NO_RETURNS: Array = np.empty(0)
_NO_LENGTHS: Array = np.empty(0, np.int64)
