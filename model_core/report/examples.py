"""Test windows that the page draws: chosen by the rank of their error, not by hand."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_core.axes import TARGETS
from model_core.evaluation.verdict import percent
from model_core.report.candles import candle_figure
from model_core.report.drawing import Picture, picture
from model_core.report.evidence import Evidence
from model_core.results.scores import WalkChoice
from model_core.results.tables import price_column

_WORST = 0.995
"""Rank of the last example: the middle of the worst hundredth."""
_VARIANTS = {
    "har": "structured walk (ranges of a day, week, month)",
    "range": "structured walk (recent range)",
    "geometry": "structured walk (recent range, no drift)",
    "drift": "structured walk (recent range and drift)",
}


@dataclass(frozen=True)
class Example:
    """A test window and its picture."""

    anchor: str
    error: float
    """Mean absolute error in log price."""
    rank: float
    """Share of the windows with a smaller error."""
    svg: Picture

    @property
    def standing(self) -> str:
        """Where its error lies among those of all windows."""
        if self.rank >= 0.99:
            return "among the largest 1 %"
        return f"larger than in {percent(self.rank, 0)} of the windows"


def walk_title(choice: WalkChoice) -> str:
    """What the walk of a run is called in a legend."""
    return _VARIANTS[choice.variant]


def examples(evidence: Evidence, count: int) -> list[Example]:
    """A good forecast, some between, and one of the worst hundredth, with their candles; one alone is the median."""
    table = evidence.predictions
    forecast, true = (
        table[[price_column(t, what) for t in TARGETS]].to_numpy() for what in ("forecast", "true")
    )
    error = pd.Series(np.abs(forecast - true).mean(axis=1), index=table.index)
    by_window = error.groupby(table["anchor_date"]).mean().sort_values(kind="stable")
    ranks = [*np.linspace(0.1, 0.9, count + 1)[: count - 1], _WORST] if count > 1 else [0.5]
    dates = pd.to_datetime(pd.Series(evidence.dataset.dates))
    prices = pd.DataFrame(np.exp(evidence.dataset.log_prices), columns=list(TARGETS)).assign(date=dates)
    walk = walk_title(evidence.scores.structured_walk)

    def drawn(number: int, rank: float) -> Example:
        anchor = by_window.index[round(rank * (len(by_window) - 1))]
        window = table[table["anchor_date"] == anchor].sort_values("step").reset_index(drop=True)
        history = prices[prices["date"] <= pd.Timestamp(anchor)].reset_index(drop=True)
        return Example(
            anchor=str(pd.Timestamp(anchor).date()),
            error=float(by_window[anchor]),
            rank=rank,
            svg=picture(lambda: candle_figure(history, window, f"candles{number}", walk)),
        )

    return [drawn(number, float(rank)) for number, rank in enumerate(ranks)]
