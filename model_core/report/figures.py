"""The pictures of a report that stand for themselves, each from plain numbers to one inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.evaluation.verdict import skill_words
from model_core.report.drawing import (
    BAD,
    BASE,
    GOOD,
    INK,
    MODEL,
    MUTED,
    WIDTH,
    bare,
    by_width,
    canvas,
    date_axis,
    legend_below,
    svg_of,
)
from model_core.report.regime_figures import skill_rows
from model_core.results.course import courses_of
from model_core.results.findings import PerturbationResult
from model_core.results.scores import ForecastScore
from model_core.results.skill import Comparison
from model_core.results.training import TrainResults

_DRAWABLE = 1e9
"""Largest growth that a figure shows."""
_LOSSES = {
    "nll": "negative log likelihood, nats",
    "crps": "CRPS, recent ranges",
    "mse": "mean squared error, recent ranges²",
}
"""By the part of the loss that ``history.parquet`` has a column of."""


@dataclass(frozen=True)
class SplitSpan:
    """The windows of a split and the days that they forecast."""

    windows: int
    first_target_date: str
    last_target_date: str


def skill_figure(rows: dict[str, Comparison], titles: Mapping[str, str]) -> str:
    """Skill against each baseline, by name, with its interval; right of zero the model is better."""
    with canvas(46 * len(rows) + 66, 62 * len(rows) + 66) as figure:
        axes = figure.subplots()
        skill_rows(axes, {titles[name]: row for name, row in rows.items()}, labels=True)
        axes.set_xlabel("skill, % of the baseline's squared error", loc="right")
        words = "; ".join(f"{titles[name]} {skill_words(row)}" for name, row in rows.items())
        return svg_of(figure, "skill", f"Skill of the model against each baseline: {words}")


def horizon_figure(forecasts: Mapping[str, ForecastScore], names: Sequence[str]) -> str:
    """Mean absolute error by forecast day, in percent of the price."""
    styles = [(MODEL, "-", "o"), (BASE, "-", "s"), (MUTED, "--", "")]
    with canvas(300, 330) as figure:
        axes = figure.subplots()
        bare(axes)
        handles, told = [], []
        for name, (color, line, marker) in zip(names, styles, strict=False):
            rows = forecasts[name].metrics.log.per_step
            x, y = [r.step for r in rows], [100 * r.mae for r in rows]
            title = forecasts[name].title
            handles += axes.plot(x, y, line, color=color, marker=marker, markersize=4.5, label=title)
            told.append(f"{title} {y[0]:.2f} % on day {x[0]}, {y[-1]:.2f} % on day {x[-1]}")
        axes.set_xlabel("forecast day")
        axes.set_ylabel("mean absolute error, %")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend_below(figure, handles, 3, 1)
        return svg_of(figure, "horizon", f"Mean absolute error by forecast day: {'; '.join(told)}")


def target_figure(forecasts: Mapping[str, ForecastScore], names: Sequence[str]) -> str:
    """Mean absolute error of Open, High, Low and Close, in percent of the price."""
    colors = [MODEL, BASE, MUTED]
    with canvas(270, 300) as figure:
        axes = figure.subplots()
        bare(axes)
        width = 0.84 / len(names)
        handles, told = [], []
        for group, (name, color) in enumerate(zip(names, colors, strict=False)):
            values = [100 * forecasts[name].metrics.log.per_target[t].mae for t in TARGETS]
            x = np.arange(len(TARGETS)) + (group - (len(names) - 1) / 2) * width
            axes.bar(x, values, width * 0.88, color=color)
            for left, value in zip(x, values, strict=True):
                axes.annotate(
                    f"{value:.2f}",
                    (left, value),
                    (0, 2),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=by_width(10, 9),
                    rotation=by_width(0, 90),
                )
            title = forecasts[name].title
            handles.append(Patch(facecolor=color, label=title))
            told.append(
                f"{title}: " + ", ".join(f"{t} {v:.2f} %" for t, v in zip(TARGETS, values, strict=True))
            )
        axes.set_xticks(range(len(TARGETS)), TARGETS)
        axes.tick_params(axis="x", labelcolor=INK, length=0)
        axes.set_ylabel("mean absolute error, %")
        axes.margins(y=by_width(12, 24) / 100)
        legend_below(figure, handles, 3, 1)
        return svg_of(figure, "targets", f"Mean absolute error by target. {'; '.join(told)}")


def loss_name(history: pd.DataFrame) -> str:
    """The loss that training minimized, with its unit."""
    return next((said for part, said in _LOSSES.items() if f"train_{part}" in history), "loss")


def training_figure(history: pd.DataFrame, training: TrainResults) -> str:
    """Loss by epoch over the learning rate, a line each member; epoch 0 is the untrained model."""
    with canvas(330, 350) as figure:
        losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        bare(losses)
        marker = "o" if len(history) < 25 else ""
        courses, told = courses_of(history, training), []
        for course in courses:
            style = {"marker": marker, "markersize": 4}
            losses.plot(course.epochs["epoch"], course.epochs["train_loss"], color=MUTED, **style)
            validated, best_epoch = course.validated, course.best_epoch
            losses.plot(list(validated), list(validated.values()), color=MODEL, **style)
            if best_epoch in validated:
                losses.plot(best_epoch, validated[best_epoch], "o", color=GOOD, markersize=9)
            last = list(validated)[-1]
            told.append(
                f"validation {validated[best_epoch]:.4g} in epoch {best_epoch}, {validated[last]:.4g} in epoch {last}"
                if best_epoch in validated
                else f"validation {validated[last]:.4g} in epoch {last}"
            )
        losses.set_ylabel(loss_name(history))
        bare(rates)
        for course in courses:
            rates.plot(
                course.epochs["epoch"], course.epochs["learning_rate"], color=MUTED, drawstyle="steps-mid"
            )
        rates.set_ylabel("learning rate" if by_width(1, 0) else "rate")
        rates.set_ylim(bottom=0)
        rates.set_xlabel("epoch")
        rates.xaxis.set_major_locator(MaxNLocator(integer=True))
        rates.yaxis.set_major_locator(MaxNLocator(2))
        handles = [
            Line2D([], [], color=MUTED, label="training"),
            Line2D([], [], color=MODEL, label="validation"),
            Line2D([], [], color=GOOD, marker="o", linestyle="", label=f"best: {training.best_in_words}"),
        ]
        legend_below(figure, handles, 3, 1)
        said = "; ".join(told)
        return svg_of(figure, "training", f"Training and validation loss by epoch: {said}"[:1000])


def robustness_figure(perturbations: Sequence[PerturbationResult], name: str) -> str:
    """Error under each perturbation over the clean error: the model beside a walk that reads what is perturbed."""
    with canvas(34 * len(perturbations) + 96, 44 * len(perturbations) + 130) as figure:
        axes = figure.subplots()
        bare(axes, grid="x")
        axes.set_xscale("log")
        axes.axvline(1, color=INK, linewidth=1.2)
        for y, perturbation in enumerate(reversed(perturbations)):
            color = BAD if perturbation.fragile else MODEL
            drawn = [(perturbation.degradation, y + 0.15, color)]
            if perturbation.walk_reads:
                drawn.append((perturbation.walk_degradation, y - 0.17, BASE))
            for ratio, line, shade in drawn:
                if ratio.ratio is None or not 1 / _DRAWABLE < ratio.ratio < _DRAWABLE:
                    continue
                if ratio.low is not None and ratio.high is not None:
                    ends = np.clip([ratio.low, ratio.high], 1 / _DRAWABLE, _DRAWABLE)
                    axes.plot(ends, [line, line], color=shade, linewidth=5, alpha=0.35)
                axes.plot(ratio.ratio, line, "o", color=shade, markersize=6)
            if by_width(0, 1):
                axes.text(
                    0,
                    y + 0.27,
                    perturbation.title,
                    transform=axes.get_yaxis_transform(),
                    va="bottom",
                    color=INK,
                )
        if by_width(1, 0):
            axes.set_yticks(range(len(perturbations)), [s.title for s in reversed(perturbations)])
        else:
            axes.set_yticks([])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(-0.7, len(perturbations) - 0.1)
        axes.minorticks_off()
        ticks = _three_ticks(*axes.get_xlim())
        axes.set_xticks(ticks, [f"× {t:g}" for t in ticks])
        handles = [Patch(facecolor=MODEL, label="model")]
        if any(s.fragile for s in perturbations):
            handles.append(Patch(facecolor=BAD, label="model, fragile"))
        if any(s.walk_reads for s in perturbations):
            handles.append(Patch(facecolor=BASE, label="random walk shown the same"))
        legend_below(figure, handles, 3, 1)
        told = "; ".join(
            f"{s.title} × {s.degradation.ratio:.2f}" for s in perturbations if s.degradation.ratio is not None
        )
        return svg_of(figure, name, f"Error under perturbation over clean error: {told}")


def _three_ticks(low: float, high: float) -> list[float]:
    """1 and a round number on either side of it, within the limits of a logarithmic axis."""
    ticks = {1.0}
    for end in (low, high):
        reach = abs(np.log10(end))
        tick = 10.0 ** (0.8 * np.sign(np.log10(end)) * reach)
        digits = 3 if reach < 0.02 else 2 if reach < 0.3 else 1
        ticks.add(float(f"{tick:.{digits}g}" if tick >= 1.3 or tick < 1 else f"{tick:.{digits + 1}g}"))
    return sorted(ticks)


def splits_figure(
    spans: Mapping[str, SplitSpan], dates: NDArray[np.datetime64], closes: NDArray[np.float64]
) -> str:
    """Close over all rows, with the spans of the three splits."""
    with canvas(240, 240) as figure:
        axes = figure.subplots()
        bare(axes)
        step = max(1, len(dates) // (WIDTH // 2))
        days = dates[::step].astype("datetime64[D]").astype(np.int64)
        axes.plot(days, closes[::step], color=INK, linewidth=1.1)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.minorticks_off()
        told = []
        for (name, span), color in zip(spans.items(), (MUTED, BASE, MODEL), strict=True):
            first, last = (_axis_day(day) for day in (span.first_target_date, span.last_target_date))
            axes.axvspan(first, last, color=color, alpha=0.14, linewidth=0)
            middle = ((first + last) / 2, 1.02)
            axes.text(
                *middle, name, color=INK, ha="center", transform=axes.get_xaxis_transform(), fontsize=11
            )
            told.append(f"{name} {span.first_target_date} to {span.last_target_date}")
        date_axis(axes, dates[0], dates[-1])
        axes.set_ylabel("Close")
        return svg_of(
            figure,
            "splits",
            f"Close from {closes[0]:,.6g} to {closes[-1]:,.6g}; forecast days of {', '.join(told)}",
        )


def _axis_day(date: str) -> float:
    """Where matplotlib draws an ISO date on an axis of dates: days since 1970-01-01."""
    return float(np.datetime64(date, "D").astype(np.int64))
