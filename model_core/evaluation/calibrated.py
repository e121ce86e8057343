"""How honest the distribution of a mixture head is, beside distributions that cost nothing."""

import numpy as np
from numpy.typing import NDArray

from model_core.axes import CLOSE, TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.evaluation.distributions import DistributionForecast, baseline_distributions
from model_core.evaluation.predict import Predictions
from model_core.evaluation.regimes import CloseLosses
from model_core.evaluation.significance import compare, share_interval
from model_core.metrics.calibration import (
    LEVELS,
    NOMINAL,
    Distribution,
    calibration,
    central_interval,
    inside,
)
from model_core.metrics.probabilistic import NO_WIDTH, GaussianMixture
from model_core.results.calibration import Calibrated, Calibration, DistributionScore
from model_core.results.scores import MODEL
from model_core.results.skill import Comparison


def forecast_distribution(predictions: Predictions) -> GaussianMixture | None:
    """Marginals [n, P, T] of the displacement in log price; None for a head that forecasts a point only."""
    mixture = predictions.mixture
    if mixture is None:
        return None
    head = GaussianMixture.from_head(
        mixture.logits.double().numpy(), mixture.mean.double().numpy(), mixture.log_scale.double().numpy()
    )
    return head.scaled(predictions.scale[:, None, None])


def calibration_scores(
    dataset: MarketDataset, predictions: Predictions, settings: EvaluationSettings
) -> tuple[Calibration, dict[str, CloseLosses]]:
    """The baselines always, the model if it has a distribution; and how each did on Close, window by window.

    ``skill`` compares CRPS window by window, as point skills are compared.
    """
    distributions, left_out = baseline_distributions(dataset, dataset.splits.test)
    baselines = {
        d.name: DistributionScore(
            title=d.title,
            targets={
                name: _calibrated(marginal, name, predictions, settings)
                for name, marginal in d.targets.items()
            },
        )
        for d in distributions
    }
    close = {d.name: close_losses(d.targets[TARGETS[CLOSE]], predictions) for d in distributions}
    best = min(baselines, key=lambda name: baselines[name].targets[TARGETS[CLOSE]].crps)
    model = forecast_distribution(predictions)
    if model is None:
        nothing = Calibration(
            model=None, baselines=baselines, best_baseline=best, left_out=left_out, skill=None
        )
        return nothing, close
    marginals = {name: model.element(k) for k, name in enumerate(TARGETS)}
    losses = {name: marginal.crps(_true(predictions, name)) for name, marginal in marginals.items()}
    found = Calibration(
        model={
            name: _calibrated(marginal, name, predictions, settings) for name, marginal in marginals.items()
        },
        baselines=baselines,
        best_baseline=best,
        left_out=left_out,
        skill={d.name: _skill(losses, d, predictions, settings) for d in distributions},
    )
    return found, close | {MODEL: close_losses(marginals[TARGETS[CLOSE]], predictions)}


def _calibrated(
    marginal: Distribution, target: str, predictions: Predictions, settings: EvaluationSettings
) -> Calibrated:
    """Every measure of one target, with the intervals of its coverage."""
    true, horizon = _true(predictions, target), predictions.true.shape[1]
    intervals = {}
    for level in LEVELS:
        held = inside(true, *central_interval(marginal, level)).mean(axis=1)
        intervals[f"{level:.0%}"] = share_interval(held, horizon, settings.confidence)
    measured = calibration(marginal, true, predictions.scale)
    return measured.model_copy(update={"coverage_interval": intervals})


def close_losses(marginal: Distribution, predictions: Predictions) -> CloseLosses:
    """How a distribution of Close did in each window."""
    true = predictions.true[..., CLOSE]
    held = inside(true, *central_interval(marginal, NOMINAL))
    return CloseLosses(crps=marginal.crps(true).mean(axis=1), held=held.mean(axis=1))


def _skill(
    losses: dict[str, NDArray[np.float64]],
    baseline: DistributionForecast,
    predictions: Predictions,
    settings: EvaluationSettings,
) -> dict[str, Comparison]:
    """Of the model's CRPS [n, P] by target, for the targets that the baseline has."""
    found = {}
    for name, marginal in baseline.targets.items():
        theirs = marginal.crps(_true(predictions, name)).mean(axis=1)
        # Where the market never moved the baseline's own width is rounding, and so is its score.
        theirs[theirs < NO_WIDTH] = 0.0
        found[name] = compare(
            losses[name].mean(axis=1),
            theirs,
            horizon=predictions.true.shape[1],
            confidence=settings.confidence,
        )
    return found


def _true(predictions: Predictions, target: str) -> NDArray[np.float64]:
    """[n, P]"""
    return predictions.true[..., TARGETS.index(target)]
