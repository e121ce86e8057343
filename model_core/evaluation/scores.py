"""``scores.json``: every metric, every baseline, how sure, and a verdict."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_core.axes import CLOSE, TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.data.layouts.log_prices import broken_candles
from model_core.evaluation.baselines import BaselineForecast
from model_core.evaluation.calibrated import calibration_scores
from model_core.evaluation.confidence_set import confidence_set
from model_core.evaluation.predict import Predictions
from model_core.evaluation.regimes import WindowLosses, regimes_of, squared_losses
from model_core.evaluation.significance import compare
from model_core.evaluation.unshrunk import unshrunk_scores
from model_core.evaluation.verdict import departure_text, distribution_text, point_text, training_text
from model_core.metrics.direction import direction_score
from model_core.metrics.point import Scale
from model_core.results.calibration import Calibration
from model_core.results.departure import Departure
from model_core.results.scores import (
    MODEL,
    OVERALL,
    BaselineSkill,
    Candles,
    Coverage,
    Direction,
    ForecastScore,
    Judgment,
    Metrics,
    Scores,
    Verdict,
    WalkChoice,
)
from model_core.results.skill import Comparison
from model_core.results.training import Checkpoint, TrainResults

SAME = 1e-12
"""Forecasts of a log price that differ by less, so that the prices differ by less than this share, are one."""
CANDLE_ROUNDING = 1e-7
"""Slack, in log price, for heads that compute in single precision."""
COLUMNS = {OVERALL: slice(None)} | {name: slice(k, k + 1) for k, name in enumerate(TARGETS)}


def scores(
    dataset: MarketDataset,
    predictions: Predictions,
    baselines: tuple[BaselineForecast, ...],
    settings: EvaluationSettings,
    *,
    title: str,
    checkpoint: Checkpoint,
    coverage: Coverage,
    departure: Departure,
    training: TrainResults,
) -> tuple[Scores, WindowLosses]:
    """All numbers of an evaluation but those that need the model again; and the losses behind them.

    Args:
        title: what the model is called; checkpoint: whose forecasts these are.
        coverage: of the intervals around the forecasts.
        departure: from the base that the model starts from; training: how it was trained.

    Raises:
        RuntimeError: a test window was not scored, or scored twice.
    """
    _check_every_window(dataset, predictions)
    predictions, baselines = _without_rounding(predictions, baselines)
    scales = _scales(dataset, predictions)

    def scored(
        title: str, role: Literal["model", "baseline"], displacement: NDArray[np.float64]
    ) -> ForecastScore:
        errors = {
            name: scale.errors(_on_scale(name, displacement, predictions)) for name, scale in scales.items()
        }
        return ForecastScore(title=title, role=role, metrics=Metrics(**errors))

    table = {MODEL: scored(title, "model", predictions.forecast)}
    table |= {b.name: scored(b.title, "baseline", b.displacement) for b in baselines}
    best = min(baselines, key=lambda b: table[b.name].metrics.log.overall.mse)
    horizon = dataset.window.pred_len
    skill = {b.name: _skill(predictions, b, horizon, settings) for b in baselines}
    calibration, close = calibration_scores(dataset, predictions, settings)
    losses = WindowLosses(squared_losses(predictions, baselines), close)
    names, reason = confidence_set(losses.squared, horizon, settings)
    found = Scores(
        windows=len(predictions),
        first_date=str(predictions.dates[0, 1]),
        last_date=str(predictions.dates[-1, -1]),
        pred_len=horizon,
        confidence=settings.confidence,
        checkpoint=checkpoint,
        forecasts=table,
        best_baseline=best.name,
        structured_walk=WalkChoice(
            variant=dataset.walk.variant,
            drift_share=dataset.walk.drift_share,
            validation_mae=dataset.walk.validation_mae,
            validation_candle_rmse=dataset.walk.validation_candle_rmse or None,
        ),
        skill=skill,
        verdict=Verdict(
            **_point_verdict(skill, best, settings).model_dump(),
            close_outcome=skill["last_close"].squared_log_error["Close"].outcome,
            distribution=_distribution_verdict(calibration, settings),
            departure=departure_text(departure),
            training=training_text(training),
        ),
        confidence_set=None if names is None else tuple(names),
        confidence_set_reason=reason,
        direction=directions(predictions),
        calibration=calibration,
        candles=Candles(invalid_share=invalid_candles(predictions.forecast)),
        interval_coverage=coverage,
        departure=departure,
        unshrunk=unshrunk_scores(predictions, best, settings),
        regimes=regimes_of(
            predictions,
            losses,
            point=best.name,
            distribution=calibration.best_baseline,
            confidence=settings.confidence,
        ),
    )
    return found, losses


def _check_every_window(dataset: MarketDataset, predictions: Predictions) -> None:
    test = dataset.splits.test
    if not np.array_equal(predictions.dates[:, 0], dataset.dates[test.first : test.stop]):
        raise RuntimeError(
            f"{len(predictions)} windows were scored, not each of the {len(test)} test windows once"
        )


def _without_rounding(
    predictions: Predictions, baselines: tuple[BaselineForecast, ...]
) -> tuple[Predictions, tuple[BaselineForecast, ...]]:
    """The forecasts with every difference below ``SAME`` taken out: from the truth, and from one another.

    The model computes in single precision, so that it is a baseline if it is one up to ``CANDLE_ROUNDING``.
    """
    distinct: list[NDArray[np.float64]] = []

    def cleaned(forecast: NDArray[np.float64]) -> NDArray[np.float64]:
        for known in distinct:
            if np.abs(forecast - known).max() < SAME:
                return known
        distinct.append(np.where(np.abs(forecast - predictions.true) < SAME, predictions.true, forecast))
        return distinct[-1]

    forecast = predictions.forecast
    near = (b.displacement for b in baselines if np.abs(forecast - b.displacement).max() < CANDLE_ROUNDING)
    return (
        replace(predictions, forecast=cleaned(next(near, forecast))),
        tuple(replace(b, displacement=cleaned(b.displacement)) for b in baselines),
    )


def invalid_candles(displacement: NDArray[np.float64]) -> float:
    """Share of forecast candles [..., T] whose High or Low does not enclose Open and Close."""
    return float(broken_candles(displacement, CANDLE_ROUNDING).mean())


def directions(predictions: Predictions) -> tuple[Direction, ...]:
    """Right signs of the move of Close after one day and at the horizon, beside naming the commoner sign."""
    horizon = predictions.true.shape[1]
    return tuple(
        direction_score(predictions.true[:, h - 1, CLOSE], predictions.forecast[:, h - 1, CLOSE], h)
        for h in dict.fromkeys((1, horizon))
    )


def _scales(dataset: MarketDataset, predictions: Predictions) -> dict[str, Scale]:
    """Log prices, prices, and displacements in units of the window's range."""
    train = dataset.log_prices[: dataset.splits.train.stop, CLOSE]
    naive_log = float(np.abs(np.diff(train)).mean())
    naive_price = float(np.abs(np.diff(np.exp(train))).mean())
    log_prices, prices, scaled = (
        _on_scale(name, predictions.true, predictions) for name in ("log", "price", "scaled")
    )
    return {
        "log": Scale(log_prices, naive_log, relative=False),
        "price": Scale(prices, naive_price),
        "scaled": Scale(scaled),
    }


def _on_scale(name: str, displacement: NDArray[np.float64], p: Predictions) -> NDArray[np.float64]:
    log_prices = displacement + p.anchor[:, None, None]
    match name:
        case "log":
            return log_prices
        case "price":
            return np.exp(log_prices)
        case _:
            return displacement / p.scale[:, None, None]


def _skill(
    predictions: Predictions, baseline: BaselineForecast, horizon: int, settings: EvaluationSettings
) -> BaselineSkill:
    """The model's skill in log prices against one baseline: by loss, overall and per target."""
    ours = predictions.forecast - predictions.true
    theirs = baseline.displacement - predictions.true

    def by_target(loss: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> dict[str, Comparison]:
        return {
            target: compare(
                loss(ours[..., columns]).mean(axis=(1, 2)),
                loss(theirs[..., columns]).mean(axis=(1, 2)),
                horizon=horizon,
                confidence=settings.confidence,
            )
            for target, columns in COLUMNS.items()
        }

    return BaselineSkill(squared_log_error=by_target(np.square), absolute_log_error=by_target(np.abs))


def _point_verdict(
    skill: dict[str, BaselineSkill], best: BaselineForecast, settings: EvaluationSettings
) -> Judgment:
    """Against the best baseline, over all targets and steps."""
    overall = skill[best.name].squared_log_error[OVERALL]
    return Judgment(
        outcome=overall.outcome,
        reason=overall.reason,
        baseline=best.name,
        text=point_text(overall, best.title, settings.confidence),
    )


def _distribution_verdict(calibration: Calibration, settings: EvaluationSettings) -> Judgment | None:
    """Close against the best baseline; None for a head that forecasts a point only."""
    close = calibration.headline
    if close is None:
        return None
    return Judgment(
        outcome=close.outcome,
        reason=close.reason,
        baseline=calibration.best_baseline,
        text=distribution_text(close, calibration.best.title, settings.confidence),
    )
