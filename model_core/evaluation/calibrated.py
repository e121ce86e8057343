"""How honest the distribution of a mixture head is, beside a random walk with EWMA variance."""

import numpy as np

from model_core.axes import CLOSE, TARGETS
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.evaluation.predict import Predictions
from model_core.evaluation.significance import compare
from model_core.metrics.probabilistic import NO_WIDTH, GaussianMixture, calibration, ewma_random_walk
from model_core.results.calibration import Calibration


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
) -> Calibration:
    """The EWMA random walk always, the model if it has a distribution.

    ``skill`` compares the CRPS of Close with the walk's, window by window, as point skills are compared.
    """
    horizon = predictions.true.shape[1]
    close = predictions.true[..., CLOSE]
    first = dataset.splits.test.first
    walk = ewma_random_walk(dataset.log_prices[:, CLOSE], np.arange(first, first + len(predictions)), horizon)
    of_walk = {"Close": calibration(walk, close)}
    distribution = forecast_distribution(predictions)
    if distribution is None:
        return Calibration(model=None, ewma_random_walk=of_walk, skill=None)
    by_target = {
        name: GaussianMixture(*(part[..., k, :] for part in _parts(distribution)))
        for k, name in enumerate(TARGETS)
    }
    crps_of_walk = walk.crps(close).mean(axis=1)
    # Where the market never moved the walk's own width is rounding, and so is its score.
    crps_of_walk[crps_of_walk < NO_WIDTH] = 0.0
    return Calibration(
        model={
            name: calibration(marginal, predictions.true[..., k])
            for k, (name, marginal) in enumerate(by_target.items())
        },
        ewma_random_walk=of_walk,
        skill=compare(
            by_target["Close"].crps(close).mean(axis=1),
            crps_of_walk,
            horizon=horizon,
            confidence=settings.confidence,
        ),
    )


def _parts(mixture: GaussianMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return mixture.weight, mixture.mean, mixture.std
