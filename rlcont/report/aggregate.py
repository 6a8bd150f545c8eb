"""Statistics over the runs of a group, with confidence intervals."""

import numpy as np

from rlcont.core.types import Array

RESAMPLES = 10_000
CONFIDENCE = 0.95


def bootstrap_interval(values: Array) -> tuple[Array, Array]:
    """The 95 % percentile bootstrap interval of the mean over runs; for one run, its own value.

    Source: arXiv:2108.13264 (rliable), section 4, resampling runs.

    Shapes:
        values [N] or [N, T]; each end [] or [T].
    """
    return middle_of(resampled_means(values, np.random.default_rng(0)))


def resampled_means(values: Array, rng: np.random.Generator) -> Array:
    """Means of RESAMPLES bootstrap samples, [RESAMPLES] or [RESAMPLES, T]."""
    num = len(values)
    drawn = rng.multinomial(num, np.full(num, 1 / num), size=RESAMPLES)
    means: Array = drawn @ values / num
    return means


def middle_of(means: Array) -> tuple[Array, Array]:
    """The interval that holds CONFIDENCE of the means."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def interquartile_mean(values: Array) -> float:
    """The mean of the middle half of `values` [N]; the values at its edges count in part.

    Source: arXiv:2108.13264, section 4.3.
    """
    ordered = np.sort(values)
    num = len(ordered)
    # Value i covers [i, i + 1] of [0, N]; its weight is the part of that within the middle half.
    places = np.arange(num)
    weight = np.clip(np.minimum(places + 1, 0.75 * num) - np.maximum(places, 0.25 * num), 0, None)
    return float(weight @ ordered / weight.sum())


def area_under_curve(steps: Array, returns: Array) -> float:
    """The mean return over training by the trapezoidal rule over evaluations [T]; for one evaluation, its return."""
    if len(steps) == 1:
        return float(returns[0])
    return float(np.trapezoid(returns, steps) / (steps[-1] - steps[0]))


def steps_to(threshold: float, steps: Array, returns: Array) -> float:
    """Step of the first evaluation [T] at or above `threshold`; infinite if there is none."""
    reached = steps[returns >= threshold]
    return float(reached[0]) if len(reached) else float("inf")
