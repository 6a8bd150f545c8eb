"""Observations in an environment's own units, one or a batch of them."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Space, Tuple, flatten
from gymnasium.vector.utils import batch_space, iterate

from rlcont.core.types import Array


def flat_observations(space: Space[Any], obs: Any) -> tuple[Array, bool]:
    """Flat observations [B, O] float32, and whether `obs` was a batch, as vector environments give it."""
    number = _batch_size(space, obs)
    if isinstance(space, Box):
        return np.asarray(obs, np.float32).reshape(number or 1, -1), number is not None
    rows: Any = [obs] if number is None else iterate(batch_space(space, number), obs)
    return np.array([flatten(space, row) for row in rows]).astype(np.float32), number is not None


def _batch_size(space: Any, obs: Any) -> int | None:
    """The size of a batch; None for a single observation."""
    while isinstance(space, Dict | Tuple):
        key: Any = next(iter(space)) if isinstance(space, Dict) else 0
        space, obs = space[key], obs[key]
    return len(obs) if np.ndim(obs) > len(space.shape) else None
