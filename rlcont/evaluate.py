"""Deterministic episodes on environments that training never sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlcont.core import Array, Policy, UserError
from rlcont.envs import BoxEnv, EnvConfig
from rlcont.seeding import integers

STEP_LIMIT = 100_000


class Evaluation(NamedTuple):
    """Outcome of N episodes: undiscounted returns and lengths in steps, [N] each."""

    returns: Array
    lengths: Array


class Evaluator:
    """Runs the same N episodes each time: one environment and one fixed seed per episode.

    Nothing here shares a generator with training, and acting without exploration changes nothing in the agent, so
    training runs the same however often it is evaluated.
    """

    def __init__(self, config: EnvConfig, episodes: int, seed: int):
        self.env_id = config.id
        self.envs = [BoxEnv(config) for _ in range(episodes)]
        self.seeds = integers(seed, "evaluation", episodes)

    def __call__(self, policy: Policy) -> Evaluation:
        """Plays every episode to its end, acting for all that are still running at once.

        Raises:
            UserError: an episode passed 100 000 steps without an end.
        """
        num = len(self.envs)
        returns, lengths = np.zeros(num), np.zeros(num, np.int64)
        pairs = zip(self.envs, self.seeds, strict=True)
        obs = np.stack([env.reset(seed) for env, seed in pairs])
        running = list(range(num))
        while running:
            actions = policy.act(obs[running], explore=False)
            still_running = []
            for index, action in zip(running, actions, strict=True):
                obs[index], reward, terminated, truncated, _ = self.envs[index].step(action)
                returns[index] += reward
                lengths[index] += 1
                if not (terminated or truncated):
                    still_running.append(index)
            running = still_running
            if running and lengths.max() >= STEP_LIMIT:
                raise UserError(
                    f"env={self.env_id}: an evaluation episode passed {STEP_LIMIT} steps without an end; "
                    "set a time limit with env.max_episode_steps=N"
                )
        return Evaluation(returns, lengths)

    def close(self) -> None:
        for env in self.envs:
            env.close()
