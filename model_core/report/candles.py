"""The picture of one test window: known candles, then the forecast beside what came."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.report.drawing import (
    BASE,
    MODEL,
    MUTED,
    PAPER,
    RULE,
    TRUE,
    bare,
    boxes,
    by_width,
    canvas,
    legend_below,
    strokes,
    svg_of,
)
from model_core.results.tables import price_column

_SHADE = 0.14
"""Of each interval; the inner one lies on the outer one and is darker."""
_DASHES = (0, (4, 2))


def candle_figure(history: pd.DataFrame, window: pd.DataFrame, name: str, walk: str) -> str:
    """Known days, then the forecast beside what came: candles, and Close with its median and intervals.

    Args:
        history: Open … Close prices of the days up to the anchor, in order.
        window: rows of ``predictions.parquet`` of one anchor date.
        walk: what the dashed line is called.
    """
    known = history.tail(by_width(20, 8))
    steps = window["step"].to_numpy()
    with canvas(340, 380) as figure:
        axes = figure.subplots()
        bare(axes)
        past = np.arange(-len(known) + 1.0, 1.0)
        _candles(axes, past, known[list(TARGETS)].to_numpy(), MUTED, width=0.6)
        close = float(known["Close"].iloc[-1])
        fan = _fan(window)
        for low, high, _ in fan:
            axes.fill_between(
                [0, *steps], [close, *low], [close, *high], color=MODEL, alpha=_SHADE, linewidth=0
            )
        truth = np.exp(window[[price_column(t, "true") for t in TARGETS]].to_numpy())
        forecast = np.exp(window[[price_column(t, "forecast") for t in TARGETS]].to_numpy())
        _candles(axes, steps - 0.19, truth, TRUE, width=0.3)
        _candles(axes, steps + 0.19, forecast, MODEL, width=0.3)
        line = np.exp(window[price_column("Close", "walk")].to_numpy())
        axes.plot([0, *steps], [close, *line], color=BASE, linewidth=1.6, linestyle=_DASHES)
        middle = _median(window)
        if middle is not None:
            axes.plot([0, *steps], [close, *middle], color=MODEL, linewidth=1.6)
        axes.axvline(0.5, color=RULE, linewidth=1.2)
        ends = [end for low, high, _ in fan for end in (low, high)]
        prices = np.concatenate(
            [known[["Low", "High"]].to_numpy().ravel(), truth.ravel(), forecast.ravel(), line, *ends]
        )
        room = 0.06 * float(np.ptp(prices))
        axes.set_ylim(prices.min() - room, prices.max() + room)
        axes.set_xlim(past[0] - 0.7, steps[-1] + 0.7)
        ticks = [int(past[0]), *by_width(1, 0) * [-10], 0, int(steps[-1])]
        axes.set_xticks(ticks, [_day(t, known, window) for t in ticks])
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        handles = [
            Patch(facecolor=MUTED, label="known"),
            Patch(facecolor=TRUE, label="what came"),
            Patch(facecolor=MODEL, label="forecast"),
            *(
                Patch(facecolor=MODEL, alpha=1 - (1 - _SHADE) ** (layer + 1), label=f"{title} of Close")
                for layer, (_, _, title) in enumerate(fan)
            ),
        ]
        if middle is not None:
            handles.append(Line2D([], [], color=MODEL, label="median of Close"))  # type: ignore[arg-type]
        handles.append(Line2D([], [], color=BASE, linestyle=_DASHES, label=walk))  # type: ignore[arg-type]
        legend_below(figure, handles, columns=4, narrow_columns=1 if len(walk) > 40 else 2)
        return svg_of(figure, name, _told(window, close, truth, forecast, fan))


def _told(
    window: pd.DataFrame,
    close: float,
    truth: NDArray[np.float64],
    forecast: NDArray[np.float64],
    fan: list[tuple[NDArray[np.float64], NDArray[np.float64], str]],
) -> str:
    """The picture in numbers."""
    anchor = pd.Timestamp(window["anchor_date"].iloc[0]).date()
    said = (
        f"Close was {close:,.6g} on {anchor}; {len(truth)} days later it was {truth[-1, -1]:,.6g}, "
        f"and {forecast[-1, -1]:,.6g} was forecast"
    )
    for low, high, title in fan:
        said += f"; {title} of Close: {low[-1]:,.6g} to {high[-1]:,.6g}"
    return said


def _median(window: pd.DataFrame) -> NDArray[np.float64] | None:
    """[P] median of Close; files of before have none."""
    name = price_column("Close", "q50")
    return np.exp(window[name].to_numpy()) if name in window else None


def _fan(window: pd.DataFrame) -> list[tuple[NDArray[np.float64], NDArray[np.float64], str]]:
    """Lower and upper prices of Close [P] and what they hold, widest first; files of before have the widest only."""
    found = []
    for low, high, title in (("q05", "q95", "90 %"), ("q25", "q75", "50 %")):
        names = [price_column("Close", end) for end in (low, high)]
        if set(names) <= set(window):
            found.append((*np.exp(window[names].to_numpy()).T, title))
    return found


def _candles(
    axes: Axes, x: NDArray[np.float64], prices: NDArray[np.float64], color: str, width: float
) -> None:
    """Filled where Close falls, hollow where it rises; [n, T] prices."""
    opened, high, low, close = prices.T
    strokes(axes, x, low, high, edgecolor=color, linewidth=1.1, zorder=2)
    thin = 0.004 * (float(np.ptp(prices)) or 1.0)
    bottom = np.minimum(opened, close)
    top = np.maximum(np.maximum(opened, close), bottom + thin)
    for rows, face in ((close >= opened, PAPER), (close < opened, color)):
        boxes(
            axes,
            x[rows] - width / 2,
            bottom[rows],
            x[rows] + width / 2,
            top[rows],
            facecolor=face,
            edgecolor=color,
            linewidth=1.1,
            zorder=3,
        )


def _day(step: int, known: pd.DataFrame, window: pd.DataFrame) -> str:
    if step > 0:
        return f"+{step}\n{pd.Timestamp(window['date'].iloc[step - 1]).date()}"
    return f"{f'−{-step}' if step else 'anchor'}\n{pd.Timestamp(known['date'].iloc[step - 1]).date()}"
