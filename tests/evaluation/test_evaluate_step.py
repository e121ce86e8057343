"""``scores.json`` and ``predictions.parquet`` of a real small run agree with each other and with loops."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.evaluate.step import run
from model_core.axes import TARGETS
from model_core.evaluation.scores import invalid_candles
from model_core.evaluation.verdict import close_text, distribution_text, point_text
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.results.skill import Comparison, Outcome
from model_core.results.tables import PREDICTIONS, price_column
from tests.data.market import noise_dataset
from tests.evaluation.small_run import EVALUATION, small_run


@pytest.fixture(scope="module")
def scores() -> Scores:
    return read_result(Scores, small_run()["evaluation"])


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    return pd.read_parquet(small_run()["evaluation"] / "predictions.parquet")


def test_the_predictions_have_the_columns_that_are_documented(predictions: pd.DataFrame) -> None:
    assert list(predictions) == [column.name for column in PREDICTIONS.columns]


def values(predictions: pd.DataFrame, what: str) -> np.ndarray:
    return predictions[[price_column(target, what) for target in TARGETS]].to_numpy()


def test_every_test_window_is_in_the_predictions_once(scores: Scores, predictions: pd.DataFrame) -> None:
    dataset = noise_dataset()
    span = dataset.splits.test
    anchors = predictions["anchor_date"].drop_duplicates()
    assert [str(day) for day in anchors] == [str(day) for day in dataset.dates[span.first : span.stop]]
    assert len(predictions) == scores.windows * scores.pred_len == len(span) * 3


def test_errors_in_the_scores_are_those_of_the_predictions(scores: Scores, predictions: pd.DataFrame) -> None:
    true, forecast = values(predictions, "true"), values(predictions, "forecast")
    found = scores.forecasts["model"].metrics
    assert found.log.overall.mae == pytest.approx(np.abs(forecast - true).mean())
    price = np.abs(np.exp(forecast) - np.exp(true))
    assert found.price.overall.mae == pytest.approx(price.mean())
    assert found.price.per_target["High"].mae == pytest.approx(price[:, 1].mean())
    second = predictions["step"] == 2
    assert found.price.per_step[1].mae == pytest.approx(price[second].mean())
    scaled = np.abs(forecast - true) / predictions["scale"].to_numpy()[:, None]
    assert found.scaled.overall.mae == pytest.approx(scaled.mean())


def test_skill_is_quoted_against_the_baseline_with_the_smallest_error(scores: Scores) -> None:
    errors = {
        name: forecast.metrics.log.overall.mse
        for name, forecast in scores.forecasts.items()
        if forecast.role == "baseline"
    }
    best = min(errors, key=lambda name: errors[name])
    assert scores.best_baseline == scores.verdict.baseline == best
    row = scores.skill[best].squared_log_error["overall"]
    model = scores.forecasts["model"].metrics.log.overall.mse
    assert row.skill == pytest.approx(1 - model / errors[best])
    assert scores.verdict.outcome == row.outcome
    assert set(scores.confidence_set or ()) <= set(scores.forecasts)
    assert scores.skill.keys() == errors.keys()


def test_log_prices_have_no_relative_errors(scores: Scores) -> None:
    log, price = (getattr(scores.forecasts["model"].metrics, name).overall for name in ("log", "price"))
    assert (log.mape, log.mspe, log.smape) == (None, None, None)
    assert None not in (price.mape, price.mspe, price.smape)


def test_a_mixture_head_is_calibrated_beside_distributions_that_cost_nothing(
    scores: Scores, predictions: pd.DataFrame
) -> None:
    found = scores.calibration
    assert found.model is not None
    assert found.skill is not None
    assert set(found.model) == set(TARGETS)
    for part in (*found.model.values(), *found.best.targets.values()):
        assert list(part.coverage) == ["50%", "80%", "90%", "95%"]
        assert sum(part.pit) == pytest.approx(1)
        assert part.crps > 0
        assert part.crps_per_step is not None
        assert part.crps == pytest.approx(np.mean(part.crps_per_step))
    for name, baseline in found.baselines.items():
        assert set(found.skill[name]) == set(baseline.targets)
        for target, theirs in baseline.targets.items():
            skill = found.skill[name][target].skill
            assert skill == pytest.approx(1 - found.model[target].crps / theirs.crps)
    inside = (values(predictions, "true") >= values(predictions, "q05")) & (
        values(predictions, "true") <= values(predictions, "q95")
    )
    assert scores.interval_coverage.kind == "mixture"
    assert scores.interval_coverage.overall == pytest.approx(inside.mean())
    assert found.model["Close"].coverage["90%"] == pytest.approx(inside[:, 3].mean())


def test_the_fan_holds_what_it_says_of_the_forecast_distribution(predictions: pd.DataFrame) -> None:
    ends = [values(predictions, name) for name in ("q05", "q25", "q75", "q95")]
    for lower, upper in pairwise(ends):
        assert (lower < upper).all()


def test_the_best_distribution_has_the_lowest_crps_of_close(scores: Scores) -> None:
    found = scores.calibration
    crps = {name: baseline.targets["Close"].crps for name, baseline in found.baselines.items()}
    assert found.best_baseline == min(crps, key=lambda name: crps[name])
    assert found.headline == (found.skill or {})[found.best_baseline]["Close"]
    assert set(crps) >= {"ewma_random_walk", "har_gaussian", "har_gaussian_without_drift"}
    assert len(found.left_out) == ("garch" not in crps)


def test_forecast_candles_are_valid(scores: Scores, predictions: pd.DataFrame) -> None:
    assert scores.candles.invalid_share == 0
    assert invalid_candles(values(predictions, "forecast")) == 0


def test_a_broken_candle_is_counted() -> None:
    candles = np.array([[0.0, 2, -1, 1], [0.0, 0.5, -1, 1], [0.0, 2, 0.5, 1], [0.0, 1, 0, 1]])
    assert invalid_candles(candles) == 0.5


def row(outcome: Outcome, skill: float) -> Comparison:
    return Comparison(
        outcome=outcome, reason=None, skill=skill, low=skill - 0.01, high=skill + 0.01,
        dm_statistic=1.0, dm_p_value=0.1, minimum_detectable_effect=0.034,
    )  # fmt: skip


def no_verdict(skill: float | None, reason: str) -> Comparison:
    nothing = dict.fromkeys(("low", "high", "dm_statistic", "dm_p_value", "minimum_detectable_effect"))
    return Comparison(outcome="no verdict", reason=reason, skill=skill, **nothing)


OUTCOMES: list[tuple[Outcome, str]] = [
    ("better", "The point forecast is better than the best baseline, ridge: skill +2.0 % [+1.0, +3.0] in"),
    ("worse", "The point forecast is worse than the best baseline, ridge: skill"),
    (
        "no evidence either way",
        "There is no evidence that the point forecast differs from the best baseline, ridge",
    ),
]


@pytest.mark.parametrize(("outcome", "said"), OUTCOMES)
def test_the_verdict_is_one_sentence_with_interval_and_smallest_detectable_effect(
    outcome: Outcome, said: str
) -> None:
    text = point_text(row(outcome, 0.02), "ridge", 0.95)
    assert text.startswith(said)
    assert text.endswith("(95 % interval; a skill of 3.4 % would be found four times out of five).")
    about_close = distribution_text(row(outcome, 0.02), "GARCH", 0.95)
    assert about_close == text.replace("point forecast", "distribution of Close").replace(
        "ridge", "GARCH"
    ).replace("squared log error", "CRPS")


def test_close_is_compared_with_the_last_close_in_a_sentence_of_its_own() -> None:
    assert close_text(row("worse", -0.02)) == (
        "On Close alone it is worse than the last Close: skill −2.0 % [−3.0, −1.0] in squared log error."
    )
    assert "there is no verdict: too few." in close_text(no_verdict(0.1, "too few"))


def test_forecasts_that_are_the_same_are_not_said_to_leave_a_skill_to_be_found() -> None:
    same = row("no evidence either way", 0.0).model_copy(update={"minimum_detectable_effect": 0.0})
    assert point_text(same, "walk", 0.95).endswith("in squared log error (95 % interval).")


def test_an_absurd_skill_is_said_to_be_low_and_not_quoted() -> None:
    """Of a market that hardly moves: the best baseline errs next to nothing, and no ratio to that tells anything."""
    absurd = row("worse", -1.2e4).model_copy(
        update={"low": -1.5e4, "high": -8.0, "minimum_detectable_effect": 41.0}
    )
    text = point_text(absurd, "ridge", 0.95)
    assert "skill below −1000.0 % [below −1000.0, −800.0]" in text
    assert "its loss is more than 11 times the baseline's" in text
    assert "not even a perfect forecast" in text


def test_no_verdict_says_why_and_quotes_no_interval() -> None:
    text = point_text(no_verdict(-0.156, "41 windows hold only 4.1 independent ones"), "ridge", 0.95)
    assert text == (
        "There is no verdict on whether the point forecast is better than the best baseline, ridge: 41 windows hold "
        "only 4.1 independent ones (the skill measured is −15.6 %)."
    )
    assert distribution_text(no_verdict(None, "the baseline makes no error"), "EWMA", 0.95).endswith(
        "EWMA: the baseline makes no error."
    )


def test_the_distribution_is_judged_against_its_best_baseline(scores: Scores) -> None:
    judged, close = scores.verdict.distribution, scores.calibration.headline
    assert judged is not None
    assert close is not None
    assert (judged.outcome, judged.reason) == (close.outcome, close.reason)
    assert judged.baseline == scores.calibration.best_baseline
    assert judged.text == distribution_text(close, scores.calibration.best.title, scores.confidence)
    said = (scores.verdict.text, judged.text, scores.verdict.departure, scores.verdict.training)
    assert scores.verdict.sentences == tuple(text for text in said if text is not None)


def test_the_step_returns_the_skills_of_both(scores: Scores, tmp_path: Path) -> None:
    """What KFP shows beside a run."""
    folders = small_run()
    found = run(
        dataset=folders["dataset"], model=folders["model"], evaluation=tmp_path / "again", settings=EVALUATION
    )
    close = scores.calibration.headline
    assert close is not None
    assert scores.calibration.model is not None
    assert found["crps_close"] == scores.calibration.model["Close"].crps
    assert found["coverage_90_close"] == scores.calibration.model["Close"].coverage["90%"]
    assert found["best_baseline_crps_close"] == scores.calibration.best.targets["Close"].crps
    wanted = {
        "skill_vs_best_baseline": scores.headline.skill,
        "skill_low": scores.headline.low,
        "crps_skill_vs_best_baseline": close.skill,
        "crps_skill_low": close.low,
        "crps_skill_high": close.high,
    }
    assert {name: found.get(name) for name in wanted} == wanted
