"""What ``runs`` says of runs in a store is what it says of the same runs in a folder."""

import html
import json
import re
import shlex
from pathlib import Path

import pytest

from model_core.artifacts import sha256_of
from pipelines.__main__ import main
from pipelines.review.publishing import publish
from tests.pipeline.shelf import SHELF, Says
from tests.pipeline.synthetic_runs import synthetic_record, write_record
from tests.security.hostile_s3 import HostileS3
from tests.store.real import real_store


@pytest.mark.parametrize(
    "words", [["list"], ["show", "one"], ["show", "failed"], ["compare", "one", "other"], ["list", "--json"]]
)
def test_a_store_says_what_the_folder_says(words: list[str], published: Path, said: Says) -> None:
    of_folder = said(*words, "--runs", str(published))
    of_store = said(*words, "--runs", SHELF)
    if "--json" in words:
        folder, store = json.loads(of_folder)["runs"], json.loads(of_store)["runs"]
        for one, other in zip(folder, store, strict=True):
            assert {key for key in one if one[key] != other[key]} <= {
                "artifacts", "files", "published_at", "sha256"
            }  # fmt: skip
            assert all(path.startswith(f"{SHELF}/{one['name']}") for path in other["artifacts"].values())
    else:
        assert of_store.replace(SHELF, str(published)).splitlines()[:12] == of_folder.splitlines()[:12]


def test_a_list_asks_for_the_index_only(published: Path, s3: HostileS3, said: Says) -> None:
    del s3.requests[:]
    said("list", "--runs", SHELF)
    read = [path for path, _ in s3.requests if "list-type" not in path]
    assert len(read) == 3
    assert all("/.index/" in path for path in read)


def test_a_run_is_downloaded_with_every_file_checked_and_a_flipped_bit_leaves_nothing(
    published: Path, s3: HostileS3, tmp_path: Path, said: Says, refused: Says
) -> None:
    said("download", "one", str(tmp_path / "copy"), "--runs", SHELF)
    for path in (tmp_path / "copy").rglob("*.*"):
        if path.is_file():
            assert sha256_of(path) == sha256_of(published / "one" / path.relative_to(tmp_path / "copy"))
    assert (tmp_path / "copy/model/best").is_dir()
    one = ["download", "one", str(tmp_path / "scores"), "--only", "evaluation/scores.json", "--json"]
    (file,) = json.loads(said(*one, "--runs", SHELF))["files"]
    assert file == {
        "name": "evaluation/scores.json",
        "size": (published / "one/evaluation/scores.json").stat().st_size,
        "sha256": sha256_of(published / "one/evaluation/scores.json"),
    }
    key = "team one/runs/one/evaluation/scores.json"
    s3.objects[key] = bytes([s3.objects[key][0] ^ 1]) + s3.objects[key][1:]
    bad = str(tmp_path / "bad")
    error = refused("download", "one", bad, "--runs", SHELF, "--only", "evaluation/*.json")
    assert error.count("\n") == 1
    assert f"{SHELF}/one/evaluation/scores.json was changed" in error
    assert not (tmp_path / "bad/evaluation/scores.json").exists()


def test_a_report_of_a_store_is_opened_where_it_lasts(
    published: Path, monkeypatch: pytest.MonkeyPatch, said: Says, refused: Says
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    page = Path(json.loads(said("open", "one", "--runs", SHELF, "--json"))["report"])
    assert page.read_text(encoding="utf-8") == "report.html of one"
    assert shown == [page.resolve().as_uri()]
    refused("open", "failed", "--runs", SHELF)


def test_a_deleted_run_is_gone_from_the_store_and_from_its_lists(
    published: Path, s3: HostileS3, tmp_path: Path, said: Says
) -> None:
    assert said("delete", "one", "--runs", SHELF).startswith("deleted one: ")
    assert not any("/one/" in key for key in s3.objects)
    listed = said("list", "--runs", SHELF)
    assert "other" in listed
    assert "\none " not in listed
    publish(published, "one", str(tmp_path / "shelf"))
    told = json.loads(said("delete", "one", "--runs", str(tmp_path / "shelf"), "--json"))
    assert told["deleted"] == "one"
    assert told["objects"] > 1
    assert "./one/" not in (tmp_path / "shelf/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ["show", "nothing"], ["compare", "one", "nothing"], ["download", "nothing", "copy"], ["open", "nothing"],
        ["delete", "nothing"], ["site", "out", "--compare", "one,nothing"], ["show", "../one"], ["serve"],
        ["publish", "one", "s3://bucket/x"],
    ],
)  # fmt: skip
def test_what_is_not_there_or_cannot_be_is_one_sentence_that_names_the_store(
    words: list[str], published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Says
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    error = refused(*words, "--runs", SHELF)
    assert error.count("\n") == 1
    assert SHELF in error
    assert "/pgat-" not in error
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_record_stops_its_own_run_only(
    published: Path, s3: HostileS3, said: Says, refused: Says
) -> None:
    s3.objects["team one/runs/one/run.json"] = b"{"
    error = refused("show", "one", "--runs", SHELF)
    assert "one/run.json in s3://bucket/team one/runs is not the record of a run" in error
    assert "other" in said("show", "other", "--runs", SHELF)
    assert "\none " in said("list", "--runs", SHELF)


def test_a_damaged_run_of_a_store_is_named_and_the_site_has_it_and_the_others(
    published: Path, s3: HostileS3, tmp_path: Path, said: Says, caplog: pytest.LogCaptureFixture
) -> None:
    s3.objects["team one/runs/one/run.json"] = b"{"
    del s3.objects["team one/runs/other/model/results.json"]
    out = tmp_path / "site"
    assert said("site", str(out), "--runs", SHELF).endswith("3 runs written\n")
    assert {path.parent.name for path in out.glob("run/*/index.html")} == {"one", "other", "failed"}
    assert "one/run.json in s3://bucket/team one/runs is not the record of a run" in caplog.text
    assert "other/model/results.json is not in" in caplog.text


def test_a_folder_of_published_runs_is_a_folder_of_runs(published: Path, tmp_path: Path, said: Says) -> None:
    publish(published, "one", str(tmp_path / "shelf"))
    assert "one" in said("show", "one", "--runs", str(tmp_path / "shelf"))
    said("download", "one", str(tmp_path / "copy"), "--runs", str(tmp_path / "shelf"))
    assert (tmp_path / "copy/evaluation/scores.json").is_file()


ODD = ["a#b", "a?b=c", "with blank", "größe/ключ", "50%20off", "plus+sign", "a&b;c"]


def go_through(prefix: str, bucket: str, folder: Path, said: Says) -> None:
    """Publish two runs below the prefix, read one, delete the other."""
    shelf = f"s3://{bucket}/{prefix}/runs"
    for number, name in enumerate(("kept", "gone")):
        write_record(folder / "runs", synthetic_record(number, name=name))
        (folder / "runs" / name / "report.html").write_text(f"{name} below {prefix}", encoding="utf-8")
        said("publish", name, shelf, "--runs", str(folder / "runs"))
    assert len(said("list", "--runs", shelf).splitlines()) == 3
    said("download", "kept", str(folder / "copy"), "--runs", shelf)
    assert (folder / "copy/report.html").read_text(encoding="utf-8") == f"kept below {prefix}"
    said("site", str(folder / "site"), "--runs", shelf)
    page = (folder / "site/run/kept/index.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"To copy them: <code>([^<]*)</code>", page)
    words = shlex.split(html.unescape(command).replace("FOLDER", str(folder / "again")))
    assert main(words[words.index("runs") :]) == 0
    assert (folder / "again/report.html").is_file()
    said("delete", "gone", "--runs", shelf)
    assert len(said("list", "--runs", shelf).splitlines()) == 2


@pytest.mark.parametrize("prefix", ODD)
def test_runs_below_an_odd_prefix_are_told_apart_from_every_other(
    prefix: str, s3: HostileS3, tmp_path: Path, said: Says
) -> None:
    go_through(prefix, "bucket", tmp_path, said)
    assert all(key.startswith(f"{prefix}/runs/") for key in s3.objects)


@pytest.mark.s3
@pytest.mark.slow
def test_a_real_server_keeps_odd_prefixes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Says
) -> None:
    with real_store(tmp_path / "objects", "shelf", monkeypatch):
        for number, prefix in enumerate(ODD):
            (tmp_path / str(number)).mkdir()
            go_through(prefix, "shelf", tmp_path / str(number), said)
