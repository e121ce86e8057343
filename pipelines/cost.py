"""What a run will cost, said before it starts: what the last one of its kind took on this machine, if any did."""

import socket
from pathlib import Path

from model_core.config.run import Settings
from model_core.disk import entries
from model_core.errors import ArtifactError
from model_core.progress import duration
from model_core.results.run import RECORD, SUCCEEDED, RunRecord
from pipelines.runs import read_record

_COSTS_NOTHING = {"report", "store"}
"""Sections of the settings that hardly change how long a run takes."""


def cost_text(settings: Settings, source: str, runs: Path) -> str:
    """How much training there is to do, and how long all of it took before."""
    epochs = settings.training.train_epochs
    work = f"up to {epochs} {'epoch' if epochs == 1 else 'epochs'} of training"
    earlier = [record for record in _readable(runs) if _alike(record, settings, source)]
    if not earlier:
        return f"{work}; no run here has had these settings yet; training estimates its duration once it has begun"
    last = max(earlier, key=lambda record: record.started_at)
    assert last.seconds is not None
    return f"{work}; {last.name}, of the same settings and table, took {duration(last.seconds)}"


def _readable(runs: Path) -> list[RunRecord]:
    found = []
    for folder in entries(runs):
        try:
            if (folder / RECORD).exists():
                found.append(read_record(folder / RECORD))
        except (ArtifactError, PermissionError):
            # `runs list` names it.
            continue
    return found


def _alike(record: RunRecord, settings: Settings, source: str) -> bool:
    """Whether all of a run's steps ran here, and did the same work."""
    whole = record.status == SUCCEEDED and not record.reused and record.seconds is not None
    same = (record.host, record.source) == (socket.gethostname(), source)
    wanted = settings.model_dump(mode="json", exclude=_COSTS_NOTHING)
    return whole and same and {key: record.settings.get(key) for key in wanted} == wanted
