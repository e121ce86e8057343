"""90 % prediction intervals around every forecast."""

import numpy as np
from numpy.typing import NDArray

from model_core.evaluation.predict import Predictions

NOMINAL = 0.9


def forecast_intervals(
    predictions: Predictions, validation: Predictions
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper displacement [n, P, T] that should hold 90 % of the true values.

    Split conformal: quantiles of the validation errors per step and target, in units of each window's
    range, so that the interval widens when the market does (Vovk et al., 2005).
    """
    errors = (validation.true - validation.forecast) / validation.scale[:, None, None]
    tail = (1 - NOMINAL) / 2
    low, high = np.quantile(errors, [tail, 1 - tail], axis=0)
    unit = predictions.scale[:, None, None]
    return predictions.forecast + low * unit, predictions.forecast + high * unit
