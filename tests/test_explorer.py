"""An actor apart from its learner: policy weights in, experience out."""

import copy

import numpy as np
import pytest
from test_d4pg import make_d4pg
from test_ddpg import OU, gaussian, make_agent
from worlds import RandomWorld, assert_same, make_step, play

from rlcont.exploration.explorer import Explorer
from rlcont.nn.nets import FlatNetwork
from rlcont.nn.normalize import RunningNorm

MAKERS = {"ddpg": make_agent, "d4pg": make_d4pg}


def actor_elsewhere(agent, noise):
    """An actor of the agent's configuration with weights of its own, all zero."""
    policy = agent.actor.frozen_copy()
    policy.weights.zero_()
    config = agent.config
    return Explorer(
        FlatNetwork(policy.module, trainable=False),
        RunningNorm(agent.spec.obs_dim) if config.normalize_obs else None,
        noise,
        agent.spec,
        num_envs=agent.num_envs,
        total_steps=1000,
        warmup_steps=config.warmup_steps,
        gamma=config.gamma,
        n_step=config.n_step,
        seed=0,
        device="cpu",
    )


@pytest.mark.parametrize("algo", MAKERS)
@pytest.mark.parametrize("noise", [OU, gaussian(0.2)], ids=["ou", "gaussian"])
def test_a_learner_fed_by_an_actor_elsewhere_learns_what_it_learns_in_the_loop(algo, noise):
    changes = {"num_envs": 3, "n_step": 3, "normalize_obs": True, "average_rate": 0.1, "noise": noise}
    inline, learner = (MAKERS[algo](**changes) for _ in range(2))
    actor = actor_elsewhere(learner, noise)
    world, inline_world = RandomWorld(learner), RandomWorld(inline)
    actions = []
    for _ in range(40):
        actor.load_policy_state(copy.deepcopy(learner.explorer_state()))
        actions.append(actor.act(world.obs, explore=True))
        learner.receive(actor.observe(world.step(actions[-1])))
        learner.learn()
    assert_same(np.stack(actions), play(inline, inline_world, 40))
    assert_same(learner.actor.weights, inline.actor.weights)
    assert_same(learner.replay.rows[: len(learner.replay)], inline.replay.rows[: len(inline.replay)])
    assert_same(actor.state_dict(), inline.explorer.state_dict())


def test_what_an_actor_tells_of_a_step():
    actor = make_agent(num_envs=3, gamma=0.5, n_step=2).explorer
    obs = np.zeros((3, 2), np.float32)
    action = np.zeros((3, 1), np.float32)
    told = actor.observe(make_step(obs, action, [1.0, 2.0, 4.0], obs, truncated=[False, True, False]))
    assert told.num_steps == 3
    assert told.returns[:, 0].tolist() == [1, 2, 4]
    assert told.transitions.reward.tolist() == [2]
    broken = {"truncated": [False, False, True], "valid": [True, True, False]}
    told = actor.observe(make_step(obs, action, [1.0, 1.0, 9.0], obs, **broken))
    # The time limit ends no return; a simulator that broke down does, and its step is not counted.
    assert told.returns[:, 0].tolist() == [1.5, 2]
    assert sorted(told.transitions.reward.tolist()) == [1.5, 4]
    told = actor.cut_off(np.array([True, True, True]))
    assert told.num_steps == 0
    assert len(told.returns) == 0
    assert told.transitions.reward.tolist() == [1, 1]
    # Nor does the gap of a resumed run.
    told = actor.observe(make_step(obs, action, 1.0, obs, terminated=True))
    assert told.returns[:, 0].tolist() == [1.75, 2, 1]
    told = actor.observe(make_step(obs, action, 1.0, obs))
    assert told.returns[:, 0].tolist() == [1, 1, 1]
