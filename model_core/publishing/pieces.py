"""One object of the index of published runs: some records, and some names that were deleted. It never changes.

Its key holds the SHA-256 of its content, so two writers never overwrite each other, and damage is noticed.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, datetime

from model_core.documents import parse_json
from model_core.results.record import VERSION_FIELD, JsonObject
from model_core.store.names import is_run_name

FOLDER = ".index/"
"""No run can have this name."""
SNAPSHOT = "snapshot"
_VERSION = 1
_KEY = re.compile(rf"{re.escape(FOLDER)}({SNAPSHOT}|\d{{4}}-\d\d-\d\d)/([0-9a-f]{{64}})\.json\.gz")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
PACKED_BYTES = 2**26
"""Largest object as it is stored: some ten thousand runs."""
_UNPACKED_BYTES = 2**28
"""Largest object when unpacked."""
_MOST_MARKS = 2**24
"""Most commas and opening brackets in an object: JSON has one for each value, which takes up to 80 bytes in memory."""


@dataclass(frozen=True)
class Piece:
    """The content of one object."""

    records: tuple[JsonObject, ...] = ()
    """As ``run.json`` has them, each with a run's name and the time at which it was published."""
    deleted: Mapping[str, str] = field(default_factory=dict)
    """Name → time: whatever was published under that name until then is gone."""


def key_of(content: bytes, day: str) -> str:
    """The key of a packed piece.

    Args:
        day: ``YYYY-MM-DD``, or ``SNAPSHOT``.
    """
    return f"{FOLDER}{day}/{hashlib.sha256(content).hexdigest()}.json.gz"


def is_key(key: str) -> bool:
    """Whether ``key`` has the form of a piece's key."""
    return _KEY.fullmatch(key) is not None


def is_snapshot(key: str) -> bool:
    """Whether the piece at ``key`` was folded from others."""
    return key.startswith(f"{FOLDER}{SNAPSHOT}/")


def packed(piece: Piece) -> bytes:
    """The piece as compressed JSON; equal pieces give equal bytes."""
    content = {VERSION_FIELD: _VERSION, "records": list(piece.records), "deleted": dict(piece.deleted)}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def unpacked(content: bytes, key: str) -> Piece:
    """The piece in ``content``, which was read from ``key``.

    Raises:
        ValueError: it is damaged, too large, or of another version.
    """
    if key_of(content, key.split("/")[1]) != key:
        raise ValueError("its content does not have the SHA-256 in its name")
    unzip = zlib.decompressobj(wbits=31)
    try:
        text = unzip.decompress(content, _UNPACKED_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unzip.eof:
        raise ValueError(f"it is cut off, or unpacks to more than {_UNPACKED_BYTES:,} bytes")
    if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_MARKS:
        raise ValueError("it holds more values than any index")
    value = parse_json(text)
    if not isinstance(value, dict) or value.get(VERSION_FIELD) != _VERSION:
        raise ValueError(f"it is not of version {_VERSION}")
    records, deleted = value.get("records"), value.get("deleted")
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise ValueError("one of its records is not that of a published run")
    if not isinstance(deleted, dict) or not all(map(is_time, deleted.values())):
        raise ValueError("one of its deleted runs has no valid time")
    return Piece(tuple(records), deleted)


def _is_record(value: object) -> bool:
    return isinstance(value, dict) and is_run_name(value.get("name")) and is_time(value.get("published_at"))


def is_time(value: object) -> bool:
    """Whether ``value`` is a time of publishing: ISO 8601 in UTC with microseconds, and not the last there can be."""
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        return False
    try:
        return datetime.fromisoformat(value).year < MAXYEAR
    except ValueError:
        return False


def merged(pieces: Sequence[Piece]) -> Piece:
    """Pieces in any order as one: the newest record of each run, unless the run was deleted since."""
    deleted: dict[str, str] = {}
    for piece in pieces:
        for name, when in piece.deleted.items():
            deleted[name] = max(when, deleted.get(name, ""))
    newest: dict[str, JsonObject] = {}
    for record in (record for piece in pieces for record in piece.records):
        name = str(record["name"])
        if str(record["published_at"]) > deleted.get(name, "") and _rank(record) > _rank(newest.get(name)):
            newest[name] = record
    return Piece(tuple(sorted(newest.values(), key=_rank, reverse=True)), deleted)


def _rank(record: JsonObject | None) -> tuple[str, str]:
    return ("", "") if record is None else (str(record["published_at"]), str(record.get("sha256")))
