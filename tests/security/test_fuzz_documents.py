"""Settings, manifests, records, names: whatever bytes a reader is given, it reads or refuses them in one sentence."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.cli import Files
from model_core.artifacts import open_artifact, read_json, write_json, write_manifest
from model_core.config.load import load_settings
from model_core.config.mistakes import names
from model_core.config.run import Settings
from model_core.data.reading.sources import read_source
from model_core.results.run import RECORD
from model_core.store.locate import open_store, read_uri
from model_core.store.names import contained
from pipelines.review.comparison import compared, comparison_text
from pipelines.review.listing import list_runs, show_run
from tests.data.market import SETTINGS
from tests.security.fuzzing import (
    damaged,
    fuzzed,
    json_values,
    read_or_refused,
    seeds,
    trees,
    unsigned,
    written,
)

STANDARD = Path(__file__).parents[2] / "configs/celestial_enhanced_pgat.yaml"


@fuzzed(100)
@given(seed=seeds)
def test_any_damaged_settings_file_is_read_or_refused(place: Path, seed: int) -> None:
    path = place / "settings.yaml"
    path.write_bytes(damaged(STANDARD.read_bytes()[:3_000], seed))
    read_or_refused(lambda: load_settings(path))


@fuzzed(100)
@given(tree=trees(Settings().model_dump(mode="json"), times=3))
def test_any_values_of_the_settings_are_read_or_refused(place: Path, tree: Any) -> None:
    path = place / "settings.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    read_or_refused(lambda: load_settings(path))


@fuzzed(300)
@given(text=st.text(alphabet="abc:-[]{}#&*!|>'\"%@`,?= \n\t0123456789._<~\\", max_size=60))
def test_any_text_is_read_as_settings_or_refused(place: Path, text: str) -> None:
    path = place / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    read_or_refused(lambda: load_settings(path))
    read_or_refused(lambda: load_settings(None, [text]))


@fuzzed(300)
@given(name=st.sampled_from(names(Settings)) | st.text(max_size=30), value=st.text(max_size=30) | json_values)
def test_any_override_is_read_or_refused(name: str, value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    read_or_refused(lambda: load_settings(None, [f"{name}={text}"]))


@fuzzed(60)
@given(raw=st.binary(max_size=30))
def test_any_bytes_of_a_command_line_are_read_or_refused(raw: bytes) -> None:
    """Python turns bytes that are no UTF-8 into half characters."""
    text = os.fsdecode(raw)
    read_or_refused(lambda: load_settings(None, [f"report.title={text}"]))
    read_or_refused(lambda: load_settings(text))


@pytest.fixture(scope="module")
def artifact(place: Path) -> Path:
    folder = place / "artifact"
    folder.mkdir()
    write_json(folder / "results.json", {"loss": 1.0})
    write_manifest(folder, producer="train", settings={"training": {}})
    return folder


@pytest.fixture(scope="module")
def manifest(artifact: Path) -> bytes:
    return json.dumps(unsigned(json.loads((artifact / "manifest.json").read_bytes()))).encode()


@fuzzed(200)
@given(seed=seeds)
def test_any_damaged_manifest_is_read_or_refused(artifact: Path, manifest: bytes, seed: int) -> None:
    (artifact / "manifest.json").write_bytes(damaged(manifest, seed))
    read_or_refused(lambda: open_artifact(artifact, producer="train"))


@fuzzed(200)
@given(data=st.data())
def test_any_values_in_a_manifest_are_read_or_refused(
    artifact: Path, manifest: bytes, data: st.DataObject
) -> None:
    written(artifact / "manifest.json", data.draw(trees(json.loads(manifest))))
    read_or_refused(lambda: open_artifact(artifact, producer="train"))


RUN = {
    "name": "a",
    "source": "my.csv",
    "started_at": "2020-01-01T00:00:00+00:00",
    "status": "succeeded",
    "code_version": "0123",
    "settings": {"data": {"sort": True}},
    "step_seconds": {"train": 1.5},
    "reused": ["report"],
    "artifacts": {"evaluation": "evaluation"},
}
ERRORS = {"mae": 1.0, "rmse": 2.0}
SCORES = {
    "forecasts": {
        name: {"title": name, "metrics": {"price": {"overall": ERRORS}, "log": {"overall": ERRORS}}}
        for name in ("model", "last_close")
    },
    "windows": 10,
    "first_date": "2020-01-01",
    "last_date": "2020-02-01",
    "pred_len": 2,
    "verdict": {"text": "The model is worse."},
}


@fuzzed(100)
@given(record=trees(RUN), scores=trees(SCORES))
def test_any_record_of_a_run_and_any_scores_are_read_or_refused(
    place: Path, record: Any, scores: Any
) -> None:
    for name in ("a", "b"):
        (place / "runs" / name).mkdir(parents=True, exist_ok=True)
    (place / "evaluation").mkdir(exist_ok=True)
    evaluation = str(place / "evaluation")
    if isinstance(record, dict) and isinstance(record.get("artifacts"), dict):
        record["artifacts"] = {**record["artifacts"], "evaluation": evaluation}
    written(place / "runs/a" / RECORD, record)
    written(place / "runs/b" / RECORD, RUN | {"name": "b", "artifacts": {"evaluation": evaluation}})
    written(place / "evaluation/scores.json", scores)
    read_or_refused(lambda: list_runs(place / "runs"))
    read_or_refused(lambda: show_run(place / "runs", "a"))
    read_or_refused(lambda: comparison_text(compared(place / "runs", ["a", "b"])))


hostile_text = st.text(max_size=40) | st.text(alphabet="/.\\:@?#%[]~ s3file\0\n\x1b", max_size=40)


@fuzzed(500)
@given(key=hostile_text)
def test_no_key_of_a_store_leads_out_of_its_folder(place: Path, key: str) -> None:
    root = place / "store"

    def stays_inside() -> None:
        assert contained(root, key).resolve().is_relative_to(root.resolve())

    read_or_refused(stays_inside)
    read_or_refused(lambda: open_store(str(root)).read(key))
    read_or_refused(lambda: open_store(str(root)).exists(key))


@fuzzed(500)
@given(
    scheme=st.sampled_from(["", "file://", "s3://", "S3://", "sample://", "http://", "://"]),
    rest=hostile_text,
)
def test_any_place_is_read_or_refused(scheme: str, rest: str) -> None:
    uri = scheme + rest
    read_or_refused(lambda: read_source(uri, SETTINGS))
    read_or_refused(lambda: open_store(uri))
    read_or_refused(lambda: read_uri(uri))
    with Files() as files:
        read_or_refused(lambda: files.input(uri))


@fuzzed(200)
@given(seed=seeds)
def test_any_damaged_json_is_read_or_refused(place: Path, seed: int) -> None:
    path = place / "scores.json"
    path.write_bytes(damaged(json.dumps(SCORES).encode(), seed))
    read_or_refused(lambda: read_json(path))
