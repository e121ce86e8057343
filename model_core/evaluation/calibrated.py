"""How honest the distribution of a mixture head is, beside a random walk with EWMA variance."""

from typing import Any

import numpy as np

from model_core.axes import CLOSE, TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.evaluation.predict import Predictions
from model_core.evaluation.significance import comparison_row
from model_core.metrics.probabilistic import NO_WIDTH, GaussianMixture, calibration, ewma_random_walk


def forecast_distribution(predictions: Predictions) -> GaussianMixture | None:
    """Marginals [n, P, T] of the displacement in log price; None for a head that says a point only."""
    mixture = predictions.mixture
    if mixture is None:
        return None
    head = GaussianMixture.from_head(
        mixture.logits.double().numpy(), mixture.mean.double().numpy(), mixture.log_scale.double().numpy()
    )
    return head.scaled(predictions.scale[:, None, None])


def calibration_scores(
    dataset: MarketDataset, predictions: Predictions, settings: EvaluationSettings
) -> dict[str, Any]:
    """``scores.json``'s ``calibration``: the EWMA random walk always, the model if it has a distribution.

    ``skill`` compares the CRPS of Close with the walk's, window by window, as point skills are compared.
    """
    horizon = predictions.true.shape[1]
    close = predictions.true[..., CLOSE]
    first = dataset.splits.test.first
    walk = ewma_random_walk(dataset.log_prices[:, CLOSE], np.arange(first, first + len(predictions)), horizon)
    scores: dict[str, Any] = {
        "ewma_random_walk": {"Close": calibration(walk, close)},
        "model": None,
        "skill": None,
    }
    distribution = forecast_distribution(predictions)
    if distribution is None:
        return scores
    by_target = {
        name: GaussianMixture(*(part[..., k, :] for part in _parts(distribution)))
        for k, name in enumerate(TARGETS)
    }
    scores["model"] = {
        name: calibration(marginal, predictions.true[..., k])
        for k, (name, marginal) in enumerate(by_target.items())
    }
    of_walk = walk.crps(close).mean(axis=1)
    # Where the market never moved the walk's own width is rounding, and so is its score.
    of_walk[of_walk < NO_WIDTH] = 0.0
    scores["skill"] = comparison_row(by_target["Close"].crps(close).mean(axis=1), of_walk, horizon, settings)
    return scores


def _parts(mixture: GaussianMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return mixture.weight, mixture.mean, mixture.std
