"""Whether a folder or bucket can be written, tried before the work whose result goes there."""

from contextlib import suppress

from model_core.disk import followed
from model_core.errors import StoreError
from model_core.store.locate import local_path, open_store
from model_core.store.names import split_uri

_KEY = "writable"
_CONTENT = b"A test whether this folder can be written; it may be deleted.\n"


def refuse_unwritable_folder(uri: str) -> None:
    """Try a small write below ``uri``, a path, ``file://`` or ``s3://bucket/prefix``; nothing of it is left.

    Raises:
        ArtifactError: the path is a link that leads nowhere.
        StoreError: nothing can be written there.
    """
    path = local_path(uri)
    if path is not None:
        path = followed(path, "folder")
    missing = [] if path is None else [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        _try(uri, f".{_KEY}")
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def refuse_unwritable_object(uri: str) -> None:
    """Try a small write beside the object, or the folder of objects, that will be written to ``uri`` in a store.

    Raises:
        StoreError: nothing can be written there, or it names only a bucket.
    """
    parent, name = parent_of(uri)
    _try(parent, f"{name}.{_KEY}")


def parent_of(uri: str) -> tuple[str, str]:
    """Where the object at ``uri`` stands, and its name there.

    Raises:
        StoreError: it names only a bucket.
    """
    parent, _, name = uri.rstrip("/").rpartition("/")
    scheme, folder = split_uri(parent)
    if not name or scheme is None or not folder:
        raise StoreError(f"{uri} names a bucket only; write s3://bucket/name", uri=uri)
    return parent, name


def _try(uri: str, key: str) -> None:
    store = open_store(uri)
    store.write(key, _CONTENT)
    # Whoever may write may not always delete, and does not need to.
    with suppress(StoreError):
        store.delete(key)
