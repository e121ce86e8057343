"""Whether a model does anything: one that is its base departs by 0, a perfect one as the truth does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_core.build import build_model
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window, WindowSet
from model_core.evaluation.departure import departure_of, input_responses, target_departure, with_input_of
from model_core.evaluation.predict import evaluate_model
from model_core.evaluation.verdict import departure_text, hardly_moves, training_text
from model_core.nn.bundles import Baseline, Forecast
from model_core.results.departure import Departure, TargetDeparture
from model_core.results.record import read_result
from model_core.results.training import TrainResults
from tests.data.market import noise_dataset
from tests.results.test_records import EARLIER
from tests.training.prepared import MODEL


class Flat(nn.Module):
    """A base that stays at the anchor and is one scale wide."""

    def forward(self, prices: Tensor, scale: Tensor) -> Baseline:
        walk = torch.zeros(len(prices), noise_dataset().window.pred_len, 4)
        return Baseline(walk=walk, deviation=torch.ones_like(walk))


class Planted(nn.Module):
    """Adds to the flat base what a function says."""

    def __init__(self, added: Any) -> None:
        super().__init__()
        self.baseline = Flat()
        self.added = added

    def forward(self, window: Window) -> Forecast:
        base = self.baseline(window.past_waves[..., :4], window.scale)
        return Forecast(point=base.walk + self.added(window))


def found(model: Any, at_once: int = 64) -> Departure:
    windows = WindowSet(noise_dataset(), "test")
    predictions = evaluate_model(model, windows, at_once)
    return departure_of(model, windows, predictions, confidence=0.95, batch_size=at_once)


def built(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_model(MODEL.model_copy(update=changes), ModelInputs.from_dataset(noise_dataset()))


@pytest.mark.parametrize("mixture", [False, True])
def test_an_untrained_model_is_its_base_and_the_sentence_says_so(mixture: bool) -> None:
    departure = found(built(use_mixture_decoder=mixture))
    assert {target.size for target in departure.targets.values()} == {0.0}
    assert {moved.share for moved in departure.inputs.values()} == {0.0}
    assert departure.width == (0.0 if mixture else None)
    assert {moved.width for moved in departure.inputs.values()} == {departure.width}
    assert hardly_moves(departure)
    assert departure_text(departure) == (
        "The model does nothing: its forecast of Close in 3 days is the structured random walk that it starts from."
    )


def test_a_model_that_knows_what_comes_departs_as_the_market_does() -> None:
    departure = found(Planted(lambda window: window.target))
    for target in departure.targets.values():
        assert target.share == pytest.approx(1)
        assert target.correlation == pytest.approx(1)
        assert target.low == pytest.approx(1)
        assert target.high == pytest.approx(1)
    assert "by 100.0 % of the real movement, in the direction of what came" in departure_text(departure)


def test_one_that_says_the_contrary_departs_against_the_market() -> None:
    departure = found(Planted(lambda window: -0.5 * window.target))
    close = departure.targets["Close"]
    assert close.share == pytest.approx(0.5)
    assert close.correlation == pytest.approx(-1)
    assert "by 50.0 % of the real movement, against the direction of what came" in departure_text(departure)


def test_one_that_always_says_the_same_reads_nothing() -> None:
    """In units of the window's scale, which every forecast is multiplied by."""
    departure = found(Planted(lambda window: 0.3))
    assert departure.targets["Close"].size > 0
    assert {(moved.size, moved.share) for moved in departure.inputs.values()} == {(0.0, 0.0)}


@pytest.mark.parametrize("name", ["prices", "sky", "calendar"])
def test_only_the_input_that_a_model_reads_moves_it(name: str) -> None:
    reads = {
        "prices": lambda window: window.past_waves[:, 0, :4],
        "sky": lambda window: window.future_sky[:, 0, :4],
        "calendar": lambda window: window.future_calendar[:, 0, :1].float(),
    }
    departure = found(Planted(lambda window: reads[name](window)[:, None]))
    assert {other for other, moved in departure.inputs.items() if moved.size} == {name}
    assert not hardly_moves(departure)


def test_the_move_is_that_of_a_loop_over_windows() -> None:
    """Every window but itself gets the oldest Close of another one; in log price, over all windows of the split."""
    windows = WindowSet(noise_dataset(), "test")
    model = Planted(lambda window: window.past_waves[:, 0, 3][:, None, None].expand(-1, 3, 4))
    moved = input_responses(model, windows, 0.01, batch_size=7)["prices"]
    every = windows.batch(torch.arange(len(windows)))
    said, unit = every.past_waves[:, 0, 3].double(), every.scale.double()
    partners = torch.randperm(len(windows), generator=torch.Generator().manual_seed(2024))
    squares = [float((said[j] - said[i]) * unit[i]) ** 2 for i, j in enumerate(partners.tolist())]
    assert moved.size == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)
    assert moved.share == pytest.approx(moved.size / 0.01)


def test_every_part_of_a_window_that_a_model_reads_is_exchanged_once() -> None:
    windows = WindowSet(noise_dataset(), "test")
    one, other = windows.batch(torch.tensor([0])), windows.batch(torch.tensor([30]))
    whole = one
    for name in ("prices", "sky", "calendar"):
        whole = with_input_of(other, whole, name)
    for field in ("past_waves", "past_calendar", "future_sky", "future_calendar", "scale"):
        assert torch.equal(getattr(whole, field), getattr(other, field)), field
    for field in ("target", "anchor", "dates"):
        assert torch.equal(getattr(whole, field), getattr(one, field)), field


def test_a_model_without_a_sky_is_not_moved_by_one() -> None:
    blind = built(use_celestial_graph=False)
    for part in blind.modules():
        if isinstance(part, nn.Linear) and not part.weight.any():
            nn.init.normal_(part.weight, std=0.1)
    inputs = found(blind).inputs
    assert inputs["sky"].size == 0
    assert inputs["prices"].size > 0


def test_size_and_correlation_are_those_of_numpy() -> None:
    random = np.random.default_rng(3)
    real = 0.03 * random.standard_normal(400)
    ours = 0.2 * real + 0.004 * random.standard_normal(400) + 0.001
    target = target_departure(ours, real, horizon=1, confidence=0.95)
    assert target.share == pytest.approx(np.sqrt(np.mean(ours**2) / np.mean(real**2)))
    correlation = np.corrcoef(ours, real)[0, 1]
    assert target.correlation == pytest.approx(correlation)
    assert target.low is not None
    assert target.high is not None
    assert target.low < correlation < target.high


def test_the_interval_holds_the_true_correlation_as_often_as_it_says() -> None:
    """Sums over ten neighboring days whose true correlation is 0.4."""
    random, markets, hits = np.random.default_rng(5), 400, 0
    kernel = np.ones(10)
    for _ in range(markets):
        common, one, two = random.standard_normal((3, 400 + 9))
        ours, real = (
            np.convolve(np.sqrt(0.4) * common + np.sqrt(0.6) * own, kernel, "valid") for own in (one, two)
        )
        target = target_departure(ours, real, horizon=10, confidence=0.95)
        assert target.low is not None
        assert target.high is not None
        hits += target.low <= 0.4 <= target.high
    assert 0.91 <= hits / markets <= 0.98


@pytest.mark.parametrize(
    ("ours", "real", "reason"),
    [
        (np.ones(40), np.zeros(40), "the market never left the base"),
        (np.zeros(40), np.ones(40), "the forecast is the base"),
        (np.ones(40), np.arange(40.0), "the forecast departs by the same amount in every window"),
        (np.arange(40.0), np.ones(40), "the market departed by the same amount in every window"),
        (np.arange(40.0), np.arange(40.0) ** 2, "hold only 4 independent ones"),
    ],
)
def test_what_cannot_be_said_has_a_reason(ours: np.ndarray, real: np.ndarray, reason: str) -> None:
    target = target_departure(ours, real, horizon=10, confidence=0.95)
    assert target.low is None
    assert reason in str(target.reason)
    text = departure_text(with_close(target))
    assert ("nan" in text, "None" in text) == (False, False)
    assert text.count(".") - text.count(". ") >= 1


def with_close(target: TargetDeparture, width: float | None = None) -> Departure:
    departure = found(Planted(lambda window: 0.3))
    return departure.model_copy(update={"targets": departure.targets | {"Close": target}, "width": width})


def test_a_mixture_may_change_its_width_alone() -> None:
    still = target_departure(np.zeros(40), np.ones(40), horizon=10, confidence=0.95)
    text = departure_text(with_close(still, width=0.042))
    assert text.startswith("The point forecast of Close in 3 days is the structured random walk")
    assert text.endswith("its width differs from that of the base by 4.2 %.")


def test_a_share_without_measure_is_not_quoted() -> None:
    wild = target_departure(
        1e6 * np.sin(np.arange(400.0)), np.sin(np.arange(400.0)), horizon=10, confidence=0.95
    )
    assert "by more than 1000 % of the real movement" in departure_text(with_close(wild))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"best_epoch": 0, "last_epoch": 3}, "this is the untrained model"),
        ({"best_epoch": 1, "last_epoch": 3}, "the first of 3: none after it made validation better"),
        ({"best_epoch": 1, "last_epoch": 1}, None),
        ({"best_epoch": 2, "last_epoch": 3}, None),
        ({"best_epoch": 1, "last_epoch": 3, "lost_best_epoch": 2}, None),
    ],
)
def test_a_best_epoch_that_is_the_first_or_none_is_a_warning(
    changes: dict[str, int], said: str | None
) -> None:
    text = training_text(read_result(TrainResults, EARLIER).model_copy(update=changes))
    assert (text is None) == (said is None)
    assert said is None or said in str(text)


def test_the_batch_does_not_matter() -> None:
    model = Planted(lambda window: 0.1 * window.past_waves[:, :1, :4])
    one, other = found(model, at_once=1), found(model, at_once=64)
    for name, target in one.targets.items():
        assert target.share == pytest.approx(other.targets[name].share, rel=1e-5)
    assert one.inputs["prices"].size == pytest.approx(other.inputs["prices"].size, rel=1e-5)


def test_windows_are_left_as_they_were() -> None:
    windows = WindowSet(noise_dataset(), "test")
    one = windows.batch(torch.tensor([0, 1]))
    before = replace(one, past_waves=one.past_waves.clone())
    with_input_of(windows.batch(torch.tensor([5, 6])), one, "prices")
    assert torch.equal(one.past_waves, before.past_waves)
