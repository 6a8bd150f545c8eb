"""What is not finite stops a run, is named, and stays out of weights, replay and checkpoints."""

import numpy as np
import pytest
import torch
from test_resume import ALGORITHMS, EACH
from tiny import tiny

from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.envs.door import Door
from rlcont.nn.optim import Adam, RMSProp
from rlcont.runs.checkpoint import Checkpoints
from rlcont.training.loop import Training, not_finite
from rlcont.training.observer import RunObserver
from rlcont.training.run import run

AT = 250
"""The step at which something becomes nan; the checkpoint before it is of step 240."""


class Injection:
    """Lets one thing become `value` from step AT on, and remembers the agent and when training stopped."""

    def __init__(self, monkeypatch, site, value):
        self.value = value
        advance = Training.advance

        def advance_with_fault(training):
            self.agent, self.training = training.agent, training
            if training.step == AT:
                getattr(self, f"into_{site}")(monkeypatch, training.agent)
            advance(training)

        monkeypatch.setattr(Training, "advance", advance_with_fault)

    def into_weight(self, monkeypatch, agent):
        with torch.no_grad():
            networks(agent)[0].weights[3] = self.value

    def into_loss(self, monkeypatch, agent):
        network = networks(agent)[0]
        gradient = network.gradient
        monkeypatch.setattr(network, "gradient", lambda loss: gradient(loss * self.value))

    def into_gradient(self, monkeypatch, agent):
        for network in networks(agent):
            monkeypatch.setattr(network, "gradient", lambda loss, of=network: torch.full_like(of.weights, self.value))

    def into_action(self, monkeypatch, agent):
        act = agent.act

        def act_badly(obs, *, explore):
            action = act(obs, explore=explore)
            action[0, 0] = self.value
            return action

        monkeypatch.setattr(agent, "act", act_badly)

    def into_observation(self, monkeypatch, agent):
        step = Door.step

        def bad_step(door, action, obs):
            answer = step(door, action, obs)
            obs[1] = self.value
            return answer

        monkeypatch.setattr(Door, "step", bad_step)

    def into_reward(self, monkeypatch, agent):
        env_class = type(self.training.collector.envs.envs[0].env.unwrapped)
        step = env_class.step

        def bad_step(env, action):
            obs, _, *rest = step(env, action)
            return obs, self.value, *rest

        monkeypatch.setattr(env_class, "step", bad_step)


def networks(agent):
    return [agent.network] if hasattr(agent, "network") else [agent.critic, agent.actor]


SAID = {
    "weight": "a gradient or weight is not finite|the agent's action is (nan|inf)",
    "loss": "a gradient or weight is not finite",
    "gradient": "a gradient or weight is not finite",
    "action": "the agent's action is (nan|inf)",
    "observation": "observation 1 is (nan|inf)",
    "reward": "the reward is (nan|inf)",
}


@pytest.mark.parametrize("value", [float("nan"), pytest.param(float("inf"), marks=pytest.mark.slow)])
@pytest.mark.parametrize("site", SAID)
@pytest.mark.parametrize("algo", EACH)
def test_what_is_not_finite_stops_the_run_within_one_update_and_is_named(tmp_path, monkeypatch, algo, site, value):
    injection = Injection(monkeypatch, site, value)
    plan = make_plan(tiny(f"output={tmp_path}", "checkpoint.every=40", "eval.every=400", base=ALGORITHMS[algo]))
    config = plan.config
    with pytest.raises(UserError, match=SAID[site]) as error:
        run(config, plan.choices)
    agent = injection.agent
    one_update = config.num_envs * (config.algo.rollout_steps if config.algo.on_policy else 2)
    assert AT <= injection.training.step <= AT + one_update
    (folder,) = tmp_path.glob("*/*/*")
    assert Checkpoints(folder, 2).steps()[-1] == 240
    assert (folder / "status.json").read_text().count("failed") == 1
    state = Checkpoints(folder, 2).load(agent.rows)
    assert not not_finite(state["training"]["agent"])
    if site != "weight":
        assert not not_finite(agent.state_dict()), "a bad update was written"
    if agent.rows is not None:
        rows = agent.rows.read(0, agent.rows.num_added)
        assert np.isfinite(rows).all()
    assert "\n" not in str(error.value)


def test_a_gpu_is_asked_at_the_next_log_line_and_no_weight_is_spoilt_until_then(tmp_path, monkeypatch):
    """Told that it is on a GPU, the loop does not ask after every update."""
    injection = Injection(monkeypatch, "gradient", float("nan"))
    into_gradient = injection.into_gradient

    def on_a_gpu(patch, agent):
        agent.device = agent._constants["device"] = "cuda"
        into_gradient(patch, agent)

    injection.into_gradient = on_a_gpu
    plan = make_plan(tiny(f"output={tmp_path}", "log.every=20", "checkpoint.every=40"))
    with pytest.raises(UserError, match=r"training diverged by step 260: a gradient or weight is not finite"):
        run(plan.config, plan.choices)
    assert not not_finite(injection.agent.state_dict())
    (folder,) = tmp_path.glob("*/*/*")
    assert Checkpoints(folder, 2).steps()[-1] == 240


@pytest.mark.parametrize("make", [Adam, RMSProp])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_changes_no_weight_and_is_remembered(make, value):
    weights = torch.ones(4)
    optimizer = make(weights, 0.1)
    optimizer.step(torch.tensor([1.0, value, 0.0, 1.0]))
    assert weights.tolist() == [1, 1, 1, 1]
    assert not not_finite(optimizer.state_dict())
    assert not optimizer.is_finite()
    optimizer.step(torch.ones(4))
    assert weights.isfinite().all()
    assert (weights < 1).all()
    assert not optimizer.is_finite()


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_compiled_step_remembers_a_gradient_that_is_not_finite_too(value):
    optimizer = Adam(torch.ones(4), 0.1)
    step = torch.compile(optimizer.step, fullgraph=True, dynamic=False)
    step(torch.ones(4))
    assert optimizer.is_finite()
    step(torch.tensor([1.0, value, 0.0, 1.0]))
    step(torch.ones(4))
    assert not optimizer.is_finite()
    assert not not_finite(optimizer.state_dict())


def test_finite_gradients_pass_the_guard_unchanged_however_large():
    optimizer = Adam(torch.ones(2), 0.1)
    grad = torch.tensor([1e-45, -3e38, 0.0, 5.0])
    assert torch.equal(optimizer.guarded(grad), grad)
    assert optimizer.is_finite()


def test_a_state_is_searched_to_the_bottom():
    state = {"a": {"b": torch.ones(2), "n": torch.tensor(3)}, "c": 1.0, "d": {"e": torch.tensor([0.0, float("inf")])}}
    assert not_finite(state) == "d.e"
    state["d"]["e"][1] = 0
    assert not not_finite(state)


@pytest.mark.parametrize("algo", EACH)
def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch, algo):
    """Even where no update and no action has met them yet."""
    plan = make_plan(tiny(f"output={tmp_path}", "checkpoint.every=40", "eval.every=400", base=ALGORITHMS[algo]))
    keep = RunObserver.keep

    def spoil_and_keep(observer, training):
        if training.step == 80:
            with torch.no_grad():
                networks(training.agent)[0].weights[0] = float("nan")
        keep(observer, training)

    monkeypatch.setattr(RunObserver, "keep", spoil_and_keep)
    with pytest.raises(UserError, match=r"training diverged by step 80: \S+ is not finite"):
        run(plan.config, plan.choices)
    (folder,) = tmp_path.glob("*/*/*")
    assert Checkpoints(folder, 2).steps() == [40]
