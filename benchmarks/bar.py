"""The bar that a model has to clear: baselines on real markets, one JSON line a market and forecast.

    python -m benchmarks.bar [--source sample://nasdaq …] [--seq-len 250]

No model and no torch: windows of 250 days, 10 days ahead, split 70/10/20. Skills are in squared log error
against the last Close, with the interval that ``scores.json`` would give. Lines of the case ``base`` have the
structured walk, which every head starts from, against the best of the others for each target: ``chosen_on`` the test
windows themselves, as in reports, or on the validation windows, as somebody who has to choose one would.
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_core.axes import TARGETS
from model_core.config.data import DataSettings, WindowSettings
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.prepare import prepare
from model_core.data.splits import Span
from model_core.data.walk import displacements
from model_core.evaluation.baselines import baseline_forecasts
from model_core.evaluation.distributions import baseline_distributions
from model_core.evaluation.significance import compare
from model_core.metrics.calibration import calibration


def point_bar(dataset: MarketDataset, source: str, settings: EvaluationSettings) -> Iterator[dict[str, Any]]:
    """Every baseline on the test windows: errors in log price, skill against the last Close."""
    test, horizon = dataset.splits.test, dataset.window.pred_len
    true = displacements(dataset.log_prices, test, horizon)
    forecasts = {b.name: b.displacement for b in baseline_forecasts(dataset, test, settings)}
    losses = {name: np.square(forecast - true).mean(axis=(1, 2)) for name, forecast in forecasts.items()}
    for name, forecast in forecasts.items():
        result = compare(
            losses[name],
            losses["last_close"],
            horizon=horizon,
            confidence=settings.confidence,
        )
        error = forecast - true
        yield {
            "case": "point",
            "source": source,
            "windows": len(true),
            "forecast": name,
            "chosen_variant": dataset.walk.variant if name == "structured_walk" else None,
            "drift_share": dataset.walk.drift_share if name == "structured_walk" else None,
            "mae_log": round(float(np.abs(error).mean()), 5),
            "rmse_log": round(float(np.sqrt(np.square(error).mean())), 5),
            "skill_percent": [
                None if value is None else round(100 * value, 1)
                for value in (result.skill, result.low, result.high)
            ],
            "verdict": result.outcome,
        }


def base_against_best(
    dataset: MarketDataset, source: str, settings: EvaluationSettings
) -> Iterator[dict[str, Any]]:
    """By target, the skill of the structured walk against the baseline with the lowest squared error."""
    horizon, splits = dataset.window.pred_len, dataset.splits

    def squares(span: Span) -> dict[str, NDArray[np.float64]]:
        true = displacements(dataset.log_prices, span, horizon)
        return {
            b.name: np.square(b.displacement - true).mean(axis=1)
            for b in baseline_forecasts(dataset, span, settings)
        }

    test = squares(splits.test)
    for chosen_on, known in (("test", test), ("validation", squares(splits.validation))):
        for k, target in enumerate(TARGETS):
            others = [name for name in known if name != "structured_walk"]
            best = min(others, key=lambda name: float(known[name][:, k].mean()))
            result = compare(
                test["structured_walk"][:, k],
                test[best][:, k],
                horizon=horizon,
                confidence=settings.confidence,
            )
            yield {
                "case": "base",
                "source": source,
                "target": target,
                "chosen_on": chosen_on,
                "best": best,
                "skill_percent": [
                    None if value is None else round(100 * value, 1)
                    for value in (result.skill, result.low, result.high)
                ],
                "verdict": result.outcome,
            }


def probabilistic_bar(
    dataset: MarketDataset, source: str, settings: EvaluationSettings
) -> Iterator[dict[str, Any]]:
    """Every distribution on the test windows, by target; skill in CRPS against the first of them that has the target.

    That is the EWMA random walk.
    """
    test, horizon = dataset.splits.test, dataset.window.pred_len
    true = displacements(dataset.log_prices, test, horizon)
    volatility = dataset.known_ranges.scale[test.first : test.stop]
    forecasts, _ = baseline_distributions(dataset, test)
    for forecast in forecasts:
        for target, marginal in forecast.targets.items():
            column = true[..., TARGETS.index(target)]
            found = calibration(marginal, column, volatility)
            result = compare(
                marginal.crps(column).mean(axis=1),
                forecasts[0].targets[target].crps(column).mean(axis=1),
                horizon=horizon,
                confidence=settings.confidence,
            )
            yield {
                "case": "probabilistic",
                "source": source,
                "windows": len(true),
                "forecast": forecast.name,
                "target": target,
                "crps_log": round(found.crps, 5),
                "log_score": None if found.log_score is None else round(found.log_score, 3),
                "coverage": {level: round(share, 3) for level, share in found.coverage.items()},
                "coverage_90_by_volatility": {
                    third: round(coverage["90%"], 3)
                    for third, coverage in (found.coverage_by_volatility or {}).items()
                },
                "skill_percent": [
                    None if value is None else round(100 * value, 1)
                    for value in (result.skill, result.low, result.high)
                ],
                "verdict": result.outcome,
            }


def main() -> None:
    """Measure each source that was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", action="append", help="may be given more than once")
    parser.add_argument("--seq-len", type=int, default=250, help="known days of a window (%(default)s)")
    given = parser.parse_args()
    window = WindowSettings(seq_len=given.seq_len, label_len=given.seq_len // 2)
    for source in given.source or ("sample://nasdaq", "sample://sp500"):
        dataset = prepare(source, DataSettings(window=window))
        for lines in (point_bar, base_against_best, probabilistic_bar):
            for line in lines(dataset, source, EvaluationSettings()):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
