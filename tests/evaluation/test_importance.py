"""What the waves of the sky are worth: nothing to a model that ignores them, everything to one that lives on them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.evaluate.step import run as evaluate
from model_core.axes import FIRST_SKY
from model_core.build import build_model
from model_core.config.data import Layout
from model_core.config.run import EvaluationSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import Window, WindowSet
from model_core.evaluation.importance import exchange, parts_of, sky_importance
from model_core.nn.bundles import Forecast, Reads
from model_core.results.explanation import Explanation
from model_core.results.importance import SkyImportance, WaveGroup
from model_core.results.record import read_result
from model_core.sky.waves import column_of, waves_of
from tests.data.market import noise_dataset
from tests.evaluation.small_run import small_run
from tests.training.prepared import MODEL

LAYOUT: Layout = "ephemeris"
MARS_SPEED = column_of(waves_of(LAYOUT), "Mars", "speed")


class Planted(nn.Module):
    """Forecasts the truth, plus what a function says of the window."""

    def __init__(self, error: Callable[[Window], Tensor], reads: Reads) -> None:
        super().__init__()
        self.error, self.reads = error, reads

    def forward(self, window: Window) -> Forecast:
        return Forecast(point=window.target + 1e-3 + self.error(window)[:, None, None])


def found(
    model: Any, *, at_most: int = 1_000, draws: int = 1, batch_size: int = 64, windows: Any = None
) -> SkyImportance | None:
    return sky_importance(
        model,
        windows or WindowSet(noise_dataset(), "test"),
        LAYOUT,
        at_most=at_most,
        draws=draws,
        confidence=0.95,
        batch_size=batch_size,
    )


def lost(column: int) -> Callable[[Window], Tensor]:
    """An error as large as one wave of the known days is off, for a model that knows what it should be."""
    windows = WindowSet(noise_dataset(), "test")
    every = windows.batch(torch.arange(len(windows)))
    true = dict(zip(every.dates[:, 0].tolist(), every.past_waves[:, -1, column], strict=True))

    def error(window: Window) -> Tensor:
        should = torch.stack([true[day] for day in window.dates[:, 0].tolist()])
        return (window.past_waves[:, -1, column] - should).abs()

    return error


def test_a_model_that_lives_on_one_wave_loses_by_the_parts_that_hold_it_and_by_no_other() -> None:
    importance = found(Planted(lost(MARS_SPEED), Reads(past_sky=True, future_sky=False)))
    assert importance is not None
    skills = {(part.group, part.name): part.point.skill for part in importance.parts}
    hold: set[tuple[WaveGroup, str]] = {
        ("days", "all"),
        ("days", "known"),
        ("body", "Mars"),
        ("quantity", "speed"),
    }
    assert {part for part, skill in skills.items() if skill} == hold
    for part in hold:
        assert skills[part] == pytest.approx(1, abs=0.01)


def test_a_model_that_ignores_the_sky_loses_nothing_and_one_that_reads_none_is_not_asked() -> None:
    deaf = found(Planted(lambda window: torch.zeros(len(window)), Reads(past_sky=True, future_sky=True)))
    assert deaf is not None
    assert {(p.point.skill, p.point.low, p.point.high) for p in deaf.parts} == {(0.0, 0.0, 0.0)}
    assert found(Planted(lambda window: torch.zeros(len(window)), Reads(False, False))) is None
    assert found(Planted(lost(MARS_SPEED), Reads(True, True)), at_most=0) is None


def test_every_wave_of_the_sky_belongs_to_one_body_and_at_most_one_quantity() -> None:
    layouts: tuple[Layout, ...] = ("ephemeris", "published")
    for layout in layouts:
        parts = list(parts_of(layout))
        sky = waves_of(layout)[FIRST_SKY:]
        bodies = [c for part in parts if part.group == "body" for c in part.columns]
        assert sorted(bodies) == [c for c, wave in enumerate(sky) if wave.body is not None]
        measured = [c for part in parts if part.group == "quantity" for c in part.columns]
        assert len(measured) == len(set(measured))
        assert {sky[c].quantity for c in set(range(len(sky))) - set(measured)} <= {"natal_sin", "natal_cos"}


@pytest.mark.parametrize("count", [2, 3, 7, 40, 41])
@pytest.mark.parametrize("block", [1, 3, 20])
def test_no_window_keeps_its_waves_and_neighbors_stay_together(count: int, block: int) -> None:
    partner = exchange(count, block, torch.Generator().manual_seed(1))
    assert not (partner == torch.arange(count)).any()
    if count >= 2 * block and count % block == 0:
        assert sorted(partner.tolist()) == list(range(count))
        blocks = partner.view(-1, block)
        assert ((blocks - blocks[:, :1]) == torch.arange(block)).all()


def test_the_skill_is_that_of_a_loop_over_windows_and_draws() -> None:
    """Two draws of windows that overlap by two of three days, one window at a time."""
    windows = WindowSet(noise_dataset(), "test")
    model = Planted(lambda window: window.future_sky[:, 0, 0], Reads(False, True))
    importance = found(model, draws=2, batch_size=7)
    assert importance is not None
    assert importance.block == 6
    generator = torch.Generator().manual_seed(2024)
    draws = [exchange(len(windows), 6, generator) for _ in range(2)]

    def loss(i: int, j: int) -> float:
        window, other = windows.batch(torch.tensor([i])), windows.batch(torch.tensor([j]))
        error = (model(replace(window, future_sky=other.future_sky)).point - window.target).double()
        return float((error * window.scale.double()).square().mean())

    clean = np.mean([loss(i, i) for i in range(len(windows))])
    exchanged = np.mean([[loss(i, int(draw[i])) for i in range(len(windows))] for draw in draws])
    ahead = next(part for part in importance.parts if part.name == "ahead")
    assert ahead.point.skill == pytest.approx(1 - clean / exchanged, rel=1e-4)


def test_a_mixture_is_judged_as_a_distribution_too() -> None:
    torch.manual_seed(0)
    changed = MODEL.model_copy(update={"use_mixture_decoder": True})
    importance = found(build_model(changed, ModelInputs.from_dataset(noise_dataset())), at_most=5)
    assert importance is not None
    assert importance.windows == 5
    assert {part.distribution.skill for part in importance.parts if part.distribution} == {0.0}
    assert all(part.distribution is not None for part in importance.parts)


def test_the_step_keeps_it_beside_the_graph_and_leaves_it_out_when_told(tmp_path: Path) -> None:
    run = small_run()
    kept = read_result(Explanation, run["evaluation"]).importance
    assert kept is not None
    assert [part.name for part in kept.parts] == [part.name for part in parts_of(LAYOUT)]
    evaluate(
        dataset=run["dataset"],
        model=run["model"],
        evaluation=tmp_path / "evaluation",
        settings=EvaluationSettings(device="cpu", importance_windows=0),
    )
    assert read_result(Explanation, tmp_path / "evaluation").importance is None
