"""Optuna's side of a search: proposals, what became of them, and when to give one up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlcont.config import SearchConfig
from rlcont.search.space import Space

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class Study:
    """Trials in an SQLite file, study.db, which outlives this process.

    A trial's value is the mean return over its seeds at their last evaluation.
    """

    def __init__(self, folder: Path, space: Space, config: SearchConfig, total_steps: int):
        """Opens the study in `folder`, or begins one.

        Args:
            total_steps: environment steps of a run.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._distributions = {key: dimension.distribution() for key, dimension in space.varied.items()}
        self._study = optuna.create_study(
            storage=f"sqlite:///{folder / 'study.db'}",
            study_name="search",
            load_if_exists=True,
            direction="maximize",
            pruner=_pruner(config.pruner, total_steps),
        )
        # The generator of proposals is not kept; one that began anew would propose the same again.
        self._study.sampler = _sampler(config.sampler, config.seed + len(self._study.trials))
        self._trials = config.trials

    @property
    def has_more(self) -> bool:
        """Whether there are trials left to begin."""
        return len(self._study.get_trials(deepcopy=False)) < self._trials

    def ask(self) -> Trial:
        """A new trial."""
        return self._study.ask(self._distributions)

    def cut_off(self) -> list[Trial]:
        """Trials that had begun when the search was interrupted."""
        import optuna

        running = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        return [optuna.Trial(self._study, trial._trial_id) for trial in running]

    def should_prune(self, trial: Trial, means: Mapping[int, float]) -> bool:
        """Takes in the mean over the seeds at each step they have all reached; whether the trial is to be given up."""

        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        new = sorted(means.keys() - known.keys())
        for step in new:
            trial.report(means[step], step)
            if trial.should_prune():
                return True
        return False

    def finish(self, trial: Trial, value: float) -> None:
        """Takes in a trial's value; one that is not finite is a failure."""
        if math.isfinite(value):
            self._study.tell(trial, value)
        else:
            self.fail(trial)

    def prune(self, trial: Trial) -> None:
        """Takes in that a trial was given up."""
        import optuna

        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)

    def fail(self, trial: Trial) -> None:
        """Takes in that a run of a trial came to no end."""
        import optuna

        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def best(self, most: int = 1) -> list[FrozenTrial]:
        """The trials with the highest values, the best first."""
        import optuna

        complete = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        return sorted(complete, key=lambda trial: -_value(trial))[:most]

    def counts(self) -> dict[str, int]:
        """How many trials met which end."""
        names = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        states = [trial.state.name for trial in self._study.get_trials(deepcopy=False)]
        return {name: states.count(state) for state, name in names.items()}


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _sampler(name: str, seed: int) -> BaseSampler:
    import optuna

    if name == "random":
        return optuna.samplers.RandomSampler(seed)
    # Trials that are still running are taken to end badly, so that those beside them are proposed elsewhere.
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _pruner(name: str, total_steps: int) -> BasePruner:
    import optuna

    # Before that, off-policy runs act at random.
    first_step = max(1, total_steps // 9)
    pruners: dict[str, Any] = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first_step),
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=first_step, reduction_factor=3),
        "none": optuna.pruners.NopPruner,
    }
    return pruners[name]()
