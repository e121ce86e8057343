"""Sends a site to an object store: the pages that changed, and after them the site's index."""

import json
import logging
from pathlib import Path

from model_core.artifacts import sha256_of
from model_core.disk import files_below
from model_core.documents import parse_json
from model_core.errors import UserError, shortened
from model_core.publishing.pieces import FOLDER
from model_core.store.base import Store
from model_core.store.locate import open_store
from model_core.store.names import INDEX, is_plain
from model_core.store.together import together
from pipelines.site.rows import KEPT

log = logging.getLogger("pgat.runs")
_SENT = "site.json"
"""Name of each page that was sent → SHA-256; written last."""


def refuse_foreign_store(uri: str) -> None:
    """Check that a site may go to ``uri``: nothing there, or a site.

    Raises:
        StoreError: the store cannot be read.
        UserError: it holds published runs, or something else.
    """
    store = open_store(uri)
    if store.exists(_SENT):
        return
    if next(store.keys(FOLDER), None) is not None:
        raise UserError(
            f"{uri} holds the runs themselves, whose index.html is their own; choose a prefix beside it"
        )
    if next(store.keys(), None) is not None:
        raise UserError(f"{uri} holds objects other than a site of runs; choose another prefix")


def send_site(folder: Path, uri: str) -> int:
    """Send a site that was built in ``folder`` to ``uri``; returns how many objects were sent.

    Raises:
        StoreError: the store cannot be reached or written; the same call then completes the site.
    """
    store = open_store(uri)
    earlier = _sent(store)
    pages = {path.relative_to(folder).as_posix(): path for path in files_below(folder)}
    digests = {name: sha256_of(path) for name, path in pages.items() if name != KEPT}
    changed = [name for name, digest in digests.items() if earlier.get(name) != digest]
    # The index goes last, so that its links lead to pages that are there.
    together(lambda name: store.upload(name, pages[name]), [name for name in changed if name != INDEX])
    if INDEX in changed:
        store.upload(INDEX, pages[INDEX])
    # Only pages of runs are deleted: a comparison may come from another machine.
    gone = earlier.keys() - digests.keys()
    together(store.delete, sorted(name for name in gone if name.startswith("run/")))
    if digests != earlier:
        store.write(_SENT, json.dumps(digests, indent=2, sort_keys=True).encode())
    return len(changed)


def _sent(store: Store) -> dict[str, str]:
    if not store.exists(_SENT):
        return {}
    try:
        return {name: str(digest) for name, digest in parse_json(store.read(_SENT)).items() if is_plain(name)}
    except (ValueError, AttributeError) as error:
        log.warning(
            "%s in %s is damaged (%s); every page is sent again", _SENT, store.uri, shortened(str(error))
        )
        return {}
