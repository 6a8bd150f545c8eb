"""An environment goes on from its state exactly, whatever simulates it."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics
from state_envs import Ticker

from rlcont.core.packing import from_message, to_message
from rlcont.core.types import EnvStep
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.envs.snapshot import Snapshots
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments

MUJOCO = [
    f"{name}-v{version}"
    for name in [
        "Ant",
        "HalfCheetah",
        "Hopper",
        "Humanoid",
        "HumanoidStandup",
        "InvertedDoublePendulum",
        "InvertedPendulum",
        "Reacher",
        "Swimmer",
        "Walker2d",
    ]
    for version in (4, 5)
]
IDS = [*MUJOCO, "Pusher-v5", "Pendulum-v1", "MountainCarContinuous-v0"]


def config(env_id, **kwargs):
    return EnvConfig(id=env_id, kwargs=kwargs, max_episode_steps=None, wrappers=(), info=())


def play(env, rng, steps):
    """What `steps` random steps give, and the first observation of every episode that begins."""
    seen = []
    for _ in range(steps):
        obs, reward, terminated, truncated, valid = env.step(rng.uniform(-1, 1, env.spec.action_dim))
        seen += [obs.tobytes(), reward, terminated, truncated, valid]
        if terminated or truncated:
            seen.append(env.reset().tobytes())
    return seen


@pytest.mark.parametrize("env_id", IDS)
def test_observations_rewards_and_later_resets_are_the_same_to_the_last_bit(env_id):
    env, other = BoxEnv(config(env_id)), BoxEnv(config(env_id))
    rng = np.random.default_rng(0)
    env.reset(3)
    play(env, rng, 137)
    state = to_message(env.state())
    play(other_after_reset(other), rng, 10)
    assert not other.put_back(5, from_message(state))
    assert play(env, np.random.default_rng(1), 400) == play(other, np.random.default_rng(1), 400)


def other_after_reset(env):
    env.reset(9)
    return env


@pytest.mark.parametrize("name", ["Ticker", "Keeper", "Statistics"])
def test_an_environment_in_python_goes_on_too_views_and_generators_included(name):
    test_observations_rewards_and_later_resets_are_the_same_to_the_last_bit(f"snapshot/{name}-v0")


def test_what_was_taken_is_not_touched_by_the_steps_after_it():
    env = BoxEnv(config("snapshot/Ticker-v0"))
    env.reset(0)
    rng = np.random.default_rng(0)
    play(env, rng, 20)
    state = env.state()
    before = to_message(state)
    play(env, rng, 20)
    assert to_message(state) == before


def test_statistics_of_a_wrapper_are_kept():
    env, other = (RecordEpisodeStatistics(Ticker()) for _ in range(2))
    for one in (env, other):
        one.reset(seed=0)
    for _ in range(30):
        if env.step(np.zeros(1))[2]:
            env.reset()
    assert env.episode_count > 0
    Snapshots(other).put_back(from_message(to_message(Snapshots(env).take())))
    assert list(other.return_queue) == list(env.return_queue)
    assert (other.episode_count, other.episode_returns) == (env.episode_count, env.episode_returns)


def test_what_stands_in_the_way_is_named():
    env = BoxEnv(config("snapshot/Opaque-v0"))
    env.reset(0)
    assert env.snapshots.obstacle() == "Opaque.steps is a range_iterator"
    assert not BoxEnv(config("Hopper-v4")).snapshots.obstacle()


def test_a_model_that_changes_stands_in_the_way():
    env = gymnasium.make("Hopper-v5")
    snapshots = Snapshots(env)
    env.reset(seed=0)
    assert not snapshots.obstacle()
    env.unwrapped.model.body_mass[1] *= 1.1
    assert snapshots.obstacle() == "its MuJoCo model changes"


def test_an_environment_that_cannot_be_saved_begins_an_episode_and_draws_on():
    env, other = BoxEnv(config("snapshot/Opaque-v0")), BoxEnv(config("snapshot/Opaque-v0"))
    env.reset(0)
    play(env, np.random.default_rng(0), 7)
    assert other.put_back(0, from_message(to_message(env.state())))
    assert other.reset().tobytes() == env.reset().tobytes()


def steps(envs, rng, num):
    seen = []
    for _ in range(num):
        step = envs.step(rng.uniform(-1, 1, (len(envs), envs.spec.action_dim)).astype(np.float32))
        seen += [getattr(step, name).tobytes() for name in EnvStep._fields if name != "info"]
    return seen


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Pendulum-v1"])
@pytest.mark.parametrize("make", [Environments, lambda *arguments: WorkerEnvironments(*arguments, 2)])
def test_several_environments_go_on_in_one_process_or_several(env_id, make):
    envs, others = make(config(env_id), [4, 5, 6]), make(config(env_id), [4, 5, 6])
    for one, seed in ((envs, 0), (others, 1)):
        one.reset()
        steps(one, np.random.default_rng(seed), 50)
    state = from_message(to_message(envs.state_dict()))
    obs, restarted = others.put_back(state)
    assert restarted.tolist() == [False] * 3
    assert obs.dtype == np.float32
    assert steps(envs, np.random.default_rng(2), 250) == steps(others, np.random.default_rng(2), 250)
    for one in (envs, others):
        one.close()


def test_of_several_environments_those_that_cannot_be_saved_are_told():
    envs = Environments(config("snapshot/Opaque-v0"), [4, 5])
    envs.reset()
    steps(envs, np.random.default_rng(0), 5)
    state = envs.state_dict()
    obs, restarted = Environments(config("snapshot/Opaque-v0"), [4, 5]).put_back(state)
    assert restarted.tolist() == [True, True]
    assert obs[0].tolist() != obs[1].tolist()
    step = envs.step(np.zeros((2, 1), np.float32))
    assert step.obs.shape == obs.shape
