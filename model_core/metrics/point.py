"""Point metrics: the published five and two that compare across series. NumPy only.

With error e = forecast − true over all values considered:

    mae = mean |e|      mse = mean e²     rmse = √mse
    mape = mean |e / true|                mspe = mean (e / true)²      (shares, not percent)
    smape = mean 2 |e| / (|true| + |forecast|)
    mase = mae / mean |one-step change of the training series|          (Hyndman and Koehler, 2006)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_core.axes import TARGETS

Values = NDArray[np.float64]
PUBLISHED = ("mae", "mse", "rmse", "mape", "mspe")


def point_metrics(true: Values, forecast: Values, naive_mae: float | None = None) -> dict[str, float | None]:
    """The metrics over all values of two arrays of one shape.

    Args:
        naive_mae: scale of ``mase``; without it, or where it is 0, ``mase`` is None.

    Relative metrics are None where a true value is 0: they have no meaning there.
    """
    error = forecast - true
    mae, mse = float(np.abs(error).mean()), float(np.square(error).mean())
    relative = error / true if np.all(true != 0) else None
    size = np.abs(true) + np.abs(forecast)
    return {
        "mae": mae,
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "mape": None if relative is None else float(np.abs(relative).mean()),
        "mspe": None if relative is None else float(np.square(relative).mean()),
        "smape": float((2 * np.abs(error) / size).mean()) if np.all(size > 0) else None,
        "mase": mae / naive_mae if naive_mae else None,
    }


@dataclass(frozen=True)
class Scale:
    """One scale on which forecasts are scored."""

    name: str
    true: Values
    """[n, P, T]"""
    naive_mae: float | None


def metrics_table(scale: Scale, forecast: Values) -> dict[str, Any]:
    """Metrics overall, per target and per step of forecasts [n, P, T]."""
    true, naive = scale.true, scale.naive_mae
    return {
        "overall": point_metrics(true, forecast, naive),
        "per_target": {
            name: point_metrics(true[..., k], forecast[..., k], naive) for k, name in enumerate(TARGETS)
        },
        "per_step": [
            {"step": h + 1} | point_metrics(true[:, h], forecast[:, h], naive) for h in range(true.shape[1])
        ],
    }
