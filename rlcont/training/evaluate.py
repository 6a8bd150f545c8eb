"""Evaluation: deterministic episodes on environments of its own."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rlcont.core.errors import UserError
from rlcont.core.protocols import Policy
from rlcont.core.seeding import globals_seeded, integers
from rlcont.core.types import Evaluation, joined
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig

STEP_LIMIT = 100_000
"""Steps after which an episode without a time limit is considered endless."""
WORD_SECONDS = 10.0
"""Seconds after which a long evaluation tells how far it is, again and again."""
MAX_ENVS = 10
"""Episodes that are played at once, unless the caller says otherwise."""


class Evaluator:
    """Plays the same N episodes at each call; each has a fixed seed.

    Evaluation shares no generator with training, and acting without exploration changes nothing in the agent. So
    training is the same however often it is evaluated. The process-wide generators, which an environment may draw from,
    are seeded for each group of episodes and put back afterwards.
    """

    def __init__(self, config: EnvConfig, episodes: int, seed: int, at_once: int = MAX_ENVS):
        self.seeds = integers(seed, "evaluation", episodes)
        with globals_seeded(self.seeds[0]):
            self.envs = [BoxEnv(config) for _ in range(min(episodes, at_once))]
        self.spec = self.envs[0].spec
        self.info_names = config.info
        own = self.envs[0].snapshots.statistics()
        self.statistics: Callable[[], list[dict[str, Any]]] = lambda: own
        """Running statistics of Gymnasium's wrappers that all episodes are played with, in place of their own."""
        self.watch: Callable[[int, BoxEnv], None] = lambda episode, env: None
        """Called with the number of an episode and its environment after the reset and after each step."""
        self.tell: Callable[[str], None] = lambda text: None
        """Called every few seconds of a long evaluation with how far it is."""

    def __call__(self, policy: Policy, stop: Callable[[], object] = lambda: False) -> Evaluation | None:
        """Plays all episodes; returns None if `stop` returns true before the end."""
        num, statistics = len(self.envs), self.statistics()
        for env in self.envs:
            env.snapshots.put_statistics(statistics, freeze=True)
        groups = []
        for first in range(0, len(self.seeds), num):
            with globals_seeded(self.seeds[first]):
                group = self._play(policy, first, self.seeds[first : first + num], stop)
            if group is None:
                return None
            groups.append(group)
        return joined(groups)

    def _play(self, policy: Policy, first: int, seeds: list[int], stop: Callable[[], object]) -> Evaluation | None:
        """Plays one episode per seed, with one call of the policy per step; None if stopped."""
        spec, num = self.spec, len(seeds)
        returns, lengths = np.zeros(num), np.zeros(num, np.int64)
        obs = np.stack([env.reset(seed) for env, seed in zip(self.envs, seeds, strict=False)])
        running = list(range(num))
        next_word = time.monotonic() + WORD_SECONDS
        for i in running:
            self.watch(first + i, self.envs[i])
        while running:
            if stop():
                return None
            if spec.max_episode_steps is None and lengths[running[0]] >= STEP_LIMIT:
                raise UserError(
                    f"env={spec.env_id}: an evaluation episode passed {STEP_LIMIT} steps without an end; "
                    "set a time limit with env.max_episode_steps=N"
                )
            if time.monotonic() > next_word:
                next_word += WORD_SECONDS
                self.tell(f"step {lengths.max()} of episode {first + num - len(running) + 1} of {len(self.seeds)}")
            # Ended episodes stay in the batch: networks round differently at other batch sizes, and an episode must
            # not depend on how long the others last.
            actions = policy.act(obs, explore=False)
            for i in tuple(running):
                obs[i], reward, terminated, truncated, valid = self.envs[i].step(actions[i])
                returns[i] += reward
                lengths[i] += valid
                self.watch(first + i, self.envs[i])
                if terminated or truncated:
                    running.remove(i)
        info = np.array([env.door.info() for env in self.envs[:num]]).T
        return Evaluation(returns, lengths, dict(zip(self.info_names, info, strict=True)))

    def close(self) -> None:
        for env in self.envs:
            env.close()
