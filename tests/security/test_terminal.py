"""Nothing that a table, a file's name, a store or a record says can steer the terminal of whoever reads it."""

import json
import logging
from pathlib import Path

import pytest

from components.entry_points import start_logging
from model_core import versions
from model_core.checkpoints.records import RECORDS, newest_position
from model_core.publishing.index import Index
from model_core.publishing.pieces import Piece, packed
from model_core.publishing.publish import indexed_records
from model_core.store.local import LocalStore
from pipelines.__main__ import main as pipelines
from tests.data.market import saved, table
from tests.security.hostile_s3 import HostileS3, serving
from tests.security.test_secrets import command
from tests.security.test_strays import PUBLISHED, RECORD, indexed

STEERING = "\x1b]0;owned\x07\x1b[2J\r\u202e\u2028"


def steers(text: str) -> bool:
    return any(character in text for character in "\x1b\x07\r\u202e\u2028")


def printed(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out + err
    return out + err


@pytest.mark.parametrize("place", ["cell", "header", "file"])
def test_a_refused_table_steers_no_terminal(
    place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = table(300).astype(object)
    if place == "cell":
        frame.iloc[5, 1] = STEERING.replace("\r", "")
    if place == "header":
        frame = frame.rename(columns={frame.columns[1]: STEERING.replace("\r", "")})
    source = saved(frame, tmp_path)
    if place == "file":
        source = str(Path(source).rename(tmp_path / f"{STEERING}.txt"))
        Path(source).write_text("no table")
    assert command("prepare_data", "--source", source, "--dataset", str(tmp_path / "out")) == 2
    assert not steers(printed(capfd))


def test_keys_of_a_store_steer_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(HostileS3({f"d/{STEERING}": b"x"}), monkeypatch):
        out = str(tmp_path / "out")
        assert command("train", "--dataset", "s3://bucket/d", "--model", out) == 2
    assert not steers(printed(capfd))


def test_names_and_records_in_a_listing_steer_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile = RECORD | dict.fromkeys(("source", "status", "started_at", "failed_step", "reason"), STEERING)
    for name in ("good", "other", "bad\x1b[2J"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(
            json.dumps(hostile | ({"name": name} if name == "other" else {}))
        )
    assert pipelines(["runs", "list", "--runs", str(tmp_path)]) == 0
    assert pipelines(["runs", "show", "good", "--runs", str(tmp_path)]) == 0
    assert pipelines(["runs", "compare", "good", "other", "--runs", str(tmp_path)]) == 0
    assert pipelines(["runs", "show", STEERING, "--runs", str(tmp_path)]) == 2
    assert not steers(printed(capfd))


def test_a_line_of_the_log_is_one_line_and_steers_no_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers.clear()
    try:
        start_logging()
        store = LocalStore(tmp_path)
        (tmp_path / RECORDS).mkdir()
        (tmp_path / RECORDS / f"x{STEERING}").write_text("stray")
        indexed(store, packed(Piece((PUBLISHED | {"settings": STEERING},))))
        assert newest_position(store) is None
        assert indexed_records(store, Index(store)) == []
    finally:
        root.handlers[:] = before
    text = printed(capfd)
    assert not steers(text)
    assert len(text.splitlines()) == 2


def test_a_commit_named_by_the_environment_steers_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside git, as in an image, where the variable is set when the image is built."""
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "model_core" / "versions.py"))
    for said, commit in [("0123abcd-dirty", "0123abcd-dirty"), (f"0123{STEERING}", None), ("", None)]:
        monkeypatch.setenv("PGAT_GIT_COMMIT", said)
        assert versions.git_commit.__wrapped__() == commit
