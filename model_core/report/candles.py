"""The picture of one test window: known candles, then the forecast beside what came."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.report.drawing import BASE, MODEL, MUTED, PAPER, RULE, TRUE, bare, canvas, svg_of
from model_core.results.tables import price_column

_KNOWN_DAYS = 20
"""Known candles drawn before a forecast."""
_SHADE = 0.14
"""Of each interval; the inner one lies on the outer one and is darker."""


def candle_figure(history: pd.DataFrame, window: pd.DataFrame, name: str) -> str:
    """Known days, then the forecast beside what came: candles, and Close with its interval.

    Args:
        history: Open … Close prices of the days up to the anchor, in order.
        window: rows of ``predictions.parquet`` of one anchor date.
    """
    known = history.tail(_KNOWN_DAYS)
    steps = window["step"].to_numpy()
    with canvas(330) as figure:
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
        walk = np.exp(window[price_column("Close", "walk")].to_numpy())
        axes.plot([0, *steps], [close, *walk], color=BASE, linewidth=1.4, linestyle=(0, (4, 2)))
        axes.axvline(0.5, color=RULE, linewidth=1.2)
        ends = [end for low, high, _ in fan for end in (low, high)]
        prices = np.concatenate(
            [known[["Low", "High"]].to_numpy().ravel(), truth.ravel(), forecast.ravel(), *ends]
        )
        room = 0.12 * np.ptp(prices)
        axes.set_ylim(prices.min() - room, prices.max() + room)
        ticks = [int(past[0]), -10, 0, *(int(s) for s in steps if s % 5 == 0)]
        axes.set_xticks(ticks, [_day(t, known, window) for t in ticks])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.legend(
            handles=[
                Patch(facecolor=MUTED, label="known"),
                Patch(facecolor=TRUE, label="what came"),
                Patch(facecolor=MODEL, label="forecast"),
                *(
                    Patch(facecolor=MODEL, alpha=1 - (1 - _SHADE) ** (layer + 1), label=f"{title} of Close")
                    for layer, (_, _, title) in enumerate(fan)
                ),
                Patch(facecolor=BASE, label="structured walk"),
            ],
            loc="upper center",
            bbox_to_anchor=(0.5, -0.1),
            ncols=6,
            handlelength=1,
            handleheight=1,
            columnspacing=1.2,
        )
        anchor = pd.Timestamp(window["anchor_date"].iloc[0]).date()
        return svg_of(
            figure, name, f"Candles of the {len(steps)} days after {anchor}: forecast beside what came"
        )


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
    span = float(np.ptp(prices)) or 1.0
    for day, (opened, high, low, close) in zip(x, prices, strict=True):
        axes.plot([day, day], [low, high], color=color, linewidth=1.1, zorder=2)
        bottom, height = min(opened, close), max(abs(close - opened), 0.004 * span)
        face = PAPER if close >= opened else color
        body = Rectangle(
            (day - width / 2, bottom),
            width,
            height,
            facecolor=face,
            edgecolor=color,
            linewidth=1.1,
            zorder=3,
        )
        axes.add_patch(body)


def _day(step: int, known: pd.DataFrame, window: pd.DataFrame) -> str:
    if step > 0:
        return f"+{step}\n{pd.Timestamp(window['date'].iloc[step - 1]):%d %b %Y}"
    return f"{step if step else 'anchor'}\n{pd.Timestamp(known['date'].iloc[step - 1]):%d %b %Y}"
