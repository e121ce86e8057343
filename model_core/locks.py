"""Who still works on what: locks that the kernel frees when their owner dies, and what dead owners left behind.

A folder that is being written is a hidden sibling of its final path, ``.<name>-xxxxxxxx.unfinished``, and its
writer holds a lock on it. Whoever can take that lock knows that the writer is dead.
"""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UNFINISHED = ".unfinished"


def try_lock(handle: int) -> bool | None:
    """Lock an open file or folder for this process; False if another holds it, None where nothing can be locked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems know no locks
        return None
    return True


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """A new empty sibling of ``path``, locked while the block runs; it stays if nobody moves or removes it.

    Raises:
        OSError: the parent of ``path`` cannot be written.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", suffix=_UNFINISHED, dir=path.parent))
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # cleared in between, as below
            continue
        # Before it was locked, another process may have taken it for a leftover.
        if try_lock(handle) is not False and folder.exists():
            break
        os.close(handle)
    try:
        yield folder
    finally:
        os.close(handle)


def clear_leftovers(parent: Path, name: str | None = None) -> None:
    """Remove the unfinished folders in ``parent`` whose writers are dead.

    Args:
        parent: where they stand.
        name: of the finished folder; None for all of them, in the folders below ``parent`` too.
    """
    pattern = f".{glob.escape(name)}-*{_UNFINISHED}" if name is not None else f"**/.*-*{_UNFINISHED}"
    for folder in list(parent.glob(pattern)):
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # no folder, not ours, or cleared by another process
            continue
        try:
            if try_lock(handle):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
