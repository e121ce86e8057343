"""Every error the package raises on purpose, drawn once.

    PgatError                   anything below; its text is one sentence with a next step
    ├── UserError               the caller can put it right; commands exit with code 2
    │   ├── SettingsError       a settings file, an --set override or a combination of settings
    │   ├── SourceError         a market table that cannot be read or is refused by the quality gate
    │   ├── SkyError            a date the ephemeris does not cover
    │   ├── ArtifactError       a step's folder is missing, damaged, or made by another step
    │   ├── StoreError          an object store or folder that cannot be read or written
    │   │   ├── OversizedError  an object larger than its reader allows
    │   │   ├── StoreTimeoutError  a store that does not answer in time, or too slowly
    │   │   └── UnavailableError  a server that does not answer now; asking again later may help
    │   ├── DeniedError         a server that wants to know who asks, or does not let them
    │   └── CheckpointError     a checkpoint that is missing, damaged or does not fit the model
    └── RunError                the work itself failed; commands exit with code 1
        ├── UploadError         finished work that a store did not take
        ├── TrainingError       a loss that stays non-finite, memory that is not enough
        ├── DiskError           a disk that filled up while the work was under way
        ├── InvariantError      a forecast broke a property that must always hold
        └── PipelineError       a step of a pipeline run failed

Library errors (pydantic, pyarrow, minio, safetensors, kfp, …) are mapped to one of these where they
arise, with ``raise … from error``, so that a command prints one sentence and never a traceback.
"""

import os
import re
import reprlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from model_core.variables import SECRETS

TEXT_CHARACTERS = 3_000
"""Longest text of an error; of a longer one the beginning and the end are kept."""
QUOTED_CHARACTERS = 120
"""Longest name or value within a text."""
_UNPRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that would steer a terminal, reorder a line or break it: controls, marks, surrogates."""


def printable(text: str) -> str:
    """``text`` on one line, with whatever could steer a terminal written as an escape, e.g. ``\\x1b``."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNPRINTED
        else character
        for character in text
    )


_SHORTEST_SECRET = 6
"""Shorter values are not secrets, and may be part of any word."""
_BLANKS = re.compile(r"([ \t\r\n\f\v]+)")
_QUOTES = re.compile(r"['\"<>]")
_QUOTES_OR_QUERY = re.compile(r"[?'\"<>]")
_MOST_CHARACTERS = 65_536
"""Beyond them the middle of a text is left out before anything is looked for in it."""


def redacted(text: str) -> str:
    """``text`` without secrets: URIs lose user, password and query, and this process's own secrets are cut out."""
    text = _cut(text, _MOST_CHARACTERS)
    for name in SECRETS:
        # A value with a line break may have been broken there.
        for piece in os.environ.get(name, "").split():
            if len(piece) >= _SHORTEST_SECRET:
                text = text.replace(piece, "…")
    # Word by word, each looked through once: a pattern that finds URIs in any text takes minutes on a hostile one.
    return "".join(
        _without_query(_without_userinfo(word)) if "://" in word else word for word in _BLANKS.split(text)
    )


def _without_userinfo(word: str) -> str:
    """Cut out what stands between a ``://`` and the last ``@``: a password may hold ``@`` and ``/`` itself."""
    last, scheme = word.rfind("@"), word.find("://")
    while 0 <= scheme < last:
        start = scheme + 3
        slash = word.find("/", start, last)
        # Without a colon before it, a slash ends the host, and the ``@`` belongs to the path.
        if slash < 0 or ":" in word[start:slash]:
            return f"{word[:start]}…{word[last:]}"
        scheme = word.find("://", start)
    return word


def _without_query(word: str) -> str:
    """Cut out what follows the ``?`` of each URI, up to a quote or the end of the word."""
    kept, done = [], 0
    while (scheme := word.find("://", done)) >= 0 and (mark := _QUOTES_OR_QUERY.search(word, scheme)):
        kept.append(word[done : mark.end()])
        done = mark.end()
        if mark[0] == "?":
            quote = _QUOTES.search(word, done)
            end = quote.start() if quote else len(word)
            kept.append("…" if end > done else "")
            done = end
    return "".join([*kept, word[done:]])


def shown(text: str) -> str:
    """What a log or a listing may show of ``text``: one line, printable, and without secrets."""
    return printable(redacted(text))


def counted(count: int, what: str) -> str:
    """``1 window``, ``2 windows``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def shortened(text: str, characters: int = QUOTED_CHARACTERS) -> str:
    """``text`` as far as it is printable and fits, with an ellipsis for what is left out of its middle."""
    # Cut before escaping, which would take long on a long text, and after it, since escapes are longer.
    return _cut(printable(_cut(redacted(text), characters)), characters)


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    tail = characters // 5
    return f"{text[: characters - tail - 1]}…{text[-tail:]}"


def quoted(value: object) -> str:
    """A value as a message shows it: its ``repr``, never longer than a few words, however large it is."""
    # A value is at most one URI, so a blank in it may be part of a password.
    return shortened(_BRIEF.repr(redacted(_without_userinfo(value)) if isinstance(value, str) else value))


class _Brief(reprlib.Repr):
    """``repr`` that looks at the first few elements only: a value may be small in memory and huge in print."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple, self.maxset = 3, 6, 6, 6, 6
        self.maxstring = self.maxother = QUOTED_CHARACTERS

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to print integers of thousands of digits."""
        return repr(x) if x.bit_length() < 256 else f"an integer of {x.bit_length()} bits"


_BRIEF = _Brief()


class PgatError(Exception):
    """Base of all deliberate errors. ``exit_code`` is what a command returns for it.

    The text is one line, printable, bounded and without secrets. Where it leaves something out, ``details`` has
    it, one line each; commands write them to a file and say where.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, text: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(shortened(text, TEXT_CHARACTERS))
        self.details = tuple(map(redacted, details))


class UserError(PgatError):
    """The input is wrong; the message says what and where it is, and the remedy."""

    exit_code: ClassVar[int] = 2


def denied(error: PermissionError) -> UserError:
    """What to say of a file or folder that the system keeps from this user, wherever that shows."""
    return UserError(
        f"{error.filename or 'a file'} may not be used ({error.strerror}); look at its permissions and its folders', "
        "or choose another one"
    )


class SettingsError(UserError):
    """A setting is unknown, has a wrong value, or contradicts another one."""

    def __init__(self, text: str = "", details: Sequence[str] = (), keys: Sequence[str] = ()) -> None:
        super().__init__(text, details)
        self.keys = tuple(keys)
        """Dotted names of the settings that are meant, e.g. ``training.seed``; none if it is a file or a flag."""


@dataclass(frozen=True)
class Problem:
    """One reason to refuse a table."""

    kind: str
    """What it has in common with the same problem in other rows."""
    text: str
    row: int | None = None
    """Counted from 0; ``None`` if the whole table is meant."""


class SourceError(UserError):
    """A market table cannot be read, or the quality gate refuses it."""

    def __init__(
        self,
        text: str = "",
        details: Sequence[str] = (),
        reading: Mapping[str, str] | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(text, details)
        self.reading = dict(reading or {})
        """How the table was understood until it was refused, for people."""
        self.problems = tuple(problems)
        """Why the quality gate refused it, those of the whole table first; none if it could not be read at all."""


class SkyError(UserError):
    """A date lies outside what the ephemeris covers."""


class ArtifactError(UserError):
    """A step's output folder is missing, incomplete, damaged or of the wrong kind."""

    def __init__(self, text: str = "", details: Sequence[str] = (), *, path: Path | None = None) -> None:
        super().__init__(text, details)
        self.path = path
        """The file or folder that is meant; none if it is what two of them say together."""


class StoreError(UserError):
    """An object store (or the folder that stands in for one) cannot be read or written."""

    def __init__(self, text: str = "", details: Sequence[str] = (), *, uri: str = "", key: str = "") -> None:
        super().__init__(text, details)
        self.uri = redacted(uri)
        """Where the store, or the object that was asked for, stands; empty if it is not known yet."""
        self.key = key
        """The object that is meant, below ``uri``; empty if it is the store itself."""


class OversizedError(StoreError):
    """An object is larger than its reader allows."""


class StoreTimeoutError(StoreError):
    """A store does not answer in time, or its bytes come too slowly; asking again at once is no use."""


class UnavailableError(StoreError):
    """A server does not answer now: it is not there, is overloaded, or is being restarted."""


class DeniedError(UserError):
    """A server wants to know who asks, or does not let them do it."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or belongs to another model or run."""

    def __init__(
        self, text: str = "", details: Sequence[str] = (), *, path: Path | None = None, uri: str = ""
    ) -> None:
        super().__init__(text, details)
        self.path = path
        """The file or folder that is meant; none if it is a store's."""
        self.uri = redacted(uri)
        """The store of a mirror that is meant; empty if it is a path."""


class RunError(PgatError):
    """The input was fine but the work failed."""


class UploadError(RunError):
    """What was made is whole, but a store did not take it; the same command sends it."""


class TrainingError(RunError):
    """Training cannot go on: non-finite losses in a row, or not enough memory."""


class DiskError(RunError):
    """A disk filled up, or failed, while the work was under way; what was whole before still is."""


class InvariantError(RunError):
    """A forecast broke a property that must always hold (finite, equivariant, leak-free, …)."""


class PipelineError(RunError):
    """A step of a pipeline run failed; the message names the step and its error."""
