"""SAC against another reading of its paper, and its policy's maths."""

import math

import numpy as np
import pytest
import torch
from test_ddpg import NO_NOISE, make_agent, random_batch
from test_nets import network
from worlds import RandomWorld, play

from rlcont.algos.sac.agent import SAC
from rlcont.nn import nets
from rlcont.nn.numpy_forward import make_forward
from rlcont.nn.policies import SquashedGaussian


def make_sac(**changes):
    values = {"num_critics": 2, "init_temperature": 0.3, "temperature_lr": 1e-2, "target_entropy": None}
    return make_agent(NO_NOISE, cls=SAC, **values | changes)


class Paper:
    """arXiv:1812.05905, Algorithm 1 with equations 3 to 10 and 18, on copies of an agent's weights.

    The log-probability is that of torch's own distributions.
    """

    def __init__(self, agent):
        def copies(network):
            params = [param.detach().clone() for param in network.module.parameters()]
            return [params[first : first + 4] for first in range(0, len(params), 4)]

        self.config, self.target_entropy = agent.config, -agent.spec.action_dim
        (self.actor,), self.critics = copies(agent.actor), copies(agent.critic)
        self.target_critics = copies(agent.target_critic)
        self.log_alpha = torch.tensor(self.config.init_temperature).log()
        critic_params = [param for params in self.critics for param in params]
        for param in (*self.actor, *critic_params, self.log_alpha):
            param.requires_grad_(True)
        self.critic_adam = torch.optim.Adam(critic_params, lr=self.config.critic.lr)
        self.actor_adam = torch.optim.Adam(self.actor, lr=self.config.actor.lr)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=self.config.temperature_lr)

    @staticmethod
    def output(params, x):
        weight, bias, last_weight, last_bias = params
        return torch.relu(x @ weight.T + bias) @ last_weight.T + last_bias

    def policy(self, obs, normal):
        mean, log_std = self.output(self.actor, obs).chunk(2, 1)
        base = torch.distributions.Normal(mean, log_std.clamp(-20, 2).exp())
        squashed = torch.distributions.TransformedDistribution(base, [torch.distributions.TanhTransform(cache_size=1)])
        action = torch.tanh(mean + base.scale * normal)
        return action, squashed.log_prob(action).sum(1)

    def value(self, params, obs, action):
        return self.output(params, torch.cat([obs, action], 1))[:, 0]

    def update(self, batch, normal, next_normal):
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            next_action, next_log_prob = self.policy(batch.next_obs, next_normal)
            values = [self.value(params, batch.next_obs, next_action) for params in self.target_critics]
            y = batch.reward + batch.discount * (torch.minimum(*values) - alpha * next_log_prob)
        self.critic_adam.zero_grad()
        sum(((self.value(params, batch.obs, batch.action) - y) ** 2).mean() for params in self.critics).backward()
        self.critic_adam.step()
        self.actor_adam.zero_grad()
        action, log_prob = self.policy(batch.obs, normal)
        lowest = torch.minimum(*(self.value(params, batch.obs, action) for params in self.critics))
        (alpha * log_prob - lowest).mean().backward()
        self.actor_adam.step()
        self.alpha_adam.zero_grad()
        (-self.log_alpha * (log_prob.detach() + self.target_entropy)).mean().backward()
        self.alpha_adam.step()
        for target, online in zip(self.target_critics, self.critics, strict=True):
            for slow, fast in zip(target, online, strict=True):
                slow.copy_(self.config.tau * fast.detach() + (1 - self.config.tau) * slow)

    def weights(self):
        networks = [self.actor, *self.critics, *self.target_critics, [self.log_alpha]]
        return [param.detach() for params in networks for param in params]


def weights(agent):
    networks = (agent.actor, agent.critic, agent.target_critic, agent.temperature)
    return [param for network in networks for param in network.module.parameters()]


def test_fifty_updates_equal_those_of_the_paper():
    agent = make_sac(action_dim=2)
    paper, before = Paper(agent), [param.clone() for param in weights(agent)]
    for seed in range(50):
        batch = random_batch(seed, action_dim=2)
        agent.draw()
        agent.update(batch)
        paper.update(batch, *agent.normal.clone())
        for value, expected in zip(weights(agent), paper.weights(), strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-5)
    moved = [(old - new).abs().max() for old, new in zip(before, weights(agent), strict=True)]
    assert min(moved) > 1e-3


@pytest.mark.parametrize(("target_entropy", "rises"), [(2.0, True), (-50.0, False)])
def test_the_temperature_rises_where_the_entropy_is_below_its_target(target_entropy, rises):
    agent = make_sac(target_entropy=target_entropy)
    agent.draw()
    metrics = agent.update(random_batch(0))
    assert (metrics["entropy"].item() < target_entropy) == rises
    assert (metrics["temperature"].item() > 0.3) == rises


def test_a_temperature_without_a_step_size_stays():
    agent = make_sac(temperature_lr=0.0)
    for seed in range(3):
        agent.draw()
        metrics = agent.update(random_batch(seed))
    assert metrics["temperature"].item() == pytest.approx(0.3)


def test_the_default_target_is_minus_the_number_of_action_dimensions():
    assert make_sac(action_dim=3).target_entropy == -3
    assert make_sac(action_dim=3, target_entropy=-1.5).target_entropy == -1.5


def test_the_policy_in_numpy_is_that_of_torch_and_its_deviation_is_bounded():
    generator = torch.Generator().manual_seed(0)
    policy = SquashedGaussian(nets.mlp(3, network((16,), "relu"), 4, generator))
    obs = (100 * np.random.default_rng(0).standard_normal((200, 3))).astype(np.float32)
    with torch.no_grad():
        mean, std = policy(torch.from_numpy(obs))
    for value, expected in zip(make_forward(policy, None, "cpu")(obs), (mean, std), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    assert std.max() == pytest.approx(math.e**2)
    assert mean.shape == std.shape == (200, 2)


def test_it_explores_by_its_distribution_and_is_evaluated_by_its_median():
    agent = make_sac(num_envs=2000, warmup_steps=0)
    obs = np.ones((2000, 2), np.float32)
    mean, std = (x[0].item() for x in agent.explorer.forward(obs))
    u = np.arctanh(agent.act(obs, explore=True).astype(np.float64))
    assert (u.mean(), u.std()) == pytest.approx((mean, std), abs=0.08 * std)
    assert agent.act(obs, explore=False) == pytest.approx(np.tanh(mean), rel=1e-5)
    module = agent.policy_module()
    np.testing.assert_allclose(module(torch.from_numpy(obs)).detach(), agent.act(obs, explore=False), rtol=1e-5)


def test_there_is_no_target_actor():
    agent = make_sac()
    play(agent, RandomWorld(agent), 20)
    assert not any("target_actor" in name for name in agent.state_dict())
    assert agent.num_updates > 5
