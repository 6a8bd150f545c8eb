"""Optuna's side of a search: proposals, what became of them, and when to give one up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlcont.config.run import SearchConfig
from rlcont.search.space import Space

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class Study:
    """Trials in an SQLite file, study.db, which outlives this process.

    A trial's value is the mean return over its seeds at their last evaluation. Pruners see it from a quarter of the
    steps on: earlier evaluations are those of policies that have hardly learned, which say nothing of a trial, and the
    best of them would stand for it.
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
        earlier = self._study.get_trials(deepcopy=False)
        self._reported = {trial.number: set(trial.intermediate_values) for trial in earlier}
        # The generator of proposals is not kept; one that began anew would propose the same again.
        self._study.sampler = _sampler(config.sampler, config.seed + len(earlier))
        self._num_left = config.trials - len(earlier)
        self._total_steps = total_steps

    @property
    def has_more(self) -> bool:
        """Whether there are trials left to begin."""
        return self._num_left > 0

    def ask(self) -> Trial:
        """A new trial."""
        self._num_left -= 1
        return self._study.ask(self._distributions)

    def interrupted_trials(self) -> list[Trial]:
        """Trials that had begun when the search was interrupted."""
        import optuna

        running = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        return [optuna.Trial(self._study, trial._trial_id) for trial in running]

    def report(self, trial: Trial, means: Mapping[int, float]) -> bool:
        """Takes in the mean over the seeds at each step that all have reached; whether to give the trial up.

        A trial that has come to its last step is not given up.
        """
        known = self._reported.setdefault(trial.number, set())
        lags = False
        for step in sorted(step for step in means.keys() - known if step >= _first_step(self._total_steps)):
            known.add(step)
            trial.report(means[step], step)
            lags |= step < self._total_steps and trial.should_prune()
        return lags

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


def _first_step(total_steps: int) -> int:
    return max(1, total_steps // 4)


def _sampler(name: str, seed: int) -> BaseSampler:
    import optuna

    if name == "random":
        return optuna.samplers.RandomSampler(seed)
    # Trials that are still running are taken to end badly, so that those beside them are proposed elsewhere.
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _pruner(name: str, total_steps: int) -> BasePruner:
    import optuna

    pruners: dict[str, Any] = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5),
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(_first_step(total_steps), reduction_factor=2),
        "none": optuna.pruners.NopPruner,
    }
    return pruners[name]()
