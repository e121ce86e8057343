"""What the index of a site shows of each run: kept beside the pages, and read again when the run's record changed."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from model_core.artifacts import code_version, read_json, replace_json
from model_core.config.base import dotted
from model_core.config.run import Settings
from model_core.disk import entries
from model_core.errors import ArtifactError, shortened
from model_core.results.headline import Headline
from model_core.results.record import JsonObject
from model_core.results.run import RECORD, RUNNING, RunRecord
from model_core.store.names import published_name
from pipelines.review.remote import Stamped
from pipelines.runs import headline_in, read_record

log = logging.getLogger("pgat.runs")
KEPT = "rows.json"


class Row(BaseModel):
    """One run in the index."""

    model_config = ConfigDict(frozen=True)
    name: str
    started_at: str
    status: str
    source: str
    """The market table; of a path on somebody's machine only the last part."""
    code_version: str
    seconds: float | None
    failed_step: str | None
    reason: str
    headline: Headline | None
    damaged: str | None
    """Why the scores cannot be trusted; None if they can."""
    settings: dict[str, str]
    """Dotted name → JSON, of the settings that differ from the standard ones."""

    @property
    def seed(self) -> str:
        """The seed of the training, as JSON."""
        return self.setting(SEED)

    def setting(self, key: str) -> str:
        """The value of a setting as JSON; empty if neither the run nor this version has it."""
        return self.settings.get(key, _standard().get(key, ""))


class _Kept(BaseModel):
    version: str
    rows: dict[str, tuple[str, Row]]
    """Name → what its record looked like, and the row that was made of it."""


SEED = "training.seed"


def rows_of(runs: Path, out: Path, stamped: Sequence[Stamped] | None = None) -> tuple[list[Row], set[str]]:
    """Every run, newest first, and the names of those that are new, changed or gone since the site was last built.

    Args:
        runs: the folder of runs.
        out: the folder of the site.
        stamped: the runs; those in the folder ``runs`` if None.
    """
    kept = _kept(out / KEPT)
    found: dict[str, tuple[str, Row]] = {}
    changed = set(kept)
    for each in _stamped(runs) if stamped is None else stamped:
        name, stamp, known = each.name, each.stamp, kept.get(each.name)
        # A run that was going on may have been killed since, which leaves its record as it was.
        if known is not None and known[0] == stamp and known[1].status != RUNNING:
            found[name] = known
            changed.discard(name)
            continue
        try:
            found[name] = (stamp, _row(runs, each.read()))
            each.leave()
        except ArtifactError as error:
            log.warning("%s", error)
            continue
        changed.add(name)
    rows = sorted(
        (row for _, row in found.values()), key=lambda row: (row.started_at, row.name), reverse=True
    )
    if changed:
        kept_rows = {name: [stamp, row.model_dump(mode="json")] for name, (stamp, row) in found.items()}
        content = {"version": _version(), "rows": kept_rows}
        replace_json(out / KEPT, content)
    return rows, changed


def differing(rows: list[Row]) -> list[str]:
    """Names of the settings that are not the same in all runs."""
    if not rows:
        return []
    keys = sorted(set().union(*(row.settings for row in rows)))
    return [key for key in keys if len({row.setting(key) for row in rows}) > 1]


def by_configuration(rows: list[Row]) -> list[list[Row]]:
    """Finished runs that differ only in the seed of their training, two or more each."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.headline is not None:
            rest = {key: value for key, value in row.settings.items() if key != SEED}
            key = json.dumps([rest, row.headline.source_sha256, row.code_version], sort_keys=True)
            groups.setdefault(key, []).append(row)
    return [group for group in groups.values() if len({row.seed for row in group}) > 1]


def _stamped(runs: Path) -> Iterator[Stamped]:
    for path in (folder / RECORD for folder in entries(runs)):
        try:
            found = path.stat()
        except OSError:  # no run, or one that was deleted meanwhile
            continue
        stamp = f"{found.st_mtime_ns} {found.st_size}"
        yield Stamped(path.parent.name, stamp, partial(read_record, path))


def _row(runs: Path, record: RunRecord) -> Row:
    headline, damaged = None, None
    try:
        headline = headline_in(runs, record)
    except ArtifactError as error:
        damaged = str(error)
    return Row(
        name=record.name,
        started_at=record.started_at,
        status=record.status,
        source=shortened(published_name(record.source)),
        code_version=record.code_version,
        seconds=record.seconds,
        failed_step=record.failed_step,
        reason=shortened(record.reason, 300),
        headline=headline,
        damaged=damaged,
        settings={
            key: value for key, value in _flat(record.settings).items() if value != _standard().get(key)
        },
    )


@cache
def _standard() -> dict[str, str]:
    return _flat(Settings().model_dump(mode="json"))


def _flat(settings: Mapping[str, object]) -> dict[str, str]:
    return {key: json.dumps(value, ensure_ascii=False) for key, value in dotted(settings).items()}


def _kept(path: Path) -> dict[str, tuple[str, Row]]:
    """The rows in ``path``; none if there is no file, or one of other code, so that everything is read again."""
    if not path.exists():
        return {}
    try:
        content: JsonObject = read_json(path)
        kept = _Kept.model_validate(content)
    except (ArtifactError, ValidationError):
        return {}
    return kept.rows if kept.version == _version() else {}


def _version() -> str:
    """Other code may have other standard settings, and other pages."""
    return f"1 {code_version()}"
