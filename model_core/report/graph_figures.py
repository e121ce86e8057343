"""The learned graph and the attention map, in colors that part at uniform."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from model_core.report.drawing import BASE, INK, MODEL, MUTED, boxes, by_width, canvas, svg_of

_STEPS = 8
"""Shades on either side of uniform; the last stands for twice uniform and more, or for nothing at all."""


def heat_figure(
    values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], name: str
) -> str:
    """A matrix of shares beside what each would be if its row were spread evenly."""
    grid = np.asarray(values, dtype=np.float64)
    uniform = grid.sum(axis=1, keepdims=True) / grid.shape[1]
    shades = np.clip(np.rint(_STEPS * (grid / np.where(uniform > 0, uniform, 1.0) - 1)), -_STEPS, _STEPS)
    with canvas(30 * len(rows) + 170, 21 * len(rows) + 170) as figure:
        axes, bar = figure.subplots(2, 1, height_ratios=[len(rows), 1])
        _squares(axes, shades, 0.47)
        axes.set_xlim(-0.6, len(columns) - 0.4)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xticks(
            range(len(columns)), columns, rotation=by_width(45, 90), ha=("right", "center")[by_width(0, 1)]
        )
        axes.set_yticks(range(len(rows)), rows)
        _squares(bar, np.arange(-_STEPS, _STEPS + 1.0)[None], 0.5)
        bar.set_xlim(-0.6, 2 * _STEPS + 0.6)
        bar.set_ylim(0.6, -0.6)
        most = ("twice that, or more", "twice or more")[by_width(0, 1)]
        bar.set_xticks([0, _STEPS, 2 * _STEPS], ["0", _uniform_words(uniform), most])
        bar.set_yticks([])
        for end, label in ((0, "left"), (2, "right")):
            bar.get_xticklabels()[end].set_horizontalalignment(label)
        for one in (axes, bar):
            one.grid(visible=False)
            one.tick_params(length=0, labelcolor=INK)
            one.spines["bottom"].set_visible(False)
        return svg_of(figure, name, _told(grid, rows, columns))


def _squares(axes: Axes, shades: NDArray[np.float64], half: float) -> None:
    for shade in np.unique(shades):
        i, j = np.nonzero(shades == shade)
        boxes(
            axes,
            j - half,
            i - half,
            j + half,
            i + half,
            facecolor=MODEL if shade > 0 else BASE if shade < 0 else MUTED,
            edgecolor="none",
            alpha=0.08 + 0.92 * abs(float(shade)) / _STEPS,
        )


def _uniform_words(uniform: NDArray[np.float64]) -> str:
    low, high = 100 * float(uniform.min()), 100 * float(uniform.max())
    shown = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f}–{high:.1f}"
    return f"even, {shown} %"


def _told(grid: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str]) -> str:
    strong, weak = (np.unravel_index(cell, grid.shape) for cell in (grid.argmax(), grid.argmin()))
    (i, j), (k, m) = ([int(index) for index in cell] for cell in (weak, strong))
    return (
        f"Shares from {100 * grid.min():.1f} % ({rows[i]} from {columns[j]}) to {100 * grid.max():.1f} % "
        f"({rows[k]} from {columns[m]})"
    )


def effective_number(values: Sequence[Sequence[float]]) -> float:
    """How many equal shares the rows of a matrix are worth on average: exp of their mean entropy, 1 … columns."""
    grid = np.asarray(values, dtype=np.float64)
    total = grid.sum(axis=1, keepdims=True)
    shares = grid / np.where(total > 0, total, 1.0)
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=1)
    return float(np.exp(entropy.mean()))
