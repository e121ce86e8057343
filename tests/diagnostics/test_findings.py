"""Degradation, attacks and invariants on models whose behavior is known beforehand."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.diagnose import step
from model_core.axes import FIRST_SKY
from model_core.build import build_model
from model_core.checkpoints.loading import load_model
from model_core.config.run import DiagnosticsSettings
from model_core.data.inputs import ModelInputs
from model_core.data.walk import fit_variants
from model_core.data.windows import Window, WindowSet
from model_core.diagnostics import invariants
from model_core.diagnostics.attacks import FORECASTS_PER_GRADIENT, Attack, Attacker
from model_core.diagnostics.findings import PerturbedInputWalk, all_findings, target_of_diagnosis
from model_core.diagnostics.invariants import check_invariants
from model_core.diagnostics.masks import mask_of
from model_core.errors import InvariantError
from model_core.evaluation.predict import evaluate_model
from model_core.nn.bundles import Forecast, Reads
from model_core.results.findings import Findings, PerturbationResult
from model_core.results.record import read_result
from tests.data.market import noise_dataset
from tests.evaluation.small_run import DIAGNOSTICS, small_run
from tests.training.prepared import MODEL

CPU = torch.device("cpu")
WHOLE_SKY = Reads(past_sky=True, future_sky=True)


class Linear(nn.Module):
    """Every forecast value is a fixed weighted sum of the known days."""

    def __init__(self, strength: float = 0.01, sky: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.Parameter(strength * torch.randn(16, 118, generator=generator))
        self.sky = sky

    def said(self, window: Window) -> Tensor:
        return (window.past_waves * self.weights).sum(dim=(1, 2)) + self.sky * window.future_sky.sum((1, 2))

    def forward(self, window: Window) -> Forecast:
        return Forecast(point=self.said(window)[:, None, None].expand_as(window.target))


def findings_of(model: nn.Module, **changes: Any) -> dict[str, PerturbationResult]:
    settings = DiagnosticsSettings(
        device="cpu",
        attacks=False,
        attack_strengths=(0.1,),
        attack_masks=("all",),
    ).model_copy(update=changes)
    model.requires_grad_(requires_grad=False)
    subject = target_of_diagnosis(model, noise_dataset(), CPU, settings)
    return {row.name: row for row in all_findings(subject, settings)}


def test_on_clean_input_the_shown_walk_is_the_structured_walk() -> None:
    """Where the window holds all rows that the scale is the mean of; in every variant."""
    dataset = replace(noise_dataset(), scale_rows=10)
    known = dataset.known_ranges
    for walk in fit_variants(known, dataset.splits, dataset.window.pred_len).values():
        changed = replace(dataset, walk=walk)
        found = evaluate_model(PerturbedInputWalk(changed, CPU), WindowSet(changed, "test"), 16)
        expected = known.displacement(walk, dataset.splits.test)
        np.testing.assert_allclose(found.forecast, expected, atol=1e-6)


def test_the_degradation_ratio_is_perturbed_over_clean_error_on_the_same_windows() -> None:
    model, dataset = Linear(), noise_dataset()
    row = findings_of(model)["time_reverse"]
    windows = WindowSet(dataset, "test")
    window = windows.batch(torch.arange(len(windows)))
    unit = window.scale[:, None, None]

    def error(waves: Tensor) -> float:
        point = model(replace(window, past_waves=waves)).point
        return float(((point - window.target) * unit).abs().mean())

    expected = error(window.past_waves.flip(1)) / error(window.past_waves)
    assert row.windows == len(windows)
    assert row.degradation.ratio == pytest.approx(expected, rel=1e-5)
    ours, walk = row.degradation, row.walk_degradation
    assert None not in (ours.low, ours.ratio, ours.high, walk.ratio)
    assert ours.low <= ours.ratio <= ours.high  # type: ignore[operator]
    assert row.excess == pytest.approx(ours.ratio - walk.ratio)  # type: ignore[operator]
    assert row.perturbed.mae == pytest.approx(np.mean([errors.mae for errors in row.per_target.values()]))
    assert row.perturbed.mae / row.clean.mae == pytest.approx(row.degradation.ratio, rel=0.1)
    assert set(row.per_target) == {"Open", "High", "Low", "Close"}


class Counting(nn.Module):
    """Forecasts as another model does, and counts windows: with a gradient and without."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.forecasts, self.gradients = inner, 0, 0

    def forward(self, window: Window) -> Forecast:
        if torch.is_grad_enabled():
            self.gradients += len(window)
        else:
            self.forecasts += len(window)
        return self.inner(window)


def test_the_work_is_announced_before_it_starts_and_is_what_is_then_done(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Counting(Linear())
    told: list[int] = []
    monkeypatch.setattr("model_core.progress.ProgressMeter.update", lambda self, pieces: told.append(pieces))
    changes = {"attacks": True, "attack_masks": ("all", "prices"), "max_windows": 40, "batch_size": 16}
    with caplog.at_level(logging.INFO, logger="pgat.diagnose"):
        rows = findings_of(model, **changes, pgd_steps=3, attack_strengths=(0.1, 0.2))
    assert len(rows) == 5 + 4 + 4 + (4 + 2)
    (line,) = caplog.messages
    assert line.startswith(
        "19 perturbations of 40 of 58 test windows: 760 forecasts and 280 gradients, "
        "the work of 1600 forecasts, about "
    )
    assert model.gradients == 280
    assert model.forecasts == 40 + 760  # the clean ones come first
    assert sum(told) == 40 + 760 + FORECASTS_PER_GRADIENT * 280


@pytest.mark.parametrize(
    ("settings", "windows"),
    [
        ({}, 100),
        ({"max_windows": None}, 998),
        ({"max_batches": 2, "batch_size": 16}, 32),
        ({"max_batches": 2, "batch_size": 64, "max_windows": None}, 128),
        ({"max_windows": 5000}, 998),
    ],
)
def test_the_number_of_windows_is_the_smallest_limit(settings: dict[str, Any], windows: int) -> None:
    assert DiagnosticsSettings(**settings).windows_of(998) == windows


def test_windows_are_spread_over_the_whole_span_and_by_default_share_no_target_day() -> None:
    dataset = noise_dataset()
    horizon, available = dataset.window.pred_len, len(WindowSet(dataset, "test"))
    settings = DiagnosticsSettings(device="cpu", max_windows=(available - 1) // horizon + 1)
    subject = target_of_diagnosis(Linear(), dataset, CPU, settings)
    every = evaluate_model(Linear(), WindowSet(dataset, "test"), 64)
    used = subject.clean.dates
    assert (used[0, 0], used[-1, 0]) == (every.dates[0, 0], every.dates[-1, 0])
    assert (used[:-1, -1] <= used[1:, 0]).all()
    assert subject.overlap == 1


def test_a_walk_is_not_more_fragile_than_itself_and_a_wild_model_is() -> None:
    assert not any(row.fragile for row in findings_of(PerturbedInputWalk(noise_dataset(), CPU)).values())
    assert findings_of(Linear(strength=1.0))["noise_all_0.1"].fragile is False  # bad already when clean

    class Nervous(nn.Module):
        """Right on clean input, lost as soon as a wave is not what the sky says."""

        def forward(self, window: Window) -> Forecast:
            circle = window.past_waves[..., 5].square() + window.past_waves[..., 6].square()
            alarm = (circle - 1).abs().mean(dim=1)[:, None, None]
            return Forecast(point=window.target + 0.01 + 100 * alarm)

    assert findings_of(Nervous())["noise_all_0.1"].fragile is True


def test_fgsm_on_a_linear_model_moves_each_input_along_its_weight() -> None:
    model = Linear()
    model.requires_grad_(requires_grad=False)
    window = WindowSet(noise_dataset(), "test").batch(torch.arange(4))
    found = Attacker(model, 1).perturbation(Attack("fgsm", "prices", 0.1, 1)).perturb(window)
    change = found.past_waves - window.past_waves
    error = (model(window).point - window.target).mean(dim=(1, 2))
    expected = 0.1 * mask_of("prices", change) * model.weights.sign() * error.sign()[:, None, None]
    torch.testing.assert_close(change, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mask", ["all", "prices", "sky", "last_days"])
@pytest.mark.parametrize(("method", "steps"), [("fgsm", 1), ("pgd", 5)])
def test_an_attack_stays_in_its_box_under_its_mask_and_hurts(method: str, steps: int, mask: str) -> None:
    model = Linear()
    model.requires_grad_(requires_grad=False)
    window = WindowSet(noise_dataset(), "test").batch(torch.arange(8))
    attack = Attacker(model, 1).perturbation(Attack(method, mask, 0.05, steps))
    found = attack.perturb(window)
    change = found.past_waves - window.past_waves
    assert change.abs().max() <= 0.05 + 1e-6
    assert (change[mask_of(mask, change) == 0] == 0).all()

    def loss(which: Window) -> float:
        return float((model(which).point - window.target).square().mean())

    assert loss(found) > loss(window)


@pytest.fixture(scope="module")
def real_model() -> nn.Module:
    torch.manual_seed(0)
    model = build_model(MODEL, ModelInputs.from_dataset(noise_dataset()))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def failed(model: nn.Module, reads: Reads = WHOLE_SKY) -> set[str]:
    found = check_invariants(model, noise_dataset(), CPU, reads=reads)
    return {check.name for check in found if not check.passed}


def test_a_real_model_with_random_weights_keeps_every_invariant(real_model: nn.Module) -> None:
    assert failed(real_model) == set()


class Broken(nn.Module):
    """A linear model that reads the sky, with one thing wrong."""

    reads = WHOLE_SKY

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.inner, self.fault = Linear(sky=0.01), fault
        if fault == "known_past_sky":
            with torch.no_grad():
                self.inner.weights[:, FIRST_SKY:] = 0

    def forward(self, window: Window) -> Forecast:
        point = self.inner(window).point
        match self.fault:
            case "forecasts_finite":
                point = point / 0.0
            case "known_future_sky":
                point = self.inner(replace(window, future_sky=torch.zeros_like(window.future_sky))).point
            case "price_scaling":
                point = point + window.anchor.float()[:, None, None]
            case "batch_independence":
                point = point - 0.5 * point.mean(dim=0)
        return Forecast(point=point)


def test_the_linear_model_itself_is_sound() -> None:
    assert failed(Broken("nothing")) == set()


@pytest.mark.parametrize(
    "fault", ["known_past_sky", "known_future_sky", "price_scaling", "batch_independence"]
)
def test_each_fault_breaks_its_own_invariant_and_no_other(fault: str) -> None:
    assert failed(Broken(fault)) == {fault}


def test_forecasts_that_are_not_finite_are_found() -> None:
    assert "forecasts_finite" in failed(Broken("forecasts_finite"))


def test_a_model_that_should_not_read_the_sky_but_does_is_found() -> None:
    blind = Reads(past_sky=False, future_sky=False)
    assert failed(Broken("nothing"), blind) == {"known_past_sky", "known_future_sky"}


def test_inputs_that_hold_a_later_price_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaking(WindowSet):
        """Shows tomorrow's Close in the last known row."""

        def batch(self, indices: Tensor) -> Window:
            window = super().batch(indices)
            waves = window.past_waves.clone()
            waves[:, -1, 3] = window.target[:, 0, 3]
            return replace(window, past_waves=waves)

    monkeypatch.setattr(invariants, "WindowSet", Leaking)
    assert "no_future_prices" in failed(Broken("nothing"))


def test_a_broken_invariant_fails_the_step_and_the_findings_still_say_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    folders = small_run()
    broken: Any = Broken("price_scaling")
    monkeypatch.setattr(step, "load_model", lambda *a: replace(load_model(*a), model=broken))
    settings = DIAGNOSTICS.model_copy(update={"attacks": False})
    with pytest.raises(InvariantError, match="price_scaling"):
        step.run(
            dataset=folders["dataset"],
            model=folders["model"],
            findings=tmp_path / "findings",
            settings=settings,
        )
    written = read_result(Findings, tmp_path / "findings")
    assert [i.name for i in written.invariants if not i.passed] == ["price_scaling"]


def test_the_findings_of_a_real_run_hold_every_perturbation_once() -> None:
    written = read_result(Findings, small_run()["findings"])
    names = [row.name for row in written.perturbations]
    assert len(names) == len(set(names)) == 5 + 2 + 4 + 4
    assert {row.windows for row in written.perturbations} == {16}
    assert all(check.passed for check in written.invariants)
