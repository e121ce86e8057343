"""A model is registered once, with what a reviewer needs, however often the step runs."""

from pathlib import Path

import pytest

from components.report.component import report as report_component
from components.steps import NOT_WORSE
from pipelines.submission import Submission
from tests.evaluation.small_run import small_run
from tests.pipeline.registration import judged, refused, registered, words
from tests.pipeline.registry_server import ModelRegistry


def test_the_first_model_is_registered_with_what_a_reviewer_needs(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    evaluation = judged(tmp_path, "no evidence either way")
    done = registered(registry, evaluation, tmp_path / "out", "--publish-uri", "s3://shelf/runs/")
    assert (done.registered, done.champion, done.reasons) == (True, None, ())
    (model,), (version,) = registry.models, registry.versions
    assert model["name"] == done.model_name == "celestial-enhanced-pgat"
    assert version["name"] == done.model_version
    assert version["id"] == done.version_id
    kept = {name: value["string_value"] for name, value in version["customProperties"].items()}
    assert kept["run"] == "mine"
    assert kept["report"] == "s3://shelf/runs/mine/report.html"
    assert "the best baseline" in kept["verdict"]
    assert set(kept) == {"run", "report", "verdict", "test_windows", "source_sha256", "learned_until"}
    (artifact,) = registry.artifacts[version["id"]]
    assert artifact["uri"] == small_run()["model"].resolve().as_uri()
    assert artifact["modelFormatName"] == "safetensors"


def test_the_same_model_twice_is_one_version_and_asks_for_nothing_more(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    evaluation = judged(tmp_path, "better")
    first = registered(registry, evaluation, tmp_path / "first")
    posts = registry.posts
    second = registered(registry, evaluation, tmp_path / "second")
    assert first == second
    assert (registry.posts, len(registry.versions)) == (posts, 1)


def test_a_registration_that_was_cut_off_is_completed(
    registry: ModelRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = judged(tmp_path, "better")
    registry.fails_at = r"POST .*/artifacts"
    told = refused(words(registry.url, evaluation, tmp_path / "first"), capsys)
    assert "500 the database is locked" in told
    assert not (tmp_path / "first").exists()
    registry.fails_at = ""
    assert registered(registry, evaluation, tmp_path / "second").registered
    assert len(registry.versions) == 1
    assert len(registry.artifacts["1"]) == 1


def test_the_report_tells_the_pipeline_whether_a_registry_is_offered_the_model() -> None:
    outputs = report_component.component_spec.outputs
    assert outputs is not None
    assert outputs["Output"].type == "String"
    assert NOT_WORSE.isidentifier()
    assert Submission.registered_name == "celestial-enhanced-pgat"
