"""What the pipeline asks of an object store: a few verbs over keys with slashes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from model_core.errors import OversizedError

READ_BYTES = 2**24
"""What is read into memory unless more is asked for: manifests, records and leases are far smaller."""


class Store(Protocol):
    """Keeps objects that outlive a step. Keys look like ``runs/a/report.html``.

    Every method raises ``StoreError`` when the store cannot be reached or refuses; a write is there
    whole or not at all.
    """

    uri: str
    """Where keys start, for messages and links."""

    def read(self, key: str, max_bytes: int = READ_BYTES) -> bytes:
        """The object's content; ``StoreError`` if there is none, ``OversizedError`` beyond ``max_bytes``."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object."""
        ...

    def upload(self, key: str, file: Path) -> None:
        """Create or replace an object from a file, without holding it in memory."""
        ...

    def download(self, key: str, file: Path) -> None:
        """Copy an object to a file, whose folder is created."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that start with ``prefix``, sorted."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        ...

    def size(self, key: str) -> int | None:
        """Bytes of the object; ``None`` if there is none."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; no error if there is none."""
        ...


def cannot(verb: str, key: str) -> str:
    """``cannot read runs/a/report.html``: how the sentence of a ``StoreError`` begins; ``key`` may be empty."""
    return f"cannot {verb} {key}".rstrip()


def oversized(key: str, uri: str, max_bytes: int) -> OversizedError:
    """The error for an object that does not fit."""
    return OversizedError(
        f"cannot read {key} in {uri}: it is larger than {max_bytes:,} bytes; check that it is the right object",
        uri=uri,
        key=key,
    )
