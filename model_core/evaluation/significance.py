"""How sure a difference between two forecasts is: the skill with its interval, Diebold and Mariano's test, a verdict.

Losses of neighboring windows overlap in time. Test and interval are those of ``model_core.evaluation.smoothing``, which
count with few independent windows, and agree: the interval leaves 0 out exactly if the test finds a difference.
"""

import numpy as np
from numpy.typing import NDArray

from model_core.data.splits import MIN_INDEPENDENT_WINDOWS, independent_windows
from model_core.evaluation.smoothing import (
    MeanTest,
    critical_value,
    detectable_shift,
    mean_test,
    ratio_set,
)
from model_core.results.record import Interval
from model_core.results.skill import Comparison, Outcome

Losses = NDArray[np.float64]
ROUNDING = 1e-12
"""Share of the mean loss below which losses do not vary."""


def compare(model: Losses, baseline: Losses, *, horizon: int, confidence: float) -> Comparison:
    """The skill of ``model`` against ``baseline``.

    Args:
        model, baseline: losses per window [n] in time order, none negative.
        horizon: how many neighboring windows share days.
    """
    level = float(baseline.mean())
    if level == 0:
        return _no_verdict(None, "the baseline makes no error at all, so that no ratio to its error exists")
    skill = 1 - float(model.mean()) / level
    if lack := too_few_windows(len(model), horizon):
        return _no_verdict(skill, lack)
    same = np.array_equal(model, baseline)
    if not same and np.ptp(model - baseline) <= ROUNDING * level:
        return _no_verdict(
            skill, "the two errors differ by the same amount in every window, so that nothing varies"
        )
    ends = (1.0, 1.0) if same else ratio_set(model, baseline, horizon, confidence)
    if ends is None:
        return _no_verdict(
            skill, "the baseline's own error varies too much in these windows for a ratio to it"
        )
    test = diebold_mariano(model, baseline, horizon)
    low, high = 1 - ends[1], 1 - ends[0]
    return Comparison(
        skill=skill,
        low=low,
        high=high,
        outcome=outcome_of(low, high),
        reason=None,
        dm_statistic=test.statistic,
        dm_p_value=test.p_value,
        degrees_of_freedom=test.degrees,
        minimum_detectable_effect=detectable_shift(test.degrees, confidence) * test.standard_error / level,
    )


def too_few_windows(count: int, horizon: int) -> str | None:
    """Why ``count`` windows, ``horizon`` neighbors of which share days, allow no verdict; None if they do."""
    independent = independent_windows(count, horizon)
    if independent >= MIN_INDEPENDENT_WINDOWS:
        return None
    if count == 1 or horizon == 1:
        there = "is only 1 window" if count == 1 else f"are only {count} windows"
        return f"there {there}, and a verdict needs {MIN_INDEPENDENT_WINDOWS} independent ones"
    return (
        f"{count} windows that share days with their neighbors hold only {independent:g} independent ones, and a "
        f"verdict needs {MIN_INDEPENDENT_WINDOWS}"
    )


def mean_interval(series: Losses, horizon: int, confidence: float) -> tuple[float, float] | None:
    """Ends of the interval of the mean of ``series`` [n]; None with too few windows, or where nothing varies."""
    if too_few_windows(len(series), horizon) or np.ptp(series) == 0:
        return None
    test = mean_test(series, horizon)
    reach = critical_value(test.degrees, confidence) * test.standard_error
    return test.mean - reach, test.mean + reach


def share_interval(held: Losses, horizon: int, confidence: float) -> Interval:
    """The interval of a mean share; ``held`` [n] in time order."""
    ends = mean_interval(held, horizon, confidence)
    if ends is None:
        return Interval(low=None, high=None)
    low, high = (min(max(end, 0.0), 1.0) for end in ends)
    return Interval(low=low, high=high)


def outcome_of(low: float, high: float) -> Outcome:
    """In plain words, from the interval of the skill alone."""
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "no evidence either way"


def diebold_mariano(model: Losses, baseline: Losses, horizon: int) -> MeanTest:
    """Test of equal accuracy (Diebold and Mariano, 1995) with fixed-smoothing critical values.

    Identical losses give the statistic 0 and the p-value 1.
    """
    return mean_test(model - baseline, horizon)


def _no_verdict(skill: float | None, reason: str) -> Comparison:
    return Comparison(
        outcome="no verdict",
        reason=reason,
        skill=skill,
        low=None,
        high=None,
        dm_statistic=None,
        dm_p_value=None,
        degrees_of_freedom=None,
        minimum_detectable_effect=None,
    )
