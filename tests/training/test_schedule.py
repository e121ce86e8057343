"""The published learning rates, applied before the epoch or step they belong to."""

import itertools
import math

import pytest

from model_core.config.run import TrainingSettings
from model_core.training.outcome import reason_to_stop
from model_core.training.schedule import learning_rate
from model_core.training.state import Progress

PUBLISHED = TrainingSettings(learning_rate=1e-3, warmup_epochs=5, train_epochs=50, min_lr=1e-6)


def by_epoch(settings: TrainingSettings) -> list[float]:
    return [learning_rate(settings, epoch, 0.0, 1.0) for epoch in range(settings.train_epochs)]


def test_the_first_epoch_is_already_warmed_up_by_one_fifth() -> None:
    assert by_epoch(PUBLISHED)[:6] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 1e-3])


def test_the_cosine_falls_to_just_above_min_lr() -> None:
    rates = by_epoch(PUBLISHED)
    last = 1e-6 + (1e-3 - 1e-6) * 0.5 * (1 + math.cos(math.pi * 44 / 45))
    assert rates[-1] == pytest.approx(last)
    assert rates[5:] == sorted(rates[5:], reverse=True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train_epochs": 1, "warmup_epochs": 0}, [1e-3]),
        ({"train_epochs": 1, "warmup_epochs": 1}, [1e-3]),
        ({"train_epochs": 3, "warmup_epochs": 3}, [1e-3 / 3, 2e-3 / 3, 1e-3]),
        ({"train_epochs": 2, "warmup_epochs": 5}, [2e-4, 4e-4]),
        ({"train_epochs": 3, "lradj": "type1"}, [1e-3, 5e-4, 2.5e-4]),
        ({"train_epochs": 2, "lradj": "constant"}, [1e-3, 1e-3]),
    ],
)
def test_edge_cases_of_the_schedule(changes: dict[str, object], expected: list[float]) -> None:
    assert by_epoch(PUBLISHED.model_copy(update=changes)) == pytest.approx(expected)


def test_per_step_the_rate_meets_the_epochs_rate_and_never_jumps() -> None:
    settings = PUBLISHED.model_copy(update={"lr_update": "step"})
    steps = 20
    rates = [
        learning_rate(settings, epoch, step / steps, (step + 1) / steps)
        for epoch in range(settings.train_epochs)
        for step in range(steps)
    ]
    assert max(rates) == rates[5 * steps - 1] == pytest.approx(1e-3)
    assert max(abs(b - a) for a, b in itertools.pairwise(rates)) <= 1.01e-3 / (5 * steps)
    assert rates[10 * steps] == pytest.approx(by_epoch(PUBLISHED)[10])


@pytest.mark.parametrize(
    ("epochs", "warmup", "expected"),
    [(1, 0, [1e-3, 5e-4]), (1, 1, [5e-4, 1e-3]), (2, 2, [2.5e-4, 5e-4, 7.5e-4, 1e-3]), (1, 5, [1e-4, 2e-4])],
)
def test_edge_cases_of_the_schedule_per_step(epochs: int, warmup: int, expected: list[float]) -> None:
    settings = PUBLISHED.model_copy(
        update={"train_epochs": epochs, "warmup_epochs": warmup, "lr_update": "step", "min_lr": 0.0}
    )
    rates = [
        learning_rate(settings, epoch, done, done + 0.5) for epoch in range(epochs) for done in (0.0, 0.5)
    ]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(("patience", "stops"), [(10, True), (998, True), (999, False)])
def test_patience_999_never_stops_early(patience: int, stops: bool) -> None:
    settings = PUBLISHED.model_copy(update={"train_epochs": 10_000, "patience": patience})
    progress = Progress(epoch=5_000, epochs_without_gain=4_999)
    assert bool(reason_to_stop(progress, settings)) == stops
