"""Sends an output to an object store: it is whole once its manifest is there, and nothing of an older one stays."""

import logging
from pathlib import Path

from model_core.artifacts import MANIFEST, content_digest
from model_core.disk import files_below
from model_core.documents import parse_json
from model_core.errors import StoreError, shortened
from model_core.progress import ProgressMeter
from model_core.store.base import Store
from model_core.store.locate import open_store
from model_core.store.names import is_plain
from model_core.store.probe import parent_of
from model_core.store.together import together

log = logging.getLogger("pgat.files")


def send(path: Path, uri: str) -> None:
    """Send a file, or an artifact with its manifest last, and delete what is left of an artifact that it replaces.

    Old files that cannot be deleted are only a warning: the new manifest does not name them.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    parent, name = parent_of(uri)
    store = open_store(parent)
    # A link may lead to what nobody meant to send.
    found = files_below(path) if path.is_dir() else [path]
    files = sorted(file for file in found if not file.is_symlink())
    replaced = named_files(store, f"{name}/{MANIFEST}") if path.is_dir() else set()
    with ProgressMeter(f"uploading {uri}", len(files), "files") as meter:

        def send(file: Path) -> None:
            store.upload(name if file == path else f"{name}/{file.relative_to(path).as_posix()}", file)
            meter.update()

        # A folder with a manifest counts as complete.
        together(send, [file for file in files if file.name != MANIFEST])
        together(send, [file for file in files if file.name == MANIFEST])
    left = replaced - {file.relative_to(path).as_posix() for file in files if file != path}
    try:
        for old in sorted(left):
            store.delete(f"{name}/{old}")
    except StoreError as error:
        log.warning("%s still has %d files of what was there before: %s", uri, len(left), error)


def named_files(store: Store, key: str) -> set[str]:
    """The files that the manifest at ``key`` names; none if there is no manifest or it is damaged.

    Raises:
        StoreError: the store cannot be read.
    """
    if not store.exists(key):
        return set()
    try:
        content = parse_json(store.read(key))
        rest = {field: value for field, value in content.items() if field != "sha256"}
        # Version 1 had no digest.
        if content["schema_version"] != 1 and content["sha256"] != content_digest(rest):
            raise ValueError("it was changed after it was written")
        return {name for name in content["files"] if is_plain(name)}
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        log.warning("%s in %s names no files (%s)", key, store.uri, shortened(str(error)))
        return set()
