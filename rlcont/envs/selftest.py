"""What of an environment cannot be reproduced or saved, and what suits no network: found by trying, as a run begins."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from rlcont.core.errors import UserError
from rlcont.core.packing import from_message, to_message
from rlcont.core.seeding import global_state, globals_seeded, seed_globals, set_global_state
from rlcont.core.types import Array
from rlcont.envs.box import BoxEnv

STEPS = 30
SECONDS = 0.15
"""How long all may take; a slow environment is tried for fewer steps, or not at all."""
COARSE = 2.0**24
"""Numbers from here on lie two and more apart in float32."""


def findings(env: BoxEnv, saves: bool) -> list[str]:
    """Lines to print of an environment.

    Args:
        saves: whether the run keeps checkpoints.
    """
    with globals_seeded(0):
        return [f"{env.spec.env_id} {text}" for text in _findings(env, saves)]


def _findings(env: BoxEnv, saves: bool) -> list[str]:
    found = [
        f"keeps running statistics ({', '.join(names)}); evaluation plays with those of the first environment"
        for names in [[name for part in env.statistics for name in part]]
        if names
    ]
    found += [f"seems to give images ({what}); its networks take them as plain numbers" for what in env.images()]
    start = time.perf_counter()
    first: list[Any] = [_begin(env)]
    found += _coarse(first[0])
    obstacle = env.obstacle()
    if saves and obstacle:
        found.append(f"cannot be saved within an episode ({obstacle}); a resumed run begins one")
    while len(first) <= STEPS and time.perf_counter() - start < SECONDS / 4:
        first.append(_play(env, len(first)))
    if time.perf_counter() - start > SECONDS / 2:
        return found
    half = len(first) // 2
    again: list[Any] = [_begin(env)]
    for count in range(1, len(first)):
        if count == half:
            kept = to_message({"env": env.state(), "globals": global_state()})
        again.append(_play(env, count))
    differing = next(
        (i for i, (one, other) in enumerate(zip(first, again, strict=True)) if not _same(one, other)), None
    )
    if differing is not None:
        at = f"at step {differing}" if differing else "at the reset"
        found.append(
            f"cannot be reproduced: two episodes from one seed differ {at}; Gymnasium wants all that is random to come "
            "from self.np_random"
        )
    elif saves and not obstacle and half:
        try:
            state = from_message(kept)
            env.put_back(1, state["env"])
            set_global_state(state["globals"])
            is_same = all(_same(first[count], _play(env, count)) for count in range(half, len(first)))
        except (UserError, TypeError, ValueError, AttributeError) as error:
            found.append(f"cannot be saved: once its state is put back, it fails ({error})")
        else:
            if not is_same:
                found.append(
                    "cannot be saved: it keeps state outside its attributes, so a resumed run has other numbers"
                )
    return found


def _begin(env: BoxEnv) -> Array:
    seed_globals(0)
    return env.reset(0)


def _play(env: BoxEnv, count: int) -> list[Any]:
    """What step number `count` gives, and the next episode's first observation where this one ends."""
    action = np.random.default_rng(count).uniform(-1, 1, env.spec.action_dim).astype(np.float32)
    obs, reward, terminated, truncated, _ = env.step(action)
    ended = [env.reset()] if terminated or truncated else []
    return [obs, reward, terminated, truncated, *ended]


def _same(one: Any, other: Any) -> bool:
    return to_message(one) == to_message(other)


def _coarse(obs: Array) -> list[str]:
    at = int(np.abs(obs).argmax())
    if abs(obs[at]) < COARSE:
        return []
    step = np.spacing(np.abs(obs[at]))
    return [f"gives an observation {at} of {obs[at]:.4g}, which float32 knows only to {step:.2g}; give differences"]
