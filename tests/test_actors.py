"""The side of an actor, and its noise; without Ray."""

import dataclasses
import importlib.util

import numpy as np
import pytest
from quick import quick
from test_ddpg import OU, gaussian
from tiny import tiny
from worlds import assert_same

from rlcont.actors.cluster import is_there, prepare_ray
from rlcont.actors.worker import RolloutWorker
from rlcont.config.actors import RayActors, noise_of
from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.core.seeding import integers
from rlcont.envs.vector import Environments
from rlcont.exploration.config import NoNoise
from rlcont.training.build import _ray_collector, make_agent
from rlcont.training.collector import InlineCollector
from rlcont.training.preflight import check_runs


def configured(*changes):
    return make_plan(tiny("actors=ray", *changes)).config


def started(config, index, life):
    worker = RolloutWorker(config, index, life)
    worker.start()
    return worker


def ladder(num, ratio):
    return RayActors("ray", num, "auto", "auto", False, ratio, 1.0, 1)


def test_an_agent_that_cannot_learn_from_what_others_collect_is_refused():
    with pytest.raises(UserError, match=r"actors=ray: ddpg cannot learn from what others collect.*allowed: inline"):
        _ray_collector(configured(), object(), None)


def test_noise_climbs_a_ladder_whose_middle_is_that_of_an_inline_run():
    sigmas = [noise_of(ladder(3, 4.0), index, gaussian(0.2)).sigma for index in range(3)]
    np.testing.assert_allclose(sigmas, [0.1, 0.2, 0.4], rtol=1e-12)
    assert noise_of(ladder(2, 9.0), 1, OU).sigma == pytest.approx(3 * OU.sigma)
    assert noise_of(ladder(1, 4.0), 0, OU) == OU
    assert noise_of(ladder(3, 4.0), 0, NoNoise("none")) == NoNoise("none")


@pytest.mark.parametrize(
    ("num", "num_envs", "updates_per_step", "length"),
    [
        (2, 1, 1.0, 16),
        (16, 1, 1.0, 16),
        (16, 1, 0.05, 40),
        (4, 4, 0.05, 40),
        (16, 1, 0.005, 128),
        (1, 1, 0.25, 128),
        (1, 1, 0.0, 128),
    ],
)
def test_rollouts_are_as_long_as_weights_may_age_within_a_second(num, num_envs, updates_per_step, length):
    actors = ladder(num, 1.0)
    assert actors.steps_at_once(num_envs, updates_per_step) == length
    assert actors.steps_at_once(num_envs, updates_per_step, 30.0) == min(length, 30)
    assert actors.steps_at_once(num_envs, updates_per_step, 4.0) == 16
    assert actors.steps_at_once(num_envs, updates_per_step, 0.0) == 16
    assert dataclasses.replace(actors, sync=True).steps_at_once(num_envs, updates_per_step) == 1
    assert dataclasses.replace(actors, rollout_length=7).steps_at_once(num_envs, updates_per_step, 0.0) == 7


def arrays(agent):
    return {name: tensor.numpy() for name, tensor in agent.explorer_state().items()}


@pytest.mark.parametrize(
    ("algo", "noise"),
    quick([("ddpg", "ou"), ("ddpg", "gaussian"), ("d4pg", "ou"), ("td3", "gaussian"), ("sac", "none")]),
)
def test_the_first_actor_step_by_step_is_the_loop_itself(algo, noise):
    config = configured(
        *(f"algo={algo}", f"noise={noise}", "num_envs=2", "algo.n_step=3"),
        *("algo.normalize_obs=true", "algo.warmup_steps=20", "actors.num=1"),
        *(["algo.normalize_reward=true"] if algo == "ddpg" else []),
    )
    worker = started(config, 0, 0)
    learner, inline = (make_agent(config, worker.envs.spec) for _ in range(2))
    collector = InlineCollector(inline, Environments(config.env, integers(config.seed, "environments", 2)))
    for _ in range(220):
        rollout = worker.rollout(arrays(learner), learner.num_steps, 1)
        learner.receive(rollout.experience)
        assert_same(tuple(rollout.collected), tuple(collector.collect()))
        assert_same(learner.learn(), inline.learn())
    assert_same(worker.explorer.state_dict(), inline.explorer.state_dict())
    ours, theirs = (agent.state_dict() for agent in (learner, inline))
    ours.pop("explorer"), theirs.pop("explorer")
    assert_same(ours, theirs)
    assert_same(learner.replay.rows[: len(learner.replay)], inline.replay.rows[: len(inline.replay)])


def test_a_rollout_of_many_steps_tells_what_as_many_of_one_do():
    config = configured("num_envs=3", "algo.n_step=4", "env.max_episode_steps=7")
    many, single = (started(config, 1, 0) for _ in range(2))
    policy = arrays(make_agent(config, many.envs.spec))
    for length in (5, 11, 1):
        whole = many.rollout(policy, 200, length)
        parts = [single.rollout(policy, 200 + 3 * i, 1) for i in range(length)]
        for ours, theirs in (
            (whole.collected[:-1], [part.collected[:-1] for part in parts]),
            (whole.experience.transitions, [part.experience.transitions for part in parts]),
            ((whole.experience.returns,), [(part.experience.returns,) for part in parts]),
        ):
            assert_same(tuple(ours), tuple(map(np.concatenate, zip(*theirs, strict=True))))
        assert whole.num_open == parts[-1].num_open
        assert whole.experience.num_steps == 3 * length == whole.collected.num_steps


@pytest.mark.parametrize("n_step", [1, 3, 6])
def test_every_step_of_an_actor_is_stored_or_open(n_step):
    config = configured("num_envs=2", f"algo.n_step={n_step}", "env.max_episode_steps=5")
    worker = started(config, 0, 0)
    policy = arrays(make_agent(config, worker.envs.spec))
    produced = stored = 0
    for length in (1, 2, 3, 4, 5, 6, 7):
        rollout = worker.rollout(policy, produced, length)
        produced += rollout.experience.num_steps
        stored += len(rollout.experience.transitions.obs)
        assert produced == stored + rollout.num_open
    assert produced == 2 * 28


def test_no_two_actors_or_lives_of_one_explore_alike():
    config = configured("algo.warmup_steps=1")
    lives = [started(config, index, life) for index, life in ((0, 0), (0, 1), (1, 0), (1, 1))]
    policy = arrays(make_agent(config, lives[0].envs.spec))
    actions = [tuple(worker.rollout(policy, 10, 3).collected.action.ravel()) for worker in lives]
    starts = [tuple(worker.envs.reset().ravel()) for worker in lives]
    assert len(set(actions)) == len(set(starts)) == 4


def test_warmup_and_decay_go_by_what_the_learner_has_seen():
    decay = ("noise.decay.kind=linear", "noise.decay.steps=200")
    config = configured("noise=gaussian", "noise.sigma=0.5", *decay, "actors.num=1")
    worker = started(config, 0, 0)
    policy = arrays(make_agent(config, worker.envs.spec))
    worker.rollout(policy, 200, 4)
    quiet = worker.rollout(policy, 300, 4).collected.action
    assert worker.explorer.noise.scale(worker.explorer.num_steps) == pytest.approx(0.5 * config.noise.decay.final)
    random = worker.rollout(policy, 0, 50).collected.action
    assert random.std() > 0.4 > quiet.std()


def test_without_ray_its_extra_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(
        UserError, match=r"^actors=ray: needs ray; install it by pip install '.\[ray\]' in rlcont's folder$"
    ):
        check_runs([configured()])


def test_a_cluster_that_is_not_there_is_named():
    assert not is_there("127.0.0.1:1")
    with pytest.raises(UserError, match=r"^actors\.address=127\.0\.0\.1:1: no Ray cluster answers there"):
        prepare_ray("127.0.0.1:1")


MISTAKES = [
    ("algo=a2c", "actors=ray: a2c learns only from data of its current policy; allowed: inline"),
    ("workers=2", "workers=2: must be auto or 1 with actors=ray; actors.num=N makes N processes"),
    ("actors.rollout_length=20000", "algo.replay_size=200000: must hold what an actor sends at once, 200010 trans"),
    ("actors.address=ray://here", "actors.address=ray://here: must be auto, local or HOST:PORT"),
    ("actors.noise_ladder=0.5", "actors.noise_ladder=0.5: must be a number at least 1"),
    ("actors.numm=3", "actors.numm=3: no such key; did you mean actors.num?"),
    ("actors.kind=ray", "actors.kind=ray: choose it with actors=ray"),
]


@pytest.mark.parametrize(("change", "said"), MISTAKES)
def test_mistakes(change, said):
    settings = ["env=Pendulum-v1", "total_steps=20000", "num_envs=10", "actors=ray", "algo=ddpg"]
    with pytest.raises(UserError) as error:
        make_plan(tiny(change, base=settings))
    assert str(error.value).startswith(said)


def test_inline_actors_have_no_number():
    with pytest.raises(UserError, match=r"^actors\.num=3: actors=inline has no num; did you mean actors=ray\?$"):
        make_plan(tiny("actors.num=3"))
