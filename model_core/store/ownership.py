"""Who else could have written what lies at a path, and who else may read what is put there."""

import os
import stat
from pathlib import Path


def distrust(path: Path, *, sticky_is_enough: bool = False) -> str | None:
    """Why the content of ``path`` may be somebody else's, in words that follow its name; ``None`` if it is not.

    Trusted are this user and root. A group may write where it is this user's alone, as many systems make one for each
    user. A link is judged by what it leads to.

    Args:
        path: a file or folder.
        sticky_is_enough: for a folder like ``/tmp``, where others may add files but replace none that is not theirs.

    Raises:
        OSError: there is nothing at ``path``.
    """
    if not hasattr(os, "getuid"):
        return None
    status = path.stat()
    if status.st_uid not in {0, os.getuid()}:
        return f"belongs to another user ({status.st_uid})"
    if sticky_is_enough and status.st_mode & stat.S_ISVTX:
        return None
    if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and not _own_group(status.st_gid)):
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def distrusted_folder(folder: Path) -> str | None:
    """Why what lies in ``folder`` may be somebody else's, or the folder have been replaced: a path, and words that
    follow it.

    Raises:
        OSError: there is no such folder.
    """
    for each in (folder, folder.parent):
        if reason := distrust(each, sticky_is_enough=each == folder.parent):
            return f"{each} {reason}"
    return None


def within_umask(mode: int) -> int:
    """``mode`` without what this process's umask takes away, for what was made privately and is given to others now."""
    # It can only be read by setting it. For that moment another thread's new files are this user's alone.
    umask = os.umask(0o077)
    os.umask(umask)
    return mode & ~umask


def _own_group(group: int) -> bool:
    """Whether nobody but this user is in ``group``: it has the user's name, and no further members."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}
