"""Forecasts as the table ``predictions.parquet`` has them."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.evaluation.predict import Predictions
from model_core.results.tables import price_column

Values = NDArray[np.float64]


def prediction_table(p: Predictions, walk: Values, quantiles: dict[str, Values]) -> pa.Table:
    """``predictions.parquet`` from displacements [n, P, T]: a row a day of a window, in log prices."""
    count, horizon, _ = p.true.shape
    columns = {
        "anchor_date": pa.array(np.repeat(p.dates[:, 0], horizon), pa.date32()),
        "date": pa.array(p.dates[:, 1:].ravel(), pa.date32()),
        "step": pa.array(np.tile(np.arange(1, horizon + 1), count), pa.int32()),
        "anchor": pa.array(np.repeat(p.anchor, horizon)),
        "scale": pa.array(np.repeat(p.scale, horizon)),
    }
    parts = {"true": p.true, "forecast": p.forecast, "walk": walk, **quantiles}
    for k, target in enumerate(TARGETS):
        for name, values in parts.items():
            columns[price_column(target, name)] = pa.array((values[..., k] + p.anchor[:, None]).ravel())
    return pa.table(columns)
