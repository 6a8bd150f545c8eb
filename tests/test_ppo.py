"""PPO: what it changes of A2C, by hand, beside a plain implementation, and on probes with known answers."""

import copy

import numpy as np
import pytest
import torch
from quick import quick
from test_a2c import NO_NOISE, POLICIES, TO_ZERO, Reference, action_and_value, log_prob_and_entropy, weights
from test_a2c import make_config as make_a2c_config
from worlds import RandomWorld, assert_same, paid_at_the_end, play, two_sides

from rlcont.algos.a2c.agent import Minibatch, mean_over
from rlcont.algos.find import agent_class, config_class
from rlcont.algos.ppo.agent import PPO, PPOMinibatch
from rlcont.algos.ppo.config import PPOConfig
from rlcont.core.errors import UserError
from rlcont.core.packing import from_message, to_message
from rlcont.core.protocols import eager
from rlcont.core.types import EnvSpec
from rlcont.exploration.config import GaussianConfig
from rlcont.training.accelerate import Acceleration

EPOCHS = 3
MINIBATCHES = 2


def make_config(**changes):
    own = {"num_epochs": EPOCHS, "clip_range": 0.2, "target_kl": None}
    own = {name: changes.pop(name, value) for name, value in own.items()}
    inherited = make_a2c_config(**{"optimizer": "adam", "num_minibatches": MINIBATCHES, "lr": 3e-3} | changes)
    return PPOConfig(**vars(inherited) | own)


def make_agent(obs_dim=2, action_dim=2, num_envs=3, seed=0, total_steps=1000, accelerate=eager, **changes):
    spec = EnvSpec("Probe", obs_dim, action_dim, None)
    sizes = {"num_envs": num_envs, "total_steps": total_steps, "seed": seed, "device": "cpu"}
    return PPO(make_config(**changes), NO_NOISE, spec, accelerate=accelerate, **sizes)


class Spy:
    """The minibatches that an agent learned from and the metrics of each; `before` is called before each."""

    def __init__(self, agent, before=lambda: None):
        self.batches, self.metrics = [], []
        update = agent.accelerated_update

        def spied(batch):
            before()
            self.batches.append(batch)
            self.metrics.append(update(batch))
            return self.metrics[-1]

        agent.accelerated_update = spied


# One update


def batch_of(ratio, advantage):
    """Rows of which only the ratio and the advantage matter; log-probabilities to go with it."""
    ratio, advantage = torch.tensor(ratio), torch.tensor(advantage)
    rows = torch.zeros(len(ratio), 1)
    batch = PPOMinibatch(rows, rows, advantage, advantage, torch.ones(len(ratio)), torch.full_like(ratio, -1.5))
    return batch, (ratio.log() - 1.5).requires_grad_()


def test_the_loss_and_its_gradient_by_hand():
    batch, log_prob = batch_of([1.5, 1.5, 0.5, 0.5, 1.1], [1.0, -1.0, 1.0, -1.0, 2.0])
    loss, metrics = make_agent(clip_range=0.2).policy_loss(batch, log_prob, mean_over(batch.valid))
    # Of ratio A and clipped ratio A the lower one: 1.2, -1.5, 0.5, -0.8, 2.2.
    assert loss.item() == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8 + 2.2) / 5)
    # Nothing is to be gained by more of what was clipped; else it is -ratio A / 5.
    (gradient,) = torch.autograd.grad(loss, log_prob)
    assert gradient.tolist() == pytest.approx([0, 0.3, -0.1, 0, -0.44])
    expected = [0.5 - np.log(1.5), 0.5 - np.log(1.5), -0.5 - np.log(0.5), -0.5 - np.log(0.5), 0.1 - np.log(1.1)]
    assert metrics["kl"].item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert metrics["clip_fraction"].item() == pytest.approx(4 / 5)
    assert not any(value.requires_grad for value in metrics.values())


def test_rows_that_are_not_valid_count_neither_in_the_loss_nor_in_the_divergence():
    batch, log_prob = batch_of([1.1, 3.0], [2.0, 7.0])
    valid = torch.tensor([1.0, 0.0])
    loss, metrics = make_agent().policy_loss(batch, log_prob, mean_over(valid))
    assert loss.item() == pytest.approx(-2.2)
    assert metrics["kl"].item() == pytest.approx(0.1 - np.log(1.1), rel=1e-4)
    assert metrics["clip_fraction"].item() == 0


class PlainPPO(Reference):
    """PPO with a loop over rows, backward() and PyTorch's Adam; `num_clipped` counts rows whose gradient was cut."""

    def __init__(self, agent):
        super().__init__(agent)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=self.config.lr, eps=1e-5)
        self.num_clipped = 0

    def learn(self, steps, samples):
        config = self.config
        obs = torch.tensor(np.stack([step.obs for step in steps])).flatten(0, 1)
        sample = torch.tensor(np.stack(samples)).flatten(0, 1)
        with torch.no_grad():
            old_log_prob, _ = log_prob_and_entropy(config.policy, self.module(obs)[0], sample)
        advantage, target = self.evaluated(steps)
        for _ in range(config.num_epochs):
            order = self.rng.permutation(len(obs))
            for part in np.split(order, config.num_minibatches):
                columns = (column[part] for column in (obs, sample, advantage, target, old_log_prob))
                losses, kl = self.update(*columns)
                if config.target_kl is not None and kl > config.target_kl:
                    return losses
        return losses

    def evaluated(self, steps):
        """Advantages and value targets [N] by the present weights."""
        obs, next_obs = (
            torch.tensor(np.stack([getattr(step, name) for step in steps])) for name in ("obs", "next_obs")
        )
        with torch.no_grad():
            value, next_value = self.module(obs)[1].numpy(), self.module(next_obs)[1].numpy()
        advantage = self.advantages(steps, value, next_value)
        target = advantage + value
        if self.config.normalize_advantage:
            advantage = (advantage - advantage.mean()) / advantage.std()
        return (torch.tensor(column, dtype=torch.float32).flatten() for column in (advantage, target))

    def update(self, obs, sample, advantage, target, old_log_prob):
        config = self.config
        parameters, value = self.module(obs)
        log_prob, entropy = log_prob_and_entropy(config.policy, parameters, sample)
        gains = []
        for new, old, gain in zip(log_prob, old_log_prob, advantage, strict=True):
            ratio = torch.exp(new - old)
            # The two cases of figure 1 of arXiv:1707.06347.
            highest = 1 + config.clip_range if gain > 0 else 1 - config.clip_range
            is_clipped = ratio > highest if gain > 0 else ratio < highest
            gains.append((highest if is_clipped else ratio) * gain)
            self.num_clipped += bool(is_clipped)
        policy_loss = -sum(gains) / len(gains)
        value_loss = ((value - target) ** 2).mean()
        loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy.mean()
        self.optimizer.zero_grad()
        loss.backward()
        if config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), config.max_grad_norm)
        self.optimizer.step()
        log_ratio = (log_prob - old_log_prob).detach().double()
        kl = (log_ratio.exp() - 1 - log_ratio).mean().item()
        return (policy_loss.item(), value_loss.item(), entropy.mean().item(), kl), kl


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize_advantage": True, "max_grad_norm": 0.3, "entropy_coef": 0.02},
        {"shared_trunk": True, "target_kl": 0.003, "clip_range": 0.03, "gae_lambda": 1.0, "lr": 0.02},
    ],
    ids=["plain", "options", "stopped"],
)
def test_learning_equals_that_of_a_plain_implementation(policy, changes):
    agent = make_agent(policy=policy, rollout_steps=20, **{"lr": 0.01, "clip_range": 0.1} | changes)
    reference = PlainPPO(agent)
    world, names = RandomWorld(agent), ("policy_loss", "value_loss", "entropy", "kl")
    for _ in range(6):
        steps, samples = [], []
        for _ in range(20):
            steps.append(world.step(agent.act(world.obs, explore=True)))
            samples.append(agent.sample.copy())
            agent.observe(steps[-1])
            metrics = agent.learn()
        losses = reference.learn(steps, samples)
        assert losses == pytest.approx([metrics[name].item() for name in names], rel=2e-3, abs=2e-5)
        flat = torch.cat([param.detach().reshape(-1) for param in reference.module.parameters()])
        torch.testing.assert_close(weights(agent), flat, rtol=1e-3, atol=2e-5)
    assert reference.num_clipped > 20
    most = 6 * EPOCHS * MINIBATCHES
    assert agent.num_updates < most if "target_kl" in changes else agent.num_updates == most


def test_adam_has_the_epsilon_of_baselines():
    agent = make_agent(lr=0.1)
    before = weights(agent)
    agent.optimizer.step(torch.full_like(before, 1e-5))
    torch.testing.assert_close(before - weights(agent), torch.full_like(before, 0.05), rtol=1e-3, atol=1e-6)


# One rollout


def test_every_pass_sees_each_row_once_and_the_policy_that_acted():
    agent = make_agent(rollout_steps=10, normalize_advantage=True)
    spy, world = Spy(agent), RandomWorld(agent)
    play(agent, world, 9)
    agent.observe(world.step(agent.act(world.obs, explore=True)))
    rollout = agent.memory.tensors
    with torch.no_grad():
        parameters, _ = agent.network(rollout.obs)
        old = agent.policy.log_prob(rollout.sample, *parameters).flatten()
    agent.learn()
    assert len(spy.batches) == EPOCHS * MINIBATCHES
    orders = []
    for epoch in range(EPOCHS):
        batches = spy.batches[epoch * MINIBATCHES : (epoch + 1) * MINIBATCHES]
        assert [len(batch.obs) for batch in batches] == [15, 15]
        seen, order = torch.cat([batch.obs for batch in batches])[:, 0].sort()
        expected, places = rollout.obs.flatten(0, 1)[:, 0].sort()
        assert torch.equal(seen, expected)
        old_log_prob = torch.cat([batch.old_log_prob for batch in batches])
        torch.testing.assert_close(old_log_prob[order], old[places], rtol=1e-6, atol=1e-6)
        assert not old_log_prob.requires_grad
        orders.append(order)
    assert not torch.equal(orders[0], orders[1])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_first_minibatch_is_learned_from_as_by_a2c(precision):
    accelerate = Acceleration(False, precision, "cpu")
    agent = make_agent(rollout_steps=10, normalize_advantage=True, accelerate=accelerate)
    spy = Spy(agent)
    play(agent, RandomWorld(agent), 10)
    first, *later = spy.metrics
    assert first["kl"].item() == pytest.approx(0, abs=1e-6)
    assert first["clip_fraction"].item() == 0
    assert first["policy_loss"].item() == pytest.approx(-spy.batches[0].advantage.mean().item(), abs=1e-6)
    assert all(metrics["kl"] > 1e-5 for metrics in later)


def test_advantages_are_computed_once_per_rollout():
    agent = make_agent(rollout_steps=10, num_minibatches=1, normalize_advantage=True)
    targets = []

    def by_present_weights():
        prepared = agent.prepare(agent.memory.tensors)
        targets.append([prepared[name].flatten().sort().values for name in ("value_target", "advantage")])

    spy = Spy(agent, by_present_weights)
    play(agent, RandomWorld(agent), 10)
    learned = [[batch.value_target.sort().values, batch.advantage.sort().values] for batch in spy.batches]
    assert len(learned) == EPOCHS
    assert_same(learned, [targets[0]] * EPOCHS)
    assert not torch.equal(targets[0][0], targets[1][0])


def test_a_rollout_is_left_after_the_first_update_that_is_too_far_from_the_policy_that_acted():
    agent = make_agent(rollout_steps=10, target_kl=0.003, lr=2e-3)
    spy = Spy(agent)
    play(agent, RandomWorld(agent), 10)
    *before, last = [metrics["kl"].item() for metrics in spy.metrics]
    assert 1 <= len(before) < EPOCHS * MINIBATCHES - 1
    assert max(before) <= 0.003 < last
    assert (agent.num_updates, agent.num_rollouts) == (len(before) + 1, 1)


def test_without_a_target_no_rollout_is_left_early():
    agent = make_agent(lr=0.1)
    play(agent, RandomWorld(agent), 8)
    assert (agent.num_updates, agent.num_rollouts) == (2 * EPOCHS * MINIBATCHES, 2)
    assert agent.config.num_updates(24, 3) == 2 * EPOCHS * MINIBATCHES
    assert agent.config.update_rate(3) == pytest.approx(EPOCHS * MINIBATCHES / 12, rel=1e-4)


def test_rates_go_by_rollouts_however_many_updates_they_have():
    agent = make_agent(num_envs=1, rollout_steps=10, total_steps=40, lr=0.1, lr_decay=TO_ZERO, target_kl=0.5)
    world, rates = RandomWorld(agent), []
    for _ in range(4):
        rates.append(agent.lr())
        play(agent, world, 10)
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])


# The same run again, compiled, and a run that goes on

ALL_OPTIONS = {
    "target_kl": 0.02,
    "normalize_obs": True,
    "normalize_reward": True,
    "normalize_advantage": True,
    "lr_decay": TO_ZERO,
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("num_steps", [0, 6, 8])
def test_with_its_state_another_agent_goes_on_the_same(policy, num_steps):
    agent, other = (make_agent(seed=seed, policy=policy, **ALL_OPTIONS) for seed in (0, 1))
    world = RandomWorld(agent)
    if num_steps:
        play(agent, world, num_steps)
    play(other, RandomWorld(other, seed=1), 7)
    other.load_state_dict(from_message(to_message(agent.state_dict())))
    other_world = copy.deepcopy(world)
    assert_same(play(other, other_world, 20), play(agent, world, 20))
    assert_same(other.state_dict(), agent.state_dict())


@pytest.mark.slow
def test_compiled_it_does_what_it_does_eagerly():
    changes = {"normalize_obs": True, "rollout_steps": 8}
    plain = make_agent(**changes)
    fast = make_agent(**changes, accelerate=Acceleration(True, "fp32", "cpu", required=True))
    worlds = RandomWorld(plain), RandomWorld(fast)
    for _ in range(4):
        for agent, world in zip((plain, fast), worlds, strict=True):
            play(agent, world, 8)
        torch.testing.assert_close(weights(fast), weights(plain), rtol=1e-3, atol=1e-4)
    assert fast.num_updates == plain.num_updates == 4 * EPOCHS * MINIBATCHES


# What is refused


def test_noise_is_refused_in_its_own_name():
    noise = GaussianConfig(kind="gaussian", sigma=0.1, decay=TO_ZERO)
    with pytest.raises(
        UserError, match=r"noise=gaussian: PPO explores by drawing from its policy.*allowed: auto, none"
    ):
        make_config().check_run(1000, 8, noise)


def test_the_name_ppo_stands_for_the_class():
    assert agent_class("ppo") is PPO
    assert config_class("ppo") is PPOConfig


# Probe environments with known answers


def solve(probe, num_rollouts, **changes):
    defaults = {"lr": 3e-3, "lr_decay": TO_ZERO, "rollout_steps": 4, "gae_lambda": 1.0, "init_std": 0.3}
    total_steps = 4 * probe.num_envs * num_rollouts
    sizes = {"obs_dim": 1, "action_dim": 1, "num_envs": probe.num_envs, "total_steps": total_steps}
    agent = make_agent(**sizes, **defaults | changes)
    play(agent, probe, 4 * num_rollouts)
    assert agent.num_rollouts == num_rollouts
    return agent


@pytest.mark.parametrize("policy", quick(POLICIES))
def test_probe_whose_best_action_depends_on_the_observation(policy):
    agent = solve(two_sides(), 120, policy=policy, normalize_advantage=True)
    action, _ = action_and_value(agent, -1, 1)
    assert action == pytest.approx([-0.5, 0.5], abs=0.15)


def test_probe_of_two_steps_discounts_the_second_reward():
    agent = solve(paid_at_the_end(), 120, gamma=0.8)
    _, value = action_and_value(agent, 0, 1)
    assert value == pytest.approx([0.8 * 2, 2], abs=0.1)


def test_its_minibatches_begin_as_those_of_a2c():
    assert PPOMinibatch._fields == (*Minibatch._fields, "old_log_prob")
