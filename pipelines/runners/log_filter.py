"""What of a step's output the person who watches gets to see: what the step says, not what KFP notes.

KFP's executor prints the whole input of each step as JSON, and a line for each file it reads. That stays
in the step's log; on the screen it would bury the scores.
"""

import re

from components.entry_points import ERROR_PREFIX

_NOTE = re.compile(r"\[KFP Executor \S+ \S+ INFO\]: ")
_NOTE_START = "[KFP Executor "
_BLOCK_START = "Got executor_input:"
_BLOCK_END = "}"


class LogFilter:
    """Passes a stream on, piece by piece, without KFP's notes and without the line of a deliberate error.

    Progress bars redraw an unfinished line, so such a line is passed on at once unless it may turn out to
    be one that is left out. The error is left out because the run ends by repeating it.
    """

    def __init__(self) -> None:
        self._line = ""
        self._passed = 0
        self._in_block = False

    def feed(self, text: str) -> str:
        """What of ``text``, and of what was held back before, may be shown now."""
        *whole, rest = text.split("\n")
        return "".join([*(self._take(f"{part}\n") for part in whole), self._take(rest)])

    def _take(self, part: str) -> str:
        self._line += part
        ended = part.endswith("\n")
        # A bar that was wiped leaves its carriage return before the next line.
        said = last_drawn(self._line.rstrip("\r\n"))
        show = self._decide(said) if ended else self._harmless(said)
        shown = self._line[self._passed :] if show else ""
        if ended:
            self._line, self._passed = "", 0
        elif show:
            self._passed = len(self._line)
        return shown

    def _decide(self, line: str) -> bool:
        if self._in_block:
            self._in_block = line != _BLOCK_END
            return False
        if _NOTE.match(line):
            self._in_block = line.endswith(_BLOCK_START)
            return False
        return not line.startswith(ERROR_PREFIX)

    def _harmless(self, begun: str) -> bool:
        """Whether a line that begins so cannot become one that is left out."""
        return not self._in_block and not any(
            begun.startswith(start) or start.startswith(begun) for start in (_NOTE_START, ERROR_PREFIX)
        )


def last_drawn(line: str) -> str:
    """A progress bar redraws its line; what counts is the last state."""
    return line.rstrip("\r").rpartition("\r")[2]
