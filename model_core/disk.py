"""Whether an output can be written: looked at before the work, and said in one sentence when it fails later.

An output that cannot be written before the work begins is the caller's mistake (``ArtifactError``, exit code 2); a disk
that fills up while the work is under way is a failure (``DiskError``, exit code 1). What was whole stays whole.

Also what a folder holds: ``Path.glob`` takes one that may not be read for an empty one.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from model_core.errors import ArtifactError, DiskError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No room on the disk, none left of a quota, or a file larger than this process may write."""
_PROBE_BYTES = 2**16


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no more room."""
    return isinstance(error, OSError) and error.errno in _FULL


def followed(path: Path, choose: str = "output") -> Path:
    """Where an output for ``path`` goes: links are followed.

    Args:
        choose: what its user chooses when it will not do, e.g. ``--runs``.

    Raises:
        ArtifactError: one of them leads nowhere, or in a circle.
    """
    path = Path(path)
    try:
        for each in (path, *path.parents):
            if each.is_symlink() and not each.exists():
                raise ArtifactError(
                    f"{each} is a link that leads nowhere; remove it, make what it leads to, or choose another "
                    f"{choose}",
                    path=each,
                )
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{path} leads nowhere ({error}); choose another {choose}", path=path) from error


def entries(folder: Path) -> list[Path]:
    """The entries of ``folder``, sorted; none if it does not exist.

    Raises:
        OSError: it may not be read, or is not a folder.
    """
    try:
        return sorted(Path(folder).iterdir())
    except FileNotFoundError:
        return []


def files_below(folder: Path) -> list[Path]:
    """All files in ``folder`` and in the folders below it, links included, sorted; none if it does not exist.

    Raises:
        OSError: one of the folders may not be read.
    """

    def tell(error: OSError) -> None:
        # What was removed since its folder was listed is not there.
        if not isinstance(error, FileNotFoundError):
            raise error

    found = [Path(parent) / name for parent, _, names in os.walk(folder, onerror=tell) for name in names]
    return sorted(path for path in found if path.is_file())


def require_room(folder: Path, needed_bytes: int = _PROBE_BYTES) -> None:
    """Check that something can be written in ``folder``, and that the disk has room for what is to come.

    Raises:
        ArtifactError: it cannot, or has not.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
        free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = "make room there" if is_full(error) else "choose another folder"
        raise ArtifactError(f"cannot write to {folder} ({error.strerror}); {remedy}", path=folder) from error
    if free < needed_bytes:
        raise ArtifactError(
            f"{folder} has room for {free / 1e6:,.1f} MB, and {needed_bytes / 1e6:,.1f} MB are needed; make room "
            "there, or choose another folder",
            path=folder,
        )


def require_file(path: Path, choose: str = "output") -> Path:
    """Where a file for ``path`` goes, after checking that it can be written; its folder is made.

    Raises:
        ArtifactError: it cannot.
    """
    path = followed(path, choose)
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder, not a file; choose another {choose}", path=path)
    require_folder(path.parent, choose)
    return path


def require_folder(folder: Path, choose: str = "output") -> Path:
    """Where files for ``folder`` go, after checking that they can be written; it is made if need be.

    Raises:
        ArtifactError: they cannot.
    """
    folder = followed(folder, choose)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"cannot write to {folder} ({error.strerror}); choose another {choose}",
            path=folder,
        ) from error
    require_room(folder)
    return folder


@contextmanager
def temporary_folder(prefix: str = "pgat-") -> Iterator[Path]:
    """A folder for the length of a block, where ``TMPDIR`` says; a link to it is followed.

    Raises:
        ArtifactError: none can be made.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
            )
        except OSError as error:
            raise ArtifactError(
                f"no temporary folder can be made ({error.strerror}); make room in /tmp, or set TMPDIR to a "
                "folder that can be written"
            ) from error
        yield Path(folder).resolve()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within it the work that makes ``path`` is under way: a disk that is full is a ``DiskError``."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> DiskError:
    """The sentence for a file or folder that could not be written whole."""
    remedy = "make room there" if is_full(error) else "look at what is there"
    return DiskError(
        f"cannot write {path} ({error.strerror or error}); {remedy} and give the same command again"
    )
