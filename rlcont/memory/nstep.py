"""n-step transitions, summed up as the steps come in."""

from typing import ClassVar

import numpy as np

from rlcont.core.state import Parts
from rlcont.core.types import Array, EnvStep, Transitions, joined


class NStep(Parts):
    """Joins each step of E environments with the n - 1 that follow it.

    The transition from s_t has reward = r_t + gamma r_{t+1} + ... + gamma^(k-1) r_{t+k-1}, next_obs = s_{t+k} and
    discount = gamma^k, where k is n, or less where the episode ends sooner. Where it terminated, discount is 0.

    Source: arXiv:1804.08617, section 3 (N-step returns).
    Differs: the last n - 1 steps of an episode are kept, with fewer rewards and the discount that belongs to them.
    """

    counters: ClassVar[tuple[str, ...]] = ("_newest",)
    unsaved: ClassVar[tuple[str, ...]] = ("_ages", "_powers")

    def __init__(self, n: int, gamma: float, num_envs: int, obs_dim: int, action_dim: int):
        self.n = n
        self._ages = np.arange(n)[:, None]
        self._powers = gamma ** np.arange(n + 1)
        # A ring of the last n steps; `newest` is where the last one is.
        self._newest = 0
        self._obs = np.zeros((n, num_envs, obs_dim), np.float32)
        self._action = np.zeros((n, num_envs, action_dim), np.float32)
        self._reward = np.zeros((n, num_envs))
        self._num_open = np.zeros(num_envs, np.int64)
        """[E]: the last steps of each environment whose transitions are not complete."""
        self._next_obs = np.zeros((num_envs, obs_dim), np.float32)

    def add(self, step: EnvStep) -> Transitions:
        """Adds one step; returns the transitions that it completes, those of each environment oldest first."""
        if self.n == 1:  # No step waits.
            discount = (self._powers[1] * ~step.terminated).astype(np.float32)
            columns = (step.obs, step.action, step.reward, discount, step.next_obs)
            return Transitions(*(column[step.valid] for column in columns))
        cut = None if step.valid.all() else self.cut_off(~step.valid)
        self._newest = (self._newest + 1) % self.n
        self._obs[self._newest], self._action[self._newest], self._reward[self._newest] = step.obs, step.action, 0
        self._next_obs[:] = step.next_obs
        self._num_open += step.valid
        is_open = self._ages < self._num_open
        slots = self._slots(self._ages[:, 0])
        self._reward[slots] += np.where(is_open, self._powers[:-1, None] * step.reward, 0)
        done = is_open & (step.ended | (self._ages == self.n - 1))
        completed = self._take(done, step.terminated)
        return completed if cut is None else joined([cut, completed])

    def cut_off(self, envs: Array) -> Transitions:
        """Truncates the running episodes of the environments `envs` [E] bool after their last step."""
        return self._take((self._ages < self._num_open) & envs, np.zeros(len(envs), bool))

    @property
    def num_open(self) -> int:
        """Steps whose transitions are not complete."""
        return int(self._num_open.sum())

    def _take(self, which: Array, terminated: Array) -> Transitions:
        """Removes the open transitions `which` [n, E], by age and environment, and returns them."""
        position, envs = np.nonzero(which[::-1])
        ages = self.n - 1 - position
        slots = self._slots(ages)
        self._num_open -= which.sum(0)
        discount = self._powers[ages + 1] * ~terminated[envs]
        return Transitions(
            self._obs[slots, envs],
            self._action[slots, envs],
            self._reward[slots, envs].astype(np.float32),
            discount.astype(np.float32),
            self._next_obs[envs],
        )

    def _slots(self, ages: Array) -> Array:
        return (self._newest - ages) % self.n
