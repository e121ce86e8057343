"""The fan of a point head holds of its own validation windows what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model_core.evaluation.intervals import QUANTILES, forecast_quantiles
from model_core.evaluation.predict import Predictions
from model_core.metrics.calibration import NOMINAL
from model_core.nn.bundles import Mixture


def errors(count: int = 400) -> Predictions:
    """Forecasts of 0 and skewed truths, in windows of different scale."""
    random = np.random.default_rng(4)
    scale = random.uniform(0.01, 0.03, count)
    return Predictions(
        forecast=np.zeros((count, 2, 4)),
        true=scale[:, None, None] * random.gumbel(size=(count, 2, 4)),
        anchor=np.zeros(count),
        scale=scale,
        dates=np.zeros((count, 3), "datetime64[D]"),
        mixture=None,
    )


def test_quantiles_of_a_point_head_are_those_of_its_validation_errors_in_units_of_the_range() -> None:
    validation = errors()
    found, kind = forecast_quantiles(validation, lambda: validation)
    assert kind == "conformal"
    for name, probability in QUANTILES.items():
        below = (validation.true < found[name]).mean(axis=0)
        np.testing.assert_allclose(below, probability, atol=0.005)
    wild = replace(validation, scale=2 * validation.scale)
    wider, _ = forecast_quantiles(wild, lambda: validation)
    np.testing.assert_allclose(wider["q05"], 2 * found["q05"])


def test_quantiles_of_a_mixture_are_those_of_its_distribution() -> None:
    """One normal of deviation 2 in units of a scale of 0.01."""
    one = replace(errors(1), scale=np.array([0.01]))
    mixture = Mixture(
        logits=torch.zeros(1, 2, 1),
        mean=torch.zeros(1, 2, 1, 4),
        log_scale=torch.full((1, 2, 1, 4), np.log(2)),
    )

    def validation() -> Predictions:
        raise AssertionError("a mixture needs no validation errors")

    found, kind = forecast_quantiles(replace(one, mixture=mixture), validation)
    assert kind == "mixture"
    for name, z in {"q05": -1.6449, "q25": -0.6745, "q75": 0.6745, "q95": 1.6449}.items():
        np.testing.assert_allclose(found[name], 0.02 * z, rtol=1e-4)


def test_the_outer_quantiles_hold_the_nominal_share() -> None:
    low, *_, high = QUANTILES.values()
    assert high - low == pytest.approx(NOMINAL)
