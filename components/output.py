"""What a command says, wherever that goes: a terminal of few characters, a reader that is gone, or nowhere.

Work of hours does not end because nobody reads its log any more, because the log's disk is full, nor because a letter
cannot be shown.
"""

import io
import os
import sys
from pathlib import Path
from typing import TextIO

from model_core.errors import DiskError


def keep_saying() -> None:
    """Let whatever this process prints or logs be written as far as it can be.

    Characters that an encoding lacks become escapes like ``\\u2026``. Once a reader of the output is gone, as with
    ``… | head``, or its disk is full, the rest goes nowhere; so does all of it where the stream was closed from the
    start.
    """
    for number in range(3):
        _open(number)
    sys.stdout = _saying(sys.stdout, 1)
    sys.stderr = _saying(sys.stderr, 2)


def check_said() -> None:
    """Called when a command has done its work: what it said has to be where it was sent.

    Raises:
        DiskError: it could not be written. That nobody wanted to read it is no error.
    """
    stream = sys.stdout
    if not isinstance(stream, _Saying):
        return
    stream.flush()
    if (error := stream.lost) is not None:
        raise DiskError(
            f"what this command says could not be written to its standard output ({error.strerror}); all else is done; "
            "make room where the output goes, or send it elsewhere"
        ) from error


def _open(number: int) -> None:
    """A descriptor that is closed would be given to the next file that is opened, and get what is said."""
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)


def _saying(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")
    # Somebody else's stream, such as a test's, keeps what it is told.
    if type(stream) is not io.TextIOWrapper or stream.fileno() != number:
        return stream
    stream.reconfigure(errors="backslashreplace")
    return _Saying(stream.buffer, stream.encoding, "backslashreplace", line_buffering=stream.line_buffering)


class _Saying(io.TextIOWrapper):
    """A standard stream whose reader may leave, and whose disk may fill up."""

    lost: OSError | None = None
    """Why what somebody may want to read was not written."""

    def write(self, text: str) -> int:
        """As of ``TextIOWrapper``; what nobody reads is written, too."""
        try:
            return super().write(text)
        except OSError as error:
            self._leave(error)
            return len(text)

    def flush(self) -> None:
        """As of ``TextIOWrapper``."""
        try:
            super().flush()
        except OSError as error:
            self._leave(error)
            super().flush()

    def _leave(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.lost = self.lost or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
