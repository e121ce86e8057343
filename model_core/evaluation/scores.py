"""``scores.json``: every metric, every baseline, how sure, and a verdict."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_core.axes import CLOSE, TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.evaluation.baselines import BaselineForecast
from model_core.evaluation.calibrated import calibration_scores
from model_core.evaluation.confidence_set import confidence_set
from model_core.evaluation.predict import Predictions
from model_core.evaluation.significance import comparison_row
from model_core.evaluation.verdict import verdict_text
from model_core.metrics.direction import direction_score
from model_core.metrics.point import Scale, metrics_table

SCHEMA_VERSION = 2
"""Of ``scores.json``."""
HEADLINE_METRIC = "mse"
"""Verdicts compare squared errors: what training minimises, and what the published bar is quoted in."""
SAME = 1e-12
"""Forecasts of a log price that differ by less, so that the prices differ by less than this share, are one."""
LOSSES = {"mse": np.square, "mae": np.abs}
COLUMNS = {"overall": slice(None)} | {name: slice(k, k + 1) for k, name in enumerate(TARGETS)}


def scores(
    dataset: MarketDataset,
    predictions: Predictions,
    baselines: tuple[BaselineForecast, ...],
    settings: EvaluationSettings,
    title: str,
) -> dict[str, Any]:
    """All numbers of an evaluation but those that need the model again.

    Args:
        title: what the model is called.

    Raises:
        RuntimeError: a test window was not scored, or scored twice.
    """
    _check_every_window(dataset, predictions)
    predictions, baselines = _without_rounding(predictions, baselines)
    scales = _scales(dataset, predictions)
    forecasts = {"model": (title, "model", predictions.forecast)}
    forecasts |= {b.name: (b.title, "baseline", b.displacement) for b in baselines}
    table = {
        name: {
            "title": title,
            "role": role,
            "metrics": {
                scale.name: metrics_table(scale, _on_scale(scale.name, displacement, predictions))
                for scale in scales
            },
        }
        for name, (title, role, displacement) in forecasts.items()
    }
    best = min((b.name for b in baselines), key=lambda name: _headline_loss(table[name]))
    skill = _skill(predictions, baselines, dataset.window.pred_len, settings)
    return {
        "schema_version": SCHEMA_VERSION,
        "windows": len(predictions),
        "first_date": str(predictions.dates[0, 1]),
        "last_date": str(predictions.dates[-1, -1]),
        "pred_len": dataset.window.pred_len,
        "confidence": settings.confidence,
        "forecasts": table,
        "structured_walk": {
            "variant": dataset.walk.variant,
            "validation_mae": dataset.walk.validation_mae,
        },
        "best_baseline": best,
        "skill": skill,
        "verdict": _verdict(skill, best, {b.name: b.title for b in baselines}, settings),
        **_confidence_set(predictions, baselines, dataset.window.pred_len, settings),
        "direction": directions(predictions),
        "calibration": calibration_scores(dataset, predictions, settings),
        "candles": {"invalid_share": invalid_candles(predictions.forecast)},
    }


def _check_every_window(dataset: MarketDataset, predictions: Predictions) -> None:
    test = dataset.splits.test
    if not np.array_equal(predictions.dates[:, 0], dataset.dates[test.first : test.stop]):
        raise RuntimeError(
            f"{len(predictions)} windows were scored, not each of the {len(test)} test windows once"
        )


def _without_rounding(
    predictions: Predictions, baselines: tuple[BaselineForecast, ...]
) -> tuple[Predictions, tuple[BaselineForecast, ...]]:
    """The forecasts with every difference below ``SAME`` taken out: from the truth, and from one another."""
    distinct: list[NDArray[np.float64]] = []

    def cleaned(forecast: NDArray[np.float64]) -> NDArray[np.float64]:
        for known in distinct:
            if np.abs(forecast - known).max() < SAME:
                return known
        distinct.append(np.where(np.abs(forecast - predictions.true) < SAME, predictions.true, forecast))
        return distinct[-1]

    return (
        replace(predictions, forecast=cleaned(predictions.forecast)),
        tuple(replace(b, displacement=cleaned(b.displacement)) for b in baselines),
    )


def _confidence_set(
    predictions: Predictions,
    baselines: tuple[BaselineForecast, ...],
    horizon: int,
    settings: EvaluationSettings,
) -> dict[str, Any]:
    """Which forecasts may be the best in squared log error, the model among them; or why none can be named."""
    forecasts = {"model": predictions.forecast} | {b.name: b.displacement for b in baselines}
    losses = {
        name: np.square(forecast - predictions.true).mean(axis=(1, 2)) for name, forecast in forecasts.items()
    }
    names, reason = confidence_set(losses, horizon, settings)
    return {"confidence_set": names, "confidence_set_reason": reason}


def invalid_candles(displacement: NDArray[np.float64]) -> float:
    """Share of forecast candles [..., T] whose High or Low does not enclose Open and Close."""
    opened, high, low, close = np.moveaxis(displacement, -1, 0)
    tolerance = 1e-7
    broken = (high < np.maximum(opened, close) - tolerance) | (low > np.minimum(opened, close) + tolerance)
    return float(broken.mean())


def directions(predictions: Predictions) -> list[dict[str, Any]]:
    """Right signs of the move of Close after one day and at the horizon, beside naming the commoner sign."""
    horizon = predictions.true.shape[1]
    return [
        direction_score(predictions.true[:, h - 1, CLOSE], predictions.forecast[:, h - 1, CLOSE], h)
        for h in dict.fromkeys((1, horizon))
    ]


def _scales(dataset: MarketDataset, predictions: Predictions) -> tuple[Scale, ...]:
    """Log prices, prices, and displacements in units of the window's range."""
    train = dataset.log_prices[: dataset.splits.train.stop, CLOSE]
    naive_log = float(np.abs(np.diff(train)).mean())
    naive_price = float(np.abs(np.diff(np.exp(train))).mean())
    return (
        Scale("log", _on_scale("log", predictions.true, predictions), naive_log),
        Scale("price", _on_scale("price", predictions.true, predictions), naive_price),
        Scale("scaled", _on_scale("scaled", predictions.true, predictions), None),
    )


def _on_scale(name: str, displacement: NDArray[np.float64], p: Predictions) -> NDArray[np.float64]:
    log_prices = displacement + p.anchor[:, None, None]
    match name:
        case "log":
            return log_prices
        case "price":
            return np.exp(log_prices)
        case _:
            return displacement / p.scale[:, None, None]


def _headline_loss(entry: dict[str, Any]) -> float:
    return float(entry["metrics"]["log"]["overall"][HEADLINE_METRIC])


def _skill(
    predictions: Predictions,
    baselines: tuple[BaselineForecast, ...],
    horizon: int,
    settings: EvaluationSettings,
) -> list[dict[str, Any]]:
    """The model's skill in log prices against every baseline: by metric, overall and per target."""
    ours = predictions.forecast - predictions.true
    rows = []
    for baseline, (metric, loss) in product(baselines, LOSSES.items()):
        theirs = baseline.displacement - predictions.true
        for target, columns in COLUMNS.items():
            result = comparison_row(
                loss(ours[..., columns]).mean(axis=(1, 2)),
                loss(theirs[..., columns]).mean(axis=(1, 2)),
                horizon,
                settings,
            )
            rows.append(
                {"baseline": baseline.name, "metric": metric, "scale": "log", "target": target} | result
            )
    return rows


def _verdict(
    skill: list[dict[str, Any]], best: str, titles: dict[str, str], settings: EvaluationSettings
) -> dict[str, Any]:
    """Against the best baseline, over all targets and steps; Close alone beside it."""
    overall = skill_row(skill, best, "overall")
    close = skill_row(skill, "last_close", "Close")
    return {
        "outcome": overall["verdict"],
        "reason": overall["reason"],
        "baseline": best,
        "text": verdict_text(overall, close, titles[best], settings.confidence),
        "close_outcome": close["verdict"],
    }


def skill_row(skill: list[dict[str, Any]], baseline: str, target: str) -> dict[str, Any]:
    """The row of the headline metric against one baseline for one target (or ``overall``)."""
    wanted = (baseline, HEADLINE_METRIC, target)
    return next(row for row in skill if (row["baseline"], row["metric"], row["target"]) == wanted)
