"""Collecting by actors of a Ray cluster: weights out, rollouts in."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from rlcont.actors.cluster import connect
from rlcont.actors.config import RayActors
from rlcont.actors.worker import Rollout, RolloutWorker, joined_collected
from rlcont.config import RunConfig
from rlcont.core import Collected, Learner, UserError
from rlcont.status import one_line

AHEAD = 2
"""Rollouts that an actor is asked for at once, so that it need not wait while its last one is learned from."""
WAIT_SECONDS = 1.0
"""How long `collect` waits for a rollout before it lets the loop look after its signals."""


class _Request(NamedTuple):
    """A rollout that an actor was asked for."""

    ref: ray.ObjectRef
    num_updates: int
    """Those behind the weights it acts with."""


class _Place:
    """One of the actors, whoever fills it at the moment."""

    def __init__(self, index: int, lives: int):
        self.index = index
        self.lives = lives
        self.failures = 0
        """In a row, without a rollout between them."""
        self.num_open = 0
        self.requests: deque[_Request] = deque()
        self.waiting_since = 0.0
        self.handle: Any = None


class RayCollector:
    """Actors play with the learner's weights of a moment ago; an `rlcont.core.Collector`.

    An actor is asked for the next rollout before the last one is learned from, and for no more than that. So a learner
    that is slower than its actors holds them up, and the age of their weights is bounded by what they were asked for:
    AHEAD rollouts of each. In lock-step it is one, and all actors are asked at the same moment.

    Every step that was asked for is accounted for: produced = stored + open + discarded, where `open` are those that
    wait for the rewards of an n-step return. A rollout that was under way when its actor was lost counts as produced
    and discarded, all of it.

    Raises:
        UserError: an environment's mistake; an actor that failed `max_failures` times in a row; a lost cluster.
    """

    def __init__(self, agent: Learner, config: RunConfig):
        assert isinstance(config.actors, RayActors)
        self.agent = agent
        self.config = config
        self.actors = config.actors
        self.num_steps = 0
        self.totals = dict.fromkeys(("produced", "stored", "discarded", "breakdowns", "restarts"), 0)
        self.cluster = connect(self.actors.address)
        self._remote = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(RolloutWorker)
        self._places = [_Place(index, 0) for index in range(self.actors.num)]
        self._nothing = Collected(np.empty((0, agent.spec.action_dim), np.float32), np.empty(0), np.empty(0, np.int64))
        self._last_look = time.monotonic()
        self._begin_interval()

    def collect(self) -> Collected:
        self._ask()
        return joined_collected([self._nothing, *(self._take(place) for place in self._arrived())])

    def status(self) -> dict[str, float]:
        refs = [request.ref for place in self._places for request in place.requests]
        ready = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)[0] if refs else []
        elapsed = time.monotonic() - self._interval_start
        ages = self._ages or [0]
        values = {
            "train/simulator_breakdowns": float(self.totals["breakdowns"]),
            "actors/queue_depth": float(len(ready)),
            "actors/staleness_mean": float(np.mean(ages)),
            "actors/staleness_max": float(max(ages)),
            "actors/open": float(sum(place.num_open for place in self._places)),
            **{f"actors/{name}": float(self.totals[name]) for name in ("produced", "stored", "discarded", "restarts")},
        }
        for place, steps, returns in zip(self._places, self._steps, self._returns, strict=True):
            values[f"actors/{place.index}/steps_per_second"] = steps / elapsed
            if returns:
                values[f"actors/{place.index}/return"] = float(np.mean(returns))
        self._begin_interval()
        return values

    def state_dict(self) -> dict[str, Any]:
        """What is on its way, or open, when this is called will be lost to a run that goes on from it."""
        asked = sum(len(place.requests) for place in self._places) * self._steps_at_once
        lost = asked + sum(place.num_open for place in self._places)
        totals = self.totals | {
            "produced": self.totals["produced"] + asked,
            "discarded": self.totals["discarded"] + lost,
        }
        return {"num_steps": self.num_steps, "totals": totals, "lives": [place.lives for place in self._places]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Every actor begins a new life, with episodes and randomness of its own."""
        self.num_steps, self.totals = state["num_steps"], dict(state["totals"])
        self._places = [_Place(index, lives + 1) for index, lives in enumerate(state["lives"])]

    def close(self) -> None:
        for place in self._places:
            if place.handle is not None:
                ray.kill(place.handle)
        ray.shutdown()

    @property
    def _steps_at_once(self) -> int:
        """Environment steps of one rollout, summed over the actor's environments."""
        return self.actors.steps_at_once * self.config.num_envs

    def _ask(self) -> None:
        """Asks every actor for what it may be asked for; in lock-step, all of them once all have answered."""
        if self.actors.sync and any(place.requests for place in self._places):
            return
        ahead = 1 if self.actors.sync else AHEAD
        missing = [place for _ in range(ahead) for place in self._places if len(place.requests) < ahead]
        if missing:
            state = self.agent.policy_state()
            policy = ray.put({name: tensor.detach().cpu().numpy() for name, tensor in state.items()})
        for place in missing:
            if len(place.requests) < ahead:
                self._ask_one(place, policy)

    def _ask_one(self, place: _Place, policy: ray.ObjectRef) -> None:
        if place.handle is None:
            place.handle = self._remote.remote(self.config, place.index, place.lives)
        if not place.requests:
            place.waiting_since = time.monotonic()
        ref = place.handle.rollout.remote(policy, self.num_steps, self.actors.steps_at_once)
        place.requests.append(_Request(ref, self.agent.num_updates))

    def _arrived(self) -> list[_Place]:
        """Places whose oldest rollout is there: the one that came first, or in lock-step all or none."""
        waiting = sorted((place for place in self._places if place.requests), key=lambda place: place.waiting_since)
        refs = {place.requests[0].ref: place for place in waiting}
        number = len(refs) if self.actors.sync else 1
        ready, _ = ray.wait(list(refs), num_returns=number, timeout=WAIT_SECONDS)
        self._look_for_the_hung()
        if len(ready) < number:
            return []
        return sorted((refs[ref] for ref in ready), key=lambda place: place.index)

    def _take(self, place: _Place) -> Collected:
        """Hands the oldest rollout of an actor to the agent, or replaces the actor where it has failed."""
        request = place.requests[0]
        try:
            rollout: Rollout = ray.get(request.ref)
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from error
            self._replace(place, one_line(error.cause or error))
            return self._nothing
        except RayError as error:
            self._replace(place, one_line(error))
            return self._nothing
        place.requests.popleft()
        place.failures, place.num_open, place.waiting_since = 0, rollout.num_open, time.monotonic()
        self._ages.append(self.agent.num_updates - request.num_updates)
        self._steps[place.index] += rollout.collected.num_steps
        self._returns[place.index] += rollout.collected.returns.tolist()
        self.num_steps += rollout.experience.num_steps
        self.totals["produced"] += rollout.experience.num_steps
        self.totals["stored"] += len(rollout.experience.transitions.obs)
        self.totals["discarded"] += rollout.num_breakdowns
        self.totals["breakdowns"] += rollout.num_breakdowns
        self.agent.receive(rollout.experience)
        return rollout.collected

    def _look_for_the_hung(self) -> None:
        now = time.monotonic()
        if now - self._last_look < WAIT_SECONDS:
            return
        self._last_look = now
        for place in self._places:
            late = place.requests and now - place.waiting_since > self.actors.patience
            if late and not ray.wait([place.requests[0].ref], timeout=0)[0]:
                self._replace(place, f"no answer for {self.actors.patience:g} s")

    def _replace(self, place: _Place, reason: str) -> None:
        """Puts a new actor into the place of one that is lost.

        Raises:
            UserError: it was the last of too many.
        """
        ray.kill(place.handle)
        asked = len(place.requests) * self._steps_at_once
        self.totals["produced"] += asked
        self.totals["discarded"] += asked + place.num_open
        self.totals["restarts"] += 1
        failures = place.failures + 1
        if failures >= self.actors.max_failures:
            raise UserError(f"actor {place.index} failed {failures} times in a row: {reason}")
        self._places[place.index] = _Place(place.index, place.lives + 1)
        self._places[place.index].failures = failures

    def _begin_interval(self) -> None:
        self._interval_start = time.monotonic()
        self._ages: list[int] = []
        self._steps = [0] * self.actors.num
        self._returns: list[list[float]] = [[] for _ in range(self.actors.num)]
