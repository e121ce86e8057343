"""Where every head starts: the walk and its scale, read from the window as the dataset fitted them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model_core.axes import CLOSE, HIGH, LOW, TARGETS
from model_core.build import build_model
from model_core.config.model import MixtureSettings, ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.data.prepare import prepare
from model_core.data.walk import VARIANTS, fit_variants
from model_core.data.windows import WindowSet
from model_core.metrics.probabilistic import FIRST_DAY_SHARE
from model_core.nn.baseline import EwmaScale, RangeScale, StructuredWalkBaseline, ewma_volatility
from model_core.nn.bundles import Baseline, Mixture
from model_core.nn.heads.candle import corrected_candle
from model_core.nn.heads.mixture import MixtureDensityDecoder, bounded
from model_core.nn.heads.sequential_mixture import SequentialMixtureDensityDecoder
from model_core.results.dataset import Variant
from tests.data.market import SETTINGS
from tests.nn.kit import SMALL, make_inputs, make_window

HEADS = {"mixture": MixtureDensityDecoder, "sequential": SequentialMixtureDensityDecoder}


def baseline_of(inputs: ModelInputs) -> StructuredWalkBaseline:
    return StructuredWalkBaseline(inputs, RangeScale(inputs))


def deviation(mixture: Mixture) -> torch.Tensor:
    """[B, P, T] of components with one mean."""
    weights = mixture.logits.softmax(-1).unsqueeze(-1)
    return (weights * (2 * mixture.log_scale).exp()).sum(2).sqrt()


def test_walk_and_scale_are_linear_in_the_ranges_of_the_window() -> None:
    """Every number by hand."""
    inputs, window = make_inputs(), make_window()
    prices = window.past_waves[..., :4]
    found = baseline_of(inputs)(prices, window.scale)
    for b in range(len(window)):
        ranges = [float((prices[b, -n:, HIGH] - prices[b, -n:, LOW]).mean()) for n in inputs.range_days]
        unit = float(window.scale[b])
        for h in range(5):
            for k in range(len(TARGETS)):
                walk = inputs.walk_a[h][k] / unit + inputs.walk_b[h][k]
                walk += sum(c[h][k] * r for c, r in zip(inputs.walk_c, ranges, strict=True))
                sigma = inputs.scale_c[0][h][k] / unit
                sigma += sum(c[h][k] * r for c, r in zip(inputs.scale_c[1:], ranges, strict=True))
                assert found.walk[b, h, k].item() == pytest.approx(walk, rel=1e-5)
                assert found.deviation[b, h, k].item() == pytest.approx(sigma, rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seq_len", [16, 30])
def test_on_the_windows_of_a_dataset_it_is_what_the_dataset_fitted(variant: Variant, seq_len: int) -> None:
    """Also where a window is shorter than a month, and than the rows that its scale is the mean of."""
    window = SETTINGS.window.model_copy(update={"seq_len": seq_len})
    dataset = prepare("sample://synthetic", SETTINGS.model_copy(update={"window": window}))
    known, test = dataset.known_ranges, dataset.splits.test
    dataset = replace(dataset, walk=fit_variants(known, dataset.splits, window.pred_len)[variant])
    batch = next(WindowSet(dataset, "test").batches(500))
    baseline = baseline_of(ModelInputs.from_dataset(dataset))(batch.past_waves[..., :4], batch.scale)
    unit = batch.scale.double()[:, None, None].numpy()
    np.testing.assert_allclose(
        baseline.walk.double().numpy() * unit, known.displacement(dataset.walk, test), atol=1e-7
    )
    np.testing.assert_allclose(
        baseline.deviation.double().numpy() * unit,
        dataset.har_scale.sigma(known.ranges[test.first : test.stop]),
        rtol=1e-4,
    )


@pytest.mark.parametrize("head", HEADS)
def test_an_untrained_mixture_has_the_mean_and_the_deviation_of_its_baseline(head: str) -> None:
    torch.manual_seed(1)
    decoder = HEADS[head](16, MixtureSettings())
    window = make_window()
    baseline = baseline_of(make_inputs())(window.past_waves[..., :4], window.scale)
    found = decoder(torch.randn(3, 5, 16), baseline)
    assert found.mixture is not None
    torch.testing.assert_close(
        found.point, corrected_candle(baseline.walk, torch.zeros(3, 5, 4)), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(deviation(found.mixture), baseline.deviation, atol=1e-5, rtol=1e-4)


def test_days_of_the_sequential_head_stretch_their_own_share_of_the_variance() -> None:
    """On a plain random walk the variances of the days before add up to that of a step; written as a loop."""
    torch.manual_seed(2)
    decoder = SequentialMixtureDensityDecoder(16, MixtureSettings(components=2))
    torch.nn.init.normal_(decoder.components.weight, std=0.3)
    prices = make_window().past_waves[..., :4]
    spread = EwmaScale(5)
    baseline = Baseline(walk=torch.zeros(3, 5, 4), deviation=spread(prices, torch.ones(3)))
    decoded = torch.randn(3, 5, 16)
    found = decoder(decoded, baseline).mixture
    assert found is not None
    normed = decoder.norm(decoded)
    states = normed + decoder.walk(normed, decoder.start.expand(1, 3, -1).contiguous())[0]
    stretch = bounded(decoder.components(states).unflatten(-1, (2, 2, 4))[:, :, 1])
    day = ewma_volatility(prices[..., CLOSE])
    for b, h, m, t in np.ndindex(3, 5, 2, 4):
        v = (decoder.log_spread[m].exp() * day[b] * stretch[b, :, m].exp()).square()
        variance = v[:h, CLOSE].sum() + FIRST_DAY_SHARE[t] * v[h, t]
        assert found.log_scale[b, h, m, t].item() == pytest.approx(0.5 * variance.log().item(), abs=1e-5)


def test_a_perturbed_input_whose_high_lies_below_its_low_leaves_a_scale_above_zero() -> None:
    window = make_window()
    prices = window.past_waves[..., :4].clone()
    prices[..., [HIGH, LOW]] = prices[..., [LOW, HIGH]]
    found = baseline_of(make_inputs())(prices, window.scale)
    assert (found.deviation > 0).all()
    assert found.walk.isfinite().all()


def test_the_plain_alternative_widens_like_a_random_walk_of_recent_volatility() -> None:
    prices = make_window().past_waves[..., :4]
    sigma = EwmaScale(5)(prices, torch.ones(3))
    day = ewma_volatility(prices[..., CLOSE])
    for h, k in np.ndindex(5, 4):
        torch.testing.assert_close(sigma[:, h, k], day * (h + FIRST_DAY_SHARE[k]) ** 0.5)


def test_the_settings_choose_the_scale_that_a_mixture_starts_from() -> None:
    def built(base_scale: str) -> type:
        mixture = {"base_scale": base_scale}
        chosen = ModelSettings.model_validate(
            {**SMALL.model_dump(), "use_mixture_decoder": True, "mixture": mixture}
        )
        return type(build_model(chosen, make_inputs()).baseline.spread)

    assert built("har") is RangeScale
    assert built("ewma") is EwmaScale


def test_volatility_forgets_a_shock_by_six_percent_a_day() -> None:
    close = torch.zeros(2, 200)
    close[0, -1:] = 1.0
    close[1, -2:] = 1.0
    variance = ewma_volatility(close).square()
    assert (variance[1] / variance[0]).item() == pytest.approx(0.94, rel=1e-4)
