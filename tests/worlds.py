"""Worlds of known numbers for agents to act in, without an environment, and how agents are compared."""

import numpy as np
import torch

from rlcont.core.types import EnvStep


def column(*values):
    return np.array(values, np.float32)[:, None]


def make_step(obs, action, reward, next_obs, terminated=False, truncated=False, obs_to_act_on=None, valid=True):
    """A step of len(obs) environments; flags may be one for all."""
    obs, action, next_obs = (np.asarray(x, np.float32) for x in (obs, action, next_obs))
    num = len(obs)
    flags = [np.broadcast_to(flag, num).copy() for flag in (terminated, truncated, valid)]
    reward = np.broadcast_to(np.asarray(reward, np.float32), num).copy()
    start = next_obs if obs_to_act_on is None else np.asarray(obs_to_act_on, np.float32)
    return EnvStep(obs, action, reward, next_obs, flags[0], flags[1], start, flags[2])


class RandomWorld:
    """Steps of pure chance, in which episodes end both ways; observations are far from normal."""

    def __init__(self, agent, seed=0):
        self.rng = np.random.default_rng(seed)
        self.shape = (agent.num_envs, agent.spec.obs_dim)
        self.obs = self._obs()

    def _obs(self):
        return (3 + 2 * self.rng.standard_normal(self.shape)).astype(np.float32)

    def step(self, action):
        obs, next_obs, num = self.obs, self._obs(), len(self.obs)
        terminated, truncated = self.rng.random((2, num)) < 0.2
        self.obs = np.where((terminated | truncated)[:, None], self._obs(), next_obs)
        reward = self.rng.standard_normal(num)
        return make_step(obs, action, reward, next_obs, terminated, truncated, self.obs)


class Probe:
    """E one-dimensional environments of `length` steps; the observation is the step's number unless `draw` says it."""

    def __init__(self, reward, length=1, truncates=False, draw=None, num_envs=4):
        self.reward, self.length, self.truncates, self.num_envs = reward, length, truncates, num_envs
        self.draw = draw or (lambda: np.zeros((num_envs, 1), np.float32))
        self.time = 0
        self.obs = self.draw()

    def step(self, action):
        obs, reward = self.obs, self.reward(self.obs, action)[:, 0]
        next_obs = obs + 1
        self.time += 1
        over = self.time == self.length
        if over:
            self.time = 0
        self.obs = self.draw() if over else next_obs
        ends = {"truncated": over} if self.truncates else {"terminated": over}
        return make_step(obs, action, reward, next_obs, obs_to_act_on=self.obs, **ends)


class Still(Probe):
    """A probe that leads from 0 to 0, at the end of an episode too."""

    def step(self, action):
        return super().step(action)._replace(next_obs=np.zeros((self.num_envs, 1), np.float32))


def two_sides(num_envs=16):
    """Its best action is half of the observation, which is -1 or 1; actions beyond the box count as its edge."""
    rng = np.random.default_rng(0)

    def sides():
        return rng.choice(np.float32([-1, 1]), (num_envs, 1))

    return Probe(lambda obs, action: -((np.clip(action, -1, 1) - 0.5 * obs) ** 2), draw=sides, num_envs=num_envs)


def paid_at_the_end():
    """Two steps: 0 for the first, 2 for the second, whatever the actions."""
    return Probe(lambda obs, action: 2 * obs + 0 * action, length=2)


def play(agent, world, num_steps):
    """The training loop; returns the actions, [T, E, A]."""
    actions = []
    for _ in range(num_steps):
        actions.append(agent.act(world.obs, explore=True))
        agent.observe(world.step(actions[-1]))
        agent.learn()
    return np.stack(actions)


def assert_same(left, right):
    """Equality to the bit through nested dicts and lists of tensors, arrays and plain values."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, np.ndarray):
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right
