"""Each perturbation does what its name says, to the known days only, and the same every time."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from model_core.axes import FIRST_SKY
from model_core.config.run import DiagnosticsSettings
from model_core.data.windows import Window, WindowSet
from model_core.diagnostics.masks import mask_of
from model_core.diagnostics.perturbations import Perturbation, data_perturbations, published_perturbations
from tests.data.market import noise_dataset

SETTINGS = DiagnosticsSettings(device="cpu")


def fresh() -> dict[str, Perturbation]:
    """Every perturbation but the attacks, by name, with its chance at the start."""
    return {p.name: p for p in (*published_perturbations(SETTINGS), *data_perturbations(SETTINGS))}


NAMES = list(fresh())


@pytest.fixture(scope="module")
def window() -> Window:
    return WindowSet(noise_dataset(), "test").batch(torch.arange(12))


def perturbed(name: str, window: Window) -> Tensor:
    return fresh()[name].perturb(window).past_waves


def test_the_five_published_perturbations_come_first_under_their_published_names() -> None:
    published = ["gaussian_noise", "zero_inputs", "scale_spike", "time_reverse", "feature_dropout"]
    assert NAMES[:5] == published
    assert [fresh()[name].parameters for name in published] == [
        {"std": 0.05}, {}, {"factor": 1.25}, {}, {"ratio": 0.1},
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_only_the_known_days_change_and_the_same_way_each_time(name: str, window: Window) -> None:
    before = window.past_waves.clone()
    first, again = (fresh()[name].perturb(window) for _ in range(2))
    assert torch.equal(first.past_waves, again.past_waves)
    assert torch.equal(window.past_waves, before)
    assert not torch.equal(first.past_waves, before)
    for field in fields(Window):
        if field.name != "past_waves":
            assert getattr(first, field.name) is getattr(window, field.name)


def test_noise_has_its_strength_where_its_mask_is_and_nowhere_else(window: Window) -> None:
    for name in ("gaussian_noise", "noise_all_0.05"):
        change = perturbed(name, window) - window.past_waves
        assert change.std() == pytest.approx(0.05, rel=0.05)
    for mask in ("prices", "sky", "last_days"):
        change = perturbed(f"noise_{mask}_0.1", window) - window.past_waves
        where = mask_of(mask, change).bool()
        assert change[where].std() == pytest.approx(0.1, rel=0.1)
        assert (change[~where] == 0).all()


def test_masks_cover_what_they_are_called() -> None:
    waves = torch.zeros(1, 16, 118)
    assert mask_of("all", waves).sum() == 16 * 118
    assert mask_of("prices", waves)[0, 0].nonzero().flatten().tolist() == [0, 1, 2, 3]
    assert mask_of("sky", waves)[0, 0].nonzero().flatten().tolist() == list(range(FIRST_SKY, 118))
    assert mask_of("last_days", waves)[0, :, 7].nonzero().flatten().tolist() == [11, 12, 13, 14, 15]


def test_zero_spike_and_reverse(window: Window) -> None:
    waves = window.past_waves
    assert (perturbed("zero_inputs", window) == 0).all()
    torch.testing.assert_close(perturbed("scale_spike", window), 1.25 * waves)
    assert torch.equal(perturbed("time_reverse", window)[:, 0], waves[:, -1])


def test_a_dropped_wave_is_zero_for_the_whole_history_of_a_window(window: Window) -> None:
    waves, found = window.past_waves, perturbed("feature_dropout", window)
    kept = (found == waves).all(dim=1)
    gone = (found == 0).all(dim=1)
    assert (kept | gone).all()
    assert (~kept).float().mean() == pytest.approx(0.1, abs=0.03)


def test_a_missing_day_repeats_the_last_one_that_is_there(window: Window) -> None:
    waves, found = window.past_waves, perturbed("missing_days", window)
    repeated = 0
    for b in range(len(waves)):
        assert torch.equal(found[b, 0], waves[b, 0])
        for t in range(1, waves.shape[1]):
            if not torch.equal(found[b, t], waves[b, t]):
                assert torch.equal(found[b, t], found[b, t - 1])
                repeated += 1
    assert 0 < repeated < 0.15 * len(waves) * waves.shape[1]


def test_a_stale_close_repeats_yesterdays_prices_under_todays_sky(window: Window) -> None:
    waves, found = window.past_waves, perturbed("stale_close", window)
    assert torch.equal(found[:, -1, :4], waves[:, -2, :4])
    assert torch.equal(found[:, :-1], waves[:, :-1])
    assert torch.equal(found[..., 4:], waves[..., 4:])


def test_a_bad_tick_moves_one_price_of_each_window_by_ten_sigma(window: Window) -> None:
    change = perturbed("bad_tick", window) - window.past_waves
    assert (change != 0).sum(dim=(1, 2)).tolist() == [1] * len(change)
    sigma = window.past_waves[..., 3].diff(dim=1).std(dim=1)
    torch.testing.assert_close(change.abs().amax(dim=(1, 2)), 10 * sigma, rtol=1e-3, atol=1e-4)
    assert (change[..., 4:] == 0).all()


def test_shuffled_history_keeps_every_day_and_the_anchor(window: Window) -> None:
    waves, found = window.past_waves, perturbed("shuffled_history", window)
    assert torch.equal(found[:, -1], waves[:, -1])
    assert not torch.equal(found, waves)
    torch.testing.assert_close(found.sort(dim=1).values, waves.sort(dim=1).values)
