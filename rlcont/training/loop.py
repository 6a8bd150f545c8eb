"""The loop. It knows nothing of algorithms, configuration files or terminals."""

import math
from typing import Any, NamedTuple, Protocol

import torch

from rlcont.core.agent import Agent
from rlcont.core.errors import ActorsLost, UserError
from rlcont.core.protocols import Collector
from rlcont.core.types import Evaluation
from rlcont.training.evaluate import Evaluator
from rlcont.training.interval import Interval


class Schedule(NamedTuple):
    """When what is due, in environment steps."""

    total_steps: int
    eval_every: int | None
    log_every: int
    checkpoint_every: int | None
    stop_at: float | None = None
    """Mean return of an evaluation that ends the run."""


class Training:
    """A run under way: all that the loop remembers from one step to the next."""

    def __init__(self, agent: Agent, collector: Collector):
        self.agent = agent
        self.collector = collector
        self.interval = Interval()
        self.step = 0
        self.logged = 0
        self.evaluated = -1
        """Step of the last evaluation, as `kept` is of the last checkpoint."""
        self.kept = 0
        self.evaluation: Evaluation | None = None
        self.learns = False
        """Whether the agent has learned in this process."""

    def advance(self) -> None:
        """Collects the next experience, such as one step of every environment, and makes the updates that are due."""
        collected = self.collector.collect()
        if not torch.is_grad_enabled() or torch.get_default_dtype() is not torch.float32:
            undo_foreign_settings()
        metrics = self.agent.learn()
        self.learns = self.learns or bool(metrics)
        self.step += collected.num_steps
        if metrics and self.agent.device == "cpu":  # A GPU is asked when there is something to log.
            self.check({name: value.item() for name, value in metrics.items()})
        self.interval.add(collected, metrics)

    def check(self, values: dict[str, float]) -> None:
        """Looks for what is not finite."""
        bad = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        if not self.agent.is_finite():
            bad.append("a gradient or weight is not finite")
        if bad:
            raise UserError(f"training diverged by step {self.step}: {', '.join(bad)}")

    def has_reached(self, stop_at: float | None) -> bool:
        """Whether the evaluation at this step has a mean return of `stop_at`."""
        evaluation = self.evaluation if self.evaluated == self.step else None
        return stop_at is not None and evaluation is not None and bool(evaluation.returns.mean() >= stop_at)

    def summary(self) -> dict[str, float]:
        """What to log of the steps since the last summary, by TensorBoard tag."""
        values = self.interval.summary()
        self.check(values)
        own = {f"train/{key}": value for key, value in self.agent.status().items()}
        return values | own | self.collector.status()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the rows of the agent's memory; call it between two steps."""
        self.check({})
        try:
            agent = self.agent.state_dict()
        except TypeError as error:
            raise UserError(f"the agent cannot be saved: {error}") from error
        bad = not_finite(agent)
        if bad:
            raise UserError(f"training diverged by step {self.step}: {bad} is not finite")
        return {
            "agent": agent,
            "collector": self.collector.state_dict(),
            "interval": self.interval.state_dict(),
            "evaluation": self.evaluation,
            **{name: getattr(self, name) for name in ("step", "logged", "evaluated", "kept")},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to where `state_dict` was called."""
        self.agent.load_state_dict(state["agent"])
        self.interval.load_state_dict(state["interval"], self.agent.device)
        self.collector.load_state_dict(state["collector"])
        self.evaluation = None if state["evaluation"] is None else Evaluation(*state["evaluation"])
        for name in ("step", "logged", "evaluated", "kept"):
            setattr(self, name, state[name])


def undo_foreign_settings() -> None:
    """Gives torch back the process-wide settings that learning needs: an environment may have changed them."""
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)


class Observer(Protocol):
    """Receives what training reports."""

    def trained(self, values: dict[str, float], step: int, remark: str) -> None:
        """Called every `log_every` steps with the interval's figures by tag, and what the agent remarks on them."""

    def evaluated(self, evaluation: Evaluation, step: int) -> None:
        """Called after every evaluation."""

    def keep(self, training: Training) -> None:
        """Called when a checkpoint is due: every `checkpoint_every` steps, before a stop, when actors are lost, and at
        the end."""

    def wants_stop(self) -> bool:
        """Whether training should stop at the next step; `stop` is called then, after `keep`."""

    def stop(self, step: int) -> None:
        """Raises what ends the run."""

    def lost(self, error: ActorsLost) -> None:
        """Raises it, with what the user can do; `keep` was called before."""


def train(training: Training, evaluate: Evaluator | None, observer: Observer, due: Schedule) -> Evaluation | None:
    """Goes on with `training` for as many environment steps as are due, summed over the environments,
    or until an evaluation reaches `stop_at`.

    Evaluates before the first step, whenever `eval_every` steps have passed, and at the end; never without `evaluate`.

    Returns:
        The last evaluation: the run's figure.

    Raises:
        ActorsLost: there is nobody left to act; a checkpoint is kept.
    """
    while True:
        step, at_end = training.step, training.step >= due.total_steps
        evaluation_due = _passed(due.eval_every, training.evaluated, step) or (at_end and training.evaluated < step)
        if evaluate is not None and evaluation_due:
            with training.interval.paused():
                evaluation = evaluate(training.agent, observer.wants_stop)
                if evaluation is not None:
                    training.evaluation, training.evaluated = evaluation, step
                    observer.evaluated(evaluation, step)
        at_end = at_end or training.has_reached(due.stop_at)
        stop = observer.wants_stop()
        checkpoint_due = _passed(due.checkpoint_every, training.kept, step)
        if checkpoint_due or stop or at_end:
            training.kept = step
            observer.keep(training)
        if stop:
            observer.stop(step)
        if at_end:
            return training.evaluation
        try:
            training.advance()
        except ActorsLost as error:
            observer.keep(training)
            observer.lost(error)
        if _passed(due.log_every, training.logged, training.step):
            training.logged = training.step
            values = training.summary()
            observer.trained(values, training.step, training.agent.remark(values))


def _passed(every: int | None, before: int, now: int) -> bool:
    return every is not None and now // every > before // every


def not_finite(state: Any, at: str = "") -> str:
    """The place of the first tensor of `state` that holds a NaN or an infinity, or nothing."""
    if isinstance(state, dict):
        places = (not_finite(value, f"{at}.{key}".lstrip(".")) for key, value in state.items())
        return next(filter(None, places), "")
    is_bad = isinstance(state, torch.Tensor) and state.is_floating_point() and not state.isfinite().all()
    return at if is_bad else ""
