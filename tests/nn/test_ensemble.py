"""Several models as one: a mixture of mixtures, checked against integrals and against its members."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from model_core.axes import CLOSE
from model_core.build import build_model
from model_core.metrics.probabilistic import GaussianMixture
from model_core.nn.bundles import Forecast
from model_core.nn.ensemble import EnsembleModel, combined
from model_core.nn.forecaster import Forecaster
from model_core.nn.shrinkage import ShrunkModel
from model_core.results.shrinkage import Shares
from tests.nn.kit import SMALL, make_inputs, make_window

MIXTURE = SMALL.model_copy(update={"use_mixture_decoder": True})
SOME = Shares(close=0.3, candle=0.8, close_width=0.6, candle_width=0.1)


def member(seed: int, mixture: bool = True) -> Forecaster:
    torch.manual_seed(seed)
    model = build_model(MIXTURE if mixture else SMALL, make_inputs()).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


def marginals(forecast: Forecast) -> GaussianMixture:
    mixture = forecast.mixture
    assert mixture is not None
    parts = (mixture.logits, mixture.mean, mixture.log_scale)
    return GaussianMixture.from_head(*(part.detach().double().numpy() for part in parts))


@pytest.mark.parametrize("mixture", [False, True])
def test_an_ensemble_of_one_is_its_member(mixture: bool) -> None:
    model, window = member(1, mixture), make_window(3)
    ensemble = EnsembleModel([model])
    with torch.no_grad():
        alone, together = model(window), ensemble(window)
    assert torch.equal(together.point, alone.point)
    if alone.mixture is not None:
        for name in ("logits", "mean", "log_scale"):
            assert torch.equal(getattr(together.mixture, name), getattr(alone.mixture, name))
    assert ensemble.reads == model.reads
    assert torch.equal(ensemble.explain(window).adjacency, model.explain(window).adjacency)


def test_the_point_is_the_mean_of_the_members_and_a_valid_candle() -> None:
    for mixture in (False, True):
        models, window = [member(seed, mixture) for seed in (1, 2, 3)], make_window(4)
        with torch.no_grad():
            found = EnsembleModel(models)(window).point
            points = torch.stack([model(window).point for model in models])
        torch.testing.assert_close(found, points.mean(0), rtol=1e-4, atol=1e-5)
        opened, high, low, close = found.unbind(-1)
        assert (high >= torch.maximum(opened, close) - 1e-6).all()
        assert (low <= torch.minimum(opened, close) + 1e-6).all()


def test_the_distribution_is_the_mean_of_the_members_and_its_crps_that_of_the_integral() -> None:
    models, window = [member(seed) for seed in (1, 2)], make_window(2)
    with torch.no_grad():
        forecasts = [model(window) for model in models]
        together = marginals(EnsembleModel(models)(window)).element(CLOSE)
    alone = [marginals(forecast).element(CLOSE) for forecast in forecasts]
    true = np.full((2, 5), 0.7)
    np.testing.assert_allclose(together.cdf(true), (alone[0].cdf(true) + alone[1].cdf(true)) / 2, rtol=1e-6)
    crps = together.crps(true)
    for place in ((0, 0), (1, 4)):

        def cdf(x: float, place: tuple[int, int] = place) -> float:
            return float(np.mean([each.cdf(np.full((2, 5), x))[place] for each in alone]))

        below, _ = quad(lambda x: cdf(x) ** 2, -60, 0.7, limit=300)
        above, _ = quad(lambda x: (1 - cdf(x)) ** 2, 0.7, 60, limit=300)
        assert crps[place] == pytest.approx(below + above, rel=1e-6)


def test_members_are_shrunk_alike_and_what_they_said_is_kept_beside() -> None:
    models, window = [member(seed) for seed in (1, 2)], make_window(2)
    with torch.no_grad():
        found = EnsembleModel([ShrunkModel(model, SOME) for model in models])(window)
        whole = combined([model(window) for model in models])
        base = models[0].at_rest(window)
    assert found.unshrunk is not None
    assert torch.equal(found.unshrunk.point, whole.point)
    rest = EnsembleModel(models).at_rest(window)
    torch.testing.assert_close(rest.point, base.point)
    np.testing.assert_allclose(
        marginals(rest).quantile(0.05), marginals(base).quantile(0.05), rtol=1e-6, atol=1e-9
    )
