"""When a cluster starts runs by itself: cron with six fields, seconds first, as Kubeflow Pipelines reads it."""

import re

from model_core.errors import UserError, quoted

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("seconds", 0, 59, []),
    ("minutes", 0, 59, []),
    ("hours", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
"""Name, least and greatest value, and words for them, of each field."""
_PART = re.compile(r"(?P<first>\*|\?|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?", re.ASCII)
EXAMPLE = "0 30 6 * * MON-FRI"


def checked_cron(text: str) -> str:
    """The schedule with single blanks between its fields.

    Raises:
        UserError: it has not six fields, or one of them holds what it cannot.
    """
    fields = text.split()
    if len(fields) == len(_FIELDS) - 1:
        raise UserError(
            f"--cron {quoted(text)} has five fields, and Kubeflow wants seconds before them; "
            f"write --cron {quoted('0 ' + ' '.join(fields))}"
        )
    if len(fields) != len(_FIELDS):
        raise UserError(
            f"--cron {quoted(text)} has {len(fields)} fields; write six, e.g. {EXAMPLE!r}: "
            f"{', '.join(name for name, *_ in _FIELDS)}"
        )
    for field, (name, least, greatest, words) in zip(fields, _FIELDS, strict=True):
        if not all(_fits(part, least, greatest, words) for part in field.split(",")):
            raise UserError(
                f"--cron {quoted(text)}: {quoted(field)} is not valid in the field {name}; write *, numbers from "
                f"{least} to {greatest}{' or ' + words[0] + ' to ' + words[-1] if words else ''}, with , - and / "
                "between them"
            )
    return " ".join(fields)


def _fits(part: str, least: int, greatest: int, words: list[str]) -> bool:
    if (match := _PART.fullmatch(part)) is None or match["step"] == "0":
        return False
    if match["first"] in {"*", "?"}:
        return match["last"] is None
    ends = [_value(text, least, words) for text in (match["first"], match["last"]) if text is not None]
    return all(least <= end <= greatest for end in ends) and ends == sorted(ends)


def _value(text: str, least: int, words: list[str]) -> int:
    """A number or a word's; -1 if it is neither."""
    if text.upper() in words:
        return least + words.index(text.upper())
    return int(text) if text.isdecimal() and len(text) < 4 else -1
