"""TD3: the keys that make it of DDPG, against another reading of the paper's Algorithm 1."""

import pytest
import torch
from test_ddpg import make_agent, random_batch
from worlds import RandomWorld, play

from rlcont.config.compose import make_plan

TD3 = {"num_critics": 2, "policy_delay": 2, "target_sigma": 0.2, "target_clip": 0.5}


class Paper:
    """arXiv:1802.09477, Algorithm 1, line by line, on copies of an agent's weights; one hidden layer of relu."""

    def __init__(self, agent):
        def copies(network):
            params = [param.detach().clone() for param in network.module.parameters()]
            return [params[first : first + 4] for first in range(0, len(params), 4)]

        self.config = agent.config
        (self.actor,), self.critics = copies(agent.actor), copies(agent.critic)
        (self.target_actor,), self.target_critics = copies(agent.target_actor), copies(agent.target_critic)
        for params in (self.actor, *self.critics):
            for param in params:
                param.requires_grad_(True)
        critic_params = [param for params in self.critics for param in params]
        self.critic_adam = torch.optim.Adam(critic_params, lr=self.config.critic.lr)
        self.actor_adam = torch.optim.Adam(self.actor, lr=self.config.actor.lr)
        self.t = 0

    @staticmethod
    def output(params, x):
        weight, bias, last_weight, last_bias = params
        return torch.relu(x @ weight.T + bias) @ last_weight.T + last_bias

    def policy(self, params, obs):
        return torch.tanh(self.output(params, obs))

    def value(self, params, obs, action):
        return self.output(params, torch.cat([obs, action], 1))[:, 0]

    def update(self, batch, epsilon):
        """`epsilon` is the noise of this update before it is clipped, [B, A]."""
        self.t += 1
        with torch.no_grad():
            clipped = epsilon.clamp(-self.config.target_clip, self.config.target_clip)
            next_action = (self.policy(self.target_actor, batch.next_obs) + clipped).clamp(-1, 1)
            values = [self.value(params, batch.next_obs, next_action) for params in self.target_critics]
            y = batch.reward + batch.discount * torch.minimum(*values)
        self.critic_adam.zero_grad()
        sum(((y - self.value(params, batch.obs, batch.action)) ** 2).mean() for params in self.critics).backward()
        self.critic_adam.step()
        if self.t % self.config.policy_delay == 0:
            self.actor_adam.zero_grad()
            (-self.value(self.critics[0], batch.obs, self.policy(self.actor, batch.obs)).mean()).backward()
            self.actor_adam.step()
            targets = zip([*self.target_critics, self.target_actor], [*self.critics, self.actor], strict=True)
            for target, online in targets:
                for slow, fast in zip(target, online, strict=True):
                    slow.copy_(self.config.tau * fast.detach() + (1 - self.config.tau) * slow)

    def weights(self):
        networks = [self.actor, *self.critics, self.target_actor, *self.target_critics]
        return [param.detach() for params in networks for param in params]


def weights(agent):
    networks = (agent.actor, agent.critic, agent.target_actor, agent.target_critic)
    return [param for network in networks for param in network.module.parameters()]


def test_fifty_updates_equal_those_of_the_paper(monkeypatch):
    agent = make_agent(action_dim=2, tau=0.05, **TD3)
    paper, batches = Paper(agent), [random_batch(seed, action_dim=2) for seed in range(50)]
    monkeypatch.setattr(agent.replay, "sample", lambda size: batches[agent.num_updates])
    before = [param.clone() for param in weights(agent)]
    epsilons = torch.Generator().manual_seed(0)
    epsilons.set_state(agent.smoothing_rng.get_state())
    agent.num_steps = max(agent.config.warmup_steps, agent.config.batch_size)
    for batch in batches:
        agent.num_steps += 1
        agent.learn()
        paper.update(batch, torch.zeros(8, 2).normal_(0, 0.2, generator=epsilons))
        for value, expected in zip(weights(agent), paper.weights(), strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=2e-6)
    moved = [(old - new).abs().max() for old, new in zip(before, weights(agent), strict=True)]
    assert min(moved) > 1e-3


def test_the_smoothing_is_drawn_anew_for_each_update_and_stays_within_its_clip():
    agent = make_agent(batch_size=500, target_sigma=0.4, target_clip=0.5)
    drawn = []
    for _ in range(20):
        agent.draw()
        drawn.append(agent.smoothing.clone())
    noise = torch.cat(drawn)
    assert noise.abs().max() == 0.5
    # P(|N(0, 0.4)| > 0.5) = 0.2113
    assert (noise.abs() == 0.5).float().mean().item() == pytest.approx(0.2113, abs=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert len({tensor.sum().item() for tensor in drawn}) == 20
    agent.actor.weights.detach().fill_(100)
    agent.target_actor.weights.fill_(100)
    assert agent.next_action(random_batch(0, size=500)).abs().max() <= 1


@pytest.mark.parametrize("policy_delay", [1, 2, 3])
def test_the_actor_and_the_targets_move_with_every_update_that_is_due(policy_delay):
    agent = make_agent(policy_delay=policy_delay)
    world, moved = RandomWorld(agent), []
    play(agent, world, 10)
    for _ in range(6):
        before = [
            network.weights.detach().clone() for network in (agent.actor, agent.target_actor, agent.target_critic)
        ]
        play(agent, world, 1)
        after = (agent.actor, agent.target_actor, agent.target_critic)
        moved.append([not torch.equal(old, new.weights) for old, new in zip(before, after, strict=True)])
    assert moved == [[update % policy_delay == 0] * 3 for update in range(1, 7)]


def test_the_file_has_the_papers_values():
    config = make_plan(["algo=td3", "tuned=none"]).config.algo
    assert {key: getattr(config, key) for key in TD3} == TD3
    assert (config.gamma, config.tau, config.batch_size, config.n_step) == (0.99, 0.005, 256, 1)


def test_critics_begin_apart_and_the_priority_is_the_larger_error():
    agent, batch = make_agent(**TD3), random_batch(0)
    values = agent.critic(batch.obs, batch.action).detach()
    assert values.shape == (2, 8)
    assert not torch.equal(*values)
    loss, priority, _ = agent.critic_loss(batch, torch.zeros(8))
    torch.testing.assert_close(loss.detach(), values[0] ** 2 + values[1] ** 2)
    torch.testing.assert_close(priority, torch.maximum(*values.abs()))
