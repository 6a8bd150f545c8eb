"""Collecting by actors of a Ray cluster: weights out, rollouts in."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from rlcont.actors.cluster import connect, is_there
from rlcont.actors.worker import RolloutResult, RolloutWorker, joined_collected
from rlcont.config.actors import AHEAD, RayActors
from rlcont.config.run import RunConfig
from rlcont.core.errors import ActorsLost, UserError
from rlcont.core.protocols import Learner
from rlcont.core.types import Collected
from rlcont.runs.status import one_line

HEAD_SECONDS = 15.0
"""How long the head of the cluster may be away, as when it is started anew."""
NICENESS = 5
"""By which an actor yields to the learner, and to actors that start, where cores are short."""
START_SECONDS = 120.0
"""What an actor is granted on top of `patience` until it has started: a process has to start and load torch."""
WAIT_SECONDS = 1.0
"""How long `collect` waits for a rollout before it lets the loop look after its signals."""


class _Request(NamedTuple):
    """What an actor was asked for: a rollout, or, before its first, to start."""

    ref: ray.ObjectRef
    num_steps: int
    """Environment steps, summed over its environments."""
    num_updates: int
    """Those behind the weights it acts with."""


class _Place:
    """One of the actors, whoever fills it at the moment."""

    def __init__(self, index: int, lives: int):
        self.index = index
        self.lives = lives
        self.failures = 0
        """Actors in a row that were lost here before they had sent anything."""
        self.num_open = 0
        self.requests: deque[_Request] = deque()
        self.waiting_since = 0.0
        self.steps_per_second = 0.0
        """Of each of its environments, in its last rollout."""
        self.handle: Any = None
        self.has_started = self.has_sent = False

    @property
    def num_asked(self) -> int:
        """Environment steps that were asked for and have not come."""
        return sum(request.num_steps for request in self.requests)

    def await_answer(self, request: _Request) -> None:
        if not self.requests:
            self.waiting_since = time.monotonic()
        self.requests.append(request)


class RayCollector:
    """Actors play with the learner's weights of a moment ago; an `rlcont.core.Collector`.

    An actor is asked for the next rollout before the last one is learned from, and for no more than that. So a learner
    that is slower than its actors holds them up, and no actor's weights are older than its own last AHEAD rollouts. In
    lock-step it is one rollout, and all actors are asked at the same moment.

    Every step that was asked for is accounted for: produced = stored + open + discarded, where `open` are those that
    wait for the rewards of an n-step return. What an actor was asked for when it was lost, up to AHEAD rollouts, counts
    as produced and discarded.

    Args:
        agent: the learner.
        config: the run.
        address: of the cluster, as `cluster.prepare` gave it.

    Raises:
        UserError: an environment's mistake.
        ActorsLost: an actor failed `max_failures` times in a row, or the cluster is gone.
    """

    def __init__(self, agent: Learner, config: RunConfig, address: str):
        assert isinstance(config.actors, RayActors)
        self.agent = agent
        self.config = config
        self.actors = config.actors
        self.num_steps = 0
        self.totals = dict.fromkeys(("produced", "stored", "discarded", "breakdowns", "restarts"), 0)
        connect(address)
        self._remote = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(RolloutWorker)
        self.places = [_Place(index, 0) for index in range(self.actors.num)]
        self._nothing = Collected(np.empty((0, agent.spec.action_dim), np.float32), np.empty(0), np.empty(0, np.int64))
        self._head = ray.get_runtime_context().gcs_address
        self._last_look = time.monotonic()
        self._head_gone_since: float | None = None
        self._lost = ""
        """Why there is nobody left to act; told by the next `collect`, so that what has just come is kept."""
        self._begin_interval()

    def collect(self) -> Collected:
        if self._lost:
            raise ActorsLost(self._lost)
        self._ask()
        return joined_collected([self._nothing, *(self._take(place) for place in self._arrived())])

    def status(self) -> dict[str, float]:
        refs = [request.ref for place in self.places for request in place.requests]
        ready = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)[0] if refs else []
        elapsed = time.monotonic() - self._interval_start
        ages = self._ages or [0]
        values = {
            "train/simulator_breakdowns": float(self.totals["breakdowns"]),
            "actors/queue_depth": float(len(ready)),
            "actors/staleness_mean": float(np.mean(ages)),
            "actors/staleness_max": float(max(ages)),
            "actors/open": float(sum(place.num_open for place in self.places)),
            **{f"actors/{name}": float(self.totals[name]) for name in ("produced", "stored", "discarded", "restarts")},
        }
        for place, steps, returns in zip(self.places, self._steps, self._returns, strict=True):
            values[f"actors/{place.index}/steps_per_second"] = steps / elapsed
            if returns:
                values[f"actors/{place.index}/return"] = float(np.mean(returns))
        self._begin_interval()
        return values

    def state_dict(self) -> dict[str, Any]:
        """What is on its way, or open, when this is called will be lost to a run that goes on from it."""
        asked = sum(place.num_asked for place in self.places)
        lost = asked + sum(place.num_open for place in self.places)
        totals = self.totals | {
            "produced": self.totals["produced"] + asked,
            "discarded": self.totals["discarded"] + lost,
        }
        return {"num_steps": self.num_steps, "totals": totals, "lives": [place.lives for place in self.places]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Every actor begins a new life, with episodes and randomness of its own."""
        self.num_steps, self.totals = state["num_steps"], dict(state["totals"])
        self.places = [_Place(index, lives + 1) for index, lives in enumerate(state["lives"])]
        self._begin_interval()

    def close(self) -> None:
        for place in self.places:
            if place.handle is not None:
                ray.kill(place.handle)
        ray.shutdown()

    def _ask(self) -> None:
        """Asks every actor for what it may be asked for; in lock-step, all of them once all have answered."""
        if self.actors.sync and any(place.requests for place in self.places):
            return
        policy = None
        for ahead in range(1 if self.actors.sync else AHEAD):
            for place in self.places:
                if place.handle is None:
                    place.handle = self._remote.remote(self.config, place.index, place.lives)
                    place.await_answer(_Request(place.handle.start.remote(NICENESS), 0, 0))
                elif place.has_started and len(place.requests) <= ahead:
                    policy = policy or self._policy()
                    place.await_answer(self._rollout(place, policy))

    def _policy(self) -> ray.ObjectRef:
        """The weights of the moment, put into the cluster."""
        state = self.agent.policy_state()
        return ray.put({name: tensor.detach().cpu().numpy() for name, tensor in state.items()})

    def _rollout(self, place: _Place, policy: ray.ObjectRef) -> _Request:
        num_envs = self.config.num_envs
        length = self.actors.steps_at_once(num_envs, self.config.algo.update_rate(num_envs), place.steps_per_second)
        ref = place.handle.rollout.remote(policy, self.num_steps, length)
        return _Request(ref, length * num_envs, self.agent.num_updates)

    def _arrived(self) -> list[_Place]:
        """Places whose oldest rollout is there: the one that came first, or in lock-step all or none."""
        waiting = sorted((place for place in self.places if place.requests), key=lambda place: place.waiting_since)
        refs = {place.requests[0].ref: place for place in waiting}
        number = len(refs) if self.actors.sync else 1
        ready, _ = ray.wait(list(refs), num_returns=number, timeout=WAIT_SECONDS)
        self._look_around()
        if len(ready) < number:
            return []
        return sorted((refs[ref] for ref in ready), key=lambda place: place.index)

    def _take(self, place: _Place) -> Collected:
        """Hands the oldest rollout of an actor to the agent, or replaces the actor where it has failed."""
        request = place.requests[0]
        try:
            rollout: RolloutResult | None = ray.get(request.ref)
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from error
            self._replace(place, one_line(error.cause or error))
            return self._nothing
        except RayError as error:
            self._replace(place, one_line(error))
            return self._nothing
        place.requests.popleft()
        place.waiting_since = time.monotonic()
        if rollout is None:
            place.has_started = True
            return self._nothing
        place.has_sent, place.num_open = True, rollout.num_open
        place.steps_per_second = rollout.steps_per_second
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

    def _look_around(self) -> None:
        """Once a second, looks whether the cluster is there, and replaces actors that have hung.

        Ray ends a process whose cluster has been gone for a minute; before that, the run is to end in order.
        """
        now = time.monotonic()
        if now - self._last_look < WAIT_SECONDS:
            return
        self._last_look = now
        self._head_gone_since = None if is_there(self._head) else self._head_gone_since or now
        if self._head_gone_since is not None and now - self._head_gone_since > HEAD_SECONDS:
            self._lost = f"the head of the Ray cluster, {self._head}, has not answered for {HEAD_SECONDS:g} s"
        for place in self.places:
            patience = self.actors.patience + (0 if place.has_started else START_SECONDS)
            late = place.requests and now - place.waiting_since > patience
            if late and not ray.wait([place.requests[0].ref], timeout=0, fetch_local=False)[0]:
                self._replace(place, f"no answer for {self.actors.patience:g} s")

    def _replace(self, place: _Place, reason: str) -> None:
        """Puts a new actor into the place of one that is lost, unless it was the last of too many."""
        ray.kill(place.handle)
        self.totals["produced"] += place.num_asked
        self.totals["discarded"] += place.num_asked + place.num_open
        self.totals["restarts"] += 1
        successor = self.places[place.index] = _Place(place.index, place.lives + 1)
        successor.failures = 0 if place.has_sent else place.failures + 1
        if successor.failures >= self.actors.max_failures:
            self._lost = f"actor {place.index} failed {successor.failures} times in a row: {reason}"
        else:
            print(f"actor {place.index} was lost ({reason}); a new one takes its place", flush=True)

    def _begin_interval(self) -> None:
        self._interval_start = time.monotonic()
        self._ages: list[int] = []
        self._steps = [0] * self.actors.num
        self._returns: list[list[float]] = [[] for _ in range(self.actors.num)]
