"""GARCH(1,1) with Student's t: what econometrics would forecast of the distribution of Close.

    r(t) = σ(t) · ε(t)        σ²(t + 1) = ω + α r²(t) + β σ²(t)        ε ~ t with ν degrees of freedom, variance 1

``arch`` fits ω, α, β and ν to the daily moves of the train span, once; the variance is then filtered over the days
after it and forecast from each anchor. The variances of the days ahead add up to that of a step; its distribution is
taken for a t with the same ν, which is exact for one day and a little wide in the tails for more. The mean move is 0:
the drift has forecasts of its own to be tried in (``model_core/evaluation/distributions.py``).
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from model_core.data.splits import Span
from model_core.metrics.student import StudentT

Values = NDArray[np.float64]

MIN_MOVES = 250
"""Daily moves to fit four parameters to: a year; fewer leave α and β anywhere."""
_PRECISE = {"ftol": 1e-12, "maxiter": 1000}
"""Of the optimizer: with its own tolerance of 1e-6 it stops on a flat likelihood where the last digits of sums say, so
on another processor somewhere else; this takes no longer."""


def garch_close(log_close: Values, train: Span, test: Span, pred_len: int) -> StudentT | str:
    """[n, P] displacement of Close of the windows of ``test``; a sentence that says why if there is none.

    Args:
        log_close: [R] of every row; nothing after the last target of ``train`` is fitted to, and nothing after an
            anchor is used for its forecast.
    """
    moves = np.diff(log_close)
    fitted = train.stop - 1 + pred_len
    unit = float(moves[:fitted].std())
    if fitted < MIN_MOVES:
        return f"{fitted} daily moves before the validation span are too few to fit it; it needs {MIN_MOVES}"
    if unit == 0:
        return "Close never moves in the train span"
    # Late, since arch takes statsmodels and matplotlib along: half a second, and a short table needs none of it.
    from arch.univariate import GARCH, StudentsT, ZeroMean
    from arch.utility.exceptions import ConvergenceWarning

    # In units of the train deviation, where the optimizer's own starting values and tolerances fit.
    model = ZeroMean(moves / unit, volatility=GARCH(1, 0, 1), distribution=StudentsT(), rescale=False)
    with warnings.catch_warnings():
        # Its flag says the same, and is asked for below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = model.fit(last_obs=fitted, disp="off", show_warning=False, options=_PRECISE)
    if result.convergence_flag != 0:
        return "its parameters could not be fitted to the train span"
    ahead = result.forecast(horizon=pred_len, start=test.first - 1, reindex=False).variance.to_numpy()
    variance = unit**2 * np.cumsum(ahead[: len(test)], axis=1)
    if not (np.isfinite(variance).all() and (variance > 0).all()):
        return "its variance leaves what numbers can hold"
    return StudentT.with_variance(np.zeros_like(variance), variance, float(result.params["nu"]))
