"""Where acting happens: in the run's own loop, or in actors of a Ray cluster."""

import dataclasses
import math
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rlcont.core.schema import Count, Flag, Number, Positive, Text, schema
from rlcont.exploration.config import GaussianConfig, NoiseConfig, OUConfig

AHEAD = 2
"""Rollouts that an actor is asked for at once, so that it need not wait while its last one is learned from."""
AGE = 64
"""Largest age of an actor's weights, in updates, where `rollout_length` is auto; but see SHORTEST."""
SHORTEST, LONGEST = 16, 128
"""Bounds of that length: a shorter rollout costs more to send than to play, a longer one saves little more."""
SECONDS = 1.0
"""Longest such rollout, in seconds, so that an actor in a slow environment is heard of; but see SHORTEST."""
ADDRESSES = "auto, local or HOST:PORT"


def _as_address(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"auto|local|[^\s/]+:\d+", value):
        raise ValueError(f"must be {ADDRESSES}")
    return value


@schema
class InlineActors:
    kind: Literal["inline"]
    """The run's own loop acts and learns in turn."""


@schema
class RayActors:
    kind: Literal["ray"]
    """Actors of a Ray cluster."""
    num: Annotated[Count, Field(le=4096)]
    """Actors, each with `num_envs` environments of its own."""
    address: Annotated[Text, BeforeValidator(_as_address), Field(description=ADDRESSES)]
    """HOST:PORT of a cluster; local: a Ray of the run's own on this machine; auto: RAY_ADDRESS or the cluster that this
    machine is part of, and a local one where there is none."""
    rollout_length: Literal["auto"] | Count
    """Steps of each environment that an actor makes before it sends them; auto: 16, up to 128 where updates are rare
    and that takes no longer than a second, and 1 in lock-step."""
    sync: Flag
    """Lock-step: actors wait for the learner and the learner for every actor, so that a run can be repeated."""
    noise_ladder: Annotated[Number, Field(ge=1)]
    """How many times as much noise the boldest actor has as the most timid one; the others lie between them on a scale
    of powers."""
    patience: Positive
    """Seconds without an answer after which an actor is taken for hung and replaced; at its start, 120 s more."""
    max_failures: Count
    """How often in a row an actor may fail before it has sent anything; then the run stops."""

    def steps_at_once(self, num_envs: int, updates_per_step: float, steps_per_second: float = math.inf) -> int:
        """Steps of each of an actor's `num_envs` environments in one rollout.

        `steps_per_second` is that of each environment; by default the longest rollout is returned.
        """
        if self.rollout_length != "auto":
            return self.rollout_length
        if self.sync:
            return 1
        updates = AHEAD * self.num * num_envs * updates_per_step
        until_old = AGE / updates if updates else math.inf
        return int(max(SHORTEST, min(LONGEST, until_old, SECONDS * steps_per_second)))


ActorsConfig = Annotated[InlineActors | RayActors, Field(discriminator="kind")]


def noise_of(actors: RayActors, index: int, noise: NoiseConfig) -> NoiseConfig:
    """The noise of one of the actors.

    Source: Ape-X, arXiv:1803.00933, section 4.1 and appendix D (each actor explores by another constant of its own).
    Differs: sigma_i = sigma ladder^(i / (N - 1) - 1/2), so the middle of the ladder is the noise of an inline run, and
    so is a single actor's.
    """
    if actors.num == 1 or not isinstance(noise, GaussianConfig | OUConfig):
        return noise
    return dataclasses.replace(noise, sigma=noise.sigma * actors.noise_ladder ** (index / (actors.num - 1) - 0.5))
