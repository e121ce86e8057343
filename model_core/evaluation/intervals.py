"""Quantiles around every forecast: the fan that a report draws, whose outer ends are the 90 % interval."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model_core.evaluation.calibrated import forecast_distribution
from model_core.evaluation.predict import Predictions
from model_core.results.scores import IntervalKind

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
"""Columns of ``predictions.parquet`` and their probabilities; the first and the last hold ``NOMINAL``."""


def forecast_quantiles(
    predictions: Predictions, validation: Callable[[], Predictions]
) -> tuple[dict[str, NDArray[np.float64]], IntervalKind]:
    """Displacements [n, P, T] that the truth should stay below with each probability of ``QUANTILES``, and their kind.

    ``mixture``: quantiles of the distribution that the model's head says. ``conformal``, for a head that forecasts
    a point only: quantiles of the validation errors per step and target, in units of each window's range,
    so that the interval widens when the market does (Vovk et al., 2005).

    Args:
        validation: makes the forecasts of the validation windows; asked of a head that forecasts a point only.
    """
    distribution = forecast_distribution(predictions)
    if distribution is not None:
        return {name: distribution.quantile(p) for name, p in QUANTILES.items()}, "mixture"
    known = validation()
    errors = (known.true - known.forecast) / known.scale[:, None, None]
    unit = predictions.scale[:, None, None]
    ends = np.quantile(errors, list(QUANTILES.values()), axis=0)
    return {
        name: predictions.forecast + end * unit for name, end in zip(QUANTILES, ends, strict=True)
    }, "conformal"
