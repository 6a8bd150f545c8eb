import copy
import io
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from global_generators import untouched_global_generators
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Probe, RandomWorld, Still, assert_same, column, make_step, paid_at_the_end, play

from rlcont.algos.ddpg.agent import DDPG
from rlcont.algos.ddpg.config import DDPGConfig
from rlcont.algos.find import agent_class, config_class
from rlcont.core.schema import NetworkConfig
from rlcont.core.types import Batch, EnvSpec
from rlcont.exploration.config import DecayConfig, GaussianConfig, NoNoise, OUConfig

NO_DECAY = DecayConfig(kind="none", final=0.1, steps=None)
NO_NOISE = NoNoise(kind="none")
OU = OUConfig(kind="ou", theta=0.15, sigma=0.2, mu=0.3, dt=1.0, decay=NO_DECAY)


def gaussian(sigma):
    return GaussianConfig(kind="gaussian", sigma=sigma, decay=NO_DECAY)


def make_agent(noise=NO_NOISE, obs_dim=2, action_dim=1, num_envs=1, seed=0, cls=DDPG, **changes):
    hidden = changes.pop("hidden", (32,))
    rates = {"actor": changes.pop("actor_lr", 1e-3), "critic": changes.pop("critic_lr", 1e-3)}
    networks = {
        name: NetworkConfig(hidden=hidden, activation="relu", layer_norm=False, residual=False, lr=rate)
        for name, rate in rates.items()
    }
    values = networks | {
        "num_critics": 1,
        "policy_delay": 1,
        "gamma": 0.9,
        "tau": 0.05,
        "target_every": 1,
        "batch_size": 8,
        "replay": "uniform",
        "replay_size": 1000,
        "priority_alpha": 0.6,
        "priority_beta": 0.4,
        "n_step": 1,
        "warmup_steps": 10,
        "updates_per_step": 1.0,
        "normalize_obs": False,
        "normalize_reward": False,
        "return_bound": None,
        "max_grad_norm": None,
        "average_rate": None,
    }
    spec = EnvSpec("Probe", obs_dim, action_dim, None)
    if issubclass(cls, DDPG):
        values |= {"target_sigma": 0.0, "target_clip": 0.5}
    name = next(parent.__name__ for parent in cls.__mro__ if parent.__name__ in ("D4PG", "DDPG", "SAC"))
    config = config_class(name.lower())(**values | changes)
    return cls(config, noise, spec, num_envs=num_envs, total_steps=1000, seed=seed, device="cpu")


def test_a_replay_allocates_no_more_rows_than_the_run_can_fill():
    agent = make_agent(num_envs=3, replay="prioritized", replay_size=10**13)
    assert len(agent.replay.rows) == len(agent.replay.sums.leaves) == 1003
    assert agent.replay.capacity == 10**13
    key, needed = agent.config.memory_demand(agent.spec, 1000, 3)
    assert key == "algo.replay_size=10000000000000"
    assert (
        needed
        == make_agent(num_envs=3, replay="prioritized", replay_size=1003).config.memory_demand(agent.spec, 10**9, 3)[1]
    )


def random_batch(seed, size=8, obs_dim=2, action_dim=1, gamma=0.9):
    rng = np.random.default_rng(seed)
    obs, next_obs = 3 + 2 * rng.standard_normal((2, size, obs_dim))
    action = rng.uniform(-1, 1, (size, action_dim))
    discount = gamma * (rng.random(size) < 0.7)
    fields = (obs, action, rng.standard_normal(size), discount, next_obs)
    return batch_of(*(torch.tensor(field, dtype=torch.float32) for field in fields))


def batch_of(obs, action, reward, discount, next_obs):
    """The first rows of a memory, of equal weight."""
    return Batch(obs, action, reward, discount, next_obs, torch.ones(len(obs)), torch.arange(len(obs)))


def stored(agent):
    """The rows in the replay, oldest slot first, as a Batch."""
    replay, dim = agent.replay, agent.spec.obs_dim
    num = agent.spec.action_dim
    obs, action, reward, discount, next_obs = replay.rows[: len(replay)].split([dim, num, 1, 1, dim], 1)
    return batch_of(obs, action, reward[:, 0], discount[:, 0], next_obs)


def networks(agent):
    flat = (agent.actor, agent.critic, agent.target_actor, agent.target_critic)
    return [network.module for network in flat]


def all_weights(agent):
    return [param.detach().clone() for net in networks(agent) for param in net.parameters()]


# Networks with known outputs


def set_net(net, first, first_bias, last, last_bias):
    """Weights of a network with a single hidden unit."""
    with torch.no_grad():
        for param, value in zip(net.module.parameters(), (first, first_bias, last, last_bias), strict=True):
            param.copy_(torch.tensor(value))


def agent_with_known_targets(num_envs=1):
    """Target networks: mu'(s) = 0.5 and Q'(s, a) = 3 relu(s + 2 a) + 0.5; the online networks are all zero."""
    agent = make_agent(obs_dim=1, hidden=(1,), num_envs=num_envs)
    set_net(agent.actor, [[0.0]], [0.0], [[0.0]], [0.0])
    set_net(agent.critic, [[0.0, 0.0]], [0.0], [[0.0]], [0.0])
    set_net(agent.target_actor, [[0.0]], [0.0], [[0.0]], [math.atanh(0.5)])
    set_net(agent.target_critic, [[1.0, 2.0]], [0.0], [[3.0]], [0.5])
    return agent


def test_td_target_by_hand():
    agent = agent_with_known_targets()
    next_obs = torch.tensor([[2.0], [2.0], [-3.0]])
    nothing = torch.full((3, 1), 99.0)
    batch = batch_of(nothing, nothing, torch.tensor([1.0, 1.0, -4.0]), torch.tensor([0.9, 0.0, 0.5]), next_obs)
    # Q'(2, 0.5) = 3 * 3 + 0.5 = 9.5 and Q'(-3, 0.5) = 0.5
    torch.testing.assert_close(agent.td_target(batch), torch.tensor([1 + 0.9 * 9.5, 1.0, -4 + 0.5 * 0.5]))


def test_a_terminated_step_is_worth_its_reward_and_a_truncated_one_bootstraps_with_gamma():
    agent = agent_with_known_targets(num_envs=4)
    step = make_step(
        obs=column(9, 9, 9, 9),
        action=column(0, 0, 0, 0),
        reward=1.0,
        next_obs=column(2, 2, 2, 2),
        terminated=[False, True, False, True],
        truncated=[False, False, True, True],
        obs_to_act_on=column(2, -7, -7, -7),
    )
    agent.observe(step)
    rows = stored(agent)
    torch.testing.assert_close(rows.discount, torch.tensor([0.9, 0.0, 0.9, 0.0]))
    torch.testing.assert_close(rows.next_obs, torch.full((4, 1), 2.0))
    torch.testing.assert_close(agent.td_target(rows), torch.tensor([9.55, 1.0, 9.55, 1.0]))


def test_the_losses_by_hand():
    agent = make_agent(obs_dim=1, hidden=(1,))
    set_net(agent.actor, [[0.0]], [0.0], [[0.0]], [math.atanh(0.5)])
    set_net(agent.critic, [[1.0, 2.0]], [0.0], [[3.0]], [0.5])
    obs, action = torch.tensor([[2.0], [-9.0]]), torch.tensor([[1.0], [1.0]])
    torch.testing.assert_close(agent.q_value(obs, action), torch.tensor([12.5, 0.5]))
    batch = batch_of(obs, action, torch.zeros(2), torch.zeros(2), obs)
    loss, priority, metrics = agent.critic_loss(batch, torch.tensor([10.5, -0.5]))
    assert loss.tolist() == pytest.approx([2**2, 1**2])
    assert priority.tolist() == pytest.approx([2, 1])
    assert metrics["q_mean"].item() == pytest.approx(6.5)
    # -(Q(2, 0.5) + Q(-9, 0.5)) / 2
    assert agent.actor_loss(obs)[0].item() == pytest.approx(-(9.5 + 0.5) / 2)


# One update


class Reference:
    """Algorithm 1 as the paper writes it: loops over parameters, backward(), an optimiser entry for each."""

    def __init__(self, agent, seen):
        self.config = agent.config
        self.seen = seen
        clones = [[p.detach().clone() for p in net.parameters()] for net in networks(agent)]
        self.actor, self.critic, self.target_actor, self.target_critic = clones
        for param in self.actor + self.critic:
            param.requires_grad_(True)
        self.actor_adam = torch.optim.Adam(self.actor, lr=self.config.actor.lr, foreach=False)
        self.critic_adam = torch.optim.Adam(self.critic, lr=self.config.critic.lr, foreach=False)

    @staticmethod
    def network(params, x):
        """One hidden layer of relu."""
        weight, bias, last_weight, last_bias = params
        return torch.relu(x @ weight.T + bias) @ last_weight.T + last_bias

    def policy(self, params, obs):
        return torch.tanh(self.network(params, obs))

    def value(self, params, obs, action):
        return self.network(params, torch.cat([obs, action], 1))[:, 0]

    def normal(self, obs):
        if not self.config.normalize_obs:
            return obs
        mean, deviation = self.seen.mean(0), np.sqrt(self.seen.var(0) + 1e-8)
        return torch.tensor(np.clip((obs.numpy() - mean) / deviation, -10, 10), dtype=torch.float32)

    def clip(self, params):
        if self.config.max_grad_norm is not None:
            norm = math.sqrt(sum(param.grad.square().sum().item() for param in params))
            for param in params:
                param.grad *= min(1.0, self.config.max_grad_norm / (norm + 1e-6))

    def update(self, batch):
        obs, next_obs = self.normal(batch.obs), self.normal(batch.next_obs)
        with torch.no_grad():
            next_action = self.policy(self.target_actor, next_obs)
            next_value = self.value(self.target_critic, next_obs, next_action)
        td_target = batch.reward + batch.discount * next_value
        self.critic_adam.zero_grad()
        critic_loss = ((self.value(self.critic, obs, batch.action) - td_target) ** 2).mean()
        critic_loss.backward()
        self.clip(self.critic)
        self.critic_adam.step()
        self.actor_adam.zero_grad()
        actor_loss = -self.value(self.critic, obs, self.policy(self.actor, obs)).mean()
        actor_loss.backward()
        self.clip(self.actor)
        self.actor_adam.step()
        tau = self.config.tau
        online, targets = self.actor + self.critic, self.target_actor + self.target_critic
        for target, param in zip(targets, online, strict=True):
            target.copy_((1 - tau) * target + tau * param.detach())
        return critic_loss.item(), actor_loss.item()

    def weights(self):
        return self.actor + self.critic + self.target_actor + self.target_critic


@pytest.mark.parametrize("normalize_obs", [False, True])
@pytest.mark.parametrize("max_grad_norm", [None, 0.01, 1e6])
def test_updates_equal_those_of_a_plain_implementation(normalize_obs, max_grad_norm):
    agent = make_agent(action_dim=2, num_envs=4, normalize_obs=normalize_obs, max_grad_norm=max_grad_norm, tau=0.2)
    world = RandomWorld(agent)
    steps = [world.step(np.zeros((4, 2))) for _ in range(5)]
    for step in steps:
        agent.observe(step)
    reference = Reference(agent, np.concatenate([step.obs for step in steps]).astype(np.float64))
    before = all_weights(agent)
    for seed in range(6):
        batch = random_batch(seed, action_dim=2)
        metrics = agent.update(batch)
        losses = reference.update(batch)
        assert [metrics["critic_loss"].item(), metrics["actor_loss"].item()] == pytest.approx(losses, rel=1e-4)
        for value, expected in zip(all_weights(agent), reference.weights(), strict=True):
            torch.testing.assert_close(value, expected.detach(), rtol=0, atol=1e-6)
    moved = [(old - new).abs().max() for old, new in zip(before, all_weights(agent), strict=True)]
    assert min(moved) > 1e-4


def test_an_update_leaves_the_batch_alone():
    agent = make_agent(normalize_obs=True)
    batch = random_batch(0)
    kept = [field.clone() for field in batch]
    agent.update(batch)
    assert_same(list(batch), kept)


def test_targets_begin_as_copies_and_are_never_differentiated():
    agent = make_agent()
    actor, critic, target_actor, target_critic = networks(agent)
    assert_same(actor.state_dict(), target_actor.state_dict())
    assert_same(critic.state_dict(), target_critic.state_dict())
    agent.update(random_batch(0))
    for net in (target_actor, target_critic):
        assert all(param.grad is None and not param.requires_grad for param in net.parameters())
    assert not torch.equal(agent.actor.module.body[0].weight, agent.target_actor.module.body[0].weight)


def first_gradient(adam):
    """Of an optimiser after one step, whose running mean is then (1 - beta1) times the gradient."""
    return adam.mean / (1 - adam.beta1)


@pytest.mark.parametrize("max_grad_norm", [None, 0.05, 1e6])
def test_the_gradients_of_actor_and_critic_are_each_clipped(max_grad_norm):
    agent = make_agent(max_grad_norm=max_grad_norm)
    batch = random_batch(0)
    agent.update(batch._replace(reward=100 * batch.reward))
    for optimizer in (agent.actor_optimizer, agent.critic_optimizer):
        norm = first_gradient(optimizer).norm().item()
        assert norm == pytest.approx(0.05, rel=1e-3) if max_grad_norm == 0.05 else norm > 0.1


# When learning is due


class CountingDDPG(DDPG):
    """Counts its updates instead of making them."""

    num_calls = 0

    def update(self, batch):
        self.num_calls += 1
        return {"call": torch.tensor(self.num_calls), "priority": torch.ones(len(batch.obs))}


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("updates_per_step", [1.0, 0.1, 0.25, 0.29, 2.0])
@pytest.mark.parametrize(("warmup_steps", "batch_size"), [(10, 8), (5, 8), (0, 1)])
def test_updates_per_step_is_kept_exactly(num_envs, updates_per_step, warmup_steps, batch_size):
    agent = make_agent(
        cls=CountingDDPG,
        num_envs=num_envs,
        updates_per_step=updates_per_step,
        warmup_steps=warmup_steps,
        batch_size=batch_size,
    )
    world = RandomWorld(agent)
    for step in range(1, 201):
        agent.observe(world.step(np.zeros((num_envs, 1))))
        before = agent.num_calls
        metrics = agent.learn()
        learning_steps = max(0, step * num_envs - max(warmup_steps, batch_size))
        due = math.floor(learning_steps * Fraction(str(updates_per_step)))
        assert agent.num_calls == agent.num_updates == due
        assert agent.status()["num_updates"] == due
        assert metrics == ({"call": due} if due > before else {})
        assert agent.learn() == {}


@pytest.mark.parametrize(("warmup_steps", "batch_size", "first"), [(10, 8, 11), (3, 8, 9), (0, 1, 2)])
def test_no_weight_changes_before_the_first_step_after_warmup(warmup_steps, batch_size, first):
    agent = make_agent(warmup_steps=warmup_steps, batch_size=batch_size)
    world, before = RandomWorld(agent), all_weights(agent)
    for step in range(1, first + 1):
        play(agent, world, 1)
        assert agent.num_updates == (step == first)
        if step < first:
            assert_same(all_weights(agent), before)
    assert not torch.equal(all_weights(agent)[0], before[0])


def test_metrics_are_detached_numbers():
    agent = make_agent()
    metrics = agent.update(random_batch(0))
    priority = metrics.pop("priority")
    assert priority.shape == (8,)
    assert not priority.requires_grad
    assert set(metrics) == {"q_mean", "critic_loss", "actor_loss"}
    assert all(value.shape == () and not value.requires_grad for value in metrics.values())


# Acting


def test_exactly_the_warmup_steps_are_random():
    agent = make_agent(cls=CountingDDPG, warmup_steps=10)
    obs = np.ones((1, 2), np.float32)
    policys = agent.act(obs, explore=False)
    random = []
    for _ in range(15):
        action = agent.act(obs, explore=True)
        random.append(bool((action != policys).any()))
        agent.observe(make_step(obs, action, 0.0, obs))
    assert random == [True] * 10 + [False] * 5


def test_warmup_actions_are_uniform_over_the_box():
    agent = make_agent(action_dim=2, num_envs=1000)
    actions = agent.act(np.zeros((1000, 2), np.float32), explore=True)
    assert actions.mean(0) == pytest.approx([0, 0], abs=0.1)
    assert actions.std(0) == pytest.approx([0.577, 0.577], abs=0.03)
    assert actions.min() < -0.99
    assert actions.max() > 0.99
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.1


def test_after_warmup_the_noise_is_added_to_the_policy_and_clipped():
    agent, twin = (make_agent(gaussian(0.8), num_envs=50, warmup_steps=0) for _ in range(2))
    obs = RandomWorld(agent).obs
    policys = agent.act(obs, explore=False)
    action = agent.act(obs, explore=True)
    np.testing.assert_allclose(action, np.clip(policys + twin.explorer.noise.sample(0), -1, 1), rtol=1e-6)
    assert 0 < (np.abs(action) == 1).mean() < 1


@given(
    noise=st.sampled_from([NO_NOISE, gaussian(0.1), gaussian(5.0), OU]),
    num_envs=st.sampled_from([1, 3]),
    size=st.sampled_from([1.0, 1e3, 1e6]),
    explore=st.booleans(),
    warmup_steps=st.sampled_from([0, 100]),
)
@settings(max_examples=20)
def test_actions_are_float32_in_the_box(noise, num_envs, size, explore, warmup_steps):
    agent = make_agent(noise, action_dim=2, num_envs=num_envs, warmup_steps=warmup_steps)
    obs = (size * np.random.default_rng(0).standard_normal((num_envs, 2))).astype(np.float32)
    for _ in range(20):
        action = agent.act(obs, explore=explore)
        assert action.shape == (num_envs, 2)
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 1


@pytest.mark.parametrize("num_steps", [0, 5, 30])
def test_acting_without_exploration_changes_nothing(num_steps):
    agent = make_agent(OU, num_envs=2, normalize_obs=True)
    world = RandomWorld(agent)
    if num_steps:
        play(agent, world, num_steps)
    before = copy.deepcopy(agent.state_dict())
    obs = world.obs.copy()
    with untouched_global_generators():
        actions = [agent.act(world.obs[:num], explore=False) for num in (1, 2, 2)]
    assert_same(actions[1], actions[2])
    assert_same(world.obs, obs)
    assert_same(agent.state_dict(), before)


def test_training_runs_the_same_however_often_the_policy_is_asked():
    asked, alone = (make_agent(OU, num_envs=2, normalize_obs=True) for _ in range(2))
    asked_world, alone_world = RandomWorld(asked), RandomWorld(alone)
    for _ in range(20):
        asked.act(asked_world.obs, explore=False)
        assert_same(play(asked, asked_world, 1), play(alone, alone_world, 1))
    assert_same(asked.state_dict(), alone.state_dict())


def test_ou_noise_restarts_where_an_episode_ended_either_way():
    agent = make_agent(OU, num_envs=4, warmup_steps=0)
    obs = np.zeros((4, 2), np.float32)
    action = agent.act(obs, explore=True)
    x = agent.explorer.noise.x.copy()
    assert (x != 0.3).all()
    ends = {"terminated": [False, True, False, True], "truncated": [False, False, True, True]}
    agent.observe(make_step(obs, action, 0.0, obs, **ends))
    np.testing.assert_array_equal(agent.explorer.noise.x, [x[0], [0.3], [0.3], [0.3]])


# Remembering


def test_each_environments_row_is_stored_as_it_was():
    agent = make_agent(num_envs=3, action_dim=2)
    obs, next_obs = np.arange(6).reshape(3, 2), 10 + np.arange(6).reshape(3, 2)
    action = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], np.float32)
    agent.observe(make_step(obs, action, [1, 2, 3], next_obs, obs_to_act_on=-next_obs))
    rows = stored(agent)
    np.testing.assert_array_equal(rows.obs, obs)
    np.testing.assert_array_equal(rows.action, action)
    np.testing.assert_array_equal(rows.reward, [1, 2, 3])
    np.testing.assert_array_equal(rows.next_obs, next_obs)
    assert agent.num_steps == 3
    assert agent.status()["replay_fill"] == pytest.approx(0.003)


def test_a_step_in_which_the_simulator_broke_down_is_never_stored():
    agent = make_agent(OU, num_envs=3, normalize_obs=True, warmup_steps=0)
    obs = np.array([[1.0, 2.0], [50.0, 50.0], [3.0, 4.0]])
    agent.act(obs.astype(np.float32), explore=True)
    broken = {"truncated": [False, True, False], "valid": [True, False, True]}
    agent.observe(make_step(obs, column(0.1, 0.2, 0.3), [1, 2, 3], np.zeros((3, 2)), **broken))
    rows = stored(agent)
    np.testing.assert_array_equal(rows.obs, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(rows.action, column(0.1, 0.3))
    np.testing.assert_array_equal(rows.reward, [1, 3])
    np.testing.assert_allclose(rows.discount, [0.9, 0.9])
    np.testing.assert_allclose(agent.normalizer.mean, [2, 3])
    assert agent.num_steps == 3
    assert (agent.explorer.noise.x == 0.3).ravel().tolist() == [False, True, False]
    agent.observe(make_step(obs, column(0, 0, 0), 0.0, obs, truncated=True, valid=False))
    assert len(agent.replay) == 2
    assert agent.normalizer.count == 2


def test_with_normalize_obs_rows_are_stored_raw_and_the_policy_sees_them_normalised():
    agent = make_agent(num_envs=50, normalize_obs=True, warmup_steps=0)
    world = RandomWorld(agent)
    step = world.step(np.zeros((50, 1)))
    agent.observe(step)
    np.testing.assert_array_equal(stored(agent).obs, step.obs)
    np.testing.assert_array_equal(stored(agent).next_obs, step.next_obs)
    np.testing.assert_allclose(agent.normalizer.mean, step.obs.mean(0), rtol=1e-5)
    normal = (world.obs - step.obs.mean(0)) / step.obs.std(0)
    with torch.no_grad():
        expected = agent.actor(torch.from_numpy(normal)).numpy()
    for explore in (False, True):
        np.testing.assert_allclose(agent.act(world.obs, explore=explore), expected, atol=1e-5)


# The same run again, and a run that goes on


def test_the_same_seed_gives_the_same_weights():
    agents = [make_agent(gaussian(0.2), normalize_obs=True, seed=seed) for seed in (0, 0, 1)]
    assert not torch.equal(agents[0].actor.module.body[0].weight, agents[2].actor.module.body[0].weight)
    actions = []
    for index, agent in enumerate(agents):
        torch.manual_seed(index)
        actions.append(play(agent, RandomWorld(agent), 60))
        assert agent.num_updates == 50
    assert_same(agents[0].state_dict(), agents[1].state_dict())
    assert_same(actions[0], actions[1])
    assert (actions[0][:10] != actions[2][:10]).all()


def test_training_never_touches_the_global_generators():
    with untouched_global_generators():
        agent = make_agent(OU)
        play(agent, RandomWorld(agent), 20)


@pytest.mark.parametrize("num_steps", [4, 40])
@pytest.mark.parametrize("noise", [OU, gaussian(0.2)], ids=["ou", "gaussian"])
def test_with_its_state_and_its_rows_another_agent_goes_on_the_same(noise, num_steps):
    changes = {
        "num_envs": 2,
        "normalize_obs": True,
        "max_grad_norm": 0.5,
        "updates_per_step": 0.25,
        "target_every": 3,
        "average_rate": 0.1,
    }
    agent, other = (make_agent(noise, seed=seed, **changes) for seed in (0, 1))
    world = RandomWorld(agent)
    play(agent, world, num_steps)
    play(other, RandomWorld(other, seed=1), 25)
    file = io.BytesIO()
    torch.save(agent.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=False))
    other.replay.rows.copy_(agent.replay.rows)
    assert_same(other.state_dict(), agent.state_dict())
    other_world = copy.deepcopy(world)
    assert_same(play(other, other_world, 40), play(agent, world, 40))
    assert_same(other.state_dict(), agent.state_dict())


def test_another_agent_acts_the_same_with_the_policys_state_alone():
    agent, other = (make_agent(OU, num_envs=2, seed=seed, normalize_obs=True) for seed in (0, 1))
    world = RandomWorld(agent)
    play(agent, world, 30)
    state = agent.policy_state()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert sum(value.numel() for name, value in state.items() if name.startswith("actor.")) == 129
    assert {name.partition(".")[0] for name in state} == {"actor", "normalizer"}
    assert (other.act(world.obs, explore=False) != agent.act(world.obs, explore=False)).all()
    other.load_policy_state(state)
    assert_same(other.act(world.obs, explore=False), agent.act(world.obs, explore=False))
    assert_same(other.policy_state(), state)


@pytest.mark.parametrize("policy_delay", [1, 2])
@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_targets_move_at_every_third_update_of_the_actor_and_rest_between(tau, policy_delay):
    agent = make_agent(target_every=3, tau=tau, policy_delay=policy_delay)
    world, networks = RandomWorld(agent), ("actor", "critic")
    play(agent, world, 10)
    targets = {name: getattr(agent, f"target_{name}").weights.clone() for name in networks}
    for update in range(1, 14):
        play(agent, world, 1)
        assert agent.num_updates == update
        for name, before in targets.items():
            online, target = getattr(agent, name).weights.detach(), getattr(agent, f"target_{name}").weights
            if update % (3 * policy_delay) == 0:
                torch.testing.assert_close(target, (1 - tau) * before + tau * online)
                assert not torch.equal(target, before)
            else:
                assert torch.equal(target, before)
            targets[name] = target.clone()


def test_an_average_of_the_actor_is_evaluated_and_kept_while_the_actor_explores_and_learns():
    changes = {"num_envs": 2, "normalize_obs": True, "updates_per_step": 0.5}
    agent, plain = (make_agent(gaussian(0.2), **changes, average_rate=rate) for rate in (0.25, None))
    world, plain_world = RandomWorld(agent), RandomWorld(plain)
    mean = agent.actor.weights.detach().clone()
    for _ in range(40):
        updates = agent.num_updates
        assert_same(play(agent, world, 1), play(plain, plain_world, 1))
        for _ in range(agent.num_updates - updates):
            mean = 0.75 * mean + 0.25 * agent.actor.weights.detach()
    assert agent.num_updates > 20
    assert_same(agent.actor.weights, plain.actor.weights)
    obs = world.obs
    evaluated = agent.act(obs, explore=False)
    assert (evaluated != plain.act(obs, explore=False)).all()
    assert_same(agent.explorer_state(), plain.policy_state())
    torch.testing.assert_close(agent.average.weights, mean)
    torch.testing.assert_close(agent.policy_module()(torch.from_numpy(obs)), torch.from_numpy(evaluated))
    with torch.no_grad():
        plain.actor.weights.copy_(agent.average.weights)
    assert_same(plain.act(obs, explore=False), evaluated)
    assert_same(plain.policy_state(), agent.policy_state())


def test_an_agent_that_begins_from_a_policy_explores_and_averages_from_there():
    agent, other = (make_agent(seed=seed, average_rate=0.1) for seed in (0, 1))
    play(agent, RandomWorld(agent), 30)
    other.load_policy_state(agent.policy_state())
    assert_same(other.explorer_state(), agent.policy_state())
    assert_same(other.policy_state(), agent.policy_state())
    before = other.average.weights.clone()
    play(other, RandomWorld(other), 30)
    assert (other.average.weights != before).any()


def test_the_name_ddpg_stands_for_the_class():
    assert agent_class("ddpg") is DDPG
    assert config_class("ddpg") is DDPGConfig


# Probe environments with known answers


def solve(probe, num_steps, **changes):
    """An agent after `num_steps` steps of all the probe's environments, with one update after each."""
    changes = {"gamma": 0.9, "tau": 0.1, "actor_lr": 2e-3, "critic_lr": 5e-3, "batch_size": 64} | changes
    num_envs = probe.num_envs
    agent = make_agent(
        gaussian(0.3),
        obs_dim=1,
        num_envs=num_envs,
        warmup_steps=400,
        replay_size=4000,
        updates_per_step=1 / num_envs,
        **changes,
    )
    play(agent, probe, num_steps + 400 // num_envs)
    assert agent.num_updates == num_steps
    return agent


def policy_and_value(agent, *observations):
    """What the policy does at the observations, and the critic's value of it."""
    obs = column(*observations)
    action = agent.act(obs, explore=False)
    with torch.no_grad():
        value = agent.q_value(torch.from_numpy(obs), torch.from_numpy(action))
    return action[:, 0], value.numpy()


def test_probe_of_one_step_finds_the_best_action_and_its_value():
    agent = solve(Probe(lambda obs, action: -((action - 0.5) ** 2)), 600)
    action, value = policy_and_value(agent, 0)
    assert action == pytest.approx([0.5], abs=0.2)
    assert value == pytest.approx([0], abs=0.05)


def test_probe_whose_best_action_depends_on_the_observation():
    rng = np.random.default_rng(0)

    def sides():
        return rng.choice(np.float32([-1, 1]), (4, 1))

    agent = solve(Probe(lambda obs, action: -((action - 0.5 * obs) ** 2), draw=sides), 600)
    action, value = policy_and_value(agent, -1, 1)
    assert action == pytest.approx([-0.5, 0.5], abs=0.2)
    assert value == pytest.approx([0, 0], abs=0.05)


def test_probe_of_two_steps_discounts_the_second_reward():
    agent = solve(paid_at_the_end(), 500, gamma=0.8)
    _, value = policy_and_value(agent, 0, 1)
    assert value == pytest.approx([0.8 * 2, 2], abs=0.1)


@pytest.mark.parametrize(("truncates", "expected"), [(True, 2.0), (False, 1.0)])
def test_probe_whose_only_step_is_cut_off_is_worth_the_sum_of_all_that_would_follow(truncates, expected):
    # Every observation is 0, the true successor of the last one too; 1 + 0.5 + 0.25 + ... = 2.
    agent = solve(Still(lambda obs, action: np.ones_like(action), truncates=truncates), 400, gamma=0.5)
    _, value = policy_and_value(agent, 0)
    assert value == pytest.approx([expected], abs=0.05)
