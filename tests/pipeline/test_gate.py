"""A model passes if no comparison shows it to be worse; the registered one forecasts anew for it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from model_core.axes import TARGETS
from model_core.evaluation.gate import against_baselines, against_champion
from model_core.evaluation.paired import paired_tables
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.results.tables import price_column
from tests.evaluation.small_run import small_run
from tests.pipeline.registration import champion, judged, other_model, registered
from tests.pipeline.registry_server import ModelRegistry


@pytest.mark.parametrize(
    ("outcome", "passes"),
    [("better", True), ("no evidence either way", True), ("worse", False), ("no verdict", False)],
)
def test_only_a_model_that_no_verdict_calls_worse_passes_the_baselines(
    outcome: str, passes: bool, tmp_path: Path
) -> None:
    reasons = against_baselines(read_result(Scores, judged(tmp_path, outcome)))
    assert (not reasons) == passes
    assert all("best baseline" in reason for reason in reasons)
    assert len(reasons) == (0 if passes else 2)


def forecasts(error: float) -> pd.DataFrame:
    """400 windows of two days, each forecast with an error of this size."""
    random = np.random.default_rng(1)
    days = pd.bdate_range("2020-01-01", periods=402).date
    rows = [(days[n], days[n + step], step) for n in range(400) for step in (1, 2)]
    table = pd.DataFrame(rows, columns=["anchor_date", "date", "step"])
    for target in TARGETS:
        true = random.standard_normal(len(table))
        table[price_column(target, "true")] = true
        for part in ("forecast", "q05", "q25", "q75", "q95"):
            table[price_column(target, part)] = true + error * random.standard_normal(len(table))
    return table


def test_a_champion_that_errs_less_stays_and_one_that_errs_more_goes() -> None:
    small, large = forecasts(0.1), forecasts(0.5)
    assert against_champion(paired_tables(small, large, 0.95), "the champion") == ()
    point, distribution = against_champion(paired_tables(large, small, 0.95), "the champion")
    assert point.startswith("The point forecast is worse than that of the champion: skill ")
    assert distribution.startswith("The distribution of Close is worse than that of the champion: skill ")


def test_where_nothing_can_be_compared_the_champion_stays() -> None:
    table = forecasts(0.1)
    elsewhere = table.assign(close_true=table["close_true"] + 1)
    (reason,) = against_champion(paired_tables(table, elsewhere, 0.95), "the champion")
    assert reason.startswith("It cannot be compared with the champion: what came differs")
    point, _ = against_champion(paired_tables(table.head(8), forecasts(0.2).head(8), 0.95), "the champion")
    assert point.startswith(
        "There is no verdict on whether the point forecast is worse than that of the champion: "
    )


@pytest.mark.parametrize("outcome", ["worse", "no verdict"])
def test_a_model_that_is_not_good_enough_is_not_registered_and_that_is_no_failure(
    outcome: str, registry: ModelRegistry, tmp_path: Path
) -> None:
    done = registered(registry, judged(tmp_path, outcome), tmp_path / "out")
    assert (done.registered, done.version_id, registry.posts) == (False, None, 0)
    assert len(done.reasons) == 2


def test_the_champion_forecasts_this_runs_windows_anew_and_is_compared_with_an_interval(
    registry: ModelRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = torch.Generator().manual_seed(5)
    model = other_model(
        tmp_path, lambda w: w + 0.02 * torch.randn(w.shape, generator=random) if w.is_floating_point() else w
    )
    champion(registry, str(tmp_path / "gone"))
    champion(registry, str(model), learned_until="2999-01-01")
    champion(registry, str(tmp_path / "archived"))
    registry.versions[-1]["state"] = "ARCHIVED"
    done = registered(registry, judged(tmp_path, "better"), tmp_path / "out")
    assert done.champion is not None
    assert done.champion.version == "champion-2", "the newest that is not archived"
    assert done.champion.windows == read_result(Scores, small_run()["evaluation"]).windows
    assert done.champion.point is not None
    assert done.registered == (
        done.champion.point.outcome in {"better", "no evidence either way"} and not done.reasons
    )
    assert "so the comparison favors it" in caplog.text


def test_a_model_is_as_good_as_itself(registry: ModelRegistry, tmp_path: Path) -> None:
    """Under another name in the registry: what it forecasts anew is what it forecast, to the last bit."""
    champion(registry, small_run()["model"].resolve().as_uri())
    done = registered(registry, judged(tmp_path, "better"), tmp_path / "out")
    assert done.champion is not None
    assert done.champion.point is not None
    assert done.champion.point.skill == pytest.approx(0, abs=1e-9)
