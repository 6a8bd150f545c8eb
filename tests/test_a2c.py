import copy
import io
import math

import numpy as np
import pytest
import torch
from global_generators import untouched_global_generators
from quick import quick
from worlds import Probe, RandomWorld, Still, assert_same, column, make_step, paid_at_the_end, play, two_sides

from rlcont.algos.a2c.agent import A2C, mean_over
from rlcont.algos.a2c.config import A2CConfig
from rlcont.algos.find import agent_class, config_class
from rlcont.core.errors import UserError
from rlcont.core.schema import BodyConfig
from rlcont.core.types import EnvSpec
from rlcont.exploration.config import DecayConfig, GaussianConfig, NoNoise

POLICIES = ["gaussian", "bounded_gaussian", "squashed", "beta"]
NO_DECAY = DecayConfig(kind="none", final=0.0, steps=None)
TO_ZERO = DecayConfig(kind="linear", final=0.0, steps=None)
NO_NOISE = NoNoise(kind="none")


def make_config(**changes):
    hidden = changes.pop("hidden", (16,))
    values = {
        "policy": "gaussian",
        "init_std": 0.5,
        "network": BodyConfig(hidden=hidden, activation="tanh", layer_norm=False),
        "shared_trunk": False,
        "gamma": 0.9,
        "gae_lambda": 0.8,
        "rollout_steps": 4,
        "num_minibatches": 1,
        "optimizer": "rmsprop",
        "lr": 1e-3,
        "lr_decay": NO_DECAY,
        "value_coef": 0.5,
        "entropy_coef": 0.0,
        "max_grad_norm": None,
        "normalize_advantage": False,
        "normalize_obs": False,
        "normalize_reward": False,
    }
    return A2CConfig(**values | changes)


def make_agent(obs_dim=2, action_dim=2, num_envs=3, seed=0, total_steps=1000, **changes):
    spec = EnvSpec("Probe", obs_dim, action_dim, None)
    config = make_config(**changes)
    return A2C(config, NO_NOISE, spec, num_envs=num_envs, total_steps=total_steps, seed=seed, device="cpu")


def weights(agent):
    return agent.network.weights.detach().clone()


# One update


def log_prob_and_entropy(policy, parameters, sample):
    """By torch's own distributions."""
    first, second = parameters
    if policy == "beta":
        beta = torch.distributions.Beta(first, second)
        box = math.log(2)
        return (beta.log_prob((sample + 1) / 2) - box).sum(-1), (beta.entropy() + box).sum(-1)
    normal = torch.distributions.Normal(first, second)
    if policy in ("gaussian", "bounded_gaussian"):
        return normal.log_prob(sample).sum(-1), normal.entropy().sum(-1)
    slope = torch.log(1 - torch.tanh(sample.double()) ** 2).float()
    nodes = torch.linspace(-8, 8, 4001)
    u = first[..., None] + second[..., None] * nodes
    density = torch.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
    expected_slope = torch.trapezoid(torch.log(1 - torch.tanh(u.double()) ** 2 + 1e-300).float() * density, nodes)
    return (normal.log_prob(sample) - slope).sum(-1), (normal.entropy() + expected_slope).sum(-1)


class Reference:
    """A2C with a loop over rows, backward() and PyTorch's optimisers."""

    def __init__(self, agent):
        self.config = agent.config
        self.module = copy.deepcopy(agent.network.module)
        self.rng = copy.deepcopy(agent.minibatch_rng)
        params = [param.detach().clone().requires_grad_(True) for param in agent.network.module.parameters()]
        for param, own in zip(self.module.parameters(), params, strict=True):
            param.data = own.data
        rate = self.config.lr
        self.optimizer = (
            torch.optim.Adam(self.module.parameters(), lr=rate)
            if self.config.optimizer == "adam"
            else torch.optim.Adam(self.module.parameters(), lr=rate, betas=(0.0, 0.99), eps=1e-5)
        )

    def advantages(self, steps, values, next_values):
        config = self.config
        advantages = np.zeros(values.shape)
        for env in range(values.shape[1]):
            carried = 0.0
            for t in reversed(range(len(steps))):
                step = steps[t]
                goes_on = 0.0 if step.terminated[env] else config.gamma
                delta = step.reward[env] + goes_on * next_values[t, env] - values[t, env]
                if step.ended[env]:
                    carried = 0.0
                carried = delta + config.gamma * config.gae_lambda * carried
                advantages[t, env] = carried
        return advantages

    def learn(self, steps, samples):
        """The losses of the last gradient step."""
        obs = torch.tensor(np.stack([step.obs for step in steps]))
        next_obs = torch.tensor(np.stack([step.next_obs for step in steps]))
        with torch.no_grad():
            value, next_value = self.module(obs)[1].numpy(), self.module(next_obs)[1].numpy()
        advantage = self.advantages(steps, value, next_value)
        target = advantage + value
        if self.config.normalize_advantage:
            advantage = (advantage - advantage.mean()) / advantage.std()
        rows = [(t, env) for t in range(value.shape[0]) for env in range(value.shape[1])]
        order = self.rng.permutation(len(rows))
        size = len(rows) // self.config.num_minibatches
        for first in range(0, len(rows), size):
            chosen = [rows[index] for index in order[first : first + size]]
            columns = (np.stack([column[t][env] for t, env in chosen]) for column in (obs, samples, advantage, target))
            losses = self.update(*(torch.as_tensor(column, dtype=torch.float32) for column in columns))
        return losses

    def update(self, obs, sample, advantage, target):
        config = self.config
        parameters, value = self.module(obs)
        log_prob, entropy = log_prob_and_entropy(config.policy, parameters, sample)
        policy_loss = -(advantage * log_prob).mean()
        value_loss = ((value - target) ** 2).mean()
        loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy.mean()
        self.optimizer.zero_grad()
        loss.backward()
        if config.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), config.max_grad_norm)
        self.optimizer.step()
        return policy_loss.item(), value_loss.item(), entropy.mean().item()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize_advantage": True, "max_grad_norm": 0.1, "entropy_coef": 0.02},
        {"shared_trunk": True, "optimizer": "adam", "entropy_coef": 0.02, "gae_lambda": 1.0},
        {"num_minibatches": 3, "normalize_advantage": True},
    ],
    ids=["plain", "options", "shared", "minibatches"],
)
def test_updates_equal_those_of_a_plain_implementation(policy, changes):
    agent = make_agent(policy=policy, lr=3e-3, **changes)
    reference = Reference(agent)
    world = RandomWorld(agent)
    for _ in range(6):
        steps, samples = [], []
        for _ in range(4):
            steps.append(world.step(agent.act(world.obs, explore=True)))
            samples.append(agent.sample.copy())
            agent.observe(steps[-1])
            metrics = agent.learn()
        losses = reference.learn(steps, samples)
        expected = [metrics[name].item() for name in ("policy_loss", "value_loss", "entropy")]
        assert losses == pytest.approx(expected, rel=1e-3, abs=1e-5)
        flat = torch.cat([param.detach().reshape(-1) for param in reference.module.parameters()])
        torch.testing.assert_close(weights(agent), flat, rtol=1e-3, atol=2e-5)
    assert agent.num_updates == 6 * agent.config.num_minibatches


def advantages_of(agent, steps):
    for step in steps:
        agent.act(step.obs, explore=True)
        agent.observe(step)
    rollout = agent.memory.tensors
    return agent.advantages(rollout, rollout.obs[..., 0], rollout.next_obs[..., 0]).numpy()


def test_what_a_rollout_bootstraps_from_by_hand():
    """V(s) = s; gamma 0.5, lambda 0.5. Termination: none. Truncation, and the end: of the true next one."""
    agent = make_agent(obs_dim=1, action_dim=1, num_envs=3, rollout_steps=2, gamma=0.5, gae_lambda=0.5)
    first = make_step(
        obs=column(1, 1, 1),
        action=column(0, 0, 0),
        reward=1.0,
        next_obs=column(4, 4, 4),
        terminated=[False, True, False],
        truncated=[False, False, True],
        obs_to_act_on=column(4, 99, 99),
    )
    second = make_step(obs=first.obs_to_act_on, action=column(0, 0, 0), reward=2.0, next_obs=column(8, 8, 8))
    advantages = advantages_of(agent, [first, second])
    # Last row: 2 + 0.5 * 8 - 4 = 2, and 2 + 0.5 * 8 - 99 = -93 in the new episodes.
    np.testing.assert_allclose(advantages[1], [2, -93, -93])
    # 1 + 0.5 * 4 - 1 = 2, plus 0.25 * 2; terminated 1 - 1 = 0; truncated 1 + 0.5 * 4 - 1 = 2.
    np.testing.assert_allclose(advantages[0], [2.5, 0, 2])


def test_a_step_in_which_the_simulator_broke_down_is_never_learned_from():
    """Whatever that row says, every weight ends the same; the row before it bootstraps from where it led."""

    def trained(garbage):
        agent = make_agent(rollout_steps=3, num_envs=2, normalize_obs=True, normalize_reward=True, entropy_coef=0.1)
        rng = np.random.default_rng(0)
        obs = rng.standard_normal((5, 2, 2))
        for t in range(3):
            agent.act(obs[t].astype(np.float32), explore=True)
            broken = t == 1
            step = make_step(
                obs=obs[t],
                action=np.zeros((2, 2)),
                reward=[1.0 + t, 0.0 if broken else 2.0],
                next_obs=obs[t + 1],
                truncated=[False, broken],
                valid=[True, not broken],
            )
            if broken:
                agent.sample[1] = garbage
                step.next_obs[1] = garbage
            agent.observe(step)
        advantages = agent.advantages(agent.memory.tensors, torch.zeros(3, 2), torch.full((3, 2), 10.0))
        agent.learn()
        return agent, advantages

    one, advantages = trained(0.25)
    other, _ = trained(-7.0)
    assert torch.equal(weights(one), weights(other))
    assert one.normalizer.count == 5
    assert one.reward_scale.count == 5
    assert advantages[1, 1] == 0
    # Not scaled yet: 2 + 0.9 * 10, with nothing carried over from the broken row.
    assert advantages[0, 1] == pytest.approx(11.0)


def test_an_update_leaves_the_rollout_alone():
    agent = make_agent(normalize_obs=True, normalize_reward=True)
    world = RandomWorld(agent)
    for _ in range(4):
        agent.observe(world.step(agent.act(world.obs, explore=True)))
    rollout = agent.memory.tensors
    kept = [tensor.clone() for tensor in rollout]
    prepared = agent.prepare(rollout)
    assert_same(list(rollout), kept)
    for batch in agent.minibatches(agent.passes(rollout, prepared)):
        agent.update(batch)
    assert_same(list(rollout), kept)


def test_means_are_exact_where_bfloat16_is_on():
    values = torch.tensor([257.0, 1.0, 3.0]).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        mean = mean_over(torch.tensor([1.0, 0.0, 1.0]))(values)
    assert mean.dtype == torch.float32
    assert mean.item() == 130
    (gradient,) = torch.autograd.grad(mean, values)
    assert gradient.tolist() == [0.5, 0, 0.5]


def test_minibatches_hold_every_row_of_the_rollout_once():
    agent = make_agent(num_minibatches=3)
    world = RandomWorld(agent)
    rollouts = []
    for _ in range(2):
        for _ in range(4):
            agent.observe(world.step(agent.act(world.obs, explore=True)))
        rollout = agent.memory.tensors
        prepared = agent.prepare(rollout)
        rows = [rollout.obs, rollout.sample, prepared["advantage"], prepared["value_target"], rollout.valid.float()]
        batches = list(agent.minibatches(agent.passes(rollout, prepared)))
        assert [len(batch.obs) for batch in batches] == [4, 4, 4]
        expected = {
            tuple(x.item() for x in torch.cat([c[t, e].ravel() for c in rows])) for t in range(4) for e in range(3)
        }
        dealt = [tuple(torch.cat([c[i].ravel() for c in batch]).tolist()) for batch in batches for i in range(4)]
        assert len(expected) == 12
        assert set(dealt) == expected
        agent.memory.clear()
        rollouts.append([batch.obs for batch in batches])
    assert not torch.equal(rollouts[0][0], rollouts[1][0])


def test_every_minibatch_is_learned_from_with_the_values_of_before_the_first():
    agent = make_agent(num_minibatches=4, lr=0.1)
    world = RandomWorld(agent)
    seen = []
    update = agent.accelerated_update
    agent.accelerated_update = lambda batch: seen.append(batch) or update(batch)
    for _ in range(4):
        agent.observe(world.step(agent.act(world.obs, explore=True)))
    expected = copy.deepcopy(agent).prepare(agent.memory.tensors)["value_target"]
    before = weights(agent)
    agent.learn()
    assert (weights(agent) - before).abs().max() > 0.2
    targets = torch.cat([batch.value_target for batch in seen])
    assert_same(targets.sort().values, expected.flatten().sort().values)


# When and how fast it learns


def test_it_learns_once_from_each_rollout_and_forgets_it():
    agent = make_agent(rollout_steps=4)
    world = RandomWorld(agent)
    for step in range(1, 13):
        agent.observe(world.step(agent.act(world.obs, explore=True)))
        before = weights(agent)
        metrics = agent.learn()
        assert bool(metrics) == (step % 4 == 0) == (not torch.equal(before, weights(agent)))
        assert agent.learn() == {}
    assert agent.num_updates == agent.status()["num_updates"] == agent.config.num_updates(36, 3) == 3
    assert make_config(num_minibatches=6).num_updates(47, 3) == 18


@pytest.mark.parametrize("num_minibatches", [1, 5])
def test_the_step_size_falls_linearly_to_nothing(num_minibatches):
    options = {"num_minibatches": num_minibatches, "lr_decay": TO_ZERO}
    agent = make_agent(num_envs=1, rollout_steps=10, total_steps=40, lr=0.1, **options)
    world = RandomWorld(agent)
    rates = []
    for _ in range(4):
        rates.append(agent.status()["lr"])
        play(agent, world, 9)
        play(agent, world, 1)
        assert agent.optimizer.lr.item() == pytest.approx(rates[-1])
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert agent.status()["lr"] == 0


# Acting


@pytest.mark.parametrize("policy", POLICIES)
def test_actions_are_float32_and_those_of_bounded_policies_in_the_box(policy):
    agent = make_agent(policy=policy, num_envs=200, init_std=0.55)
    obs = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32)
    for explore in (False, True):
        action = agent.act(obs, explore=explore)
        assert action.shape == (200, 2)
        assert action.dtype == np.float32
        assert policy in ("gaussian", "bounded_gaussian") or np.abs(action).max() <= 1
    assert action.std() > 0.4


@pytest.mark.parametrize("policy", POLICIES)
def test_acting_without_exploration_changes_nothing(policy):
    agent = make_agent(policy=policy, normalize_obs=True)
    world = RandomWorld(agent)
    play(agent, world, 6)
    before = copy.deepcopy(agent.state_dict())
    with untouched_global_generators():
        actions = [agent.act(world.obs, explore=False) for _ in range(2)]
        agent.act(world.obs[:1], explore=False)
    assert_same(actions[0], actions[1])
    assert_same(agent.state_dict(), before)
    twin = copy.deepcopy(agent)
    agent.act(world.obs, explore=False)
    assert_same(agent.act(world.obs, explore=True), twin.act(world.obs, explore=True))


def test_learning_sees_observations_as_acting_saw_them():
    """The moments of a rollout count from the next one on."""
    agent = make_agent(normalize_obs=True, rollout_steps=4, lr=1e-30)
    world = RandomWorld(agent)
    play(agent, world, 4)
    assert agent.normalizer.count == 12
    seen = []
    agent.accelerated_update = lambda rollout: seen.append(agent.normalizer.mean.copy()) or {}
    before = agent.normalizer.mean.copy()
    play(agent, world, 4)
    np.testing.assert_array_equal(seen[0], before)
    assert agent.normalizer.count == 24


# The same run again, and a run that goes on

ALL_OPTIONS = {
    "num_minibatches": 2,
    "normalize_obs": True,
    "normalize_reward": True,
    "normalize_advantage": True,
    "lr_decay": TO_ZERO,
}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_weights(policy):
    agents = [make_agent(policy=policy, seed=seed, **ALL_OPTIONS) for seed in (0, 0, 1)]
    actions = []
    for index, agent in enumerate(agents):
        torch.manual_seed(index)
        with untouched_global_generators():
            actions.append(play(agent, RandomWorld(agent), 20))
    assert_same(agents[0].state_dict(), agents[1].state_dict())
    assert_same(actions[0], actions[1])
    assert (actions[0] != actions[2]).all()


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("num_steps", [0, 6, 8])
def test_with_its_state_another_agent_goes_on_the_same(num_steps, optimizer):
    agent, other = (make_agent(seed=seed, optimizer=optimizer, **ALL_OPTIONS) for seed in (0, 1))
    world = RandomWorld(agent)
    if num_steps:
        play(agent, world, num_steps)
    play(other, RandomWorld(other, seed=1), 7)
    file = io.BytesIO()
    torch.save(agent.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=False))
    assert_same(other.state_dict(), agent.state_dict())
    other_world = copy.deepcopy(world)
    assert_same(play(other, other_world, 20), play(agent, world, 20))
    assert_same(other.state_dict(), agent.state_dict())


@pytest.mark.parametrize("policy", POLICIES)
def test_another_agent_acts_the_same_with_the_policys_state_alone(policy):
    agent, other = (make_agent(seed=seed, policy=policy, **ALL_OPTIONS) for seed in (0, 1))
    world = RandomWorld(agent)
    play(agent, world, 20)
    state = agent.policy_state()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert (other.act(world.obs, explore=False) != agent.act(world.obs, explore=False)).all()
    other.load_policy_state(state)
    assert_same(other.act(world.obs, explore=False), agent.act(world.obs, explore=False))
    assert_same(other.policy_state(), state)


# What is refused


def test_noise_is_refused_with_the_reason():
    noise = GaussianConfig(kind="gaussian", sigma=0.1, decay=NO_DECAY)
    with pytest.raises(
        UserError, match=r"noise=gaussian: A2C explores by drawing from its policy.*allowed: auto, none"
    ):
        make_config().check_run(1000, 8, noise)


@pytest.mark.parametrize(
    ("changes", "total_steps", "num_envs", "message"),
    [
        ({"rollout_steps": 32}, 255, 8, "must fit into total_steps=255"),
        ({"policy": "beta", "init_std": 0.56}, 1000, 8, "must be from 0.02 to 0.55"),
        ({"policy": "beta", "init_std": 0.01}, 1000, 8, "must be from 0.02 to 0.55"),
        ({"rollout_steps": 1, "normalize_advantage": True}, 1000, 1, "has no deviation"),
        ({"num_minibatches": 5}, 1000, 8, "num_minibatches=5: must divide the 32 rows"),
        ({"num_minibatches": 64}, 1000, 8, "num_minibatches=64: must divide the 32 rows"),
    ],
)
def test_a_run_that_cannot_work_is_refused(changes, total_steps, num_envs, message):
    config = make_config(**changes)
    with pytest.raises(UserError, match=message):
        config.check_run(total_steps, num_envs, NO_NOISE)


def test_the_largest_and_smallest_allowed_runs_are_not_refused():
    make_config(rollout_steps=32).check_run(256, 8, NO_NOISE)
    make_config(policy="beta", init_std=0.55).check_run(1000, 8, NO_NOISE)
    make_config(rollout_steps=1, normalize_advantage=True).check_run(1000, 2, NO_NOISE)
    make_config(num_minibatches=32).check_run(1000, 8, NO_NOISE)


def test_the_name_a2c_stands_for_the_class():
    assert agent_class("a2c") is A2C
    assert config_class("a2c") is A2CConfig


# Probe environments with known answers


def solve(probe, num_updates, **changes):
    """An agent after `num_updates` updates in the probe."""
    defaults = {"lr": 5e-3, "lr_decay": TO_ZERO, "rollout_steps": 4, "gamma": 0.9, "gae_lambda": 1.0, "init_std": 0.3}
    changes = defaults | changes
    agent = make_agent(
        obs_dim=1, action_dim=1, num_envs=probe.num_envs, total_steps=4 * probe.num_envs * num_updates, **changes
    )
    play(agent, probe, 4 * num_updates)
    assert agent.num_updates == num_updates
    return agent


def action_and_value(agent, *observations):
    """What the policy does at the observations without exploring, and the value of them."""
    obs = column(*observations)
    with torch.no_grad():
        _, value = agent.network(torch.from_numpy(obs))
    return agent.act(obs, explore=False)[:, 0], value.numpy()


@pytest.mark.parametrize("policy", POLICIES)
def test_probe_of_one_step_finds_the_best_action(policy):
    probe = Probe(lambda obs, action: -((np.clip(action, -1, 1) - 0.5) ** 2), num_envs=16)
    agent = solve(probe, 400, policy=policy, normalize_advantage=True)
    action, value = action_and_value(agent, 0)
    assert action == pytest.approx([0.5], abs=0.1)
    # The value is that of the policy as it explores: never above the best action's.
    assert -0.3 < value.item() < 0.05


@pytest.mark.parametrize("policy", quick(POLICIES))
def test_probe_whose_best_action_depends_on_the_observation(policy):
    agent = solve(two_sides(), 500, policy=policy, normalize_advantage=True)
    action, _ = action_and_value(agent, -1, 1)
    assert action == pytest.approx([-0.5, 0.5], abs=0.15)


def test_probe_of_two_steps_discounts_the_second_reward():
    agent = solve(paid_at_the_end(), 500, gamma=0.8)
    _, value = action_and_value(agent, 0, 1)
    assert value == pytest.approx([0.8 * 2, 2], abs=0.1)


@pytest.mark.parametrize(("truncates", "expected"), [(True, 2.0), (False, 1.0)])
def test_probe_whose_only_step_is_cut_off_is_worth_the_sum_of_all_that_would_follow(truncates, expected):
    # Every observation is 0, the true successor of the last one too; 1 + 0.5 + 0.25 + ... = 2.
    agent = solve(Still(lambda obs, action: np.ones_like(action), truncates=truncates), 500, gamma=0.5)
    _, value = action_and_value(agent, 0)
    assert value == pytest.approx([expected], abs=0.05)
