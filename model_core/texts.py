"""Text files that somebody else wrote: regular ones only, within a limit, in UTF-8."""

import stat
from pathlib import Path


class DocumentError(ValueError):
    """A text is not what it should be; the message is only the reason, which the caller puts into a sentence."""


def read_text(path: Path, max_bytes: int) -> str:
    """Content of a regular file in UTF-8.

    Raises:
        OSError: the file is missing or cannot be read.
        DocumentError: it is a folder, a device or a pipe, longer than ``max_bytes``, or not UTF-8.
    """
    try:
        mode = path.stat().st_mode
    except (ValueError, RuntimeError) as error:  # a null character, or before Python 3.13 a circle of links
        raise DocumentError("its name leads nowhere") from error
    if not stat.S_ISREG(mode):
        raise DocumentError(
            "it is a folder" if stat.S_ISDIR(mode) else "it is a device or a pipe, not a file"
        )
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise DocumentError(f"it is larger than {max_bytes:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"byte {error.start + 1} is not UTF-8") from error
