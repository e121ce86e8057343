"""Shrunk forecasts: the base at 0, the model at 1, valid candles and honest widths between."""

from typing import Any

import numpy as np
import pytest
import torch

from model_core.axes import CLOSE
from model_core.build import build_model
from model_core.metrics.probabilistic import GaussianMixture
from model_core.nn.bundles import Forecast, Mixture, Reads
from model_core.nn.shrinkage import ShrunkModel, shrunk
from model_core.results.shrinkage import WHOLE, Shares
from tests.nn.kit import SMALL, make_inputs, make_window

NOTHING = Shares(close=0.0, candle=0.0, close_width=0.0, candle_width=0.0)
SOME = Shares(close=0.3, candle=0.8, close_width=0.6, candle_width=0.1)
SEQUENTIAL = SMALL.mixture.model_copy(update={"kind": "sequential_mixture"})
HEADS: dict[str, dict[str, Any]] = {
    "point": {},
    "mixture": {"use_mixture_decoder": True},
    "sequential": {"use_mixture_decoder": True, "mixture": SEQUENTIAL},
    "base model": {"kind": "enhanced_pgat", "use_mixture_decoder": True},
}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def forecasts(settings: dict[str, Any], size: float = 0.1) -> tuple[Forecast, Forecast]:
    """What a model whose weights are random says, and its base."""
    torch.manual_seed(3)
    model = build_model(SMALL.model_copy(update=settings), make_inputs()).eval()
    window = make_window(8)
    with torch.no_grad():
        untrained = model(window)
        rest = model.at_rest(window)
        equal(untrained, rest)
        for weight in model.parameters():
            weight.add_(size * torch.randn_like(weight))
        return model(window), rest


def equal(one: Forecast, other: Forecast) -> None:
    """To the bit."""
    assert torch.equal(one.point, other.point)
    assert (one.mixture is None) == (other.mixture is None)
    if one.mixture is not None and other.mixture is not None:
        for name in ("logits", "mean", "log_scale"):
            assert torch.equal(getattr(one.mixture, name), getattr(other.mixture, name))


@pytest.mark.parametrize("head", HEADS)
def test_a_share_of_0_is_the_base_and_a_share_of_1_is_the_model(head: str) -> None:
    model, base = forecasts(HEADS[head])
    assert not torch.equal(model.point, base.point)
    equal(shrunk(model, base, NOTHING), base)
    equal(shrunk(model, base, WHOLE), model)


def test_close_and_the_candle_about_it_have_shares_of_their_own() -> None:
    model, base = forecasts(HEADS["point"])
    found = shrunk(model, base, SOME).point
    close: torch.Tensor = base.point + 0.3 * (model.point - base.point)
    torch.testing.assert_close(found[..., CLOSE], close[..., CLOSE])
    points = (found, base.point, model.point)
    about = [point - point[..., CLOSE:] for point in points]
    torch.testing.assert_close(about[0], 0.2 * about[1] + 0.8 * about[2], rtol=1e-4, atol=1e-5)


def test_shrunk_means_are_valid_candles() -> None:
    model, base = forecasts(HEADS["mixture"], size=0.5)
    for close in (0.0, 0.4, 1.0):
        for candle in (0.0, 0.7, 1.0):
            shares = Shares(close=close, candle=candle, close_width=0.5, candle_width=0.5)
            opened, high, low, closed = shrunk(model, base, shares).point.unbind(-1)
            assert (high >= torch.maximum(opened, closed)).all()
            assert (low <= torch.minimum(opened, closed)).all()


def test_equal_shares_mix_every_quantile_of_a_component_as_they_mix_its_mean() -> None:
    model, base = forecasts(HEADS["mixture"])
    share = 0.35
    found = shrunk(model, base, Shares(close=share, candle=share, close_width=share, candle_width=share))
    for z in (-2.0, 0.0, 1.5):
        ends = [_component_quantile(f, z) for f in (found, base, model)]
        torch.testing.assert_close(ends[0], (1 - share) * ends[1] + share * ends[2])


def _component_quantile(forecast: Forecast, z: float) -> torch.Tensor:
    assert forecast.mixture is not None
    return forecast.mixture.mean + z * forecast.mixture.log_scale.exp()


@pytest.mark.parametrize("head", ["mixture", "sequential"])
@pytest.mark.parametrize(
    "shares",
    [
        SOME,
        Shares(close=0.0, candle=0.0, close_width=0.7, candle_width=0.4),
        Shares(close=0.1, candle=0.5, close_width=1.0, candle_width=0.0),
        Shares(close=0.5, candle=0.5, close_width=0.5, candle_width=0.5),
    ],
)
def test_quantiles_that_are_candles_in_base_and_model_stay_candles(head: str, shares: Shares) -> None:
    model, base = forecasts(HEADS[head], size=0.03)
    both = _valid_quantiles(model) & _valid_quantiles(base)
    assert both.mean() > 0.5
    assert _valid_quantiles(shrunk(model, base, shares))[both].all()


def _valid_quantiles(forecast: Forecast) -> np.ndarray:
    """[quantiles, B, P] whether the quantiles of Open, High, Low, Close for one probability are a candle."""
    mixture = forecast.mixture
    assert mixture is not None
    marginals = GaussianMixture.from_head(
        *(part.double().numpy() for part in (mixture.logits, mixture.mean, mixture.log_scale))
    )
    found = []
    for probability in QUANTILES:
        opened, high, low, close = np.moveaxis(marginals.quantile(probability), -1, 0)
        found.append((high >= np.maximum(opened, close)) & (low <= np.minimum(opened, close)))
    return np.stack(found)


def test_widths_stay_above_0_and_close_has_its_own() -> None:
    shape = (2, 3, 2, 4)
    random = torch.Generator().manual_seed(1)

    def some() -> Forecast:
        mean = torch.randn(shape, generator=random).sort(-1).values[..., [1, 3, 0, 2]]
        log_scale = 2 * torch.randn(shape, generator=random)
        return Forecast(point=mean.mean(2), mixture=Mixture(torch.zeros(shape[:3]), mean, log_scale))

    model, base = some(), some()
    found = shrunk(model, base, SOME)
    assert model.mixture is not None
    assert base.mixture is not None
    assert found.mixture is not None
    widths = [f.mixture.log_scale.exp() for f in (found, base, model) if f.mixture is not None]
    assert (widths[0] > 0).all()
    assert widths[0].isfinite().all()
    torch.testing.assert_close(widths[0][..., CLOSE], (0.4 * widths[1] + 0.6 * widths[2])[..., CLOSE])
    relative = 0.9 * widths[1] + 0.1 * widths[2]
    torch.testing.assert_close(
        widths[0][..., 0] / widths[0][..., CLOSE], relative[..., 0] / relative[..., CLOSE]
    )


def test_a_gradient_goes_through_a_shrunk_model_and_is_that_of_the_kept_share() -> None:
    torch.manual_seed(3)
    model = build_model(SMALL, make_inputs()).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    window = make_window(2)
    window.past_waves.requires_grad_()
    wrapped = ShrunkModel(model, Shares(close=0.5, candle=0.5, close_width=1.0, candle_width=1.0))
    gradients = [
        torch.autograd.grad(point.sum(), window.past_waves)[0]
        for point in (wrapped(window).point, model(window).point, model.at_rest(window).point)
    ]
    torch.testing.assert_close(gradients[0], 0.5 * (gradients[1] + gradients[2]), rtol=1e-3, atol=1e-5)


def test_a_model_of_which_no_mean_is_kept_reads_no_sky_and_still_knows_what_it_said() -> None:
    torch.manual_seed(3)
    model = build_model(SMALL, make_inputs()).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    window = make_window(2)
    wrapped = ShrunkModel(model, NOTHING)
    found = wrapped(window)
    assert wrapped.reads == Reads(past_sky=False, future_sky=False)
    assert ShrunkModel(model, SOME).reads == model.reads
    assert torch.equal(found.point, model.at_rest(window).point)
    assert found.unshrunk is not None
    assert torch.equal(found.unshrunk.point, model(window).point)
    assert torch.equal(wrapped.explain(window).adjacency, model.explain(window).adjacency)
