"""The picture of what a model adds to its base beside what there was to add."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from model_core.report.drawing import INK, MODEL, MUTED, bare, canvas, strokes, svg_of
from model_core.results.tables import price_column

_POINTS_AT_MOST = 250
"""Windows drawn, spread over the test span; neighbors share most of their days and would lie on one another."""


def departure_figure(predictions: pd.DataFrame) -> str:
    """Forecast − walk over truth − walk of Close at the horizon, a point a window.

    Args:
        predictions: ``predictions.parquet``.
    """
    last = predictions[predictions["step"] == predictions["step"].max()].sort_values("anchor_date")
    forecast, true, walk = (
        100 * last[price_column("Close", part)].to_numpy() for part in ("forecast", "true", "walk")
    )
    chosen = np.unique(np.linspace(0, len(last) - 1, _POINTS_AT_MOST).round().astype(int))
    ours, real = (forecast - walk)[chosen], (true - walk)[chosen]
    reach = float(max(np.abs(ours).max(), np.abs(real).max())) or 1.0
    with canvas(330) as figure:
        axes = figure.subplots()
        bare(axes)
        axes.axhline(0, color=MUTED, linewidth=1)
        axes.plot([-reach, reach], [-reach, reach], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        strokes(axes, real, ours, ours + 1e-3 * reach, edgecolor=MODEL, linewidth=4, capstyle="round")
        axes.set_xlim(-1.05 * reach, 1.05 * reach)
        axes.set_ylim(-1.05 * reach, 1.05 * reach)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("what came less the walk, %")
        axes.set_ylabel("forecast less the walk, %")
        sizes = (float(np.abs(side).mean()) for side in (ours, real))
        return svg_of(
            figure,
            "departure",
            "Forecast less the walk over what came less the walk; mean sizes {:.2f} % and {:.2f} %".format(
                *sizes
            ),
        )
