"""90 % prediction intervals around every forecast."""

import numpy as np
from numpy.typing import NDArray

from model_core.evaluation.calibrated import forecast_distribution
from model_core.evaluation.predict import Predictions
from model_core.metrics.calibration import central_interval
from model_core.results.scores import IntervalKind

NOMINAL = 0.9


def forecast_intervals(
    predictions: Predictions, validation: Predictions
) -> tuple[NDArray[np.float64], NDArray[np.float64], IntervalKind]:
    """Lower and upper displacement [n, P, T] that should hold 90 % of the true values, and how it was made.

    ``mixture``: quantiles of the distribution that the model's head says. ``conformal``, for a head that says
    a point only: quantiles of the validation errors per step and target, in units of each window's range,
    so that the interval widens when the market does (Vovk et al., 2005).
    """
    distribution = forecast_distribution(predictions)
    if distribution is not None:
        return *central_interval(distribution, NOMINAL), "mixture"
    errors = (validation.true - validation.forecast) / validation.scale[:, None, None]
    tail = (1 - NOMINAL) / 2
    low, high = np.quantile(errors, [tail, 1 - tail], axis=0)
    unit = predictions.scale[:, None, None]
    return predictions.forecast + low * unit, predictions.forecast + high * unit, "conformal"
