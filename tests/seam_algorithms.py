"""Small algorithms on the seams that DDPG offers; none is meant to learn well."""

from __future__ import annotations

import numpy as np
import torch

from rlcont.algos.ddpg.agent import DDPG
from rlcont.core.seeding import numpy_generator, torch_generator
from rlcont.exploration.explorer import Explorer
from rlcont.nn import nets
from rlcont.nn.optim import Adam, polyak_


class Twins(torch.nn.Module):
    """Two critics in one module, so that one vector of weights and one optimiser serve both."""

    def __init__(self, first: torch.nn.Module, second: torch.nn.Module):
        super().__init__()
        self.both = torch.nn.ModuleList([first, second])

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Values [2, B]."""
        return torch.stack([critic(obs, action) for critic in self.both])


class TwinCritics(DDPG):
    """Several critics: targets from the lower of two (arXiv:1802.09477, equation 10)."""

    def make_critic(self, generator):
        return Twins(super().make_critic(generator), super().make_critic(generator))

    def td_target(self, batch):
        values = self.target_critic(batch.next_obs, self.target_actor(batch.next_obs))
        return batch.reward + batch.discount * values.min(0).values

    def critic_loss(self, batch, td_target):
        errors = self.critic(batch.obs, batch.action) - td_target
        return errors.square().sum(0), errors.detach().abs().amax(0), {"gap": (errors[0] - errors[1]).detach().mean()}

    def q_value(self, obs, action):
        return self.critic(obs, action)[0]


class DelayedActor(DDPG):
    """Cadence: the actor and the targets move with every second update of the critic."""

    def actor_is_due(self):
        return self.num_updates % 2 == 1


class SmoothedTargets(DDPG):
    """Draws in place: noise on the target policy's actions (arXiv:1802.09477, equation 14)."""

    sigma, clip = 0.2, 0.5

    def __init__(self, config, noise, spec, *, seed, device, **sizes):
        super().__init__(config, noise, spec, seed=seed, device=device, **sizes)
        self.smoothing_rng = torch_generator(seed, "smoothing", device)
        self.target_noise = torch.zeros(config.batch_size, spec.action_dim, device=device)

    def draw(self):
        self.target_noise.normal_(0, self.sigma, generator=self.smoothing_rng)

    def td_target(self, batch):
        noise = self.target_noise.clamp(-self.clip, self.clip)
        action = (self.target_actor(batch.next_obs) + noise).clamp(-1, 1)
        return batch.reward + batch.discount * self.target_critic(batch.next_obs, action)


class Logistic(Explorer):
    """A stochastic policy: tanh of the network's output plus a draw of its own."""

    def __init__(self, *arguments, seed, **keywords):
        super().__init__(*arguments, seed=seed, **keywords)
        self.policy_rng = numpy_generator(seed, "policy")

    def explore(self, obs):
        return np.tanh(np.arctanh(self.forward(obs) * 0.999) + self.policy_rng.logistic(size=1)).astype(np.float32)


class StochasticExplorer(DDPG):
    """A replaceable explorer, without target actor and with a temperature that is learned."""

    explorer_class = Logistic

    def __init__(self, config, noise, spec, *, device, **sizes):
        super().__init__(config, noise, spec, device=device, **sizes)
        self.temperature = nets.FlatNetwork(Temperature(device))
        self.temperature_optimizer = Adam(self.temperature.weights, config.actor.lr)

    def make_targets(self):
        self.target_critic = self.critic.frozen_copy()

    def update_targets(self):
        with torch.no_grad():
            polyak_(self.target_critic.weights, self.critic.weights, self.config.tau)

    def td_target(self, batch):
        return batch.reward + batch.discount * self.target_critic(batch.next_obs, self.actor(batch.next_obs))

    def update_actor(self, batch):
        metrics = super().update_actor(batch)
        loss = (self.temperature() - self.actor(batch.obs).detach().abs().mean()).square()
        self.descend(loss, self.temperature, self.temperature_optimizer)
        return metrics | {"temperature": self.temperature().detach()}


class Temperature(torch.nn.Module):
    """A learned scalar."""

    def __init__(self, device: str):
        super().__init__()
        self.log = torch.nn.Parameter(torch.zeros((), device=device))

    def forward(self) -> torch.Tensor:
        return self.log.exp()


OFF_POLICY = (TwinCritics, DelayedActor, SmoothedTargets, StochasticExplorer)
