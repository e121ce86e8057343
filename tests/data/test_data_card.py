"""The data card says what a person needs, and a manifest alone brings a dataset back."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from components.prepare_data import __main__ as prepare_data
from components.prepare_data import step
from model_core.artifacts import open_artifact
from model_core.errors import ArtifactError, SourceError
from tests.data.market import SETTINGS, saved, table
from tests.data.published import PUBLISHED, returns_on_the_previous_close

FLAGS = ["--set", "data.window={seq_len: 16, label_len: 8, pred_len: 3}"]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """The command sets up the process's log; put it back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), logging.getLogger("pgat").level
    yield
    root.handlers[:] = handlers
    logging.getLogger("pgat").setLevel(level)
    logging.captureWarnings(False)


def run(*arguments: str) -> None:
    prepare_data.main([*arguments])


def test_inspect_prints_the_card_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table().assign(Date=table()["Date"].replace("2010-01-08", "2010-01-09"))
    source = saved(frame, tmp_path)
    run("--source", source, "--inspect", *FLAGS)
    card, headline = capsys.readouterr().out.rstrip().rsplit("\n", 1)
    for said in (
        source,
        "300, 2010-01-04 … 2011-02-25",
        "weekend (1): rows are dated on a Saturday or Sunday",
        "e.g. row 5 (2010-01-09)",
        "3 rows are purged between two splits",
        "118 in layout ephemeris",
        "synodic_sin    13",
        "dyn_Pluto_lat",
    ):
        assert said in card, said
    assert json.loads(headline)["rows"] == 300
    assert [path.name for path in tmp_path.iterdir()] == ["market.csv"]


def test_inspect_shows_how_the_table_was_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table().round(2)
    frame["Date"] = pd.to_datetime(frame["Date"]).dt.strftime("%d.%m.%Y")
    path = tmp_path / "market.csv"
    path.write_text(frame.to_csv(index=False, sep=";", decimal=","), encoding="utf-8")
    run("--source", str(path), "--inspect", *FLAGS)
    card = capsys.readouterr().out
    for name, value in {
        "file": "CSV",
        "encoding": "utf-8",
        "delimiter": "semicolon",
        "header": "line 1",
        "dates": "%d.%m.%Y",
        "convention": "as written",
        "decimal": ",",
        "week": "Mon–Fri",
        "row 1": "'04.01.2010' → Mon 2010-01-04  Open ",
        "row 300": "'25.02.2011' → Fri 2011-02-25  Open ",
    }.items():
        assert re.search(rf"^  {name} +{re.escape(value)}", card, re.MULTILINE), name


@pytest.mark.parametrize("layout", ["ephemeris", "published"])
def test_inspect_shows_of_a_refused_table_what_was_understood(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(table().rename(columns={"Close": "settle"}), tmp_path)
    with pytest.raises(SystemExit):
        run("--source", source, "--inspect", "--set", f"data.layout={layout}", *FLAGS)
    said = capsys.readouterr()
    assert "delimiter   comma" in said.out
    assert "row 300     '2011-02-25' → Fri 2011-02-25" in said.out
    assert said.out.count(" Close –") == 6, "what no column holds is a dash"
    assert "lacks" in said.err


def test_the_card_says_how_a_published_tables_prices_were_recognized(tmp_path: Path) -> None:
    source = saved(returns_on_the_previous_close(), tmp_path)
    card, _ = step.inspect(source=source, settings=PUBLISHED)
    assert "log returns on the previous Close (lag-1 autocorrelation " in card
    assert "Mean Rahu_cos" in card, "constant waves are named"
    assert "as in the table; ends with it" in card


def test_inspect_beside_a_dataset_shows_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--source", saved(table(), tmp_path), "--dataset", str(tmp_path / "out"), "--inspect", *FLAGS)
    assert "nothing to warn about" in capsys.readouterr().out
    open_artifact(tmp_path / "out", producer="prepare_data")


@pytest.mark.parametrize("source", ["sample://synthetic", "market.csv", "published.csv"])
def test_a_manifest_alone_rebuilds_every_file_bit_for_bit(source: str, tmp_path: Path) -> None:
    settings = SETTINGS
    match source:
        case "market.csv":
            source = saved(table(), tmp_path)
        case "published.csv":
            source, settings = saved(returns_on_the_previous_close(), tmp_path), PUBLISHED
    step.run(source=source, dataset=tmp_path / "first", settings=settings)
    first = open_artifact(tmp_path / "first", producer="prepare_data")
    alone = tmp_path / "manifest.json"
    alone.write_bytes((tmp_path / "first" / "manifest.json").read_bytes())
    for path in (tmp_path / "first").iterdir():
        path.unlink()
    run("--like", str(alone), "--dataset", str(tmp_path / "again"))
    assert open_artifact(tmp_path / "again", producer="prepare_data").files == first.files


def test_a_source_that_changed_is_not_rebuilt(tmp_path: Path) -> None:
    source = saved(table(), tmp_path)
    step.run(source=source, dataset=tmp_path / "first", settings=SETTINGS)
    saved(table(301), tmp_path)
    with pytest.raises(SourceError, match=r"market\.csv has changed since .*manifest\.json was written"):
        step.rebuild(manifest=tmp_path / "first" / "manifest.json", dataset=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_file_that_comes_out_differently_is_named(tmp_path: Path) -> None:
    step.run(source=saved(table(), tmp_path), dataset=tmp_path / "first", settings=SETTINGS)
    manifest = tmp_path / "first" / "manifest.json"
    changed = json.loads(manifest.read_text())
    changed["files"]["scaler.json"]["sha256"] = "0" * 64
    changed["versions"]["pandas"] = "0.1"
    del changed["sha256"]
    changed["schema_version"] = 1  # has no digest of its own that would refuse every change at once
    manifest.write_text(json.dumps(changed))
    with pytest.raises(ArtifactError, match=r"^scaler\.json .*pandas 0\.1 → ") as refusal:
        step.rebuild(manifest=manifest, dataset=tmp_path / "again")
    assert refusal.value.path == manifest
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "sample://nasdaq"), "no output folder is given; name one with --dataset"),
        (("--like", "m.json"), "no output folder is given"),
        (("--like", "m.json", "--dataset", "x", *FLAGS), "--like takes its settings from the manifest"),
        (("--like", "nowhere.json", "--dataset", "x"), "nowhere.json does not exist"),
    ],
)
def test_flags_that_contradict_each_other_are_refused_in_one_sentence(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_in_a_store_is_refused_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("--like", "s3://bucket/manifest.json", "--dataset", "again")
    assert end.value.code == 2
    assert "--like reads a local file; download s3://bucket/manifest.json" in capsys.readouterr().err
