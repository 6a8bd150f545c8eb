"""Wrappers that are typed: from a closed list or a module, kept in evaluation, resume and export."""

import gymnasium
import numpy as np
import pytest
from script import rlcont
from tiny import tiny

import rlcont as rlcont_from_python
from rlcont.config.compose import make_plan
from rlcont.core.errors import UserError
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import IN_PLACE_OF, WRAPPERS, EnvConfig
from rlcont.envs.selftest import findings
from rlcont.runs.resume import plan_resume

ARGUMENTS = {
    "ClipReward": {"min_reward": -1.0, "max_reward": 1.0},
    "DelayObservation": {"delay": 2},
    "FilterObservation": {"filter_keys": ["seen"]},
    "FrameStackObservation": {"stack_size": 3},
    "MaxAndSkipObservation": {"skip": 2},
    "RescaleObservation": {"min_obs": 0.0, "max_obs": 1.0},
    "StickyAction": {"repeat_action_probability": 0.5},
    "TimeAwareObservation": {},
}
WRAPPERS_OF_ONES_OWN = """\
import gymnasium


class Half(gymnasium.RewardWrapper):
    def reward(self, reward):
        return reward / 2
"""


class TwoViews(gymnasium.Env):
    """A pendulum of which one view can be left out."""

    observation_space = gymnasium.spaces.Dict(
        seen=gymnasium.spaces.Box(-8, 8, (3,), np.float32), hidden=gymnasium.spaces.Box(-8, 8, (1,), np.float32)
    )
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(-1, 1, 4).astype(np.float32)
        return {"seen": self.at[:3], "hidden": self.at[3:]}, {}

    def step(self, action):
        self.at = self.np_random.uniform(-1, 1, 4).astype(np.float32)
        return {"seen": self.at[:3], "hidden": self.at[3:]}, float(action[0]), False, False, {}


def config(*wrappers, env_id="Pendulum-v1"):
    return EnvConfig(id=env_id, kwargs={}, max_episode_steps=20, wrappers=list(wrappers), info=())


@pytest.fixture(autouse=True, scope="module")
def _two_views():
    gymnasium.register("TwoViews-v0", TwoViews)


@pytest.mark.parametrize("name", WRAPPERS)
def test_each_can_be_reproduced_and_saved_within_an_episode(name):
    env_id = "TwoViews-v0" if name == "FilterObservation" else "Pendulum-v1"
    env = BoxEnv(config({"name": name, **ARGUMENTS[name]}, env_id=env_id))
    assert type(env.env).__name__ == name
    assert findings(env, saves=True) == []


def test_the_first_is_the_innermost():
    one = BoxEnv(config("TimeAwareObservation", {"name": "FrameStackObservation", "stack_size": 3}))
    other = BoxEnv(config({"name": "FrameStackObservation", "stack_size": 3}, "TimeAwareObservation"))
    assert (one.spec.obs_dim, other.spec.obs_dim) == (12, 10)


def error_of(wrappers):
    with pytest.raises(UserError) as error:
        BoxEnv(make_plan(["env=Pendulum-v1", f"env.wrappers={wrappers}"]).config.env)
    return str(error.value)


@pytest.mark.parametrize("name", IN_PLACE_OF)
def test_what_rlcont_does_by_itself_is_said(name):
    assert error_of(f"[{name}]").endswith(f"{name} is not needed; {IN_PLACE_OF[name]}")


@pytest.mark.parametrize(
    ("wrappers", "complaint"),
    [
        ("TimeAwareObservation", "must be a list of wrappers, as in [TimeAwareObservation]"),
        ("[TimeAware]", "no wrapper TimeAware; allowed: ClipReward, "),
        ("[TimeAwareObservations]", "; did you mean TimeAwareObservation?"),
        ("[{stack_size:3}]", "{stack_size:3} must be NAME, or {name:NAME,ARGUMENT:VALUE}"),
        ("[FrameStackObservation]", "env.wrappers=FrameStackObservation: env=Pendulum-v1: cannot be made: "),
        ("[{name:ClipReward,low:1}]", "env.wrappers={name:ClipReward,low:1}: env=Pendulum-v1: cannot be made: "),
        ("[gymnasium:Env]", "env.wrappers=gymnasium:Env: gymnasium defines no gymnasium.Wrapper Env"),
        ("[no_such_module:Mine]", "env.wrappers=no_such_module:Mine: module 'no_such_module' cannot be imported"),
    ],
)
def test_a_mistake_is_one_line(wrappers, complaint):
    assert complaint in error_of(wrappers)


@pytest.mark.slow
def test_a_run_keeps_its_wrappers_and_a_module_of_the_working_directory_has_to_be_typed(tmp_path):
    (tmp_path / "mine.py").write_text(WRAPPERS_OF_ONES_OWN)
    words = tiny("total_steps=200", "env.wrappers=[TimeAwareObservation,mine:Half]", "num_envs=2", "workers=2")
    trained = rlcont(tmp_path, *words)
    assert trained.returncode == 0, trained.stderr
    (run,) = tmp_path.glob("outputs/*/*/*-s0")
    for command in (["eval", str(run)], ["resume", str(run), "total_steps=400"], [f"from={run}", "seed=1"]):
        refused = rlcont(tmp_path, *command)
        assert refused.returncode == 2
        assert "env.wrappers=mine:Half: module 'mine' cannot be imported" in refused.stderr
    played = rlcont(tmp_path, "eval", str(run), "episodes=1", env={"PYTHONPATH": "."})
    assert played.returncode == 0, played.stderr
    with pytest.raises(UserError, match=r"env.wrappers=\[\]: fixed for the whole run"):
        plan_resume(run, ["env.wrappers=[]"])


def test_a_trained_policy_takes_what_the_wrapped_environment_gives(tmp_path):
    stack = "env.wrappers=[{name:FrameStackObservation,stack_size:3}]"
    run = rlcont_from_python.train(f"output={tmp_path}", *tiny("total_steps=200", stack))
    policy = rlcont_from_python.load(run)
    assert policy.act(np.zeros((3, 3), np.float32)).shape == (1,)
    assert policy.act(np.zeros((5, 3, 3), np.float32)).shape == (5, 1)
