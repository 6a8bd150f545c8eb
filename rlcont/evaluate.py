"""Deterministic episodes on environments that training never sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlcont.core import Array, Policy, UserError
from rlcont.envs import BoxEnv
from rlcont.schema import EnvConfig
from rlcont.seeding import integers

STEP_LIMIT = 100_000
"""Steps of an episode without a time limit after which it is taken for endless."""


class Evaluation(NamedTuple):
    """Outcome of N episodes: undiscounted returns and lengths in steps, [N] each."""

    returns: Array
    lengths: Array


class Evaluator:
    """Runs the same N episodes each time: one environment and one fixed seed per episode.

    Nothing here shares a generator with training, and acting without exploration changes nothing in the
    agent, so training runs the same however often it is evaluated.
    """

    def __init__(self, config: EnvConfig, episodes: int, seed: int):
        self.envs = [BoxEnv(config) for _ in range(episodes)]
        self.seeds = integers(seed, "evaluation", episodes)

    def __call__(self, policy: Policy) -> Evaluation:
        """Plays every episode to its end, acting for all of them at once.

        Raises:
            UserError: an episode without a time limit passed STEP_LIMIT steps.
        """
        spec, num = self.envs[0].spec, len(self.envs)
        returns, lengths = np.zeros(num), np.zeros(num, np.int64)
        pairs = zip(self.envs, self.seeds, strict=True)
        obs = np.stack([env.reset(seed) for env, seed in pairs])
        running = list(range(num))
        while running:
            if spec.max_episode_steps is None and lengths[running[0]] >= STEP_LIMIT:
                raise UserError(
                    f"env={spec.env_id}: an evaluation episode passed {STEP_LIMIT} steps without an end; "
                    "set a time limit with env.max_episode_steps=N"
                )
            # The ended ones too: networks round differently with other batch sizes, and an episode must
            # not depend on how long the others last.
            actions = policy.act(obs, explore=False)
            for i in tuple(running):
                obs[i], reward, terminated, truncated, valid = self.envs[i].step(actions[i])
                returns[i] += reward
                lengths[i] += valid
                if terminated or truncated:
                    running.remove(i)
        return Evaluation(returns, lengths)

    def close(self) -> None:
        """Frees what the environments hold; they cannot be used afterwards."""
        for env in self.envs:
            env.close()
