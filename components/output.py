"""What a command says, wherever that goes: a terminal of few characters, a reader that is gone, or nowhere.

Work of hours does not end because nobody reads its log any more, nor because a letter cannot be shown.
"""

import io
import os
import sys
from pathlib import Path
from typing import TextIO


def keep_saying() -> None:
    """Let whatever this process prints or logs be written as far as it can be.

    Characters that an encoding lacks become escapes like ``\\u2026``. Once a reader of the output is gone, as with
    ``… | head``, the rest goes nowhere; so does all of it where the stream was closed from the start.
    """
    for number in range(3):
        _open(number)
    sys.stdout = _saying(sys.stdout, 1)
    sys.stderr = _saying(sys.stderr, 2)


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
    """A standard stream whose reader may leave."""

    def write(self, text: str) -> int:
        """As of ``TextIOWrapper``; what nobody reads is written, too."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        """As of ``TextIOWrapper``."""
        try:
            super().flush()
        except BrokenPipeError:
            self._leave()
            super().flush()

    def _leave(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
