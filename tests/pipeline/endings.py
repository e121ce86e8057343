"""Steps that fail, what they note, and what was published of their run."""

import hashlib
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.entry_points import kfp_entry_point
from components.notes import State, StepNote
from components.steps import STEPS
from model_core.publishing.publish import publish_run
from model_core.publishing.record import ListedFile, record_in
from model_core.results.run import RunRecord
from model_core.store.locate import open_store

ROOT = "mlpipeline/v2/artifacts/celestial-training-pipeline/0b7c"
"""Where KFP keeps the artifacts of one run."""


class Metrics:
    """What KFP hands to a step to write its headline numbers to."""

    def __init__(self, uri: str, path: Path) -> None:
        self.uri, self.path = uri, str(path)

    def log_metric(self, metric: str, value: float) -> None:
        """KFP's own business."""


def note(state: State, **more: Any) -> StepNote:
    return StepNote(state=state, began_at=datetime(2026, 1, 1, tzinfo=UTC), **more)


DONE = {step: note("ended", seconds=3.0) for step in STEPS}


def step_fails(
    root: str, folder: Path, error: Exception, left: dict[str, str] | None = None, step: str = "train"
) -> None:
    """A step that KFP runs and that raises ``error``, with files that it ``left`` behind."""
    metrics = Metrics(f"{root}/{step}/44/metrics", folder / "metrics")
    with kfp_entry_point(metrics, left):
        logging.getLogger("pgat.train").info("epoch 1")
        raise error


def noted(folder: Path, notes: dict[str, StepNote]) -> str:
    """The folder of the notes, with these in it."""
    (folder / "notes").mkdir()
    for step, each in notes.items():
        (folder / f"notes/{step}.json").write_text(each.model_dump_json(), encoding="utf-8")
    return str(folder / "notes")


def publish(folder: Path, uri: str, name: str, page: bytes, **more: Any) -> None:
    """As the report step does: a page of a run that succeeded."""
    path = folder / "report.html"
    path.write_bytes(page)
    fields = {
        "name": name,
        "source": "t.csv",
        "started_at": "2026-01-01T00:00:00+00:00",
        "status": "succeeded",
    }
    record = RunRecord.model_validate(fields | {"code_version": "v", "settings": {}} | more)
    listed = ListedFile(path.name, path, len(page), hashlib.sha256(page).hexdigest())
    publish_run(uri, record, [listed])


def recorded(uri: str, name: str) -> RunRecord:
    """The record of a published run."""
    record = record_in(open_store(uri), name)
    assert record is not None
    return record


def by_hand(folder: Path, state: str = "FAILED", *more: str) -> list[str]:
    """The arguments of the step, about a run called ``mine``."""
    (folder / "status.json").write_text(json.dumps({"state": state, "error": {}}), encoding="utf-8")
    words = ["--status", str(folder / "status.json"), "--source", "here/prices.csv", "--run-name", "mine"]
    return [*words, "--page", str(folder / "page.html"), *more]
