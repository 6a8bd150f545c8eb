"""The acting side of an off-policy agent: policy weights in, experience out.

In the training process the explorer shares the learner's policy network. A remote actor's explorer has a copy, whose
weights it receives. Warm-up and decay of the noise go by `num_steps`: the explorer counts its own steps, and a remote
actor sets it to what the learner has seen.
"""

import copy
from typing import ClassVar, Self

import numpy as np
import torch

from rlcont.core.seeding import numpy_generator
from rlcont.core.state import Parts, flat_state, load_flat_state
from rlcont.core.types import Array, EnvSpec, EnvStep, Experience
from rlcont.exploration.config import NoiseConfig
from rlcont.exploration.noise import NOISES
from rlcont.memory.nstep import NStep
from rlcont.nn import nets, numpy_forward
from rlcont.nn.normalize import RunningNorm, RunningReturn


class Explorer(Parts):
    """A deterministic policy with noise on its actions, in E environments; an `rlcont.core.protocols.Policy`.

    Its state is all but the policy and the normaliser, which the learner saves.

    Seams for other policies: `explore`, `deterministic` and `policy_head`.

    Args:
        policy: the network, obs [E, O] -> action [E, A].
        normalizer: applied to observations before the network.
    """

    counters: ClassVar[tuple[str, ...]] = ("num_steps",)
    unsaved: ClassVar[tuple[str, ...]] = ("policy", "normalizer")

    def __init__(
        self,
        policy: nets.FlatNetwork,
        normalizer: RunningNorm | None,
        noise: NoiseConfig,
        spec: EnvSpec,
        *,
        num_envs: int,
        total_steps: int,
        warmup_steps: int,
        gamma: float,
        n_step: int,
        seed: int,
        device: str,
    ):
        self.spec = spec
        self.policy = policy
        self.normalizer = normalizer
        self.warmup_steps = warmup_steps
        self.num_steps = 0
        self.device = device
        self.forward = numpy_forward.make_forward(policy.module, normalizer, device)
        self.warmup_rng = numpy_generator(seed, "warmup")
        shape = (num_envs, spec.action_dim)
        self.noise = NOISES[noise.kind](noise, shape, numpy_generator(seed, "noise"), total_steps)
        self.window = NStep(n_step, gamma, num_envs, spec.obs_dim, spec.action_dim)
        self.running_return = RunningReturn(gamma, num_envs)

    def act(self, obs: Array, *, explore: bool) -> Array:
        if not explore:
            return self.deterministic(obs)
        if self.num_steps < self.warmup_steps:
            shape = (len(obs), self.spec.action_dim)
            return self.warmup_rng.uniform(-1, 1, shape).astype(np.float32)
        return self.explore(obs)

    def explore(self, obs: Array) -> Array:
        """Actions [E, A] in [-1, 1] to learn from."""
        return np.clip(self.forward(obs) + self.noise.sample(self.num_steps), -1, 1)

    def deterministic(self, obs: Array) -> Array:
        """Actions [E, A] without exploration; draws nothing."""
        return self.forward(obs)

    def observe(self, step: EnvStep) -> Experience:
        """The transitions that a step completes; those still open come with a later step."""
        self.num_steps += len(step.obs)
        self.noise.reset(step.ended)
        # A truncated episode bootstraps, so its return goes on as well.
        returns = self.running_return(step.reward[None], (step.terminated | ~step.valid)[None], step.valid[None])
        return Experience(len(step.obs), self.window.add(step), returns)

    def cut_off(self, envs: Array) -> Experience:
        """Truncates the running episodes of the environments `envs` [E] bool after the last step observed."""
        self.noise.reset(envs)
        return Experience(0, self.window.cut_off(envs), np.empty((0, 3)))

    def acting_by(self, policy: nets.FlatNetwork) -> Self:
        """This explorer with another policy and all else shared, to act without exploration."""
        other = copy.copy(self)
        other.policy = policy
        other.forward = numpy_forward.make_forward(policy.module, self.normalizer, self.device)
        return other

    def policy_module(self) -> torch.nn.Module:
        norm = [] if self.normalizer is None else [self.normalizer.fixed()]
        return torch.nn.Sequential(*norm, self.policy_head())

    def policy_head(self) -> torch.nn.Module:
        """A module from normalised observations [B, O] to actions [B, A] without exploration."""
        return self.policy.module

    def policy_state(self) -> dict[str, torch.Tensor]:
        return flat_state(actor=self.policy, normalizer=self.normalizer)

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        load_flat_state(state, actor=self.policy, normalizer=self.normalizer)
