"""How one of several processes says why it ends, to the launcher and to the others: a file in their meeting folder.

Torchrun starts all processes again when one of them dies. That helps where a process was killed, and not where it was
refused: the same input is refused again, and torchrun ends with a traceback of its own. So processes that were refused
leave as if all were well, and the launcher reads here that it is not.
"""

import json
import time
from pathlib import Path
from typing import Any

from model_core import errors
from model_core.artifacts import read_json
from model_core.errors import PgatError, UserError

_PATIENCE_SECONDS = 5.0
"""How long to wait for the reason of a process that left the others."""
_PAUSE_SECONDS = 0.1


def leave_word(file: Path, error: PgatError) -> None:
    """Write down why this process ends; the first refusal stays, since the others follow from it."""
    if refusal_in(file) is None:
        staged = file.with_name(f"{file.name}.{id(error):x}")
        staged.write_text(json.dumps({"kind": type(error).__name__, "message": str(error)}), encoding="utf-8")
        staged.replace(file)


def error_in(file: Path) -> PgatError | None:
    """The error that a process left, if any did."""
    if not file.exists():
        return None
    reported: Any = read_json(file)
    found: PgatError = getattr(errors, reported["kind"])(reported["message"])
    return found


def refusal_in(file: Path) -> UserError | None:
    """The error of a process whose input is wrong; starting it again is no use."""
    error = error_in(file)
    return error if isinstance(error, UserError) else None


def others_were_refused(file: Path) -> bool:
    """Whether a process that lost the others did so because one of them was refused, which may be about to say so."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while refusal_in(file) is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True
