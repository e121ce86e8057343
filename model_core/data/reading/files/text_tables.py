"""A CSV file as a frame of text: encoding, delimiter and header are settings, or recognized from its first lines."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import pandas as pd

from model_core.config.data import DataSettings
from model_core.config.table import FormatSettings, LimitSettings
from model_core.data.reading.files.column_names import column_name, distinct, flat_names
from model_core.data.reading.files.encodings import decoded
from model_core.data.reading.problems import too_large
from model_core.errors import SourceError

_DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "vertical bar", ",": "comma"}
"""Of two that divide the lines equally well, the first: a comma may also stand within a number."""
_HEAD_LINES = 60
_CELL_BYTES = 8
"""What a cell takes at least, an empty one, too."""
_NUMBER = re.compile(r"[+-]?(?=[.,' ]*\d)[\d.,' ]+(?:[eE][+-]?\d+)?%?")
"""Looked for in one pass: a cell may be 100,000 digits and a letter."""
_DATED = re.compile(
    r"\d{1,4}[-/. ]\d{1,2}[-/. ]\d|\d{8}|\d{10}|\d{1,2}[-/. ]?[A-Za-z]{3}|"
    r"([A-Za-z]{3},? )?[A-Za-z]{3,9}\.? \d{1,2},? \d"
)
_METATRADER = (re.compile(r"\d{4}\.\d{2}\.\d{2}"), re.compile(r"\d{2}:\d{2}"))
"""The first two cells of a MetaTrader 4 export, which has no header; Open, High, Low, Close and volume follow."""
_METATRADER_NAMES = ("Date", "Time", "Open", "High", "Low", "Close", "Volume")


@dataclass(frozen=True)
class Layout:
    """How a text file holds its table."""

    delimiter: str
    start: int
    """Lines before the first row of data."""
    names: list[str]
    width: int
    """Cells of the widest line looked at."""
    header: str
    """For people."""


def read_text_table(uri: str, content: bytes, settings: DataSettings) -> tuple[pd.DataFrame, dict[str, str]]:
    """Everything in a CSV file as text, and how the file was understood.

    Raises:
        SourceError: the bytes are not text, the text is not a table, or one beyond ``data.limits``; it names the
            setting that helps.
    """
    text, encoding = decoded(uri, content, settings.format.encoding)
    lines = _lines(uri, text, settings)
    try:
        layout = _layout(uri, text, settings.format)
        _refuse_many_cells(uri, lines, layout, settings.limits)
        frame = pd.read_csv(
            io.StringIO(text),
            header=None,
            # One more than is there, so that a longer line further down is seen instead of cut off.
            names=range(layout.width + 1),
            index_col=False,
            skiprows=layout.start,
            sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
            dtype=str,
            skipinitialspace=True,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise SourceError(
            f"{uri} is not a table ({reason}); give CSV (UTF-8, one header line) or Parquet, or say how it is written "
            "with data.format"
        ) from error
    frame = _fitted(uri, frame, layout)
    written = frame.notna().any(axis=1).to_numpy()
    frame = frame.iloc[: int(written.nonzero()[0][-1]) + 1] if written.any() else frame.iloc[:0]
    shown = _DELIMITERS.get(layout.delimiter, repr(layout.delimiter))
    return frame, {"encoding": encoding, "delimiter": shown, "header": layout.header}


def _lines(uri: str, text: str, settings: DataSettings) -> int:
    """How many lines there are; these, and the cells of the first ones, are counted before they are taken apart."""
    limits, form = settings.limits, settings.format
    lines = max(text.count("\n"), text.count("\r"))
    if lines > limits.rows + form.skip + _HEAD_LINES:
        raise too_large(uri, f"holds {lines:,} lines", "rows", lines)
    delimiters = [*_DELIMITERS, *filter(None, [form.delimiter])]
    first = islice(io.StringIO(text), form.skip + _HEAD_LINES)
    cells = 1 + max((line.count(delimiter) for line in first for delimiter in delimiters), default=0)
    if cells > limits.columns:
        raise too_large(uri, f"has a line of {cells:,} cells", "columns", cells)
    return lines


def _refuse_many_cells(uri: str, lines: int, layout: Layout, limits: LimitSettings) -> None:
    """Short lines are filled up to the longest: few bytes may become as many cells as there are lines and columns."""
    width = layout.width + 1
    if (needed := lines * width * _CELL_BYTES) > limits.bytes:
        raise too_large(uri, f"holds {lines:,} lines of up to {width:,} cells", "bytes", needed)


def _layout(uri: str, text: str, settings: FormatSettings) -> Layout:
    lines = [line.rstrip("\n") for line in islice(io.StringIO(text), settings.skip + _HEAD_LINES)]
    start = settings.skip
    delimiter = settings.delimiter
    while start < len(lines) and (
        not lines[start].strip() or lines[start].lstrip().startswith(("#", "sep="))
    ):
        if lines[start].startswith("sep="):
            delimiter = delimiter or lines[start].rstrip(",").removeprefix("sep=")[:1]
        elif _is_header(lines[start]):
            break
        start += 1
    if start >= len(lines):
        raise SourceError(
            f"{uri} has no line of a table after its first {start} line{'s' * (start != 1)}; give one with a header"
        )
    delimiter = delimiter or _delimiter(lines[start:])
    numbered = [(start + i, _cells(line, delimiter)) for i, line in enumerate(lines[start:]) if line.strip()]
    names, start, header = _names(uri, numbered, settings, start)
    body = [len(cells) for line, cells in numbered if line >= start]
    return Layout(delimiter, start, names, max([len(names), *body]), header)


def _is_header(line: str) -> bool:
    """``#Date,Open,High,Low,Close`` is a header, not a comment."""
    low = line.lower()
    return all(name in low for name in ("open", "high", "low", "close"))


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]


def _delimiter(lines: Sequence[str]) -> str:
    """The one that divides the lines into the most cells, and most of them into equally many."""

    def fitness(delimiter: str) -> tuple[bool, float, int]:
        counts = Counter(len(_cells(line, delimiter)) for line in lines if line.strip())
        cells, times = counts.most_common(1)[0]
        return cells > 1, times / counts.total(), cells

    return max(_DELIMITERS, key=fitness)


def _numbers(cells: Sequence[str]) -> int:
    return sum(bool(_NUMBER.fullmatch(cell)) for cell in cells)


def _is_data(cells: Sequence[str]) -> bool:
    """A row of data starts with a date, or holds numbers."""
    return _numbers(cells[1:]) > 0 or bool(_DATED.match(cells[0]))


def _names(
    uri: str, numbered: Sequence[tuple[int, list[str]]], settings: FormatSettings, start: int
) -> tuple[list[str], int, str]:
    """Column names, the number of lines before the data, and what to say of the header."""
    first = numbered[0][1]
    if settings.header == "none" or (settings.header is None and _looks_like_metatrader(first)):
        names = [column_name(i) for i in range(len(first))]
        if _looks_like_metatrader(first):
            names = [*_METATRADER_NAMES, *names[len(_METATRADER_NAMES) :]][: len(first)]
            return names, start, "none, columns as MetaTrader 4 writes them"
        return names, start, "none"
    if settings.header is not None:
        line = settings.skip + settings.header - 1
        cells = next((cells for at, cells in numbered if at == line), None)
        if cells is None:
            raise SourceError(
                f"{uri} has no line {settings.header} to take column names from (data.format.header)"
            )
        return distinct(cells), line + 1, f"line {line + 1}"
    _refuse_other_starts(uri, numbered)
    block = 1
    while block < len(numbered) and not _is_data(numbered[block][1]):
        block += 1
    if block == len(numbered):
        block = 1
    names = _block_names([cells for _, cells in numbered[:block]])
    shown = f"line {numbered[0][0] + 1}" + (f" to {numbered[block - 1][0] + 1}" if block > 1 else "")
    return names, numbered[block - 1][0] + 1, shown


def _looks_like_metatrader(cells: Sequence[str]) -> bool:
    return (
        len(cells) >= 6
        and all(pattern.fullmatch(cell) for pattern, cell in zip(_METATRADER, cells, strict=False))
        and _numbers(cells[2:6]) == 4
    )


def _refuse_other_starts(uri: str, numbered: Sequence[tuple[int, list[str]]]) -> None:
    """A table without a header, or with lines of prose before it, needs one setting."""
    first = numbered[0][1]
    if any(map(_DATED.match, first)) and _numbers(first[1:]) >= 3:
        date = next((i for i, cell in enumerate(first) if _DATED.match(cell)), 0)
        prices = [i for i, cell in enumerate(first) if i > date and _NUMBER.fullmatch(cell)][:4]
        ours = zip(("Open", "High", "Low", "Close"), prices, strict=False)
        columns = ", ".join(f"{name}: {column_name(i)}" for name, i in [("date", date), *ours])
        raise SourceError(
            f"{uri} has no header, its first line is {', '.join(first)[:100]!r}; say so and name its columns: "
            f"--set data.format.header=none --set 'data.columns={{{columns}}}' (if that is their order)"
        )
    usual = Counter(len(cells) for _, cells in numbered).most_common(1)[0][0]
    title = next((i for i, (_, cells) in enumerate(numbered) if len(cells) >= usual - 1), 0)
    if title and usual > 2 and all(sum(map(bool, cells)) <= 2 for _, cells in numbered[:title]):
        lines = numbered[title][0]
        raise SourceError(
            f"{uri} starts with {lines} line{'s' * (lines > 1)} before the table ({', '.join(first)[:100]!r}); "
            f"--set data.format.skip={lines} leaves {'them' if lines > 1 else 'it'} out"
        )


def _block_names(block: list[list[str]]) -> list[str]:
    """One name a column of one or several header lines; the last word above the dates names them."""
    if len(block) == 1:
        return distinct([name.lstrip("#").strip() for name in block[0]])
    width = max(map(len, block))
    filled = [cells + [""] * (width - len(cells)) for cells in block]
    names = flat_names(list(zip(*(cells[1:] for cells in filled), strict=True)))
    first = next((cells[0] for cells in reversed(filled) if cells[0]), "")
    return distinct([first, *names])


def _rows_have(rows: int) -> str:
    return "1 row has" if rows == 1 else f"{rows} rows have"


def _fitted(uri: str, frame: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """The frame under its names: without what a delimiter at the end of lines adds, with an unnamed first column.

    As pandas and R write a table, the header may lack the name of the first column.
    """
    names = list(layout.names)
    filled = frame.iloc[:, len(names) :].notna()
    extra = filled.any(axis=1).to_numpy()
    if len(frame) and filled.iloc[:, 0].all() and not filled.iloc[:, 1:].any(axis=None):
        names = [column_name(0), *names]
    elif extra.any():
        row = int(extra.nonzero()[0][0])
        cells = len(names) + int(filled.iloc[row].to_numpy().nonzero()[0][-1]) + 1
        raise SourceError(
            f"{uri} is not a table: {_rows_have(int(extra.sum()))} more cells than the header's {len(names)}, first "
            f"row {row + 1} with {cells}; put cells that hold a {_DELIMITERS.get(layout.delimiter, 'delimiter')} in "
            "quotes, or name another data.format.delimiter"
        )
    frame = frame.iloc[:, : len(names)]
    frame.columns = pd.Index(names)
    return frame
