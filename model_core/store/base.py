"""What the pipeline asks of an object store: five verbs over keys with slashes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """A place for objects that outlive a step. Keys look like ``runs/a/report.html``.

    Every method raises ``StoreError`` when the store cannot be reached or refuses; a write is there
    whole or not at all.
    """

    uri: str
    """Where keys start, for messages and links."""

    def read(self, key: str) -> bytes:
        """The object's content; ``StoreError`` if there is none."""
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

    def delete(self, key: str) -> None:
        """Remove an object; no error if there is none."""
        ...
