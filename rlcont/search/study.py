"""The Optuna study of a search: proposals, results and pruning."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from rlcont.config.run import SearchConfig
from rlcont.search.space import Dimension, Space


class Study:
    """An Optuna study in an SQLite file, study.db, which outlives this process.

    A trial's value is the mean return over its seeds at the last evaluation. Pruners see evaluations from a quarter of
    the steps on. Earlier ones say little about a trial, since its policies have hardly learned; but a pruner that takes
    a trial's best evaluation might judge by them.
    """

    def __init__(self, folder: Path, space: Space, config: SearchConfig, total_steps: int):
        """Opens the study in `folder`, or creates one, for runs of `total_steps` environment steps."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._total_steps = total_steps
        self._first_step = max(1, total_steps // 4)
        pruners: dict[str, optuna.pruners.BasePruner] = {
            "median": optuna.pruners.MedianPruner(n_startup_trials=5),
            "asha": optuna.pruners.SuccessiveHalvingPruner(self._first_step, reduction_factor=2),
            "none": optuna.pruners.NopPruner(),
        }
        self._distributions = {key: distribution(dimension) for key, dimension in space.varied.items()}
        self._study = optuna.create_study(
            storage=f"sqlite:///{folder / 'study.db'}",
            study_name="search",
            load_if_exists=True,
            direction="maximize",
            pruner=pruners[config.pruner],
        )
        earlier = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
        self._reported = {trial.number: set(trial.intermediate_values) for trial in earlier}
        # The sampler's generator is not saved. With the same seed it would repeat its first proposals.
        seed = config.seed + len(earlier)
        if config.sampler == "random":
            self._study.sampler = optuna.samplers.RandomSampler(seed)
        else:
            # constant_liar assumes that running trials end badly, so that new ones are proposed elsewhere.
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._settings = space.settings(config.trials, config.seed)
        self.num_trials = len(self._settings) or config.trials
        """Trials in all: no setting is tried twice where they can be counted, as its runs would be the same."""
        self._num_left = self.num_trials - len(earlier)

    def begin_with(self, values: dict[str, Any]) -> None:
        """Makes `values`, if any, those of the first trial; then come all others, where they can be counted."""
        for setting in [values, *self._settings] if values else self._settings:
            self._study.enqueue_trial(setting, skip_if_exists=True)

    @property
    def has_more(self) -> bool:
        return self._num_left > 0

    def ask(self) -> Trial:
        self._num_left -= 1
        return self._study.ask(self._distributions)

    def interrupted_trials(self) -> list[Trial]:
        """Trials that were running when the search was interrupted."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [Trial(self._study, trial._trial_id) for trial in running]

    def report(self, trial: Trial, means: Mapping[int, float]) -> bool:
        """Reports the mean return over the seeds by step; returns whether to prune the trial.

        A trial that has reached its last step is not pruned.
        """
        known = self._reported.setdefault(trial.number, set())
        lags = False
        for step in sorted(step for step in means.keys() - known if step >= self._first_step):
            known.add(step)
            trial.report(means[step], step)
            lags |= step < self._total_steps and trial.should_prune()
        return lags

    def finish(self, trial: Trial, value: float) -> None:
        """Records a trial's value; a trial whose value is not finite has failed."""
        if math.isfinite(value):
            self._study.tell(trial, value)
        else:
            self.give_up(trial, "failed")

    def give_up(self, trial: Trial, why: str) -> None:
        """Records that a trial was pruned, or that one of its runs failed."""
        self._study.tell(trial, state=TrialState.PRUNED if why == "pruned" else TrialState.FAIL)

    def best(self, most: int = 1) -> list[FrozenTrial]:
        """The `most` trials with the highest values, the best first."""
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return sorted(complete, key=lambda trial: -trial.values[0])[:most]

    def counts(self) -> dict[str, int]:
        names = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        states = [trial.state.name for trial in self._study.get_trials(deepcopy=False)]
        return {name: states.count(state) for state, name in names.items()}


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna takes it; it is of integers if both ends of the interval are."""
    low, high, log, choices = dimension
    if choices:
        return CategoricalDistribution(choices)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)
