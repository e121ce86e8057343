"""Pictures of skill in time: how the loss difference adds up, and the skill by year and by volatility."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from model_core.evaluation.smoothing import critical_value, mean_test
from model_core.evaluation.verdict import signed, skill_words
from model_core.report.drawing import (
    BAD,
    GOOD,
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
from model_core.report.phrases import tone, within_reach
from model_core.results.skill import Comparison

Values = NDArray[np.float64]
TONES = {"good": GOOD, "bad": BAD, "open": MUTED}


@dataclass(frozen=True)
class LossPair:
    """Losses of the model and of a bar in each window, both [n]."""

    title: str
    model: Values
    bar: Values

    @property
    def gain(self) -> Values:
        """[n] percent of the bar's whole loss that the model has gained up to each window; at the end its skill."""
        return 100 * np.cumsum(self.bar - self.model) / self.bar.sum()

    def chance(self, horizon: int, confidence: float) -> Values:
        """[n] how far two equally good forecasts drift apart up to each window."""
        test = mean_test(self.bar - self.model, horizon)
        count = len(self.bar)
        reach = critical_value(test.degrees, confidence) * test.standard_error / self.bar.mean()
        return 100 * reach * np.sqrt(np.arange(1, count + 1) / count)


def cumulative_figure(
    dates: NDArray[np.datetime64], pairs: Sequence[LossPair], horizon: int, confidence: float
) -> str:
    """Loss of the bar less that of the model, added up over the test windows."""
    with canvas(260 * len(pairs), 260 * len(pairs)) as figure:
        panels = np.atleast_1d(figure.subplots(len(pairs), 1, sharex=True))
        days = dates.astype("datetime64[D]").astype(np.int64)
        line, band = (np.unique(np.linspace(0, len(days) - 1, n).round().astype(int)) for n in (200, 40))
        for axes, pair in zip(panels, pairs, strict=True):
            bare(axes)
            drift = pair.chance(horizon, confidence)[band]
            axes.fill_between(days[band], -drift, drift, color=MUTED, alpha=0.16, linewidth=0)
            axes.axhline(0, color=INK, linewidth=1.2)
            axes.plot(days[line], pair.gain[line], color=MODEL)
            axes.set_title(_folded(pair.title))
            axes.set_ylabel("gained so far, %")
            date_axis(axes, dates[0], dates[-1])
        handles = [
            Patch(facecolor=MODEL, label="rising: the model is better"),
            Patch(facecolor=MUTED, alpha=0.32, label="what equally good ones drift apart"),
        ]
        legend_below(figure, handles, 2, 1)
        told = "; ".join(
            f"{pair.title}: {pair.gain[-1]:+.1f} % at the end, between {pair.gain.min():+.1f} and "
            f"{pair.gain.max():+.1f} % on the way".replace("-", "−")
            for pair in pairs
        )
        return svg_of(figure, "cumulative", f"Gain on the bar added up over time. {told}")


def _folded(title: str) -> str:
    """On a phone in two lines."""
    return title.replace(" against ", "\nagainst ") if by_width(0, 1) else title


def skill_rows(axes: Axes, rows: Mapping[str, Comparison], *, labels: bool) -> None:
    """One row a comparison, by its label: the skill with its interval, in the color of its outcome."""
    bare(axes, grid="x")
    axes.axvline(0, color=INK, linewidth=1.2)
    for y, (label, row) in enumerate(reversed(list(rows.items()))):
        if labels and by_width(0, 1):
            axes.text(
                0,
                y + 0.3,
                fill(label, 48),
                transform=axes.get_yaxis_transform(),
                fontsize=11,
                color=INK,
                va="bottom",
            )
        if row.skill is None:
            axes.text(0, y, " no skill: the baseline makes no error", va="center", color=MUTED, fontsize=10)
            continue
        color = TONES[tone(row.outcome)]
        skill = 100 * within_reach(row.skill)
        if row.low is not None and row.high is not None:
            ends = [100 * within_reach(end) for end in (row.low, row.high)]
            axes.plot(ends, [y, y], color=color, linewidth=5, alpha=0.35)
        axes.plot(skill, y, "<" if skill != 100 * row.skill else "o", color=color, markersize=7)
        axes.annotate(
            signed(row.skill), (skill, y), (0, 7), textcoords="offset points", ha="center", fontsize=11
        )
    if labels and by_width(1, 0):
        axes.set_yticks(range(len(rows)), list(rows)[::-1])
        axes.tick_params(axis="y", labelcolor=INK)
    else:
        axes.set_yticks([])
    axes.set_ylim(-0.6, len(rows) - 0.2)


def regime_figure(columns: Mapping[str, Mapping[str, Comparison]]) -> str:
    """Skill in parts of the test span, a column a loss."""
    count = len(next(iter(columns.values())))
    with canvas(42 * count + 90, (46 * count + 80) * len(columns)) as figure:
        shape = (1, len(columns)) if by_width(1, 0) else (len(columns), 1)
        panels = np.atleast_1d(figure.subplots(*shape, squeeze=False).ravel())
        for column, (axes, (title, rows)) in enumerate(zip(panels, columns.items(), strict=True)):
            skill_rows(axes, rows, labels=column == 0 or by_width(0, 1) == 1)
            axes.set_title(title)
            axes.set_xlabel("skill, %")
        told = "; ".join(
            f"{title}: " + ", ".join(f"{name} {skill_words(row)}" for name, row in rows.items())
            for title, rows in columns.items()
        )
        return svg_of(figure, "regimes", f"Skill by year and by volatility. {told}")
