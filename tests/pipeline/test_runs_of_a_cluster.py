"""The artifacts of Kubeflow's runs are read as runs from the pipeline's root in the store."""

import json
from pathlib import Path

import pytest

from model_core.artifacts import content_digest, read_json
from model_core.store.local import LocalStore
from pipelines.review.cluster import ClusterRuns
from tests.evaluation.small_run import small_run
from tests.pipeline.shelf import Says
from tests.security.hostile_s3 import HostileS3

ROOT = "v2/artifacts/celestial-training-pipeline"
RUN = "3f2c8a54-0000-4000-8000-000000000001"


def of_cluster(s3: HostileS3, salt: str = "salt/", run: str = RUN) -> None:
    """Lay the small run's artifacts out as Kubeflow does."""
    for kind, task in (
        ("dataset", "prepare-data"), ("model", "train"), ("evaluation", "evaluate"), ("findings", "diagnose"),
    ):  # fmt: skip
        folder = small_run()[kind]
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{ROOT}/{run}/{task}/{salt}{kind}/{path.relative_to(folder).as_posix()}"
                s3.objects[key] = path.read_bytes()
    s3.objects[f"{ROOT}/{run}/report/{salt}report"] = b"<html>the page</html>"
    s3.objects[f"{ROOT}/{run}/report/{salt}summary"] = b"# summary"
    s3.objects[f"{ROOT}/{run}/report/{salt}executor-logs"] = b"log"


def files_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("salt", ["salt/", ""])
@pytest.mark.parametrize("root", ["v2/artifacts", ROOT, f"{ROOT}/{RUN}"])
def test_a_clusters_run_is_read_by_its_pipeline_root(
    salt: str, root: str, s3: HostileS3, tmp_path: Path, said: Says
) -> None:
    of_cluster(s3, salt)
    uri = f"s3://bucket/{root}"
    (run,) = json.loads(said("list", "--runs", uri, "--json"))["runs"]
    assert (run["name"], run["status"]) == (RUN, "succeeded")
    assert run["headline"]["windows"] == read_json(small_run()["evaluation"] / "scores.json")["windows"]
    assert run["settings"]["model"] == read_json(small_run()["model"] / "manifest.json")["settings"]["model"]  # type: ignore[index]
    shown = said("show", RUN, "--runs", uri)
    assert "test windows" in shown
    assert f"{uri}/{RUN}/evaluation" in shown
    said("download", RUN, str(tmp_path / "copy"), "--runs", uri)
    for kind in ("dataset", "model", "evaluation", "findings"):
        assert files_in(tmp_path / "copy" / kind) == files_in(small_run()[kind])


def test_two_runs_of_a_cluster_are_compared_and_opened_and_the_later_of_two_tries_counts(
    s3: HostileS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Says, refused: Says
) -> None:
    second = RUN[:-1] + "2"
    for run in (RUN, second):
        of_cluster(s3, run=run)
    # Earlier tries at a step: one left a whole folder, one a damaged one.
    manifest = read_json(small_run()["evaluation"] / "manifest.json") | {
        "created_at": "2001-01-01T00:00:00+00:00"
    }
    manifest["sha256"] = content_digest({key: value for key, value in manifest.items() if key != "sha256"})
    for salt, text in (("a-whole", json.dumps(manifest)), ("z-half", "{")):
        s3.objects[f"{ROOT}/{RUN}/evaluate/{salt}/evaluation/manifest.json"] = text.encode()
        s3.objects[f"{ROOT}/{RUN}/evaluate/{salt}/evaluation/scores.json"] = b"{}"
    uri = f"s3://bucket/{ROOT}"
    compared = said("compare", RUN, second, "--runs", uri)
    assert "the settings are the same" in compared
    assert "windows that both scored" in compared
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    page = Path(said("open", RUN, "--runs", uri).strip())
    assert page.read_text(encoding="utf-8") == "<html>the page</html>"
    said("site", str(tmp_path / "site"), "--runs", uri, "--compare", f"{RUN},{second}")
    assert "Kubeflow still lists" in refused("delete", RUN, "--runs", uri)
    assert f"{ROOT}/{RUN}/report/salt/report" in s3.objects


def test_a_clusters_run_without_its_end_is_unfinished_and_a_flipped_file_is_named(
    s3: HostileS3, tmp_path: Path, said: Says, refused: Says
) -> None:
    of_cluster(s3)
    key = f"{ROOT}/{RUN}/evaluate/salt/evaluation/predictions.parquet"
    s3.objects[key] = s3.objects[key][:-1]
    uri = f"s3://bucket/{ROOT}"
    error = refused("download", RUN, str(tmp_path / "copy"), "--runs", uri)
    assert "predictions.parquet was changed" in error
    for each in [key for key in s3.objects if "/diagnose/" in key]:
        del s3.objects[each]
    assert "unfinished" in said("list", "--runs", uri)


def test_a_clusters_run_that_lacks_a_file_of_its_scores_is_shown_without_them_and_the_file_named(
    s3: HostileS3, said: Says, caplog: pytest.LogCaptureFixture
) -> None:
    of_cluster(s3)
    del s3.objects[f"{ROOT}/{RUN}/evaluate/salt/evaluation/scores.json"]
    assert RUN in said("list", "--runs", f"s3://bucket/{ROOT}")
    assert f"the run {RUN} is shown without its scores: evaluation/scores.json is missing" in caplog.text


@pytest.mark.parametrize("name", ["___", "index.html", "..."])
def test_what_no_run_can_be_called_is_no_run_of_a_cluster(name: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "root")
    store.write(f"pipeline/{name}/train/1/model/manifest.json", b"{}")
    assert ClusterRuns(store, tmp_path / "fetched").stamped() == []
    assert not (tmp_path / "fetched").exists()
