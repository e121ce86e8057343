"""Pictures of how honest the distribution of Close is: over its range, over time, by day, by volatility."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from model_core.report.bands import Band
from model_core.report.drawing import (
    BASE,
    INK,
    MODEL,
    MUTED,
    bare,
    by_width,
    canvas,
    date_axis,
    legend_below,
    svg_of,
)
from model_core.results.calibration import JUDGED, Calibrated

Values = NDArray[np.float64]
_BAND = 0.16
_COLORS = (MODEL, BASE)


@dataclass(frozen=True)
class Judged:
    """A distribution of Close that is drawn: the model's, then that of the best baseline."""

    title: str
    close: Calibrated
    held: Values | None
    """[n] share of each window's days inside the 90 % interval; None where that was not kept."""


def pit_figure(judged: Sequence[Judged], band: Band | None) -> str:
    """Share of test prices of Close in each tenth of their forecast distribution."""
    with canvas(260, 270) as figure:
        axes = figure.subplots()
        bare(axes)
        bins = len(judged[0].close.pit)
        if band is not None:
            axes.axhspan(100 * band.low, 100 * band.high, color=MUTED, alpha=_BAND, linewidth=0)
        for group, (color, one) in enumerate(zip(_COLORS, judged, strict=False)):
            shares = 100 * np.asarray(one.close.pit)
            axes.bar(np.arange(bins) + 0.42 * group - 0.21, shares, 0.4, color=color)
        axes.axhline(100 / bins, color=INK, linewidth=1.2)
        axes.set_xticks(np.arange(bins + 1) - 0.5, [f"{10 * i}" for i in range(bins + 1)])
        axes.set_xlabel("tenth of the forecast distribution, %")
        axes.set_ylabel("share of days, %")
        legend_below(figure, _legend(judged, band), 3, 1)
        told = "; ".join(
            f"{one.title}: {', '.join(f'{share:.0%}' for share in one.close.pit)}".replace("%", " %")
            for one in judged
        )
        return svg_of(figure, "pit", f"Share of days in each tenth of the forecast distribution. {told}")


def reliability_figure(judged: Sequence[Judged], bands: Sequence[Band | None]) -> str:
    """How often Close was at or below each tenth quantile, over how often it should be."""
    with canvas(330, 350) as figure:
        axes = figure.subplots()
        bare(axes)
        nominal = np.linspace(0, 100, len(judged[0].close.pit) + 1)
        axes.plot([0, 100], [0, 100], color=INK, linewidth=1.2)
        known = [band for band in bands if band is not None]
        if known:
            low, high = ([0.0, *(100 * getattr(b, end) for b in known), 100.0] for end in ("low", "high"))
            axes.fill_between(nominal, low, high, color=MUTED, alpha=_BAND, linewidth=0)
        for color, marker, one in zip(_COLORS, "os", judged, strict=False):
            axes.plot(nominal, cumulative(one.close), color=color, marker=marker, markersize=4.5)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xlabel("should be at or below, %")
        axes.set_ylabel("was at or below, %")
        legend_below(figure, _legend(judged, known[0] if known else None), 3, 1)
        told = "; ".join(
            f"{one.title}: {', '.join(f'{value:.0f}' for value in cumulative(one.close)[1:-1])} %"
            for one in judged
        )
        return svg_of(figure, "reliability", f"Days at or below the quantiles for 10, 20, … 90 %. {told}")


def cumulative(close: Calibrated) -> Values:
    """[11] percent of days at or below the quantiles for 0, 10, … 100 %."""
    return 100 * np.concatenate([[0.0], np.cumsum(close.pit)])


def coverage_over_time_figure(
    dates: NDArray[np.datetime64], rolling: Sequence[tuple[str, Values]], band: Band, told: str
) -> str:
    """Rolling share of Close inside the 90 % interval, at the last window of each stretch."""
    with canvas(270, 290) as figure:
        axes = figure.subplots()
        bare(axes)
        axes.axhspan(100 * band.low, 100 * band.high, color=MUTED, alpha=_BAND, linewidth=0)
        axes.axhline(90, color=INK, linewidth=1.2)
        thin = max(1, len(dates) // 200)
        days = dates.astype("datetime64[D]").astype(np.int64)
        for color, (_, shares) in zip(_COLORS, rolling, strict=False):
            axes.plot(days[::thin], 100 * shares[::thin], color=color)
        axes.set_ylim(top=100.8)
        axes.set_ylabel("inside the 90 % interval, %")
        date_axis(axes, dates[0], dates[-1])
        handles = [Patch(facecolor=c, label=title) for c, (title, _) in zip(_COLORS, rolling, strict=False)]
        legend_below(figure, [*handles, _band_patch()], 3, 1)
        return svg_of(figure, "coverage-time", told)


def by_day_figure(judged: Sequence[Judged], band: Band | None) -> str:
    """CRPS and coverage of Close by forecast day."""
    with canvas(290, 520) as figure:
        scores, shares = figure.subplots(*by_width_grid())
        for axes in (scores, shares):
            bare(axes)
            axes.set_xlabel("forecast day")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        told = []
        for color, marker, one in zip(_COLORS, "os", judged, strict=False):
            style = {"color": color, "marker": marker, "markersize": 4.5}
            crps, held = one.close.crps_per_step, one.close.coverage_per_step
            if crps is not None:
                scores.plot(range(1, len(crps) + 1), 100 * np.asarray(crps), **style)
                told.append(
                    f"{one.title}: CRPS {100 * crps[0]:.2f} on day 1, {100 * crps[-1]:.2f} on day {len(crps)}"
                )
            if held is not None:
                share = held[JUDGED]
                shares.plot(range(1, len(share) + 1), 100 * np.asarray(share), **style)
                told.append(f"the 90 % interval held {100 * share[0]:.0f} % and {100 * share[-1]:.0f} %")
        scores.set_ylim(bottom=0)
        scores.set_ylabel("CRPS of Close, log %")
        if band is not None:
            shares.axhspan(100 * band.low, 100 * band.high, color=MUTED, alpha=_BAND, linewidth=0)
        shares.axhline(90, color=INK, linewidth=1.2)
        shares.set_ylabel("inside the 90 % interval, %")
        legend_below(figure, _legend(judged, band), 3, 1)
        return svg_of(figure, "close-by-day", "; ".join(told))


def by_width_grid() -> tuple[int, int]:
    """Two panels side by side, on a phone one above the other."""
    return by_width(1, 2), by_width(2, 1)


def thirds_figure(judged: Sequence[Judged], band: Band | None) -> str:
    """Share of Close inside the 90 % interval in calm, medium and wild markets."""
    with canvas(240, 260) as figure:
        axes = figure.subplots()
        bare(axes)
        if band is not None:
            axes.axhspan(100 * band.low, 100 * band.high, color=MUTED, alpha=_BAND, linewidth=0)
        axes.axhline(90, color=INK, linewidth=1.2)
        told, names = [], []
        for group, (color, marker, one) in enumerate(zip(_COLORS, "os", judged, strict=False)):
            thirds = one.close.coverage_by_volatility or {}
            names = list(thirds)
            values = [100 * thirds[name][JUDGED] for name in names]
            x = np.arange(len(names)) + 0.2 * group - 0.1
            axes.plot(x, values, marker, color=color, markersize=8)
            for left, value in zip(x, values, strict=True):
                axes.annotate(
                    f"{value:.0f}", (left, value), (-9 if group == 0 else 9, 0), textcoords="offset points",
                    ha="right" if group == 0 else "left", va="center", fontsize=11,
                )  # fmt: skip
            told.append(
                f"{one.title}: " + ", ".join(f"{n} {v:.0f} %" for n, v in zip(names, values, strict=True))
            )
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.margins(y=0.2)
        axes.tick_params(axis="x", labelcolor=INK, length=0)
        axes.set_ylabel("inside the 90 % interval, %")
        legend_below(figure, _legend(judged, band), 3, 1)
        return svg_of(figure, "thirds", f"Close inside the 90 % interval by volatility. {'; '.join(told)}")


def _legend(judged: Sequence[Judged], band: Band | None) -> list[Patch]:
    handles = [Patch(facecolor=c, label=one.title) for c, one in zip(_COLORS, judged, strict=False)]
    return handles if band is None else [*handles, _band_patch()]


def _band_patch() -> Patch:
    return Patch(facecolor=MUTED, alpha=2 * _BAND, label="where honest ones lie")
