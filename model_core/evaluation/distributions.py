"""Distributions that cost nothing, on the very windows that the model is scored on: the probabilistic bars.

All forecast displacements, log price − anchor, by target as [n, P]; what is fitted is fitted on train windows only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_core.axes import CLOSE, TARGETS
from model_core.data.dataset import MarketDataset
from model_core.data.splits import Span
from model_core.data.walk import least_squares_walk
from model_core.evaluation.garch import garch_close
from model_core.metrics.calibration import Distribution
from model_core.metrics.probabilistic import FIRST_DAY_SHARE, NO_WIDTH, GaussianMixture, ewma_random_walk

Values = NDArray[np.float64]


@dataclass(frozen=True)
class DistributionForecast:
    """A named distribution of the windows of a span, for all targets or for Close alone."""

    name: str
    title: str
    targets: Mapping[str, Distribution]
    """[n, P] by target."""


def baseline_distributions(
    dataset: MarketDataset, span: Span
) -> tuple[tuple[DistributionForecast, ...], dict[str, str]]:
    """All of them for the windows of ``span``, and why one is missing, by its title."""
    known, horizon = dataset.known_ranges, dataset.window.pred_len
    rows = slice(span.first, span.stop)
    sigma = np.maximum(dataset.har_scale.sigma(known.ranges[rows]), NO_WIDTH)
    without_drift = known.displacement(dataset.walk.with_drift_of(dataset.walk, 0.0), span)
    har_walk = known.displacement(least_squares_walk(known, dataset.splits.train, horizon, "har"), span)

    log_close = dataset.log_prices[:, CLOSE]
    ewma = ewma_random_walk(log_close, np.arange(span.first, span.stop), horizon).std[..., 0]
    # [P, T]: of the variance of Close after h days, what a price of that day has of it.
    days = np.arange(1, horizon + 1)[:, None]
    share = (days - 1 + np.array(FIRST_DAY_SHARE)) / days
    found = [
        DistributionForecast(
            "ewma_random_walk",
            "EWMA random walk",
            _normals(without_drift, ewma[..., None] * np.sqrt(share)),
        ),
        DistributionForecast(
            "har_gaussian", "HAR Gaussian", _normals(known.displacement(dataset.walk, span), sigma)
        ),
        DistributionForecast(
            "har_gaussian_without_drift", "HAR Gaussian without drift", _normals(without_drift, sigma)
        ),
        DistributionForecast(
            "har_gaussian_whole_drift", "HAR Gaussian with the whole drift", _normals(har_walk, sigma)
        ),
    ]
    garch = garch_close(log_close, dataset.splits.train, span, horizon)
    if isinstance(garch, str):
        return tuple(found), {"GARCH(1,1) with Student's t": garch}
    found.append(DistributionForecast("garch", "GARCH(1,1) with Student's t", {TARGETS[CLOSE]: garch}))
    return tuple(found), {}


def _normals(mean: Values, std: Values) -> dict[str, Distribution]:
    """Normals by target from [n, P, T]."""
    one = np.ones_like(mean[..., :1])
    return {
        name: GaussianMixture(one, mean[..., k, None], std[..., k, None]) for k, name in enumerate(TARGETS)
    }
