"""The seams of DDPG, each by a small algorithm that uses it: it learns, resumes and compiles."""

import copy

import numpy as np
import pytest
import torch
from seam_algorithms import (
    OFF_POLICY,
    BlurredStates,
    ConstantRate,
    DelayedActor,
    MeanOfCritics,
    StochasticExplorer,
    TwoCriticSteps,
)
from test_a2c import make_agent as make_a2c
from test_ddpg import NO_NOISE, make_agent, random_batch
from worlds import RandomWorld, assert_same, play

from rlcont.algos.ddpg.agent import DDPG
from rlcont.core.hidden_state import check_parts
from rlcont.core.packing import from_message, to_message
from rlcont.core.protocols import eager
from rlcont.core.types import Collected, EnvSpec
from rlcont.training.accelerate import Acceleration
from rlcont.training.interval import Interval

COMPILED = Acceleration(True, "fp32", "cpu", required=True)


SIZES_ON_POLICY = {"num_envs": 3, "total_steps": 1000, "seed": 0, "device": "cpu"}


def make(cls, accelerate=eager, seed=0, **changes):
    sizes = {"num_envs": 1, "total_steps": 1000, "seed": seed, "device": "cpu", "accelerate": accelerate}
    agent = cls(make_agent(**changes).config, NO_NOISE, EnvSpec("Probe", 2, 1, None), **sizes)
    check_parts(agent)
    return agent


def vectors(agent):
    """Every vector of weights."""
    return {name: part.weights.detach().clone() for name, part in agent.parts().items() if hasattr(part, "weights")}


@pytest.mark.parametrize("cls", OFF_POLICY)
def test_it_learns_and_goes_on_from_its_state_to_the_last_bit(cls):
    agent, other = make(cls), make(cls, seed=1)
    world = RandomWorld(agent)
    play(agent, world, 45)
    assert agent.num_updates > 10
    before = vectors(make(cls))
    assert all(not torch.equal(value, before[name]) for name, value in vectors(agent).items())
    other.load_state_dict(from_message(to_message(agent.state_dict())))
    other.rows.write(0, agent.rows.read(0, agent.rows.num_added))
    play(other, copy.deepcopy(world), 20)
    play(agent, world, 20)
    assert_same(other.state_dict(), agent.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("cls", OFF_POLICY)
def test_compiled_it_does_what_it_does_eagerly(cls):
    plain, fast = make(cls), make(cls, COMPILED)
    worlds = RandomWorld(plain), RandomWorld(fast)
    for steps in (12, 1, 1, 1, 9, 3):
        for agent, world in zip((plain, fast), worlds, strict=True):
            play(agent, world, steps)
        for name, value in vectors(plain).items():
            torch.testing.assert_close(vectors(fast)[name], value, rtol=1e-3, atol=1e-4)
    assert fast.num_updates == plain.num_updates > 3


@pytest.mark.parametrize(
    "accelerate", [pytest.param(eager, id="eager"), pytest.param(COMPILED, id="compiled", marks=pytest.mark.slow)]
)
def test_the_actor_and_the_targets_move_when_they_are_due(accelerate):
    agent = make(DelayedActor, accelerate)
    world, moved = RandomWorld(agent), []
    play(agent, world, 10)
    for _ in range(4):
        before = vectors(agent)
        play(agent, world, 1)
        moved.append({name for name, value in vectors(agent).items() if not torch.equal(value, before[name])})
    everything = {"actor", "critic", "target_actor", "target_critic"}
    assert [names & everything for names in moved] == [{"critic"}, everything, {"critic"}, everything]


def test_an_update_may_take_other_steps():
    agent, plain = make(TwoCriticSteps), make(DDPG)
    batch = random_batch(0)
    agent.update(batch)
    plain.update_critic(batch)
    plain.update_critic(batch)
    assert torch.equal(agent.critic.weights, plain.critic.weights)
    assert torch.equal(agent.target_critic.weights, agent.critic.weights)
    assert torch.equal(agent.target_actor.weights, agent.actor.weights)


def test_an_algorithm_on_policy_may_have_another_network_and_rate():
    agent = ConstantRate(make_a2c().config, NO_NOISE, EnvSpec("Probe", 2, 2, None), **SIZES_ON_POLICY)
    check_parts(agent)
    before = agent.network.weights.detach().clone()
    play(agent, RandomWorld(agent), 3 * agent.config.rollout_steps)
    assert not torch.equal(agent.network.weights, before)
    assert agent.status()["lr"] == pytest.approx(agent.config.lr)
    assert agent.network.module.value.in_features == 24


def test_metrics_whose_keys_vary_are_each_averaged_over_the_updates_that_have_them():
    interval, again = Interval(), Interval()
    nothing = Collected(np.zeros((1, 1)), np.empty(0), np.empty(0, np.int64))
    for metrics in ({"q": 1.0}, {"q": 3.0, "actor": 5.0}, {}, {"actor": 7.0, "q": 5.0}):
        interval.add(nothing, {name: torch.tensor(value) for name, value in metrics.items()})
    again.load_state_dict(from_message(to_message(interval.state_dict())), "cpu")
    for each in (interval, again):
        summary = each.summary()
        assert (summary["learn/q"], summary["learn/actor"]) == (3.0, 6.0)


def test_targets_of_several_critics_follow_the_rule_of_the_subclass():
    agent, batch = make(MeanOfCritics, num_critics=3), random_batch(0)
    with torch.no_grad():
        values = agent.target_critic(batch.next_obs, agent.target_actor(batch.next_obs))
        torch.testing.assert_close(agent.td_target(batch), batch.reward + batch.discount * values.mean(0))
    weights = [vector.clone() for vector in agent.critic.views(agent.critic.weights.detach()).values()]
    agent.update(batch)
    after = agent.critic.views(agent.critic.weights.detach()).values()
    assert len(weights) == 12
    assert all(not torch.equal(one, other) for one, other in zip(weights, after, strict=True)), "all critics learn"


@pytest.mark.slow
def test_what_is_drawn_in_place_reaches_the_compiled_update_each_time():
    agent = make(BlurredStates, COMPILED)
    batch, losses = random_batch(0), []
    for _ in range(3):
        agent.draw()
        state = copy.deepcopy(agent.state_dict())
        losses.append(agent.accelerated_update(batch)["critic_loss"].item())
        del state["blur"], state["blur_rng"]
        agent.load_state_dict({**state, **{name: agent.state_dict()[name] for name in ("blur", "blur_rng")}})
    assert len(set(losses)) == 3


def test_a_stochastic_explorer_draws_and_evaluation_does_not():
    agent = make(StochasticExplorer)
    play(agent, RandomWorld(agent), 15)
    obs = np.zeros((1, 2), np.float32)
    drawn = {agent.act(obs, explore=True).item() for _ in range(5)}
    assert len(drawn) == 5
    before = copy.deepcopy(agent.explorer.state_dict())
    assert len({agent.act(obs, explore=False).item() for _ in range(5)}) == 1
    assert_same(agent.explorer.state_dict(), before)
    assert "target_actor" not in agent.state_dict()


def test_a_learned_scalar_goes_where_its_loss_is_least():
    agent = make(StochasticExplorer)
    batch = random_batch(0)
    for _ in range(1500):
        metrics = agent.update(batch)
    assert metrics["scalar"].item() == pytest.approx(agent.actor(batch.obs).abs().mean().item(), abs=0.05)
