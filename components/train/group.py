"""What torchrun tells each process of a group, checked before the process relies on it."""

import os
from collections.abc import Mapping

from model_core.distributed import MEETING_FOLDER
from model_core.errors import UserError, quoted

_REMEDY = "torchrun sets them all; start the step with training.launcher.kind: torchrun, or unset them"


def refuse_incomplete_group(environment: Mapping[str, str] = os.environ) -> None:
    """Check torchrun's variables of a process that trains with others; a process that trains alone needs none.

    Raises:
        UserError: one is missing, is not a number, or contradicts another one.
    """
    size = _number(environment, "WORLD_SIZE", 1)
    rank = _number(environment, "RANK", None if size > 1 else 0)
    _number(environment, "LOCAL_RANK", None if size > 1 else 0)
    if size < 1 or rank >= size:
        raise UserError(f"RANK is {rank} and WORLD_SIZE {size}, and ranks count from 0; {_REMEDY}")
    if size > 1 and MEETING_FOLDER not in environment:
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not environment.get(name)]
        if missing:
            raise UserError(f"WORLD_SIZE is {size}, without {' and '.join(missing)}; {_REMEDY}")


def _number(environment: Mapping[str, str], name: str, default: int | None) -> int:
    if name not in environment:
        if default is None:
            raise UserError(f"WORLD_SIZE is {environment['WORLD_SIZE']}, without {name}; {_REMEDY}")
        return default
    text = environment[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UserError(f"{name} is {quoted(text)}, not a number; {_REMEDY}")
    return int(text)
