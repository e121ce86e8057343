"""The pictures of a report, each from plain numbers to one inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.evaluation.verdict import LOWEST_SKILL, signed, skill_words
from model_core.report.drawing import (
    BAD,
    BASE,
    GOOD,
    INK,
    MODEL,
    MUTED,
    WIDTH,
    bare,
    canvas,
    svg_of,
)
from model_core.report.phrases import tone
from model_core.results.calibration import Calibration
from model_core.results.findings import ScenarioResult
from model_core.results.scores import ForecastScore
from model_core.results.skill import Comparison
from model_core.results.training import TrainResults

_TONES = {"good": GOOD, "bad": BAD, "open": MUTED}
_DRAWABLE = 1e9
"""Largest growth that a figure shows."""


@dataclass(frozen=True)
class SplitSpan:
    """The windows of a split and the days that they forecast."""

    windows: int
    first_target_date: str
    last_target_date: str


def skill_figure(rows: dict[str, Comparison], titles: Mapping[str, str]) -> str:
    """Skill against each baseline, by name, with its interval; right of zero the model is better."""
    with canvas(46 * len(rows) + 66) as figure:
        axes = figure.subplots()
        bare(axes, grid="x")
        axes.axvline(0, color=INK, linewidth=1.2)
        for y, row in enumerate(reversed(rows.values())):
            if row.skill is None:
                axes.text(0, y, " no skill: the baseline makes no error", va="center", color=MUTED)
                continue
            color = _TONES[tone(row.outcome)]
            skill = 100 * _within_reach(row.skill)
            if row.low is not None and row.high is not None:
                ends = [100 * _within_reach(end) for end in (row.low, row.high)]
                axes.plot(ends, [y, y], color=color, linewidth=5, alpha=0.35)
            axes.plot(skill, y, "<" if row.skill < LOWEST_SKILL else "o", color=color, markersize=7)
            axes.annotate(
                signed(row.skill),
                (skill, y),
                (0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=11,
            )
        axes.set_yticks(range(len(rows)), [titles[name] for name in reversed(rows)])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(-0.6, len(rows) - 0.3)
        axes.set_xlabel("skill in % of the baseline's squared error: left worse, right better", loc="right")
        words = "; ".join(f"{titles[name]} {skill_words(row)}" for name, row in rows.items())
        return svg_of(figure, "skill", f"Skill of the model against each baseline: {words}")


def _within_reach(skill: float) -> float:
    return min(max(skill, LOWEST_SKILL), -LOWEST_SKILL)


def horizon_figure(forecasts: Mapping[str, ForecastScore], names: Sequence[str]) -> str:
    """Mean absolute error by forecast day, in percent of the price."""
    styles = [(MODEL, "-", "o"), (BASE, "-", "s"), (MUTED, "--", "")]
    with canvas(280) as figure:
        axes = figure.subplots()
        bare(axes)
        for name, (color, line, marker) in zip(names, styles, strict=False):
            rows = forecasts[name].metrics.log.per_step
            x, y = [r.step for r in rows], [100 * r.mae for r in rows]
            title = forecasts[name].title
            axes.plot(x, y, line, color=color, marker=marker, markersize=4.5, label=title)
        axes.set_xlabel("forecast day")
        axes.set_ylabel("mean absolute error, %")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower right")
        return svg_of(
            figure, "horizon", "Mean absolute error grows with the forecast day; model and baselines"
        )


def target_figure(forecasts: Mapping[str, ForecastScore], names: Sequence[str]) -> str:
    """Mean absolute error of Open, High, Low and Close, in percent of the price."""
    colors = [MODEL, BASE, MUTED]
    with canvas(250) as figure:
        axes = figure.subplots()
        bare(axes)
        width = 0.8 / len(names)
        for group, (name, color) in enumerate(zip(names, colors, strict=False)):
            values = [100 * forecasts[name].metrics.log.per_target[t].mae for t in TARGETS]
            x = np.arange(len(TARGETS)) + (group - (len(names) - 1) / 2) * width
            axes.bar(x, values, width * 0.88, color=color, label=forecasts[name].title)
            for left, value in zip(x, values, strict=True):
                axes.text(left, value, f"{value:.2f}", ha="center", va="bottom", fontsize=10)
        axes.set_xticks(range(len(TARGETS)), TARGETS)
        axes.tick_params(axis="x", labelcolor=INK, length=0)
        axes.set_ylabel("mean absolute error, %")
        axes.margins(y=0.12)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(names))
        return svg_of(
            figure, "targets", "Mean absolute error of Open, High, Low and Close; model and baselines"
        )


def training_figure(history: pd.DataFrame, training: TrainResults) -> str:
    """Loss by epoch over the learning rate, a line each member; epoch 0 is the untrained model."""
    with canvas(320) as figure:
        losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        bare(losses)
        marker = "o" if len(history) < 25 else ""
        # Each member begins with epoch 1.
        runs = [run for _, run in history.groupby((history["epoch"].diff() <= 0).cumsum())]
        of_members = [(m.best_epoch, m.untrained_validation_loss) for m in training.members]
        known = of_members or [(training.best_epoch, training.untrained_validation_loss)]
        for number, (run, (best_epoch, untrained)) in enumerate(zip(runs, known, strict=False)):
            style = {"marker": marker, "markersize": 4}
            said = ("training", "validation", f"best: {training.best_in_words}") if number == 0 else ("",) * 3
            losses.plot(run["epoch"], run["train_loss"], color=MUTED, label=said[0], **style)
            validated = dict(zip(run["epoch"], run["validation_loss"], strict=True))
            if untrained is not None:
                validated = {0: untrained} | validated
            losses.plot(list(validated), list(validated.values()), color=MODEL, label=said[1], **style)
            if best_epoch in validated:
                losses.plot(best_epoch, validated[best_epoch], "o", color=GOOD, markersize=9, label=said[2])
        losses.set_ylabel("loss")
        losses.legend(loc="best")
        bare(rates)
        for run in runs:
            rates.plot(run["epoch"], run["learning_rate"], color=MUTED, drawstyle="steps-mid")
        rates.set_ylabel("learning rate")
        rates.set_ylim(bottom=0)
        rates.set_xlabel("epoch")
        rates.xaxis.set_major_locator(MaxNLocator(integer=True))
        rates.yaxis.set_major_locator(MaxNLocator(2))
        return svg_of(
            figure, "training", f"Training and validation loss by epoch; the best is {training.best_in_words}"
        )


def robustness_figure(scenarios: Sequence[ScenarioResult], name: str) -> str:
    """Error under each disturbance over the clean error: the model beside the random walk."""
    with canvas(34 * len(scenarios) + 86) as figure:
        axes = figure.subplots()
        bare(axes, grid="x")
        axes.set_xscale("log")
        axes.axvline(1, color=INK, linewidth=1.2)
        for y, scenario in enumerate(reversed(scenarios)):
            ours, walk = scenario.degradation, scenario.walk_degradation
            color = BAD if scenario.fragile else MODEL
            for ratio, line, shade in ((ours, y + 0.15, color), (walk, y - 0.17, BASE)):
                if ratio.ratio is None or not 1 / _DRAWABLE < ratio.ratio < _DRAWABLE:
                    continue
                if ratio.low is not None and ratio.high is not None:
                    ends = np.clip([ratio.low, ratio.high], 1 / _DRAWABLE, _DRAWABLE)
                    axes.plot(ends, [line, line], color=shade, linewidth=5, alpha=0.35)
                axes.plot(ratio.ratio, line, "o", color=shade, markersize=6)
        axes.set_yticks(range(len(scenarios)), [s.title for s in reversed(scenarios)])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(-0.7, len(scenarios) - 0.3)
        axes.minorticks_off()
        low, high = axes.get_xlim()
        ticks = [
            t for t in (0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100) if low <= t <= high
        ]
        ticks = ticks if len(ticks) < 9 else [t for t in ticks if t in (0.5, 1, 2, 5, 10, 20, 50, 100)]
        axes.set_xticks(ticks, [f"× {t:g}" for t in ticks])
        axes.legend(
            handles=[
                Patch(facecolor=MODEL, label="model"),
                Patch(facecolor=BAD, label="model, fragile beyond the walk"),
                Patch(facecolor=BASE, label="random walk shown the same"),
            ],
            loc="upper center",
            bbox_to_anchor=(0.4, -0.04 - 0.6 / len(scenarios)),
            ncols=3,
            handlelength=1,
            handleheight=1,
        )
        fragile = sum(s.fragile is True for s in scenarios)
        return svg_of(
            figure,
            name,
            f"Error growth under {len(scenarios)} disturbances; in {fragile} the model is more fragile than a walk",
        )


def heat_figure(
    values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], name: str
) -> str:
    """A matrix as squares whose strength is their value; the largest is full."""
    grid = np.asarray(values, dtype=np.float64)
    top = float(grid.max()) or 1.0
    with canvas(30 * len(rows) + 104) as figure:
        axes = figure.subplots()
        axes.grid(visible=False)
        for (i, j), value in np.ndenumerate(grid):
            square = Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, facecolor=MODEL, edgecolor="none")
            square.set_alpha(round(0.04 + 0.96 * max(float(value), 0.0) / top, 3))
            axes.add_patch(square)
        axes.set_xlim(-0.6, len(columns) - 0.4)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines["bottom"].set_visible(False)
        i, j = divmod(int(grid.argmax()), grid.shape[1])
        return svg_of(figure, name, f"The strongest of all pairs is {rows[i]} to {columns[j]}, {top:.2f}")


def splits_figure(
    spans: Mapping[str, SplitSpan], dates: NDArray[np.datetime64], closes: NDArray[np.float64]
) -> str:
    """Close over all rows, with the spans of the three splits."""
    with canvas(230) as figure:
        axes = figure.subplots()
        bare(axes)
        step = max(1, len(dates) // WIDTH)
        axes.plot(dates[::step], closes[::step], color=INK, linewidth=1.1)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.minorticks_off()
        for (name, span), color in zip(spans.items(), (MUTED, BASE, MODEL), strict=True):
            first, last = (_axis_day(day) for day in (span.first_target_date, span.last_target_date))
            axes.axvspan(first, last, color=color, alpha=0.14, linewidth=0)
            middle = ((first + last) / 2, 1.02)
            axes.text(
                *middle, name, color=INK, ha="center", transform=axes.get_xaxis_transform(), fontsize=11
            )
        axes.set_ylabel("Close")
        return svg_of(figure, "splits", "Close over time, with the train, validation and test spans")


def pit_figure(calibration: Calibration) -> str:
    """Share of test prices of Close in each tenth of their forecast distribution, model beside the best baseline."""
    with canvas(230) as figure:
        axes = figure.subplots()
        bare(axes)
        best = calibration.best
        parts = [(BASE, best.title, best.targets)]
        if calibration.model is not None:
            parts.insert(0, (MODEL, "model", calibration.model))
        for group, (color, title, part) in enumerate(parts):
            shares = 100 * np.asarray(part["Close"].pit)
            axes.bar(np.arange(len(shares)) + 0.42 * group - 0.21, shares, 0.4, color=color, label=title)
        axes.axhline(100 / len(shares), color=INK, linewidth=1.2)
        axes.set_xticks(range(len(shares)), [f"{10 * i}–{10 * i + 10} %" for i in range(len(shares))])
        axes.set_ylabel("share of days, %")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
        return svg_of(
            figure, "pit", "Where the true Close fell in its forecast distribution; level bars are honest"
        )


def _axis_day(date: str) -> float:
    """Where matplotlib draws an ISO date on an axis of dates: days since 1970-01-01."""
    return float(np.datetime64(date, "D").astype(np.int64))
