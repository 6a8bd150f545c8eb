"""The loop. It knows nothing of algorithms, configuration files or terminals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from rlcont.core import Agent, Array, EnvStep, Metrics, VectorEnv
from rlcont.evaluate import Evaluation, Evaluator


class Observer(Protocol):
    """Whoever wants to know how training goes."""

    def trained(self, values: dict[str, float], step: int) -> None:
        """Called every `log_every` steps with the interval's figures, by tag."""

    def evaluated(self, evaluation: Evaluation, step: int) -> None:
        """Called after every evaluation."""


def train(
    agent: Agent,
    envs: VectorEnv,
    evaluate: Evaluator,
    observer: Observer,
    *,
    total_steps: int,
    eval_every: int,
    log_every: int,
) -> Evaluation:
    """Trains `agent` for `total_steps` environment steps, summed over the environments.

    Evaluates before the first step, whenever `eval_every` steps have passed, and at the end.

    Returns:
        The last evaluation: the run's figure.
    """
    interval = Interval(len(envs))
    obs = envs.reset()
    evaluation = evaluate(agent)
    observer.evaluated(evaluation, 0)
    step = 0
    while step < total_steps:
        env_step = envs.step(agent.act(obs, explore=True))
        agent.observe(env_step)
        interval.add(env_step, agent.learn())
        obs = env_step.obs_to_act_on
        before, step = step, step + len(envs)
        if _passed(log_every, before, step):
            own = {f"train/{key}": value for key, value in agent.status().items()}
            breakdowns = {"train/simulator_breakdowns": float(envs.num_breakdowns)}
            observer.trained(interval.summary() | own | breakdowns, step)
        if _passed(eval_every, before, step) or step >= total_steps:
            with interval.paused():
                evaluation = evaluate(agent)
                observer.evaluated(evaluation, step)
    return evaluation


def _passed(every: int, before: int, now: int) -> bool:
    return now // every > before // every


class Interval:
    """Figures of training since the last log line; a sum over a whole run would hide what changes."""

    def __init__(self, num_envs: int):
        self._return = np.zeros(num_envs)
        self._length = np.zeros(num_envs, np.int64)
        self._clear()

    def add(self, step: EnvStep, metrics: Metrics) -> None:
        """Takes in one step of the environments and the metrics of the learning that followed."""
        self._return += step.reward
        self._length += step.valid
        self._actions.append(step.action)
        if metrics:
            self._metrics.append(metrics)
        if step.ended.any():
            self._returns += self._return[step.ended].tolist()
            self._lengths += self._length[step.ended].tolist()
            self._return[step.ended] = 0
            self._length[step.ended] = 0

    def paused(self) -> _Pause:
        """A context whose time does not count in steps per second."""
        return _Pause(self._delay_start)

    def summary(self) -> dict[str, float]:
        """The interval's figures by TensorBoard tag; begins the next interval."""
        values: dict[str, float] = {}
        if self._returns:
            values["train/return"] = float(np.mean(self._returns))
            values["train/length"] = float(np.mean(self._lengths))
        for name in self._metrics[0] if self._metrics else ():
            stacked = torch.stack([metrics[name] for metrics in self._metrics])
            values[f"learn/{name}"] = stacked.float().mean().item()
        actions: Array = np.concatenate(self._actions)
        values["train/action_mean"] = float(actions.mean())
        values["train/action_std"] = float(actions.std())
        values["train/action_saturated"] = float((np.abs(actions) > 0.99).mean())
        values["train/steps_per_second"] = len(actions) / (time.perf_counter() - self._start)
        self._clear()
        return values

    def _clear(self) -> None:
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._metrics: list[Metrics] = []
        self._actions: list[Array] = []
        self._start = time.perf_counter()

    def _delay_start(self, seconds: float) -> None:
        self._start += seconds


class _Pause:
    def __init__(self, report: Callable[[float], None]):
        self._report = report

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self._report(time.perf_counter() - self._start)
