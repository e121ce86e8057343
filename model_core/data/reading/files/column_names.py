"""A name of its own for every column of a table, whatever its header says or leaves out."""

from collections import Counter
from collections.abc import Hashable, Sequence

INDEX = "index"
"""What an index without a name is called."""


def column_name(position: int) -> str:
    """What the column at ``position`` (from 0) is called if the table gives it no name."""
    return f"column {position + 1}"


def distinct(names: Sequence[str]) -> list[str]:
    """Names with which every column can be called: blank and repeated ones get their position."""
    counts = Counter(name.strip() for name in names)
    named = []
    for position, name in enumerate(name.strip() for name in names):
        if not name:
            named.append(column_name(position))
        else:
            named.append(f"{name} ({column_name(position)})" if counts[name] > 1 else name)
    return named


def flat_names(columns: Sequence[Hashable]) -> list[str]:
    """One name for each column of one or several header levels.

    A level on which all columns agree, such as the only ticker of a download, says nothing and is left out.
    """
    levels = [
        tuple(map(_text, column)) if isinstance(column, tuple) else (_text(column),) for column in columns
    ]
    levels = [
        level
        for level in zip(*levels, strict=True)
        if len(set(filter(None, level))) > 1 or len(levels[0]) == 1
    ]
    if not levels:
        return [" ".join(filter(None, level)) for level in levels]
    return [" ".join(filter(None, parts)) for parts in zip(*levels, strict=True)]


def _text(part: object) -> str:
    return "" if part is None or part != part or str(part).startswith("Unnamed:") else str(part).strip()
