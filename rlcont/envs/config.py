"""The environment of a run."""

from typing import Any

from rlcont.core.schema import Count, Text, schema


@schema
class EnvConfig:
    """A Gymnasium environment."""

    id: Text
    """Registered Gymnasium id, optionally as module:id."""
    kwargs: dict[str, Any]
    """Keyword arguments of the environment's constructor, as in env.kwargs.frame_skip=2."""
    max_episode_steps: Count | None
    """Time limit in steps; null: the registered one."""
