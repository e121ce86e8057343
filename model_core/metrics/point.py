"""Point metrics: the published five and two that compare across series. NumPy only.

With error e = forecast − true over all values considered:

    mae = mean |e|      mse = mean e²     rmse = √mse
    mape = mean |e / true|                mspe = mean (e / true)²      (shares, not percent)
    smape = mean 2 |e| / (|true| + |forecast|)
    mase = mae / mean |one-step change of the training series|          (Hyndman and Koehler, 2006)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.results.scores import PointErrors, ScaleErrors, StepErrors

Values = NDArray[np.float64]


def point_errors(
    true: Values, forecast: Values, naive_mae: float | None = None, *, relative: bool = True
) -> PointErrors:
    """The metrics over all values of two arrays of one shape.

    Args:
        naive_mae: scale of ``mase``; without it, or where it is 0, ``mase`` is None.
        relative: whether the share of an error in the value says anything; of a log price it does not.

    Relative metrics are None where a true value is 0: they have no meaning there.
    """
    error = forecast - true
    mae, mse = float(np.abs(error).mean()), float(np.square(error).mean())
    share = error / true if relative and np.all(true != 0) else None
    size = np.abs(true) + np.abs(forecast)
    return PointErrors(
        mae=mae,
        mse=mse,
        rmse=float(np.sqrt(mse)),
        mape=None if share is None else float(np.abs(share).mean()),
        mspe=None if share is None else float(np.square(share).mean()),
        smape=float((2 * np.abs(error) / size).mean()) if relative and np.all(size > 0) else None,
        mase=mae / naive_mae if naive_mae else None,
    )


@dataclass(frozen=True)
class Scale:
    """One scale on which forecasts are scored."""

    true: Values
    """[n, P, T]"""
    naive_mae: float | None = None
    relative: bool = True
    """Whether relative errors have a meaning on it."""

    def errors(self, forecast: Values) -> ScaleErrors:
        """Errors overall, per target and per step of forecasts [n, P, T]."""

        def of(part: tuple[slice | int, ...]) -> PointErrors:
            return point_errors(self.true[part], forecast[part], self.naive_mae, relative=self.relative)

        every, days = slice(None), range(self.true.shape[1])
        return ScaleErrors(
            overall=of((every,)),
            per_target={name: of((every, every, k)) for k, name in enumerate(TARGETS)},
            per_step=tuple(StepErrors(step=h + 1, **dict(of((every, h)))) for h in days),
        )
