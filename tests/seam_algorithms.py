"""Small algorithms on the seams that DDPG and A2C offer; none is meant to learn well."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from rlcont.algos.a2c.agent import A2C
from rlcont.algos.ddpg.agent import DDPG
from rlcont.algos.off_policy.agent import OffPolicy
from rlcont.core.seeding import numpy_generator, torch_generator
from rlcont.exploration.explorer import Explorer
from rlcont.nn import nets
from rlcont.nn.optim import Adam


class MeanOfCritics(DDPG):
    """Several critics: targets from their mean."""

    def next_value(self, batch):
        return self.target_critic(batch.next_obs, self.next_action(batch)).mean(0)


class DelayedActor(DDPG):
    """Cadence: the actor and the targets move with every second update of the critic."""

    def actor_is_due(self):
        return self.num_updates % 2 == 1


class BlurredStates(DDPG):
    """Draws in place: noise on the observations that targets bootstrap from."""

    def __init__(self, config, noise, spec, *, seed, device, **sizes):
        super().__init__(config, noise, spec, seed=seed, device=device, **sizes)
        self.blur_rng = torch_generator(seed, "blur")
        self.blur = torch.zeros(config.batch_size, spec.obs_dim, device=device)

    def draw(self):
        super().draw()
        self.blur.copy_(torch.empty(self.blur.shape).normal_(0, 0.1, generator=self.blur_rng))

    def td_target(self, batch):
        return super().td_target(batch._replace(next_obs=batch.next_obs + self.blur))


class Logistic(Explorer):
    """A stochastic policy: tanh of the network's output plus a draw of its own."""

    def __init__(self, *arguments, seed, **keywords):
        super().__init__(*arguments, seed=seed, **keywords)
        self.policy_rng = numpy_generator(seed, "policy")

    def explore(self, obs):
        return np.tanh(np.arctanh(self.forward(obs) * 0.999) + self.policy_rng.logistic(size=1)).astype(np.float32)


class StochasticExplorer(OffPolicy):
    """A replaceable explorer, without target actor and with a scalar that is learned."""

    explorer_class = Logistic

    def __init__(self, config, noise, spec, *, device, **sizes):
        super().__init__(config, noise, spec, device=device, **sizes)
        self.scalar = nets.FlatNetwork(nets.LogScalar(1.0, device))
        self.scalar_optimizer = Adam(self.scalar.weights, config.actor.lr)

    make_actor = DDPG.make_actor
    actor_loss = DDPG.actor_loss

    def next_value(self, batch):
        return self.target_critic(batch.next_obs, self.actor(batch.next_obs)).amin(0)

    def update_actor(self, batch):
        metrics = super().update_actor(batch)
        loss = (self.scalar().exp() - self.actor(batch.obs).detach().abs().mean()).square()
        self.descend(loss, self.scalar, self.scalar_optimizer)
        return metrics | {"scalar": self.scalar().exp().detach()}


class TwoCriticSteps(DDPG):
    """Steps of an update as a whole: the critic takes two, and the targets are copies."""

    def update_critic(self, batch):
        super().update_critic(batch)
        return super().update_critic(batch)

    @torch.no_grad()
    def update_targets(self):
        self.target_critic.weights.copy_(self.critic.weights)
        self.target_actor.weights.copy_(self.actor.weights)


class ConstantRate(A2C):
    """A network of its own, of wider layers for the value, and a step size that stays."""

    def make_network(self, generator):
        wide = dataclasses.replace(self.config.network, hidden=(24,))
        value = nets.orthogonal(24, 1, generator, nets.OutputLinear, gain=1.0)
        network = super().make_network(generator)
        return nets.ActorCritic(
            network.trunk, network.policy, value, nets.body(self.spec.obs_dim, wide, generator, nets.orthogonal)
        )

    def lr(self):
        return self.config.lr


OFF_POLICY = (MeanOfCritics, DelayedActor, BlurredStates, StochasticExplorer, TwoCriticSteps)
