"""Results are written and read by one pair: what was written comes back, what does not fit is refused in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model_core.artifacts import read_json
from model_core.errors import ArtifactError
from model_core.results.dataset import ScalerResult, SplitResult
from model_core.results.explanation import Explanation
from model_core.results.findings import Findings
from model_core.results.headline import Headline, headline_of
from model_core.results.quality import Quality
from model_core.results.record import JsonObject, Result, read_result, write_result
from model_core.results.scores import Scores
from model_core.results.tables import PREDICTIONS, read_table
from model_core.results.training import TrainResults
from tests.evaluation.small_run import small_run

FOLDERS: dict[type[Result], str] = {
    TrainResults: "model",
    Quality: "dataset",
    SplitResult: "dataset",
    ScalerResult: "dataset",
    Scores: "evaluation",
    Explanation: "evaluation",
    Findings: "findings",
}
"""Which folder of a run holds a kind of result."""
EARLIER = Path(__file__).parent / "earlier"
"""One file of each kind, shortened, as the code wrote them that had no versions of most: a small run with a mixture."""
KINDS = pytest.mark.parametrize("kind", FOLDERS, ids=lambda kind: kind.file)


def content_of(kind: type[Result]) -> JsonObject:
    return read_json(small_run()[FOLDERS[kind]] / kind.file)


def put(kind: type[Result], folder: Path, content: object) -> None:
    (folder / kind.file).write_text(json.dumps(content), encoding="utf-8")


@KINDS
def test_what_a_step_writes_is_read_back_and_written_again_byte_for_byte(
    kind: type[Result], tmp_path: Path
) -> None:
    path = small_run()[FOLDERS[kind]] / kind.file
    write_result(tmp_path, read_result(kind, path.parent))
    assert (tmp_path / kind.file).read_bytes() == path.read_bytes()
    assert read_json(path)["schema_version"] == kind.version


@KINDS
def test_a_result_cannot_be_changed(kind: type[Result]) -> None:
    result = read_result(kind, small_run()[FOLDERS[kind]])
    with pytest.raises(ValueError, match="frozen"):
        setattr(result, next(iter(kind.model_fields)), None)


def unknown(content: JsonObject) -> JsonObject:
    return content | {"color": "blue"}


def lacking(content: JsonObject) -> JsonObject:
    return {"schema_version": content["schema_version"]}


def text_for_all(content: JsonObject) -> JsonObject:
    return dict.fromkeys(content, "x") | {"schema_version": content["schema_version"]}


def later(content: JsonObject) -> JsonObject:
    return content | {"schema_version": 99}


def odd_version(content: JsonObject) -> JsonObject:
    return content | {"schema_version": [1]}


def long_name(content: JsonObject) -> JsonObject:
    return content | {"x" * 10_000: 1}


@KINDS
@pytest.mark.parametrize("change", [unknown, lacking, text_for_all, later, odd_version, long_name])
def test_what_does_not_fit_is_refused_in_one_bounded_sentence(
    kind: type[Result], change: Callable[[JsonObject], JsonObject], tmp_path: Path
) -> None:
    put(kind, tmp_path, change(content_of(kind)))
    with pytest.raises(ArtifactError, match=f"run the {kind.step} step again$") as refusal:
        read_result(kind, tmp_path)
    text = str(refusal.value)
    assert refusal.value.path == tmp_path / kind.file
    assert kind.file in text
    assert "\n" not in text
    assert len(text) < len(str(tmp_path)) + 600


@KINDS
@pytest.mark.parametrize("content", [[], 1, None, "text"])
def test_what_is_no_object_is_refused(kind: type[Result], content: object, tmp_path: Path) -> None:
    put(kind, tmp_path, content)
    with pytest.raises(ArtifactError) as refusal:
        read_result(kind, tmp_path)
    assert refusal.value.path == tmp_path / kind.file


def test_the_sentence_names_the_place_of_the_fault(tmp_path: Path) -> None:
    content = content_of(TrainResults)
    parameters = content["parameters"]
    assert isinstance(parameters, dict)
    put(TrainResults, tmp_path, content | {"parameters": parameters | {"total": -1}})
    with pytest.raises(ArtifactError, match=r"parameters\.total: ") as refusal:
        read_result(TrainResults, tmp_path)
    assert refusal.value.path == tmp_path / TrainResults.file


@pytest.mark.parametrize(
    "part", ["coverage", "coverage_interval", "coverage_per_step", "coverage_by_volatility.calm"]
)
def test_a_calibration_without_a_level_that_the_page_shows_is_refused(part: str, tmp_path: Path) -> None:
    content: Any = content_of(Scores)
    level = content["calibration"]["model"]["Close"]
    for name in part.split("."):
        level = level[name]
    del level["90%"]
    put(Scores, tmp_path, content)
    with pytest.raises(ArtifactError, match=r"model\.Close: .*the coverage of level 90% is missing"):
        read_result(Scores, tmp_path)


def test_a_calibration_by_day_without_a_day_is_refused(tmp_path: Path) -> None:
    content: Any = content_of(Scores)
    content["calibration"]["model"]["Close"]["coverage_per_step"]["90%"] = []
    put(Scores, tmp_path, content)
    with pytest.raises(ArtifactError, match="a measure by forecast day has no day"):
        read_result(Scores, tmp_path)


def earlier(kind: type[Result]) -> JsonObject:
    return read_json(EARLIER / kind.file)


@KINDS
def test_what_earlier_code_wrote_is_still_read(kind: type[Result]) -> None:
    assert earlier(kind).get("schema_version", 0) != kind.version or kind is Findings
    assert read_result(kind, EARLIER)


@KINDS
@pytest.mark.parametrize("version", [0, 1, 2])
def test_what_only_claims_to_be_of_an_earlier_version_is_refused(
    kind: type[Result], version: int, tmp_path: Path
) -> None:
    for content in ({}, dict.fromkeys(earlier(kind), "x"), dict.fromkeys(earlier(kind))):
        put(kind, tmp_path, content | {"schema_version": version})
        with pytest.raises(ArtifactError) as refusal:
            read_result(kind, tmp_path)
        assert refusal.value.path == tmp_path / kind.file


def test_skills_that_were_listed_row_by_row_are_found_by_name() -> None:
    content: Any = earlier(Scores)
    scores = read_result(Scores, EARLIER)
    losses = {"mse": "squared_log_error", "mae": "absolute_log_error"}
    for row in content["skill"]:
        by_target = getattr(scores.skill[row["baseline"]], losses[row["metric"]])
        found = by_target[row["target"]]
        assert (found.skill, found.low, found.outcome) == (row["skill"], row["low"], row["verdict"])
    assert scores.headline == scores.skill[scores.best_baseline].squared_log_error["overall"]
    assert scores.verdict.text == content["verdict"]["text"]


def test_relative_errors_of_log_prices_are_left_out() -> None:
    metrics = read_result(Scores, EARLIER).forecasts["model"].metrics
    assert (metrics.log.overall.mape, metrics.log.per_step[0].smape) == (None, None)
    assert metrics.price.overall.mape is not None


def test_scores_of_version_1_gave_no_reasons(tmp_path: Path) -> None:
    put(Scores, tmp_path, scores_of_version_1(earlier(Scores)))
    scores = read_result(Scores, tmp_path)
    assert (scores.verdict.reason, scores.confidence_set_reason, scores.headline.reason) == (None, None, None)


def test_scores_of_version_4_did_not_say_whether_the_model_does_anything(tmp_path: Path) -> None:
    content: Any = content_of(Scores)
    old = without(content, "departure") | {"schema_version": 4}
    old["verdict"] = without(content["verdict"], "distribution", "departure", "training")
    put(Scores, tmp_path, old)
    scores = read_result(Scores, tmp_path)
    assert (scores.departure, scores.verdict.distribution) == (None, None)
    assert scores.verdict.sentences == (content["verdict"]["text"],)
    assert scores.calibration.headline is not None


def scores_of_version_1(content: Any) -> JsonObject:
    """The same scores as they were written when every comparison had a verdict."""
    old = without(content, "confidence_set_reason") | {"schema_version": 1}
    old["verdict"] = without(content["verdict"], "reason")
    old["skill"] = [without(row, "reason", "degrees_of_freedom") for row in content["skill"]]
    return old


def findings_of_version_1(content: Any) -> JsonObject:
    """The same findings as they were written when every perturbation was judged."""
    rows = [
        without(row, "excess_low", "excess_high", "fragile_reason") | {"fragile": False}
        for row in content["scenarios"]
    ]
    old = without(content, "test_windows", "overlap", "reads", "left_out")
    return old | {"schema_version": 1, "scenarios": rows}


def without(content: JsonObject, *names: str) -> JsonObject:
    return {name: value for name, value in content.items() if name not in names}


def test_findings_of_version_1_are_still_read(tmp_path: Path) -> None:
    put(Findings, tmp_path, findings_of_version_1(earlier(Findings)))
    (first, *_) = read_result(Findings, tmp_path).perturbations
    assert (first.excess_low, first.fragile, first.fragile_reason) == (None, False, None)


def test_findings_whose_perturbations_were_called_scenarios_are_still_read(tmp_path: Path) -> None:
    content = content_of(Findings)
    old = without(content, "perturbations") | {"scenarios": content["perturbations"], "schema_version": 3}
    put(Findings, tmp_path, old)
    assert read_result(Findings, tmp_path) == read_result(Findings, small_run()["findings"])


def test_a_headline_whose_perturbations_were_called_disturbances_is_still_read() -> None:
    run = small_run()
    headline = headline_of(
        read_result(Scores, run["evaluation"]),
        read_result(Findings, run["findings"]),
        read_result(Quality, run["dataset"]),
    )
    content = headline.model_dump(mode="json")
    old = without(content, "perturbations") | {"disturbances": content["perturbations"]}
    assert Headline.model_validate_json(json.dumps(old)) == headline


def test_predictions_with_the_column_names_of_before_are_still_read(tmp_path: Path) -> None:
    frame = pd.read_parquet(small_run()["evaluation"] / PREDICTIONS.file)
    old = {new: before for before, new in PREDICTIONS.renamed.items()}
    frame = frame.drop(columns=list(PREDICTIONS.later))
    frame.rename(columns=old).to_parquet(tmp_path / PREDICTIONS.file)
    names = PREDICTIONS.always
    assert "High_low" in old.values()
    pd.testing.assert_frame_equal(read_table(PREDICTIONS, tmp_path, names), frame)


def test_a_quality_without_a_version_is_still_read(tmp_path: Path) -> None:
    """That of earlier code, which did not say how a table was read or how many windows are independent."""
    content = content_of(Quality)
    later = {"schema_version", "reading", "independent_windows"}
    put(Quality, tmp_path, {k: v for k, v in content.items() if k not in later})
    quality = read_result(Quality, tmp_path)
    assert (quality.rows, quality.reading, quality.independent_windows) == (content["rows"], {}, None)


def test_training_results_without_a_version_are_still_read(tmp_path: Path) -> None:
    """Those of earlier code, which knew fewer fields and perhaps others."""
    content = content_of(TrainResults)
    later = {"schema_version", "lost_best_epoch", "processes", "mirror", "seconds_of_all_attempts"}
    put(TrainResults, tmp_path, {k: v for k, v in content.items() if k not in later} | {"color": "blue"})
    assert read_result(TrainResults, tmp_path).best_epoch == content["best_epoch"]
