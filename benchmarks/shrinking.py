"""By which rule is a correction of the base to be shrunk? Rolling origins on real markets, one JSON line a rule.

    python -m benchmarks.shrinking [--source sample://nasdaq …]

Corrections that take no training stand for a model: the ridge, the HAR walk with the whole drift, and the mean of both
and the walk. At each origin they are fitted to the windows before the last 490, shrunk by what they say of these, and
forecast the 490 windows after it; origins end before the span that a run is tested on. Windows of 64 days, 10 ahead.

    nothing      the base
    rule         ``fit_shrinkage``, what training does
    recentered   the same after the mean that the correction of Close has over the 490 windows is taken out
    all          the correction as it is
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.markets import print_by_market
from model_core.axes import CLOSE
from model_core.config.data import DataSettings, WindowSettings
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.prepare import prepare
from model_core.data.splits import Span, Splits
from model_core.data.walk import displacements, fit_structured_walk
from model_core.evaluation.baselines import baseline_forecasts
from model_core.nn.bundles import Forecast
from model_core.nn.shrinkage import shrunk_candle
from model_core.training.shrinkage import Validated, fit_shrinkage

WINDOW = WindowSettings(seq_len=64, label_len=32, pred_len=10)
FIRST_ORIGIN, SPAN = 2000, 490
BASE = "structured_walk"
CORRECTIONS = ("ridge", "har_walk", "combination")


def origins_of(whole: MarketDataset) -> Iterator[tuple[int, MarketDataset]]:
    """Origins, and the dataset with its spans and walk as they are there; ``test`` is what follows the origin."""
    horizon = whole.window.pred_len
    for origin in range(FIRST_ORIGIN, whole.splits.test.first - horizon - SPAN, SPAN):
        held = Span(origin - SPAN - horizon + 1, origin - horizon + 1)
        train = Span(whole.splits.train.first, held.first - horizon)
        splits = Splits(train=train, validation=held, test=Span(origin, origin + SPAN))
        walk = fit_structured_walk(whole.known_ranges, splits, horizon)
        yield origin, replace(whole, splits=splits, walk=walk)


def skills_at(dataset: MarketDataset, correction: str) -> dict[str, tuple[float, float]]:
    """By rule: the share of Close that is kept, and the skill of all prices against the base, in percent."""
    horizon = dataset.window.pred_len

    def of(span: Span) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale = torch.from_numpy(dataset.known_ranges.scale[span.first : span.stop, None, None])
        forecasts = {b.name: b.displacement for b in baseline_forecasts(dataset, span, EvaluationSettings())}
        true = displacements(dataset.log_prices, span, horizon)
        base, model, target = (
            torch.from_numpy(x) / scale for x in (forecasts[BASE], forecasts[correction], true)
        )
        return base, model, target, scale

    base, model, target, _ = of(dataset.splits.validation)
    later_base, later_model, later_target, scale = of(dataset.splits.test)
    mean = (model - base)[..., CLOSE:].mean(0)

    def loss(forecast: Tensor) -> float:
        return float(((forecast - later_target) * scale).square().mean())

    def fitted(taken_out: Tensor) -> tuple[float, float]:
        shares = fit_shrinkage([Validated(Forecast(model - taken_out), Forecast(base), target)]).shares
        kept = shrunk_candle(later_model - taken_out, later_base, shares.close, shares.candle)
        return shares.close, 100 * (1 - loss(kept) / loss(later_base))

    return {
        "nothing": (0.0, 0.0),
        "rule": fitted(torch.zeros_like(mean)),
        "recentered": fitted(mean),
        "all": (1.0, 100 * (1 - loss(later_model) / loss(later_base))),
    }


def measure(source: str) -> Iterator[dict[str, Any]]:
    """A line a correction and rule."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _, dataset in origins_of(prepare(source, DataSettings(window=WINDOW))):
        for correction in CORRECTIONS:
            for rule, outcome in skills_at(dataset, correction).items():
                found.setdefault((correction, rule), []).append(outcome)
    for (correction, rule), outcomes in found.items():
        shares, skills = zip(*outcomes, strict=True)
        yield {
            "source": source,
            "correction": correction,
            "rule": rule,
            "shares_of_close": [round(share, 1) for share in shares],
            "skill_percent": [round(skill, 1) for skill in skills],
            "mean": round(float(np.mean(skills)), 2),
            "worst": round(min(skills), 1),
        }


if __name__ == "__main__":
    print_by_market(__doc__, measure)
