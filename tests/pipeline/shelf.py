"""Runs that are published in a store."""

import shutil
from collections.abc import Callable
from pathlib import Path

from pipelines.review.publishing import publish
from tests.pipeline.synthetic_runs import synthetic_record, write_record

SHELF = "s3://bucket/team one/runs"
"""With a blank, as some have."""
FILES = ("report.html", "summary.md", "settings.yaml")
Says = Callable[..., str]
"""Given the words after ``runs``: what a command that succeeds prints, or a refused one's error."""


def publish_runs(runs: Path) -> None:
    """Two runs that are the small run with other settings, and a failed one."""
    from tests.evaluation.small_run import small_run  # which imports torch

    for number, name in enumerate(("one", "other")):
        for kind, folder in small_run().items():
            shutil.copytree(folder, runs / name / kind)
        for file in FILES:
            (runs / name / file).write_text(f"{file} of {name}", encoding="utf-8")
        artifacts = {kind: kind for kind in ("model", "evaluation", "findings")}
        write_record(runs, synthetic_record(number, name=name, artifacts=artifacts))
    write_record(
        runs, synthetic_record(9, name="failed", status="failed", failed_step="train", headline=None)
    )
    for name in ("one", "other", "failed"):
        publish(runs, name, SHELF)
