"""What rlcont promises, held on a GPU; `make test` does not collect this file.

    PYTHONPATH=tests python -m pytest benchmarks/gpu_checks.py

DEVICE=cpu holds the same on the CPU, where a recording is played by a function.
"""

import copy
import dataclasses
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from gpu_rows import say
from interruptions import differences, train
from test_accelerate import adams, gradients, load, networks, random_batch, relative_error
from test_resume import ALGORITHMS, settings

from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.core.resources import available_memory
from rlcont.core.types import Batch, Transitions
from rlcont.envs.box import BoxEnv
from rlcont.envs.vector import Environments
from rlcont.memory.prioritized import PrioritizedReplay
from rlcont.memory.replay import Replay
from rlcont.memory.sizes import row_width
from rlcont.report.export import export_run
from rlcont.report.play import evaluate_run
from rlcont.runs.checkpoint import Checkpoints
from rlcont.training import compiled as compiled_updates
from rlcont.training.accelerate import Acceleration
from rlcont.training.build import make_agent
from rlcont.training.loop import Training, not_finite
from rlcont.training.watched import WatchedValues

DEVICE = os.environ.get("DEVICE", "cuda")
NUM_STATES = 20
TOLERANCE = 1e-3
OFF_POLICY = {
    "ddpg": ["algo=ddpg"],
    "ddpg, all options": [
        *("algo=ddpg", "algo.normalize_obs=true", "algo.normalize_reward=true"),
        *("algo.max_grad_norm=0.5", "algo.critic.layer_norm=true"),
    ],
    "td3": ["algo=td3"],
    "sac": ["algo=sac"],
    "d4pg": ["algo=d4pg"],
    "d4pg, prioritized": ["algo=d4pg", "algo.replay=prioritized", "algo.normalize_obs=true"],
}
POLICIES = ["gaussian", "bounded_gaussian", "squashed", "beta"]

torch.set_num_threads(1)
compilations = pytest.mark.parametrize("compile_", [False, True], ids=["eager", "compiled"])
off_policy = pytest.mark.parametrize("overrides", OFF_POLICY.values(), ids=OFF_POLICY)
a2c_policies = pytest.mark.parametrize("policy", POLICIES)


def configured(*overrides):
    small = ["algo.actor.hidden=[32,32]", "algo.critic.hidden=[32,32]", "algo.batch_size=32", "algo.replay_size=2000"]
    common = ["env=Pendulum-v1", "tuned=none", "total_steps=2000", "algo.warmup_steps=100", "device=cpu"]
    return make_plan([*common, *small, *overrides]).config


def configured_a2c(policy):
    small = ["num_envs=4", "algo.network.hidden=[32,32]", "algo.rollout_steps=16", "algo.num_minibatches=4"]
    options = ["algo=a2c", "env=Pendulum-v1", "tuned=none", "device=cpu", "total_steps=20000", "algo.entropy_coef=0.01"]
    return make_plan([*options, *small, f"algo.policy={policy}"]).config


def on_device(run, spec, compile_=False, precision="fp32"):
    config = dataclasses.replace(run, device=DEVICE)
    return make_agent(config, spec, Acceleration(compile_, precision, DEVICE, required=compile_))


def there(batch):
    return type(batch)(*(tensor.to(DEVICE) for tensor in batch))


def compiled(update):
    return compiled_updates.just_in_time(update, WatchedValues(update, addresses=False), DEVICE)


def recorded(update):
    """`update` as code, replayed as a graph."""
    return compiled_updates.CompiledUpdate(update, "cuda", required=True, folder=Path(tempfile.gettempdir()))


if DEVICE == "cpu":
    compiled_updates._record_cuda_graph = lambda update, batch: lambda: update(batch)


# Updates


@compilations
@off_policy
def test_an_update_equals_that_of_the_cpu_at_states_met_in_training(overrides, compile_):
    """As the compiled update on the CPU in tests/test_accelerate.py; from the fourth on it is a graph that is replayed.

    Where the last bit of the weights alone changes a gradient by more than the tolerance, four times that is allowed.
    """
    run = configured(*overrides)
    envs = Environments(run.env, [0])
    trained, reference, nudged = (make_agent(run, envs.spec) for _ in range(3))
    agent = on_device(run, envs.spec, compile_)
    rng = torch.Generator().manual_seed(0)
    obs, worst, num_compared = envs.reset(), 0.0, 0
    while num_compared < NUM_STATES:
        step = envs.step(trained.act(obs, explore=True))
        obs = step.obs_to_act_on
        trained.observe(step)
        trained.learn()
        if trained.num_updates == 0 or trained.num_steps % 10:
            continue
        for other in (reference, nudged, agent):
            load(other, trained)
            for adam in adams(other):
                adam.mean.zero_()
        for weights in networks(nudged):
            weights.mul_(1 + 2**-23 * (2 * torch.randint(2, weights.shape, generator=rng) - 1))
        batch = reference.replay.sample(run.algo.batch_size)
        nudged.accelerated_update(batch)
        expected = reference.accelerated_update(batch)
        found = agent.accelerated_update(agent.replay._batch(batch.slot.to(DEVICE), batch.weight.to(DEVICE)))
        assert found.keys() == expected.keys()
        for name in found:
            torch.testing.assert_close(found[name].cpu(), expected[name], rtol=TOLERANCE, atol=TOLERANCE)
        for value, right, unsure in zip(*map(gradients, (agent, reference, nudged)), strict=True):
            error = relative_error(value.cpu(), right)
            assert error < max(TOLERANCE, 4 * relative_error(unsure, right))
            worst = max(worst, error)
        for value, right in zip(networks(agent), networks(reference), strict=True):
            assert relative_error(value.cpu(), right) < TOLERANCE
        num_compared += 1
    envs.close()
    say("updates against the CPU's eager ones", case=" ".join(overrides), compiled=compile_, gradient=f"{worst:.1e}")


@compilations
@a2c_policies
def test_a2c_learns_as_on_the_cpu_at_states_met_in_training(policy, compile_):
    run = configured_a2c(policy)
    envs = Environments(run.env, [0, 1, 2, 3])
    trained, reference = make_agent(run, envs.spec), make_agent(run, envs.spec)
    agent = on_device(run, envs.spec, compile_)
    obs, worst, num_compared = envs.reset(), 0.0, 0
    while num_compared < NUM_STATES:
        step = envs.step(trained.act(obs, explore=True))
        obs = step.obs_to_act_on
        trained.observe(step)
        if trained.memory.full:
            for other in (reference, agent):
                other.load_state_dict(copy.deepcopy(trained.state_dict()))
            before = trained.network.weights.detach().clone()
            expected, found = reference.learn(), agent.learn()
            for name in expected:
                torch.testing.assert_close(found[name].cpu(), expected[name], rtol=1e-2, atol=TOLERANCE)
            steps = [other.network.weights.detach().cpu() - before for other in (agent, reference)]
            worst = max(worst, relative_error(*steps))
            assert worst < 1e-2
            num_compared += 1
        trained.learn()
    envs.close()
    say("updates against the CPU's eager ones", case=f"a2c {policy}", compiled=compile_, step=f"{worst:.1e}")


@off_policy
def test_a_recorded_update_equals_one_that_is_not(overrides):
    """Over 50 updates in which batches, step sizes, the support and what normalises change."""
    run = configured(*overrides)
    spec = BoxEnv(run.env).spec
    agents = [on_device(run, spec) for _ in range(2)]
    updates = [compiled(agents[0].update), recorded(agents[1].update)]
    rng, largest = np.random.default_rng(0), 0.0
    for number in range(50):
        rows, returns = rng.normal(1, 3, (20, 3)), rng.normal(-5, 5 + number, (20, 3))
        for agent in agents:
            if number == 20:
                for adam in adams(agent):
                    adam.lr.fill_(3e-4)
            if number % 10 == 9 and hasattr(agent, "support"):
                agent.support.include(returns)
                agent._fit_support()
            if agent.normalizer is not None:
                agent.normalizer.update(rows)
            if agent.reward_scale is not None:
                agent.reward_scale.update(returns)
        batch = there(random_batch(number))
        plain, replayed = (update(batch) for update in updates)
        for name in plain:
            torch.testing.assert_close(replayed[name], plain[name], rtol=TOLERANCE, atol=TOLERANCE)
        for one, other in zip(*map(networks, agents), strict=True):
            largest = max(largest, relative_error(one, other))
    say("recorded against not recorded", case=" ".join(overrides), largest=f"{largest:.1e}", equal=largest == 0)
    assert largest < TOLERANCE
    assert all(agent.is_finite() for agent in agents)


@a2c_policies
def test_a2c_recorded_learns_as_when_it_is_not(policy):
    run = configured_a2c(policy)
    envs = Environments(run.env, [0, 1, 2, 3])
    trained = make_agent(run, envs.spec)
    agents = [on_device(run, envs.spec) for _ in range(2)]
    for agent, as_code in zip(agents, (compiled, recorded), strict=True):
        agent.load_state_dict(copy.deepcopy(trained.state_dict()))
        agent.accelerated_prepare = as_code(agent.prepare)
        agent.accelerated_update = as_code(agent.update)
    obs, num_rollouts, largest = envs.reset(), 0, 0.0
    while num_rollouts < 13:
        step = envs.step(trained.act(obs, explore=True))
        obs = step.obs_to_act_on
        trained.observe(step)
        if trained.memory.full:
            for agent in agents:
                agent.memory.load_state_dict(trained.memory.state_dict())
            plain, replayed = (agent.learn() for agent in agents)
            for name in plain:
                torch.testing.assert_close(replayed[name], plain[name], rtol=1e-2, atol=TOLERANCE)
            largest = max(largest, relative_error(*(agent.network.weights.detach() for agent in agents)))
            num_rollouts += 1
        trained.learn()
    envs.close()
    say("recorded against not recorded", case=f"a2c {policy}", largest=f"{largest:.1e}", equal=largest == 0)
    assert largest < TOLERANCE


@compilations
@pytest.mark.parametrize("algo", ["ddpg", "d4pg"])
def test_in_bf16_the_actor_follows_the_critic_as_in_fp32(algo, compile_):
    run = configured(f"algo={algo}", "algo.critic.lr=0.05")
    spec = BoxEnv(run.env).spec
    agents = [on_device(run, spec, compile_, precision) for precision in ("fp32", "bf16")]
    for seed in range(6):
        losses = [agent.accelerated_update(there(random_batch(seed)))["actor_loss"].item() for agent in agents]
        assert losses[1] == pytest.approx(losses[0], rel=0.3, abs=0.02)


# Acting and memory


@pytest.mark.parametrize("case", [*OFF_POLICY, *POLICIES])
def test_actions_are_those_of_the_cpu(case):
    run = configured(*OFF_POLICY[case]) if case in OFF_POLICY else configured_a2c(case)
    spec = BoxEnv(run.env).spec
    reference, agent = make_agent(run, spec), on_device(run, spec)
    rng = np.random.default_rng(0)
    if reference.normalizer is not None:
        reference.normalizer.update(rng.normal(1, 3, (50, 3)))
    agent.load_policy_state(reference.policy_state())
    for num_envs in (1, 7):
        obs = rng.standard_normal((num_envs, 3), np.float32)
        actions = [policy.act(obs, explore=False) for policy in (agent, reference)]
        assert actions[0].dtype == np.float32
        np.testing.assert_allclose(*actions, atol=1e-5)
    assert agent.act(rng.standard_normal((run.num_envs, 3), np.float32), explore=True).shape == (run.num_envs, 1)


def transitions(rng, num):
    return Transitions(*(rng.standard_normal(shape, np.float32) for shape in ((num, 3), (num, 1), num, num, (num, 3))))


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_a_replay_draws_and_remembers_what_it_does_on_the_cpu(kind):
    options = {"alpha": 0.6, "beta": 0.4, "num_batches": 30} if kind == "prioritized" else {}
    cls = PrioritizedReplay if options else Replay
    replays = [cls(5000, 3, 1, torch.Generator().manual_seed(1), device, **options) for device in ("cpu", DEVICE)]
    rng, priorities = np.random.default_rng(0), torch.rand(5000, generator=torch.Generator().manual_seed(2))
    for _ in range(100):
        step = transitions(rng, 70)
        for replay in replays:
            replay.add(step)
        batches = [replay.sample(64) for replay in replays]
        for one, other in zip(*batches, strict=True):
            torch.testing.assert_close(other.cpu(), one, rtol=1e-6, atol=0)
        for replay, batch in zip(replays, batches, strict=True):
            replay.prioritize(batch, priorities.to(batch.slot.device)[batch.slot])
    here, other = replays
    np.testing.assert_array_equal(other.read(2000, 7000), here.read(2000, 7000))
    if options:
        np.testing.assert_allclose(other.sums.leaves, here.sums.leaves, rtol=1e-12)
    again = cls(5000, 3, 1, torch.Generator(), DEVICE, **options)
    again.write(2000, here.read(2000, 7000))
    again.load_state_dict(here.state_dict())
    for one, two in zip(again.sample(64), here.sample(64), strict=True):
        torch.testing.assert_close(one.cpu(), two, rtol=1e-6, atol=0)


def test_a_replay_that_does_not_fit_is_refused(tmp_path):
    # Other checks give memory of the GPU back meanwhile, but there is never more than all of it.
    at_most = torch.cuda.mem_get_info()[1] if DEVICE == "cuda" else available_memory()
    rows = int(1.05 * at_most / (4 * row_width(3, 1)))
    with pytest.raises(UserError, match=rf"algo.replay_size={rows}: needs .* GiB of memory") as error:
        train(
            settings(
                "ddpg", f"device={DEVICE}", f"total_steps={rows}", f"algo.replay_size={rows}", f"output={tmp_path}/runs"
            )
        )
    assert not (tmp_path / "runs").exists()
    say("memory", said=str(error.value))


# Whole runs


@compilations
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_what_is_not_finite_is_noticed_at_the_next_log_line_and_spoils_no_weight(tmp_path, monkeypatch, algo, compile_):
    advance, trainings = Training.advance, []

    def advance_with_fault(training):
        if training.step == 250:
            trainings.append(training)
            memory = training.agent.rows
            obs = training.agent.memory.tensors.obs if memory is None else memory.rows[:, :3]
            obs.fill_(float("nan"))
        advance(training)

    monkeypatch.setattr(Training, "advance", advance_with_fault)
    changes = (f"device={DEVICE}", f"compile={compile_}", "log.every=20", "checkpoint.every=40", f"output={tmp_path}")
    with pytest.raises(UserError, match=r"training diverged by step \d+: .*a gradient or weight is not finite"):
        train(settings(algo, *changes))
    (training,) = trainings
    assert 250 < training.step <= 260
    state = training.agent.state_dict()
    parts = ("actor", "critic", "target_actor", "target_critic", "actor_optimizer", "critic_optimizer")
    assert not not_finite({name: state[name] for name in (*parts, "network", "optimizer") if name in state})
    (folder,) = tmp_path.glob("*/*/*")
    assert Checkpoints(folder, 2).steps()[-1] == 240


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_the_same_seed_gives_the_same_run(tmp_path, algo):
    one, other = (train(settings(algo, f"device={DEVICE}", f"output={tmp_path}/{number}")) for number in range(2))
    assert differences(one, other) == []


@compilations
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_an_interrupted_run_equals_one_that_was_not(tmp_path, algo, compile_):
    changes = (f"device={DEVICE}", f"compile={compile_}")
    whole = train(settings(algo, *changes, f"output={tmp_path}/whole"))
    parts = train(settings(algo, *changes, f"output={tmp_path}/parts", "checkpoint.every=70"), [74, 231])
    assert differences(whole, parts) == []


@pytest.mark.parametrize("way", [(DEVICE, "cpu"), ("cpu", DEVICE)], ids="-".join)
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_run_goes_on_on_another_device(tmp_path, algo, way):
    first, second = way
    folder = train(settings(algo, f"device={first}", f"output={tmp_path}"), [231], [f"device={second}"])
    checkpoints = Checkpoints(folder, 1)
    assert checkpoints.steps()[-1] == 400
    sittings = json.loads((folder / "run.json").read_text())["resumed"]
    assert [sitting["changes"] for sitting in sittings] == [{"device": second}]
    assert "over 2 episodes" in evaluate_run(folder, "last", 2, None)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_what_was_trained_is_evaluated_and_exported(tmp_path, algo):
    folder = train(settings(algo, f"device={DEVICE}", f"output={tmp_path}/runs"))
    assert "over 2 episodes" in evaluate_run(folder, "best", 2, None)
    assert "acts as the agent" in export_run(folder, "last", tmp_path / "exported")
    assert (tmp_path / "exported" / "policy.onnx").exists()


def test_batches_stay_on_the_device_that_was_asked_for():
    agent = on_device(configured(), BoxEnv(configured().env).spec)
    agent.replay.add(transitions(np.random.default_rng(0), 40))
    batch = agent.replay.sample(32)
    assert isinstance(batch, Batch)
    assert {tensor.device.type for tensor in batch} == {DEVICE}
    assert {weights.device.type for weights in networks(agent)} == {DEVICE}
