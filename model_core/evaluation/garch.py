"""GARCH(1,1) with Student's t: what econometrics would forecast of the distribution of Close.

    r(t) = σ(t) · ε(t)        σ²(t + 1) = ω + α r²(t) + β σ²(t)        ε ~ t with ν degrees of freedom, variance 1

``arch`` fits ω, α, β and ν to the daily moves of the train span, once; the variance is then filtered over the days
after it and forecast from each anchor. The variances of the days ahead add up to that of a step; its distribution is
taken for a t with the same ν, which is exact for one day and a little wide in the tails for more. The mean move is 0:
the drift has forecasts of its own to be tried in (``model_core/evaluation/distributions.py``).
"""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model_core.data.splits import Span
from model_core.metrics.student import StudentT

Values = NDArray[np.float64]

MIN_MOVES = 250
"""Daily moves to fit four parameters to: a year; fewer leave α and β anywhere."""
_FEWEST, _MOST = 2.05, 500.0
"""Degrees of freedom, within the bounds that ``arch`` has itself."""
_PRECISE = {"ftol": 1e-12, "maxiter": 1000}
"""Of the optimizers: with their own tolerance of 1e-6 they stop on a flat likelihood where the last digits of sums say,
so on another processor somewhere else; this takes no longer."""


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
        # Whether it converged is asked for below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = model.fit(last_obs=fitted, disp="off", show_warning=False, options=_PRECISE)
    parameters = _refined(
        lambda values: -model.fix(values, last_obs=fitted).loglikelihood / fitted, start.params.to_numpy()
    )
    if parameters is None:
        return "its parameters could not be fitted to the train span"
    result = model.fix(parameters, last_obs=fitted)
    ahead = result.forecast(horizon=pred_len, start=test.first - 1, reindex=False).variance.to_numpy()
    variance = unit**2 * np.cumsum(ahead[: len(test)], axis=1)
    if not (np.isfinite(variance).all() and (variance > 0).all()):
        return "its variance leaves what numbers can hold"
    return StudentT.with_variance(np.zeros_like(variance), variance, float(parameters[3]))


def _refined(loss: Callable[[Values], float], start: Values) -> Values | None:
    """ω, α, β, ν of the lowest loss, looked for from where ``arch`` ended; None if the search does not end.

    ``arch`` looks for ν itself, on which the likelihood of nearly normal moves hardly depends: its optimizer stops
    somewhere between 50 and 500, where the last digits of a sum say. In 1/ν the likelihood is about as curved as in the
    other parameters.
    """
    from scipy.optimize import minimize

    def of_inverse(values: Values) -> float:
        return loss(np.append(values[:3], 1 / values[3]))

    found = minimize(
        of_inverse,
        np.append(start[:3], 1 / start[3]),
        method="SLSQP",
        bounds=[(1e-10, None), (0, 1), (0, 1), (1 / _MOST, 1 / _FEWEST)],
        constraints={"type": "ineq", "fun": lambda values: 1 - values[1] - values[2]},
        options=_PRECISE,
    )
    return np.append(found.x[:3], 1 / found.x[3]) if found.success else None
