"""The process of an actor: a copy of the policy and environments of its own."""

import os
import time
from typing import NamedTuple

import numpy as np
import torch

from rlcont.algos.find import agent_class
from rlcont.config.actors import RayActors, noise_of
from rlcont.config.run import RunConfig
from rlcont.core.seeding import integers, torch_generator
from rlcont.core.types import Array, Collected, Experience, joined
from rlcont.envs.episodes import Episodes
from rlcont.envs.vector import Environments


class RolloutResult(NamedTuple):
    """A rollout as an actor sends it: some steps of its environments."""

    experience: Experience
    collected: Collected
    num_open: int  # Steps that wait for later rewards, those of earlier rollouts included.
    num_breakdowns: int  # Steps in which a simulator broke down; they are not learned from.
    steps_per_second: float  # Of each environment.


class RolloutWorker:
    """An actor with `config.num_envs` environments.

    `life` is the number of actors of the same index before it. Actor 0, life 0 has the seeds of an inline run.
    """

    def __init__(self, config: RunConfig, index: int, life: int):
        self.config = config
        self.index = index
        self.life = life

    def start(self, niceness: int = 0) -> None:
        """Makes the environments and the explorer; then adds `niceness` to that of this process.

        Not in __init__: Ray reports the exception only of a method call.
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
        """Steps each environment `length` times, with the learner's `explorer_state` as arrays.

        Warm-up and noise decay follow `num_steps`, the environment steps that the learner has seen.
        """
        self.explorer.load_policy_state({name: torch.from_numpy(np.array(value)) for name, value in policy.items()})
        self.explorer.num_steps = num_steps
        broken_before = self.envs.num_breakdowns
        experiences, collected = [], []
        start = time.perf_counter()
        for _ in range(length):
            step = self.envs.step(self.explorer.act(self.obs, explore=True))
            experiences.append(self.explorer.observe(step))
            collected.append(self.episodes.add(step))
            self.obs = step.obs_to_act_on
        return RolloutResult(
            Experience(
                sum(experience.num_steps for experience in experiences),
                joined([experience.transitions for experience in experiences]),
                np.concatenate([experience.returns for experience in experiences]),
            ),
            joined(collected),
            self.explorer.window.num_open,
            self.envs.num_breakdowns - broken_before,
            length / (time.perf_counter() - start),
        )
