"""Whatever bytes a reader is given, it reads them or refuses them in one short sentence.

Bounded and repeatable: hypothesis draws the same examples in every run. With ``FUZZ_TIMES=50`` in the environment it
draws fifty times as many, and others in every run.
"""

import io
import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.cli import Files
from model_core.artifacts import open_artifact, read_json, sha256_of, write_json, write_manifest
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS, position, save_checkpoint
from model_core.checkpoints.files import SETTINGS as CHECKPOINT_SETTINGS
from model_core.checkpoints.loading import load_model
from model_core.config.data import DataSettings
from model_core.config.load import load_settings
from model_core.config.mistakes import names
from model_core.config.run import ReportSettings, Settings
from model_core.data.inputs import ModelInputs
from model_core.data.prepare import prepare
from model_core.data.reading.sources import read_source
from model_core.errors import PgatError, printable
from model_core.report.evidence import read_evidence
from model_core.report.page import render_page
from model_core.store.locate import open_store, read_uri
from model_core.store.names import contained
from pipelines.runs import RECORD, compare_runs, list_runs, show_run
from tests.data.market import SETTINGS, table
from tests.evaluation.small_run import small_run
from tests.training.prepared import MODEL
from tests.training.tiny import tiny_dataset

LONGEST = 4_000
TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
STANDARD = Path(__file__).parents[2] / "configs/celestial_enhanced_pgat.yaml"


def fuzzed(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many examples, the same ones in every run, however long each takes."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def read_or_refused(read: Callable[[], object]) -> None:
    """Call ``read``; the only error that may come is a deliberate one, on one line that is not too long."""
    try:
        read()
    except PgatError as error:
        text = str(error)
        assert 0 < len(text) <= LONGEST
        assert printable(text) == text


# --- what is drawn -------------------------------------------------------------------------------------

seeds = st.integers(0, 2**32)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "../x", "/etc/passwd", "a/../../b", "\x1b[2J", "x" * 5_000, 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def damaged(content: bytes, seed: int) -> bytes:
    """``content`` with a few bits flipped, and pieces cut out, doubled, overwritten or put in."""
    chance = random.Random(seed)
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at, length = chance.randrange(len(data) + 1), chance.choice((1, 1, 4, 30, 300))
        piece = bytes(data[at : at + length])
        match chance.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = piece * chance.choice((1, 2, 50))
            case 3:
                data[at:at] = chance.choice(
                    (
                        b"\0",
                        b"\xff",
                        b'"',
                        b"\n",
                        b"\r",
                        b",",
                        b";",
                        b"{",
                        b"[",
                        b"1e999",
                        b"-",
                        b"\xef\xbb\xbf",
                    )
                )
            case 4:
                data[at : at + len(piece)] = chance.randbytes(len(piece))
            case _:
                del data[at:]
    return bytes(data)


def places(tree: Any, prefix: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    yield prefix
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*prefix, key))


def changed(tree: Any, place: tuple[str | int, ...], value: Any, remove: bool) -> Any:
    """A copy of ``tree`` with another value at ``place``, or without it."""
    if not place:
        return value
    copy: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    if len(place) == 1 and remove:
        del copy[place[0]]
    else:
        copy[place[0]] = changed(copy[place[0]], place[1:], value, remove)
    return copy


@st.composite
def trees(draw: st.DrawFn, tree: Any, times: int = 2) -> Any:
    """``tree`` with one or two of its values replaced or removed."""
    for _ in range(draw(st.integers(1, times))):
        place = draw(st.sampled_from(list(places(tree))))
        tree = changed(tree, place, draw(json_values), draw(st.booleans()))
    return tree


def written(path: Path, tree: Any) -> Path:
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


# --- market tables -------------------------------------------------------------------------------------


def as_csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.assign(Date=pd.to_datetime(frame["Date"])).to_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@fuzzed(60)
@given(seed=seeds)
def test_any_damaged_csv_is_read_or_refused(place: Path, seed: int) -> None:
    path = place / "market.csv"
    path.write_bytes(damaged(as_csv(table().head(40)), seed))
    read_or_refused(lambda: prepare(str(path), SETTINGS))


@fuzzed(200)
@given(text=st.text(alphabet=",;\t|\"'\n\r .-/:#0123456789eEDateOpnHighLwClsNn\x00\ufeff%€ü", max_size=200))
def test_any_text_is_read_as_a_table_or_refused(place: Path, text: str) -> None:
    path = place / "market.csv"
    path.write_text(text, encoding="utf-8")
    read_or_refused(lambda: prepare(str(path), SETTINGS))


STARTS = [
    b"",
    b"PAR1",
    b"\x1f\x8b\x08",
    b"BZh9",
    b"PK\x03\x04",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"\xff\xfe",
]
"""Of Parquet, of each compression and archive, and of UTF-16."""


@fuzzed(200)
@given(content=st.binary(max_size=200), start=st.sampled_from(STARTS))
def test_any_bytes_are_read_as_a_table_or_refused(place: Path, content: bytes, start: bytes) -> None:
    path = place / "market"
    path.write_bytes(start + content)
    read_or_refused(lambda: prepare(str(path), SETTINGS))


@fuzzed(100)
@given(seed=seeds)
def test_any_damaged_parquet_is_read_or_refused(place: Path, seed: int) -> None:
    path = place / "market.parquet"
    path.write_bytes(damaged(as_parquet(table().head(40)), seed))
    read_or_refused(lambda: prepare(str(path), SETTINGS))


PANDAS = json.loads(pq.read_schema(io.BytesIO(as_parquet(table().head(40)))).metadata[b"pandas"])


@fuzzed(100)
@given(metadata=trees(PANDAS))
def test_any_pandas_metadata_in_a_parquet_file_is_read_or_refused(place: Path, metadata: Any) -> None:
    whole = pq.read_table(io.BytesIO(as_parquet(table().head(40))))
    path = place / "market.parquet"
    pq.write_table(whole.replace_schema_metadata({"pandas": json.dumps(metadata)}), path)
    read_or_refused(lambda: read_source(str(path), DataSettings()))


@fuzzed(40)
@given(
    column=st.sampled_from(["Date", "Open", "Close"]), values=st.lists(json_values, min_size=40, max_size=40)
)
def test_any_values_in_a_parquet_column_are_read_or_refused(
    place: Path, column: str, values: list[Any]
) -> None:
    kinds = (None, pa.string(), pa.int64(), pa.float64(), pa.date32(), pa.bool_())
    frame = table().head(40)
    for kind in kinds:
        try:
            array = pa.array(values, kind, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
        columns = {name: pa.array(frame[name]) for name in frame} | {column: array}
        path = place / "market.parquet"
        try:
            pq.write_table(pa.table(columns), path)
        except pa.ArrowException:
            continue
        read_or_refused(lambda: prepare(str(place / "market.parquet"), SETTINGS))


# --- settings ------------------------------------------------------------------------------------------


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


# --- manifests and records -----------------------------------------------------------------------------


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


def unsigned(content: Any) -> Any:
    """A manifest of version 1, which has no digest of its own that would refuse every change at once."""
    return {name: value for name, value in content.items() if name != "sha256"} | {"schema_version": 1}


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
    read_or_refused(lambda: compare_runs(place / "runs", "a", "b"))


# --- checkpoints ---------------------------------------------------------------------------------------


SAVED = {
    "model": MODEL.model_dump(mode="json"),
    "inputs": ModelInputs.from_dataset(tiny_dataset()).model_dump(mode="json"),
    "info": {"epoch": 1, "step": 0},
    "versions": {"python": "3.11.0"},
}


@pytest.fixture(scope="module")
def checkpoint(place: Path) -> Path:
    from model_core.build import build_model

    folder = place / "checkpoint"
    inputs = ModelInputs.from_dataset(tiny_dataset())
    save_checkpoint(
        folder,
        build_model(MODEL, inputs),
        settings=MODEL,
        inputs=inputs,
        info={"epoch": 1, "step": 0},
    )
    return folder


@pytest.fixture(scope="module")
def kept(checkpoint: Path) -> Path:
    """A copy that stays whole."""
    return Path(shutil.copytree(checkpoint, checkpoint.with_name("kept")))


def restore(checkpoint: Path, kept: Path) -> None:
    shutil.copytree(kept, checkpoint, dirs_exist_ok=True)


def reseal(checkpoint: Path) -> None:
    files = [path for path in checkpoint.iterdir() if path.name != CHECKPOINT_MANIFEST]
    write_json(
        checkpoint / CHECKPOINT_MANIFEST,
        {"files": {f.name: {"sha256": sha256_of(f), "size": f.stat().st_size} for f in files}},
    )


@fuzzed(100)
@given(data=st.data(), seed=seeds, structural=st.booleans())
def test_any_seal_of_a_checkpoint_is_read_or_refused(
    checkpoint: Path, kept: Path, data: st.DataObject, seed: int, structural: bool
) -> None:
    restore(checkpoint, kept)
    if structural:
        written(
            checkpoint / CHECKPOINT_MANIFEST,
            data.draw(trees(json.loads((kept / CHECKPOINT_MANIFEST).read_bytes()))),
        )
    else:
        (checkpoint / CHECKPOINT_MANIFEST).write_bytes(
            damaged((kept / CHECKPOINT_MANIFEST).read_bytes(), seed)
        )
    read_or_refused(lambda: position(checkpoint))


@fuzzed(30)
@given(changed_settings=trees(SAVED))
def test_any_settings_in_a_checkpoint_are_read_or_refused(
    checkpoint: Path, kept: Path, changed_settings: Any
) -> None:
    restore(checkpoint, kept)
    written(checkpoint / CHECKPOINT_SETTINGS, changed_settings)
    reseal(checkpoint)
    read_or_refused(lambda: load_model(checkpoint))


@fuzzed(30)
@given(data=st.data(), seed=seeds, structural=st.booleans())
def test_any_header_of_the_weights_is_read_or_refused(
    checkpoint: Path, kept: Path, data: st.DataObject, seed: int, structural: bool
) -> None:
    restore(checkpoint, kept)
    weights = (kept / WEIGHTS).read_bytes()
    end = 8 + struct.unpack("<Q", weights[:8])[0]
    header, tensors = weights[8:end], weights[end:]
    if structural:
        header = json.dumps(data.draw(trees(json.loads(header)))).encode()
        content = struct.pack("<Q", len(header)) + header + tensors
    else:
        content = damaged(weights[:end], seed) + tensors
    (checkpoint / WEIGHTS).write_bytes(content)
    reseal(checkpoint)
    read_or_refused(lambda: load_model(checkpoint))


# --- names and places ----------------------------------------------------------------------------------

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


# --- what a report reads -------------------------------------------------------------------------------

REPORTED = {
    "results.json": ("model", "train"),
    "scores.json": ("evaluation", "evaluate"),
    "explanation.json": ("evaluation", "evaluate"),
    "findings.json": ("findings", "diagnose"),
    "quality.json": ("dataset", "prepare_data"),
    "splits.json": ("dataset", "prepare_data"),
    "scaler.json": ("dataset", "prepare_data"),
}


@pytest.fixture(scope="module")
def run(place: Path) -> dict[str, Path]:
    """A copy of a small real run."""
    return {name: Path(shutil.copytree(path, place / "run" / name)) for name, path in small_run().items()}


def vouch(run: dict[str, Path]) -> None:
    """Make every manifest fit the files and the inputs as they are now."""
    for folder in run.values():
        path = folder / "manifest.json"
        manifest = unsigned(json.loads(path.read_bytes()))
        for name in manifest["files"]:
            file = folder / name
            manifest["files"][name] = {"sha256": sha256_of(file), "size": file.stat().st_size}
        manifest["inputs"] = {name: sha256_of(run[name] / "manifest.json") for name in manifest["inputs"]}
        written(path, manifest)


@pytest.mark.slow
def test_a_run_whose_manifests_were_made_to_fit_is_shown(run: dict[str, Path]) -> None:
    """What the next test changes gets past the hashes."""
    vouch(run)
    assert render_page(read_evidence(**run), ReportSettings(example_windows=1), "a")


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTED)
def test_any_values_in_a_file_of_a_run_are_shown_or_refused(run: dict[str, Path], name: str) -> None:
    """With a manifest that fits: whoever can write to a store can write that, too."""
    folder = run[REPORTED[name][0]]
    original = (folder / name).read_bytes()
    tree = json.loads(original)
    drawn = list(places(tree))

    @fuzzed(6)
    @given(place=st.sampled_from(drawn), value=json_values, remove=st.booleans())
    def shown_or_refused(place: tuple[str | int, ...], value: Any, remove: bool) -> None:
        written(folder / name, changed(tree, place, value, remove))
        vouch(run)
        read_or_refused(lambda: render_page(read_evidence(**run), ReportSettings(example_windows=1), "a"))

    try:
        shown_or_refused()
    finally:
        (folder / name).write_bytes(original)
