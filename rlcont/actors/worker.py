"""The side of an actor: a policy of its own, environments of its own, rollouts out."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

import numpy as np
import torch

from rlcont.algos.find import agent_class
from rlcont.config.actors import RayActors, noise_of
from rlcont.config.run import RunConfig
from rlcont.core.seeding import integers, torch_generator
from rlcont.core.types import Array, Collected, Experience, Transitions
from rlcont.envs.episodes import Episodes
from rlcont.envs.vector import Environments


class RolloutResult(NamedTuple):
    """What an actor sends: some steps of its environments."""

    experience: Experience
    collected: Collected
    num_open: int
    """Steps that wait for rewards to come, those of earlier rollouts included."""
    num_breakdowns: int
    """Steps in which a simulator broke down, which nobody learns from."""
    steps_per_second: float
    """Of each environment."""


class RolloutWorker:
    """An actor with `config.num_envs` environments.

    Args:
        index: which of the actors it is.
        life: how many of that index there were before it. The first actor's first life has the seeds of an inline run.
    """

    def __init__(self, config: RunConfig, index: int, life: int):
        self.config = config
        self.index = index
        self.life = life

    def start(self, niceness: int = 0) -> None:
        """Makes the environments and the explorer; here, since Ray tells of an error in a call what it was.

        Args:
            niceness: by which this process yields to others from then on.

        Raises:
            UserError: an environment's mistake, as inline.
        """
        torch.set_num_threads(1)
        config, index, life = self.config, self.index, self.life
        assert isinstance(config.actors, RayActors)
        seed = config.seed if index == life == 0 else integers(config.seed, f"actor {index}, life {life}", 1)[0]
        self.envs = Environments(config.env, integers(seed, "environments", config.num_envs))
        self.explorer = agent_class(config.algorithm).make_explorer(
            config.algo,
            noise_of(config.actors, index, config.noise),
            self.envs.spec,
            torch_generator(seed, "init"),
            num_envs=config.num_envs,
            total_steps=config.total_steps,
            seed=seed,
            device="cpu",
        )
        self.episodes = Episodes(config.num_envs)
        self.obs = self.envs.reset()
        os.nice(niceness)

    def rollout(self, policy: dict[str, Array], num_steps: int, length: int) -> RolloutResult:
        """Plays on.

        Args:
            policy: the learner's `policy_state`, as arrays.
            num_steps: environment steps that the learner has seen, by which warm-up and decay of the noise go.
            length: steps of each environment.
        """
        self.explorer.load_policy_state({name: torch.from_numpy(np.array(value)) for name, value in policy.items()})
        self.explorer.num_steps = num_steps
        broken_before = self.envs.num_breakdowns
        told, collected = [], []
        start = time.perf_counter()
        for _ in range(length):
            step = self.envs.step(self.explorer.act(self.obs))
            told.append(self.explorer.observe(step))
            collected.append(self.episodes.add(step))
            self.obs = step.obs_to_act_on
        return RolloutResult(
            Experience(
                sum(experience.num_steps for experience in told),
                _joined([experience.transitions for experience in told]),
                np.concatenate([experience.returns for experience in told]),
            ),
            joined_collected(collected),
            self.explorer.window.num_open,
            self.envs.num_breakdowns - broken_before,
            length / (time.perf_counter() - start),
        )


def joined_collected(parts: list[Collected]) -> Collected:
    """Several collections as one, in their order."""
    return Collected(*map(np.concatenate, zip(*parts, strict=True)))


def _joined(parts: list[Transitions]) -> Transitions:
    joined: Any = map(np.concatenate, zip(*parts, strict=True))
    return Transitions(*joined)
