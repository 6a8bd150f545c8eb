"""A collector that gets its steps from actors in a Ray cluster: weights out, rollouts in."""

import dataclasses
import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from rlcont.actors.cluster import connect, is_there
from rlcont.actors.worker import RolloutResult, RolloutWorker
from rlcont.config.actors import AHEAD, RayActors
from rlcont.config.run import RunConfig
from rlcont.core.agent import Learner
from rlcont.core.errors import ActorsLost, ForeignError, UserError, one_line
from rlcont.core.types import Collected, joined

HEAD_SECONDS = 15.0  # How long the head of the cluster may be gone, for example while it restarts.
NICENESS = 5  # Added to an actor's niceness, so that it yields to the learner and to actors that start.
START_SECONDS = 120.0
"""Added to `patience` until an actor has started: its process has to start and load torch."""
WAIT_SECONDS = 1.0  # How long `collect` waits for a rollout before the loop can check for signals.


class _Request(NamedTuple):
    """A pending call of an actor: `start`, or a rollout."""

    ref: ray.ObjectRef
    num_steps: int  # Environment steps, summed over its environments.
    num_updates: int  # Updates behind the weights that the actor acts with.


@dataclasses.dataclass(eq=False)
class _Slot:
    """An actor slot; its process may be replaced."""

    index: int
    lives: int
    failures: int = 0  # Processes in a row that were lost before they sent a rollout.
    num_open: int = 0
    requests: deque[_Request] = dataclasses.field(default_factory=deque)
    waiting_since: float = 0.0
    steps_per_second: float = 0.0  # Of each environment, in the last rollout.
    handle: Any = None
    has_started: bool = False
    has_sent: bool = False

    @property
    def num_asked(self) -> int:
        """Environment steps that were requested and have not arrived."""
        return sum(request.num_steps for request in self.requests)

    def await_answer(self, request: _Request) -> None:
        if not self.requests:
            self.waiting_since = time.monotonic()
        self.requests.append(request)


class RayCollector:
    """Collects rollouts of remote actors, which act with recent weights of the learner; a `Collector`.

    Each actor has at most AHEAD pending rollouts: the next one is requested before the last one is learned from. So a
    slow learner holds its actors up, and no actor's weights are older than its own last AHEAD rollouts. In lock-step
    there is one pending rollout, and all actors are asked at the same moment.

    Every requested step is accounted for: produced = stored + open + discarded, where `open` steps wait for the rewards
    of an n-step return. The pending steps of a lost actor count as produced and discarded.

    `address` is that of the cluster, from `cluster.prepare_ray`.

    Raises:
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
        self.slots = [_Slot(index, 0) for index in range(self.actors.num)]
        self._nothing = Collected(np.empty((0, agent.spec.action_dim), np.float32), np.empty(0), np.empty(0, np.int64))
        self._head = ray.get_runtime_context().gcs_address
        self._last_look = time.monotonic()
        self._head_gone_since: float | None = None
        self._lost = ""
        """Why no actor is left. The next `collect` raises it, so that the last rollout is still learned from."""
        self._begin_interval()

    def collect(self) -> Collected:
        if self._lost:
            raise ActorsLost(self._lost)
        self._ask()
        return joined([self._nothing, *(self._take(slot) for slot in self._arrived())])

    def status(self) -> dict[str, float]:
        refs = [request.ref for slot in self.slots for request in slot.requests]
        ready = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)[0] if refs else []
        elapsed = time.monotonic() - self._interval_start
        ages = self._ages or [0]
        values: dict[str, Any] = {
            "queue_depth": len(ready),
            "staleness_mean": np.mean(ages),
            "staleness_max": max(ages),
            "open": sum(slot.num_open for slot in self.slots),
            **{name: self.totals[name] for name in ("produced", "stored", "discarded", "restarts")},
        }
        for slot, steps, returns in zip(self.slots, self._steps, self._returns, strict=True):
            values[f"{slot.index}/steps_per_second"] = steps / elapsed
            if returns:
                values[f"{slot.index}/return"] = np.mean(returns)
        self._begin_interval()
        own = {f"train_actors/{name}": float(value) for name, value in values.items()}
        return {"train/simulator_breakdowns": float(self.totals["breakdowns"]), **own}

    def state_dict(self) -> dict[str, Any]:
        """Counts pending and open steps as discarded: a run that resumes from this state does not get them."""
        asked = sum(slot.num_asked for slot in self.slots)
        lost = asked + sum(slot.num_open for slot in self.slots)
        produced, discarded = self.totals["produced"] + asked, self.totals["discarded"] + lost
        totals = {**self.totals, "produced": produced, "discarded": discarded}
        return {"num_steps": self.num_steps, "totals": totals, "lives": [slot.lives for slot in self.slots]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Starts new actors, each with new episodes and new seeds."""
        self.num_steps, self.totals = state["num_steps"], dict(state["totals"])
        self.slots = [_Slot(index, lives + 1) for index, lives in enumerate(state["lives"])]
        self._begin_interval()

    def close(self) -> None:
        for slot in self.slots:
            if slot.handle is not None:
                ray.kill(slot.handle)
        ray.shutdown()

    def _ask(self) -> None:
        """Requests rollouts from every actor, up to AHEAD each; in lock-step, one each once all have answered."""
        if self.actors.sync and any(slot.requests for slot in self.slots):
            return
        num_envs = self.config.num_envs
        update_rate = self.config.algo.update_rate(num_envs)
        policy = None
        for ahead in range(1 if self.actors.sync else AHEAD):
            for slot in self.slots:
                if slot.handle is None:
                    slot.handle = self._remote.remote(self.config, slot.index, slot.lives)
                    slot.await_answer(_Request(slot.handle.start.remote(NICENESS), 0, 0))
                elif slot.has_started and len(slot.requests) <= ahead:
                    if policy is None:
                        state = self.agent.explorer_state()
                        policy = ray.put({name: tensor.detach().cpu().numpy() for name, tensor in state.items()})
                    length = self.actors.steps_at_once(num_envs, update_rate, slot.steps_per_second)
                    ref = slot.handle.rollout.remote(policy, self.num_steps, length)
                    slot.await_answer(_Request(ref, length * num_envs, self.agent.num_updates))

    def _arrived(self) -> list[_Slot]:
        """Slots whose oldest rollout has arrived: one of them, or in lock-step all or none."""
        waiting = sorted((slot for slot in self.slots if slot.requests), key=lambda slot: slot.waiting_since)
        refs = {slot.requests[0].ref: slot for slot in waiting}
        number = len(refs) if self.actors.sync else 1
        ready, _ = ray.wait(list(refs), num_returns=number, timeout=WAIT_SECONDS)
        self._check_cluster()
        if len(ready) < number:
            return []
        return sorted((refs[ref] for ref in ready), key=lambda slot: slot.index)

    def _take(self, slot: _Slot) -> Collected:
        """Passes the oldest rollout of an actor to the agent; replaces the actor if it has failed."""
        request = slot.requests[0]
        try:
            rollout: RolloutResult | None = ray.get(request.ref)
        except RayTaskError as error:
            if isinstance(error.cause, UserError) and not isinstance(error.cause, ForeignError):
                raise UserError(str(error.cause)) from error
            self._replace(slot, one_line(error.cause or error))
            return self._nothing
        except RayError as error:
            self._replace(slot, one_line(error))
            return self._nothing
        slot.requests.popleft()
        slot.waiting_since = time.monotonic()
        if rollout is None:
            slot.has_started = True
            return self._nothing
        slot.has_sent, slot.num_open = True, rollout.num_open
        slot.steps_per_second = rollout.steps_per_second
        self._ages.append(self.agent.num_updates - request.num_updates)
        self._steps[slot.index] += rollout.collected.num_steps
        self._returns[slot.index] += rollout.collected.returns.tolist()
        self.num_steps += rollout.experience.num_steps
        self.totals["produced"] += rollout.experience.num_steps
        self.totals["stored"] += len(rollout.experience.transitions.obs)
        self.totals["discarded"] += rollout.num_breakdowns
        self.totals["breakdowns"] += rollout.num_breakdowns
        self.agent.receive(rollout.experience)
        return rollout.collected

    def _check_cluster(self) -> None:
        """Once a second, checks that the cluster is there, and replaces actors that hang.

        Ray kills a process that has lost its cluster for long; the run should end in order before.
        """
        now = time.monotonic()
        if now - self._last_look < WAIT_SECONDS:
            return
        self._last_look = now
        self._head_gone_since = None if is_there(self._head) else self._head_gone_since or now
        if self._head_gone_since is not None and now - self._head_gone_since > HEAD_SECONDS:
            self._lost = f"the head of the Ray cluster, {self._head}, has not answered for {HEAD_SECONDS:g} s"
        for slot in self.slots:
            patience = self.actors.patience + (0 if slot.has_started else START_SECONDS)
            late = slot.requests and now - slot.waiting_since > patience
            if late and not ray.wait([slot.requests[0].ref], timeout=0, fetch_local=False)[0]:
                self._replace(slot, f"no answer for {self.actors.patience:g} s")

    def _replace(self, slot: _Slot, reason: str) -> None:
        """Replaces a lost actor, unless its slot has failed too often."""
        ray.kill(slot.handle)
        self.totals["produced"] += slot.num_asked
        self.totals["discarded"] += slot.num_asked + slot.num_open
        self.totals["restarts"] += 1
        successor = self.slots[slot.index] = _Slot(slot.index, slot.lives + 1)
        successor.failures = 0 if slot.has_sent else slot.failures + 1
        if successor.failures >= self.actors.max_failures:
            self._lost = f"actor {slot.index} failed {successor.failures} times in a row: {reason}"
        else:
            print(f"actor {slot.index} was lost ({reason}); a new one takes its place", flush=True)

    def _begin_interval(self) -> None:
        self._interval_start = time.monotonic()
        self._ages: list[int] = []
        self._steps = [0] * self.actors.num
        self._returns: list[list[float]] = [[] for _ in range(self.actors.num)]
