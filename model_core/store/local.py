"""A folder as an object store."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_core.disk import files_below, is_full
from model_core.errors import StoreError
from model_core.store.base import READ_BYTES, cannot, oversized
from model_core.store.names import contained, is_plain
from model_core.store.ownership import within_umask


class LocalStore:
    """Objects as files below ``root``; writes are atomic."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.uri = str(self.root)

    def read(self, key: str, max_bytes: int = READ_BYTES) -> bytes:
        """Content of the file ``key``."""
        with self._mapped("read", key), self._path(key).open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise oversized(key, self.uri, max_bytes)
        return content

    def write(self, key: str, content: bytes) -> None:
        """Write beside the final path, then rename."""
        with self._mapped("write", key), self._staged(key) as staging:
            staging.write_bytes(content)

    def upload(self, key: str, file: Path) -> None:
        """Copy a file in."""
        with self._mapped("write", key), self._staged(key) as staging:
            shutil.copyfile(file, staging)

    def download(self, key: str, file: Path) -> None:
        """Copy a file out."""
        with self._mapped("read", key):
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._path(key), file)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Relative paths with forward slashes."""
        below = prefix.rpartition("/")[0]
        if below and not is_plain(below):
            return  # no key starts so
        folder = self.root / below
        with self._mapped("list"):
            # A link may lead anywhere: it is not an object of this store, and neither is what lies behind it.
            is_linked = Path(os.path.realpath(folder)) != Path(os.path.realpath(self.root)) / below
            if is_linked or folder.is_file():
                return
            files = [path for path in files_below(folder) if not path.is_symlink()]
        found = sorted(path.relative_to(self.root).as_posix() for path in files)
        yield from (key for key in found if key.startswith(prefix))

    def exists(self, key: str) -> bool:
        """Whether the file is there."""
        with self._mapped("look up", key):
            return self._path(key).is_file()

    def size(self, key: str) -> int | None:
        """Bytes of the file."""
        with self._mapped("look up", key):
            path = self._path(key)
            return path.stat().st_size if path.is_file() else None

    def delete(self, key: str) -> None:
        """Unlink the file."""
        with self._mapped("delete", key):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return contained(self.root, key)

    @contextmanager
    def _staged(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
        try:
            yield Path(name)
            Path(name).chmod(within_umask(0o644))
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    @contextmanager
    def _mapped(self, verb: str, key: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = "there is no such object" if isinstance(error, FileNotFoundError) else error.strerror
            remedy = "make room there" if is_full(error) else "check the path and its permissions"
            raise StoreError(
                f"{cannot(verb, key)} in {self.uri} ({reason}); {remedy}", uri=self.uri, key=key
            ) from error
