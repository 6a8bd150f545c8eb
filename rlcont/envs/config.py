"""The environment of a run."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from rlcont.core.schema import Count, Text, list_of, schema
from rlcont.core.spelling import nearest, spelled

WRAPPERS = (
    *("ClipReward", "DelayObservation", "FilterObservation", "FrameStackObservation", "MaxAndSkipObservation"),
    *("RescaleObservation", "StickyAction", "TimeAwareObservation"),
)
"""Wrappers of Gymnasium that may be chosen by name."""
IN_PLACE_OF = {
    "NormalizeObservation": "set algo.normalize_obs=true",
    "NormalizeReward": "set algo.normalize_reward=true",
    "TimeLimit": "set env.max_episode_steps=N",
    **dict.fromkeys(("RescaleAction", "ClipAction"), "every action is scaled and clipped to the environment's bounds"),
    **dict.fromkeys(("FlattenObservation", "DtypeObservation"), "every observation becomes one vector of float32"),
}
"""Wrappers of Gymnasium that are not needed, and why."""


def _as_wrappers(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of wrappers, as in [{WRAPPERS[-1]}]")
    for wrapper in value:
        name = wrapper.get("name") if isinstance(wrapper, dict) else wrapper
        if not isinstance(name, str):
            raise ValueError(f"{spelled(wrapper)} must be NAME, or {{name:NAME,ARGUMENT:VALUE}}")
        if name in IN_PLACE_OF:
            raise ValueError(f"{name} is not needed; {IN_PLACE_OF[name]}")
        if name not in WRAPPERS and not re.fullmatch(r"[\w.]+:\w+", name):
            allowed = f"allowed: {', '.join(WRAPPERS)} and module:Wrapper"
            raise ValueError(f"no wrapper {name}; {allowed}{nearest(name, WRAPPERS)}")
    return tuple(value)


@schema
class EnvConfig:
    """A Gymnasium environment."""

    id: Text
    """Registered Gymnasium id, optionally as module:id."""
    kwargs: dict[str, Any]
    """Keyword arguments of the environment's constructor, as in env.kwargs.frame_skip=2."""
    max_episode_steps: Count | None
    """Time limit in steps; null: the registered one."""
    wrappers: Annotated[tuple[Text | dict[str, Any], ...], BeforeValidator(_as_wrappers)]
    """Gymnasium's wrappers around the environment, the innermost first, as in [TimeAwareObservation]; one of your own
    as module:Wrapper; arguments as in {name:FrameStackObservation,stack_size:4}."""
    info: Annotated[tuple[Text, ...], list_of("names, as in [is_success]")]
    """Numbers in the environment's info that are logged, as they are at the end of an episode."""
