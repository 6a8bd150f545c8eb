"""Environments that this process steps alone or together with workers, whichever is faster at the moment.

Processes that step together wait for each other at every step. On an idle machine they are the faster ones; where
another process runs, a step takes as long as the worker waits for its turn.
"""

import logging
import time
from typing import Any

from rlcont.core.choice import Choice
from rlcont.core.errors import UserError
from rlcont.core.types import Array, EnvStep
from rlcont.envs.config import EnvConfig
from rlcont.envs.door import entry_point
from rlcont.envs.vector import Environments
from rlcont.envs.workers import WorkerEnvironments

log = logging.getLogger(__name__)

START_SECONDS = 3.0
"""Seconds of stepping alone after which workers are started; a shorter run would be over before they pay."""
WINDOW, ROUNDS, PAUSE = 1000, 1, 5.0
"""As of `Choice`. A window is long, since a process that waits once for its turn loses tens of steps; a change of hands
takes as many."""
FEWEST_ENVS = 4
"""Environments for each of several processes, where a step is so short that one process may be faster."""


def can_move(config: EnvConfig) -> bool:
    """Whether another process can go on with an environment's state, which is known of Gymnasium's MuJoCo tasks. Of
    others only one instance may exist, such as a robot.
    """
    is_known = entry_point(config).startswith("gymnasium.envs.mujoco.")
    return is_known and not config.wrappers and "render_mode" not in config.kwargs


class AdaptiveEnvironments:
    """E environments that change hands in the middle of their episodes; the numbers are those of `Environments`.

    Args:
        config: of an environment that `can_move`.
        most: processes that step together, this one included.
        first: processes to begin with, as soon as they are there: 1 or `most`.
    """

    def __init__(self, config: EnvConfig, seeds: list[int], most: int, first: int):
        self._config, self._seeds, self._most = config, seeds, most
        self._alone = Environments(config, seeds)
        self._together: WorkerEnvironments | None = None
        self._envs: Environments | WorkerEnvironments = self._alone
        self.first, self.spec = self._alone.first, self._alone.spec
        self.choice = Choice(most, first, window=WINDOW, rounds=ROUNDS, pause=PAUSE)
        self._seconds_to_start = START_SECONDS if first == 1 else 0.0
        self._is_settled = False
        """Whether they stay in the hands in which they are."""

    def __len__(self) -> int:
        return len(self._alone)

    @property
    def num_breakdowns(self) -> int:
        return self._envs.num_breakdowns

    @property
    def num_processes(self) -> int:
        """How many processes step them at the moment."""
        return 1 if self._envs is self._alone else self._most

    def reset(self) -> Array:
        return self._envs.reset()

    def step(self, action: Array) -> EnvStep:
        start = time.perf_counter()
        step = self._envs.step(action)
        now = time.perf_counter()
        if not self._is_settled and not (step.terminated.any() or step.truncated.any()):  # Resets are no steps.
            self._consider(now - start, now)
        return step

    def state_dict(self) -> dict[str, Any]:
        return self._envs.state_dict()

    def put_back(self, state: dict[str, Any]) -> tuple[Array, Array]:
        return self._envs.put_back(state)

    def close(self) -> None:
        if self._together is not None:
            self._together.end_workers()
        self._alone.close()

    def _consider(self, seconds: float, now: float) -> None:
        """Takes the time of a step, and changes hands where that is faster."""
        choice = self.choice
        try:
            if self._together is None:
                self._seconds_to_start -= seconds
                if self._seconds_to_start < 0:
                    self._together = WorkerEnvironments(self._config, self._seeds, self._most, own=self._alone.envs)
                    self._together.call_workers()
                return
            if not self._together.workers_are_there():
                return
        except (UserError, RuntimeError, OSError) as error:  # Such as too many processes.
            self._is_settled = True
            log.warning("rlcont: one process steps the environments, as no other can: %s", error)
            return
        is_worth_a_line = choice.number == self.num_processes and choice.update(seconds, now)
        if choice.number != self.num_processes:
            self._change_hands()
        if is_worth_a_line and not self._is_settled:
            who = "1 process steps" if choice.favourite == 1 else f"{choice.favourite} processes step"
            log.warning("rlcont: %s the environments faster at the moment", who)

    def _change_hands(self) -> None:
        """Lets the other process or processes go on, unless what there is to hand over is not all."""
        assert self._together is not None
        state = self._envs.state_dict()
        if state["globals"] or not all("whole" in part for part in state["envs"]):
            self._is_settled = True
            return
        self._envs = self._together if self._envs is self._alone else self._alone
        self._envs.put_back(state)
