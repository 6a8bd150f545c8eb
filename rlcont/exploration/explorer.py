"""The exploring side of an off-policy agent: policy weights in, experience out.

A run's own loop explores by it: there the policy is the learner's very network, and there are no weights to bring. One
elsewhere has a network of its own. Warm-up and decay of the noise go by `num_steps`, which counts its own steps, or is
set to what the learner has seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rlcont.core.seeding import numpy_generator
from rlcont.core.state import existing, flat_state, load_flat_state, load_states, states
from rlcont.core.types import Array, EnvSpec, EnvStep, Experience
from rlcont.exploration.config import NoiseConfig
from rlcont.exploration.noise import make_noise
from rlcont.memory.nstep import NStep
from rlcont.nn import nets
from rlcont.nn import numpy_forward as acting
from rlcont.nn.normalize import RunningNorm, RunningReturn


class Explorer:
    """A deterministic policy with noise on its actions, in E environments; an `rlcont.core.Actor`.

    Args:
        policy: the network, obs [E, O] -> action [E, A].
        normalizer: what observations pass before it.
        warmup_steps: environment steps of uniformly random actions before the policy acts.
        n_step: steps that a transition spans.
    """

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
        self._policy_parts = existing(actor=policy, normalizer=normalizer)
        self.forward = acting.make_forward(policy.module, normalizer, device)
        self.warmup_rng = numpy_generator(seed, "warmup")
        self.noise = make_noise(noise, (num_envs, spec.action_dim), numpy_generator(seed, "noise"), total_steps)
        self.window = NStep(n_step, gamma, num_envs, spec.obs_dim, spec.action_dim)
        self.running_return = RunningReturn(gamma, num_envs)

    def act(self, obs: Array) -> Array:
        if self.num_steps < self.warmup_steps:
            shape = (len(obs), self.spec.action_dim)
            return self.warmup_rng.uniform(-1, 1, shape).astype(np.float32)
        return np.clip(self.forward(obs) + self.noise.sample(self.num_steps), -1, 1)

    def observe(self, step: EnvStep) -> Experience:
        self.num_steps += len(step.obs)
        self.noise.reset(step.ended)
        # A truncated episode bootstraps, so its return goes on as well.
        returns = self.running_return(step.reward[None], (step.terminated | ~step.valid)[None], step.valid[None])
        return Experience(len(step.obs), self.window.add(step), returns)

    def cut_off(self, envs: Array) -> Experience:
        self.noise.reset(envs)
        return Experience(0, self.window.cut_off(envs), np.empty(0))

    def policy_state(self) -> dict[str, torch.Tensor]:
        return flat_state(self._policy_parts)

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        load_flat_state(self._policy_parts, state)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the policy."""
        own = {"warmup_rng": self.warmup_rng.bit_generator.state, "num_steps": self.num_steps}
        return states(self._parts()) | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_states(self._parts(), state)
        self.warmup_rng.bit_generator.state = state["warmup_rng"]
        self.num_steps = state["num_steps"]

    def _parts(self) -> dict[str, Any]:
        return {"noise": self.noise, "window": self.window, "running_return": self.running_return}
