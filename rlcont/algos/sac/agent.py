"""Soft actor-critic."""

from typing import Any, ClassVar

import torch

from rlcont.algos.off_policy.agent import OffPolicy
from rlcont.algos.sac.config import SACConfig
from rlcont.core.seeding import numpy_generator, torch_generator
from rlcont.core.types import Array, Batch, EnvSpec, Metrics
from rlcont.exploration.config import NoiseConfig
from rlcont.exploration.explorer import Explorer
from rlcont.nn import nets
from rlcont.nn.optim import Adam
from rlcont.nn.policies import Deterministic, SquashedGaussian, SquashedPolicy


class SquashedExplorer(Explorer):
    """A policy that explores by drawing from its own distribution."""

    def __init__(self, *arguments: Any, seed: int, **sizes: Any):
        super().__init__(*arguments, seed=seed, **sizes)
        self.policy_rng = numpy_generator(seed, "policy")

    def explore(self, obs: Array) -> Array:
        mean, std = self.forward(obs)
        return SquashedPolicy.to_action(SquashedPolicy.sample(self.policy_rng, mean, std))

    def deterministic(self, obs: Array) -> Array:
        action: Array = SquashedPolicy.deterministic(*self.forward(obs))
        return action

    def policy_head(self) -> torch.nn.Module:
        return Deterministic(self.policy.module, SquashedPolicy.deterministic)


class SAC(OffPolicy):
    """An off-policy actor-critic whose policy is rewarded for its entropy.

    Source: arXiv:1812.05905, Algorithm 1, with the temperature learned as in its section 5.
    Differs: as `OffPolicy` says; the temperature's loss is linear in its logarithm, as in the paper's own code; rewards
    inside a transition of several steps come without the entropies between them.
    """

    explorer_class = SquashedExplorer
    unsaved: ClassVar[tuple[str, ...]] = ("normal",)  # It is drawn anew before each update.

    def __init__(self, config: SACConfig, noise: NoiseConfig, spec: EnvSpec, *, seed: int, device: str, **sizes: Any):
        super().__init__(config, noise, spec, seed=seed, device=device, **sizes)
        self.target_entropy = -spec.action_dim if config.target_entropy is None else config.target_entropy
        self.temperature = nets.FlatNetwork(nets.LogScalar(config.init_temperature, device))
        self.temperature_optimizer = Adam(self.temperature.weights, config.temperature_lr)
        self.normal_rng = torch_generator(seed, "policy_samples")
        self.normal = torch.zeros(2, config.batch_size, spec.action_dim, device=device)
        """Standard normal numbers, for the actions in the states of the next batch and in those that follow them."""

    @staticmethod
    def make_actor(config: SACConfig, spec: EnvSpec, generator: torch.Generator) -> torch.nn.Module:
        return SquashedGaussian(nets.mlp(spec.obs_dim, config.actor, 2 * spec.action_dim, generator))

    def draw(self) -> None:
        self.normal.copy_(torch.empty(self.normal.shape).normal_(generator=self.normal_rng))

    def sample(self, obs: torch.Tensor, normal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The actions [B, A] that standard normal numbers [B, A] make, and their log-probability [B]."""
        mean, std = self.actor(obs)
        u = mean + std * normal
        return torch.tanh(u), SquashedPolicy.log_prob(u, mean, std)

    def next_value(self, batch: Batch) -> torch.Tensor:
        """V(s') = min Q'(s', a') - temperature ln pi(a' | s') [B] (equation 3)."""
        action, log_prob = self.sample(batch.next_obs, self.normal[1])
        return self.target_critic(batch.next_obs, action).amin(0) - self.temperature().exp() * log_prob

    def q_value(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The lowest value [B] that any online critic sees in (obs, action)."""
        return self.critic(obs, action).amin(0)

    def actor_loss(self, obs: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
        """The mean of temperature ln pi(a | s) - Q(s, a) (equation 9)."""
        action, log_prob = self.sample(obs, self.normal[0])
        loss = (self.temperature().detach().exp() * log_prob - self.q_value(obs, action)).mean()
        return loss, {"entropy": -log_prob.detach().mean()}

    def update_actor(self, batch: Batch) -> Metrics:
        """One gradient step of the actor, then one of the temperature (equation 18)."""
        metrics = super().update_actor(batch)
        loss = self.temperature() * (metrics["entropy"] - self.target_entropy)
        self.descend(loss, self.temperature, self.temperature_optimizer)
        return metrics | {"temperature": self.temperature().detach().exp()}
