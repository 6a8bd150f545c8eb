"""D4PG: what it changes of DDPG, by hand, and on probes with known answers."""

import copy

import numpy as np
import pytest
import torch
from test_ddpg import batch_of, gaussian, make_agent, policy_and_value, random_batch
from worlds import Probe, RandomWorld, Still, assert_same, column, make_step, paid_at_the_end, play

from rlcont.algos.d4pg.agent import D4PG
from rlcont.algos.ddpg.agent import DDPG
from rlcont.algos.find import agent_class
from rlcont.nn.categorical import project, resampling

LN = np.log


def make_d4pg(**changes):
    return make_agent(cls=D4PG, **{"num_atoms": 5, "v_min": None, "v_max": None} | changes)


def set_logits(agent, *logits, target=False):
    """Makes the critic say the same everywhere."""
    network = agent.target_critic if target else agent.critic
    with torch.no_grad():
        ((weight, bias),) = network.last_layers(network.weights)
        weight.zero_()
        bias.copy_(torch.tensor(logits))


def test_the_name_stands_for_the_class():
    assert agent_class("d4pg") is D4PG
    assert issubclass(D4PG, DDPG)


def test_the_value_is_the_mean_of_the_distribution():
    agent = make_d4pg(v_min=-2.0, v_max=2.0)
    set_logits(agent, LN(0.1), LN(0.2), LN(0.3), LN(0.3), LN(0.1))
    value = agent.q_value(torch.zeros(3, 2), torch.zeros(3, 1))
    assert value.tolist() == pytest.approx([-0.2 - 0.2 + 0 + 0.3 + 0.2] * 3, abs=1e-6)
    # In widths of the support.
    assert agent.actor_loss(torch.zeros(3, 2))[0].item() == pytest.approx(-0.1 / 4, abs=1e-6)


def test_the_target_and_the_loss_by_hand():
    agent = make_d4pg(v_min=-2.0, v_max=2.0)
    set_logits(agent, LN(0.2), LN(0.2), LN(0.2), LN(0.2), LN(0.2), target=True)
    probs = [0.1, 0.2, 0.3, 0.3, 0.1]
    set_logits(agent, *LN(probs))
    zeros = torch.zeros(3, 2)
    batch = batch_of(zeros, zeros[:, :1], torch.tensor([0.5, 1.5, 2.0]), torch.tensor([0.5, 0.0, 1.0]), zeros)
    target, clipped = agent.td_target(batch)
    # 0.5 + 0.5 z is -0.5, 0, 0.5, 1, 1.5; a terminated row is worth its reward; 2 + z is 0, 1, 2, and 3 and 4 are
    # not there.
    expected = [[0, 0.1, 0.4, 0.4, 0.1], [0, 0, 0, 0.5, 0.5], [0, 0, 0.2, 0.2, 0.6]]
    np.testing.assert_allclose(target, expected, atol=1e-6)
    assert clipped.tolist() == pytest.approx([0, 0, 0.4])
    loss, priority, metrics = agent.critic_loss(batch, (target, clipped))
    assert loss.tolist() == pytest.approx([-np.dot(row, LN(probs)) for row in expected], rel=1e-5)
    assert priority.tolist() == loss.tolist()
    assert metrics["clipped_mass"].item() == pytest.approx(0.4 / 3)
    assert metrics["value_entropy"].item() == pytest.approx(-np.dot(probs, LN(probs)), rel=1e-5)
    assert metrics["q_mean"].item() == pytest.approx(0.1, abs=1e-6)


def first_gradient(agent):
    return agent.critic_optimizer.mean / (1 - agent.critic_optimizer.beta1)


@pytest.mark.parametrize(("cls", "sizes"), [(DDPG, {}), (D4PG, {"num_atoms": 5, "v_min": -5.0, "v_max": 5.0})])
def test_a_row_that_weighs_three_counts_as_three_rows(cls, sizes):
    agent, other = (make_agent(cls=cls, **sizes) for _ in range(2))
    batch = random_batch(0)
    weight = torch.tensor([3.0, 0, 1, 1, 1, 1, 1, 0])
    agent.update(batch._replace(weight=weight))
    rows = torch.tensor([0, 0, 0, 2, 3, 4, 5, 6])
    other.update(batch_of(*(field[rows] for field in batch[:5])))
    torch.testing.assert_close(first_gradient(agent), first_gradient(other), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("v_min", "v_max", "centre"), [(-2.0, 4.0, 0.0), (1.0, 3.0, 1.0), (-4.0, -1.0, -1.0)])
def test_an_untrained_critic_is_narrow_and_worth_nothing(v_min, v_max, centre):
    check_untrained(make_d4pg(num_atoms=101, v_min=v_min, v_max=v_max), v_min, v_max, centre)


def check_untrained(agent, v_min, v_max, centre):
    obs, action = torch.randn(50, 2), torch.rand(50, 1)
    for critic in (agent.critic, agent.target_critic):
        probs = critic(obs, action)[0].softmax(1)
        mean = (probs * agent.support.atoms).sum(1)
        assert mean.tolist() == pytest.approx([centre] * 50, abs=0.05 * (v_max - v_min))
        deviation = (probs * (agent.support.atoms - mean[:, None]) ** 2).sum(1).sqrt()
        assert deviation.max() < 0.06 * (v_max - v_min)


def observe(agent, *rewards):
    """Steps with these rewards, in one endless episode."""
    for reward in rewards:
        obs = np.ones((1, 2), np.float32)
        agent.observe(make_step(obs, column(0.5), reward, obs))


def test_the_support_is_found_when_learning_begins():
    agent = make_d4pg(gamma=0.5, warmup_steps=10, num_atoms=51)
    before = agent.critic.weights.clone()
    observe(agent, *[8.0] * 10)
    agent.learn()
    assert torch.equal(agent.critic.weights, before)
    observe(agent, 8.0)
    update, agent.accelerated_update = agent.accelerated_update, lambda batch: {"priority": torch.zeros(8)}
    agent.learn()
    check_untrained(agent, *agent.support.bounds, 0)
    agent.accelerated_update = update
    # The returns come near 8 / (1 - 0.5).
    assert agent.support.bounds == pytest.approx((-0.3 * 16, 1.3 * 16), rel=1e-2)
    assert agent.status()["v_max"] == agent.support.bounds[1]
    assert agent.num_updates == 1


def test_a_first_reward_after_much_learning_from_none():
    agent = make_d4pg(gamma=0.5, warmup_steps=8, num_atoms=51, critic_lr=5e-3)
    observe(agent, *[0.0] * 60)
    agent.learn()
    assert agent.num_updates == 52
    assert agent.critic_optimizer.mean.any()
    assert agent.status()["v_max"] == 1
    observe(agent, 1e-3)
    agent._fit_support()
    check_untrained(agent, *agent.support.bounds, 0)
    assert agent.support.bounds == pytest.approx((-3e-4, 1.3e-3), rel=1e-6)
    for _ in range(540):
        observe(agent, 1e-3)
        agent.learn()
    # The reward itself, in nine rows of ten, and what the actor's own, untried action is believed to bring after it.
    value = agent.q_value(torch.ones(1, 2), torch.full((1, 1), 0.5)).item()
    assert 0.8e-3 < value < 2.2e-3


def test_returns_go_on_across_a_time_limit_and_not_across_a_termination():
    obs = np.ones((1, 2), np.float32)
    for ends, highest in (({"truncated": True}, 2 * (1 - 0.5**9)), ({"terminated": True}, 1.0)):
        agent = make_d4pg(gamma=0.5)
        for _ in range(9):
            agent.observe(make_step(obs, column(0.5), 1.0, obs, **ends))
        assert agent.support.high == pytest.approx(highest)


def one_step_batch(seed):
    """Rewards that the observation decides, well inside the support, and nothing after them."""
    batch = random_batch(seed, size=64, gamma=0.0)
    return batch._replace(reward=0.4 * torch.tanh(batch.obs[:, 0] - 3))


def test_when_the_support_grows_the_critics_say_about_the_same():
    agent = make_d4pg(num_atoms=101, gamma=0.5, hidden=(64,), critic_lr=3e-3)
    observe(agent, *[1.0, -1.0] * 10)
    agent.learn()
    for seed in range(300):
        agent.update(one_step_batch(seed))
    obs, action = random_batch(0, size=200)[:2]

    def values():
        of_target = (agent.target_critic(obs, action)[0].softmax(1) * agent.support.atoms).sum(1)
        return torch.stack([agent.q_value(obs, action).detach(), of_target])

    before = values()
    assert before.std(1).min() > 0.1
    width = agent.support.bounds[1] - agent.support.bounds[0]
    agent.support.include(np.array([1.5 * width]))
    assert agent.support.outgrown()
    agent._fit_support()
    assert agent.support.bounds[1] > 1.9 * width
    assert (values() - before).abs().max() < 0.02 * width
    for seed in range(300, 310):
        agent.update(one_step_batch(seed))
    assert (values() - before).abs().mean() < 0.05 * width


def test_when_the_support_grows_the_optimisers_moments_follow_and_the_other_layers_stay():
    agent = make_d4pg(num_atoms=7, gamma=0.5)
    observe(agent, *[1.0, -1.0] * 10)
    agent.learn()
    old = agent.support.bounds
    vectors = agent.critic_optimizer.mean, agent.critic_optimizer.square
    before = [vector.clone() for vector in vectors]
    agent.support.include(np.array([9.0]))
    agent._fit_support()
    matrix = resampling(7, old, agent.support.bounds)[0].float()
    for vector, kept in zip(vectors, before, strict=True):
        for part, other in zip(*(agent.critic.last_layers(one)[0] for one in (vector, kept)), strict=True):
            torch.testing.assert_close(part, matrix @ other)
        num_last = 7 * 32 + 7
        assert kept[:-num_last].any()
        assert torch.equal(vector[:-num_last], kept[:-num_last])


def trained(unit, steps, **changes):
    """A D4PG agent after some steps in a world of chance with rewards of the given unit."""
    agent = make_d4pg(num_atoms=51, num_envs=2, gamma=0.9, n_step=2, **changes)
    world = RandomWorld(agent)
    step = world.step

    def with_unit(action):
        made = step(action)
        return made._replace(reward=(unit * made.reward).astype(np.float32))

    world.step = with_unit
    play(agent, world, steps)
    return agent


@pytest.mark.parametrize("unit", [2.0**-10, 2.0**10])
def test_the_unit_of_rewards_changes_nothing_but_the_unit_of_values(unit):
    one, other = trained(1.0, 60), trained(unit, 60)
    obs, action = random_batch(5, size=50)[:2]
    torch.testing.assert_close(other.actor.weights, one.actor.weights, rtol=0, atol=2e-4)
    torch.testing.assert_close(other.q_value(obs, action) / unit, one.q_value(obs, action), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        (
            {"v_min": -1.0, "v_max": 1.0},
            "v_min=-1 to v_max=1, and are clipped; leave algo.v_min and algo.v_max at null",
        ),
        (
            {"normalize_reward": True, "return_bound": 5.0},
            "v_min=-5 to v_max=5, and are clipped; algo.normalize_reward=false has them found",
        ),
        ({}, "v_min=-1 to v_max=1, and are clipped; they grow"),
    ],
)
def test_a_remark_on_the_support_names_what_can_be_changed(changes, remark):
    assert remark in make_d4pg(**changes).remark({"learn/clipped_mass": 0.2})


def test_a_support_that_clips_much_is_remarked_on():
    for bounds, expected in (({"v_min": -0.01, "v_max": 0.01}, "v_min=-0.01 to v_max=0.01"), ({}, "")):
        agent = make_d4pg(warmup_steps=8, **bounds)
        observe(agent, *[1.0] * 20)
        metrics = agent.learn()
        remark = agent.remark({f"learn/{name}": value.item() for name, value in metrics.items()})
        assert expected in remark
        assert bool(remark) == bool(expected)


def test_the_logged_distribution_is_that_of_the_last_transitions():
    agent = make_d4pg(v_min=-2.0, v_max=2.0, replay="prioritized")
    assert agent.distributions() == {}
    set_logits(agent, LN(0.1), LN(0.2), LN(0.3), LN(0.3), LN(0.1))
    world = RandomWorld(agent)
    for _ in range(300):
        agent.observe(world.step(np.zeros((1, 1), np.float32)))
    state = copy.deepcopy(agent.state_dict())
    lies = agent.distributions()
    assert lies["value"].centres == [-2, -1, 0, 1, 2]
    assert lies["value"].counts == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.1])
    assert sum(lies["priority"].counts) == 300
    assert_same(agent.state_dict(), state)


def test_with_its_state_and_its_rows_another_agent_goes_on_the_same():
    changes = {"num_envs": 2, "n_step": 3, "replay": "prioritized", "normalize_obs": True}
    agent, other = (make_d4pg(seed=seed, noise=gaussian(0.2), **changes) for seed in (0, 1))
    world = RandomWorld(agent)
    play(agent, world, 40)
    play(other, RandomWorld(other, seed=1), 60)
    other.load_state_dict(copy.deepcopy(agent.state_dict()))
    other.replay.rows.copy_(agent.replay.rows)
    other_world = copy.deepcopy(world)
    assert_same(play(other, other_world, 40), play(agent, world, 40))
    assert_same(other.state_dict(), agent.state_dict())


# Probe environments with known answers


def solve(probe, num_steps, **changes):
    changes = {
        "gamma": 0.9,
        "tau": 0.1,
        "actor_lr": 2e-3,
        "critic_lr": 5e-3,
        "batch_size": 64,
        "num_atoms": 51,
    } | changes
    agent = make_d4pg(
        noise=gaussian(0.3),
        obs_dim=1,
        num_envs=probe.num_envs,
        warmup_steps=400,
        replay_size=4000,
        updates_per_step=1 / probe.num_envs,
        **changes,
    )
    play(agent, probe, num_steps + 400 // probe.num_envs)
    return agent


@pytest.mark.parametrize("unit", [1.0, *(pytest.param(unit, marks=pytest.mark.slow) for unit in (1e-3, 1e3))])
def test_probe_whose_best_action_depends_on_the_observation(unit):
    rng = np.random.default_rng(0)

    def sides():
        return rng.choice(np.float32([-1, 1]), (4, 1))

    agent = solve(Probe(lambda obs, action: unit * (1 - (action - 0.5 * obs) ** 2), draw=sides), 600)
    action, value = policy_and_value(agent, -1, 1)
    assert action == pytest.approx([-0.5, 0.5], abs=0.2)
    assert value / unit == pytest.approx([1, 1], abs=0.1)


@pytest.mark.parametrize("replay", ["uniform", "prioritized"])
@pytest.mark.parametrize("n_step", [1, 2, pytest.param(5, marks=pytest.mark.slow)])
def test_probe_of_two_steps_discounts_the_second_reward(n_step, replay):
    probe = paid_at_the_end()
    agent = solve(probe, 500, gamma=0.8, n_step=n_step, replay=replay)
    _, value = policy_and_value(agent, 0, 1)
    assert value == pytest.approx([0.8 * 2, 2], abs=0.15)


@pytest.mark.parametrize(("truncates", "expected"), [(True, 2.0), (False, 1.0)])
def test_probe_whose_only_step_is_cut_off_is_worth_the_sum_of_all_that_would_follow(truncates, expected):
    agent = solve(Still(lambda obs, action: np.ones_like(action), truncates=truncates), 500, gamma=0.5, n_step=3)
    _, value = policy_and_value(agent, 0)
    assert value == pytest.approx([expected], abs=0.1)


@pytest.mark.slow
def test_probe_of_chance_learns_both_outcomes():
    rng = np.random.default_rng(0)
    probe = Probe(lambda obs, action: np.where(rng.random(action.shape) < 0.25, 4.0, 0.0) + 0 * action)
    agent = solve(probe, 800, v_min=-1.0, v_max=5.0, num_atoms=7)
    with torch.no_grad():
        probs = agent.critic(torch.zeros(1, 1), torch.zeros(1, 1)).softmax(-1)[0, 0]
    assert probs.tolist() == pytest.approx([0, 0.75, 0, 0, 0, 0.25, 0], abs=0.1)


def test_of_two_critics_each_row_takes_the_distribution_whose_mean_is_lower():
    agent = make_d4pg(v_min=-2.0, v_max=2.0, num_critics=2)
    generator = torch.Generator().manual_seed(0)
    for network in (agent.critic, agent.target_critic):
        for weight, bias in network.last_layers(network.weights):
            weight.normal_(generator=generator)
            bias.normal_(generator=generator)
    batch = random_batch(0, size=50)
    with torch.no_grad():
        target, _ = agent.td_target(batch)
        both = agent.target_critic(batch.next_obs, agent.target_actor(batch.next_obs)).softmax(2)
        atoms, lowest = agent.support.atoms, []
        for row in range(50):
            means = [float((both[critic, row] * atoms).sum()) for critic in range(2)]
            lowest.append(int(np.argmin(means)))
            expected, _ = project(
                both[lowest[-1], row][None], atoms, batch.reward[row][None], batch.discount[row][None]
            )
            torch.testing.assert_close(target[row], expected[0])
    assert 0 < sum(lowest) < 50
    loss, priority, _ = agent.critic_loss(batch, (target, torch.zeros(50)))
    each = -(target * agent.critic(batch.obs, batch.action).log_softmax(2)).sum(2).detach()
    torch.testing.assert_close(loss.detach(), each[0] + each[1])
    torch.testing.assert_close(priority, torch.maximum(*each))


def test_the_atoms_of_all_critics_move_together():
    agent = make_d4pg(num_atoms=51, gamma=0.5, num_critics=2)
    check_untrained_critics(agent)
    observe(agent, *[1.0] * 20)
    agent.learn()
    obs, action = torch.randn(50, 2), torch.rand(50, 1)
    before = agent._mean(agent.critic(obs, action).softmax(2)).detach()
    agent.support.include(np.array([3.0]))
    agent._fit_support()
    after = agent._mean(agent.critic(obs, action).softmax(2)).detach()
    torch.testing.assert_close(after, before, rtol=0, atol=0.15)


def check_untrained_critics(agent):
    obs, action = torch.randn(50, 2), torch.rand(50, 1)
    values = agent._mean(agent.critic(obs, action).softmax(2))
    assert values.abs().max() < 0.05 * (agent.support.atoms[-1] - agent.support.atoms[0])
