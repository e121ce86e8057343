"""Runs that are published while a store fails, and what is left of them there."""

from collections.abc import Callable
from pathlib import Path

from model_core.artifacts import sha256_of
from model_core.publishing.index import Index
from model_core.publishing.publish import indexed_records
from model_core.publishing.record import record_in
from model_core.store.locate import open_store
from tests.security.hostile_s3 import HostileS3

SHELF = "s3://bucket/runs"
FILES = ("report.html", "summary.md", "settings.yaml")
Outcome = Callable[[list[str]], int]
"""Given the words after ``runs``: the exit code of the command, of which one that fails says one line."""


def whole(s3: HostileS3, runs: Path) -> set[str]:
    """Names of the runs that can be found, by the index or by their record; each of them is whole."""
    s3.answers_left = None
    store = open_store(SHELF)
    named = {record.name for record in indexed_records(store, Index(store))}
    found = {name for name in ("first", "second") if record_in(store, name) is not None}
    for name in found:
        record = record_in(store, name)
        assert record is not None
        assert set(record.files) == set(FILES)
        for file, listed in record.files.items():
            assert s3.objects[f"runs/{name}/{file}"] == (runs / name / file).read_bytes()
            assert sha256_of(runs / name / file) == listed.sha256
    assert named <= found, "what is listed can be read"
    return named


def has_no_half_file(copy: Path, run: Path) -> None:
    """Every file of the copy is the run's."""
    for path in copy.rglob("*"):
        assert path.read_bytes() == (run / path.name).read_bytes()
