"""Every way in which a table can be bad gets one sentence that names the place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.prepare_data import __main__ as prepare_data
from model_core.config.data import DataSettings
from model_core.data.prepare import prepare
from model_core.errors import SkyError, SourceError
from tests.data.market import SETTINGS, saved, table

Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def put(row: int, column: str, value: Any) -> Spoil:
    """Put a value into data row ``row`` (from 1)."""

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        frame.loc[row - 1, column] = value
        return frame

    return spoil


def drop(*columns: str) -> Spoil:
    return lambda frame: frame.drop(columns=list(columns))


def repeat_row(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame[:10], frame[9:]], ignore_index=True)


def swap_rows(frame: pd.DataFrame) -> pd.DataFrame:
    order = np.arange(len(frame))
    order[[20, 21]] = order[[21, 20]]
    return frame.iloc[order].reset_index(drop=True)


# name: (how the table is spoiled, what is wrong with which row; rows count from 1, None is the whole table)
BAD: dict[str, tuple[Spoil, list[tuple[str, int | None]]]] = {
    "no Low": (drop("Low"), [("missing column", None)]),
    "no date": (drop("Date"), [("missing column", None)]),
    "no prices": (drop("Open", "High", "Low", "Close"), [("missing column", None)]),
    "two columns for Close": (lambda f: f.assign(close=1.0), [("ambiguous", None)]),
    "date is a word": (put(3, "Date", "yesterday"), [("no date", 3)]),
    "date is missing": (put(4, "Date", ""), [("no date", 4)]),
    "30 February": (put(30, "Date", "2010-02-30"), [("no date", 30)]),
    "month 13": (put(5, "Date", "2010-13-01"), [("no date", 5)]),
    "impossible minutes": (put(6, "Date", "2010-01-11 25:61"), [("no date", 6)]),
    "date is a spreadsheet number": (put(6, "Date", "40189"), [("no date", 6)]),
    "one date without its zone": (
        lambda f: put(2, "Date", "2010-01-05 16:00")(f.assign(Date=f["Date"] + "T21:00:00Z")),
        [("the date has no time zone, but other rows have one", 2)],
    ),
    "duplicate date": (repeat_row, [("this date occurs twice", 11)]),
    "twice the same date, far apart": (
        lambda f: put(200, "Date", "2010-01-04")(f),
        [("dates are not ascending", None), ("this date occurs twice", 200)],
    ),
    "unsorted": (swap_rows, [("dates are not ascending", None)]),
    "descending": (lambda f: f[::-1], [("dates are not ascending", None)]),
    "Open is text": (put(7, "Open", "n/a?"), [("Open is not a number", 7)]),
    "High is text": (put(7, "High", "high"), [("High is not a number", 7)]),
    "Low is text": (put(7, "Low", "low"), [("Low is not a number", 7)]),
    "Close is text": (put(7, "Close", "--"), [("Close is not a number", 7)]),
    "one price with a thousands separator": (
        put(7, "Close", "1,234.5"),
        [("High below Open, Close or Low", 7)],
    ),
    "one price with a decimal comma": (put(7, "Close", "100,5"), [("Close is not a number", 7)]),
    "currency sign": (put(7, "Close", "$100"), [("Close is not a number", 7)]),
    "Open is missing": (put(8, "Open", np.nan), [("Open is not a number", 8)]),
    "High is missing": (put(8, "High", np.nan), [("High is not a number", 8)]),
    "Low is missing": (put(8, "Low", np.nan), [("Low is not a number", 8)]),
    "Close is missing": (put(8, "Close", np.nan), [("Close is not a number", 8)]),
    "Close is inf": (put(9, "Close", "inf"), [("Close is not a number", 9)]),
    "Low is -inf": (put(9, "Low", "-inf"), [("Low is not a number", 9)]),
    "Open is zero": (put(10, "Open", 0.0), [("Open is not above 0", 10)]),
    "Low is zero": (put(10, "Low", 0), [("Low is not above 0", 10)]),
    "Close is negative": (put(10, "Close", -5.0), [("Close is not above 0", 10)]),
    "High is negative": (put(10, "High", -1), [("High is not above 0", 10)]),
    "High below Close": (put(12, "High", 1.0), [("High below Open, Close or Low", 12)]),
    "Low above Open": (
        put(12, "Low", 1e6),
        [("High below Open, Close or Low", 12), ("Low above Open or Close", 12)],
    ),
    "Close above High": (put(12, "Close", 1e4), [("High below Open, Close or Low", 12)]),
    "Open above High": (put(12, "Open", 1e4), [("High below Open, Close or Low", 12)]),
    "Close below Low": (put(12, "Close", 0.5), [("Low above Open or Close", 12)]),
    "Open below Low": (put(12, "Open", 0.5), [("Low above Open or Close", 12)]),
    "too short": (lambda f: f[:20], [("too few rows", None)]),
    "one row": (lambda f: f[:1], [("too few rows", None)]),
    "no Low and bad values beside": (
        lambda f: put(3, "Open", "x")(f).drop(columns="Low"),
        [("missing column", None), ("Open is not a number", 3)],
    ),
    "too short and negative": (
        lambda f: put(2, "Open", -3)(f)[:20],
        [("too few rows", None), ("Open is not above 0", 2)],
    ),
    "several problems": (
        lambda f: put(4, "Close", -1)(put(3, "Open", "x")(f)),
        [("Open is not a number", 3), ("Close is not above 0", 4)],
    ),
    "very many problems": (
        lambda f: f.assign(Close=-1.0),
        [("Close is not above 0", row) for row in range(1, 301)],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_every_reason_to_refuse_a_table_is_found_with_its_row_and_no_other(name: str, tmp_path: Path) -> None:
    spoil, expected = BAD[name]
    path = saved(spoil(table()), tmp_path)
    with pytest.raises(SourceError) as refusal:
        prepare(path, SETTINGS)
    problems = refusal.value.problems
    assert [(p.kind, None if p.row is None else p.row + 1) for p in problems] == expected
    assert path in str(refusal.value)
    assert problems[0].text in str(refusal.value)
    assert "\n" not in str(refusal.value)


# name: (how the table is spoiled, what a person reads)
SENTENCES: dict[str, tuple[Spoil, str]] = {
    "a column": (drop("Low"), "lacks Low; columns found: Date, Open, High, Close"),
    "several columns": (drop("Open", "High", "Low", "Close"), "lacks Open, High, Low and Close"),
    "a date": (put(3, "Date", "yesterday"), "row 3: 'yesterday' is not a date"),
    "no date": (put(4, "Date", ""), "row 4: the date is missing"),
    "a day": (repeat_row, "row 11 (2010-01-15): this date occurs twice"),
    "an order": (
        swap_rows,
        "dates are not ascending (row 22 (2010-02-01)); put its rows in the order of their dates",
    ),
    "the other order": (
        lambda f: f[::-1],
        "its newest row comes first; --set data.sort=true puts the oldest first",
    ),
    "a number": (put(7, "Open", "n/a?"), "row 7 (2010-01-12): Open is 'n/a?', not a number"),
    "no number": (put(8, "Open", np.nan), "row 8 (2010-01-13): Open is missing, not a number"),
    "a price": (put(10, "Open", 0.0), "row 10 (2010-01-15): Open is 0; prices must be above 0"),
    "a candle": (put(12, "Low", 1e6), "row 12 (2010-01-19): Low 1000000 lies above Open 99."),
    "a length": (
        lambda f: f[:20],
        "has 20 rows, too few for one train window of 16 known and 3 forecast rows",
    ),
    "a length for these splits": (
        lambda f: f[:30],
        "the table has 30 rows, 2010-01-04 … 2010-02-12, too few for one train window",
    ),
    "a header": (lambda f: f[:0], "has a header but no rows"),
    "two problems": (
        lambda f: put(3, "Open", "x")(f).drop(columns="Low"),
        "for 2 problems: lacks Low; columns found: Date, Open, High, Close (if a column has another name, "
        "give it, e.g. --set 'data.columns={Low: its name}'); row 3",
    ),
    "three hundred problems": (
        lambda f: f.assign(Close=-1.0),
        "and 290 more: Close is not above 0 in rows 11–300 (2010-01-18 … 2011-02-25);",
    ),
    "many problems of two kinds": (
        lambda f: f.assign(Close=-1.0, Open=[*["x"] * 25, *f["Open"][25:]]),
        "Open is not a number in rows 6–25 (2010-01-11 … 2010-02-05), Close is not above 0 in rows 6–300",
    ),
    "a day outside of the sky": (
        lambda f: f.assign(Date=pd.date_range("2051-06-01", periods=300).strftime("%Y-%m-%d")),
        "the sky is known from 1900-01-01 to 2051-12-31",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence_names_the_place_the_value_and_the_remedy(name: str, tmp_path: Path) -> None:
    spoil, sentence = SENTENCES[name]
    with pytest.raises((SourceError, SkyError)) as refusal:
        prepare(saved(spoil(table()), tmp_path), SETTINGS)
    assert sentence in str(refusal.value)


def test_a_hundred_rows_are_too_few_for_the_standard_window(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has 100 rows, too few for one train window of 250 known"):
        prepare(saved(table(100), tmp_path), DataSettings())


def test_a_thousand_scattered_problems_are_counted_and_listed_one_by_one_beside_the_message(
    tmp_path: Path,
) -> None:
    """Every second row is bad, so no two of them make a stretch."""
    frame = table(2000)
    frame.loc[::2, "Low"] = -1.0
    days = pd.to_datetime(frame["Date"]).dt.date
    with pytest.raises(SourceError) as refused:
        prepare(saved(frame, tmp_path), SETTINGS)
    assert "is refused for 1000 problems: row 1 (2010-01-04): Low is -1" in str(refused.value)
    assert len(str(refused.value)) < 2000
    told = [f"row {row + 1} ({days[row]}): Low is -1; prices must be above 0" for row in range(0, 2000, 2)]
    assert list(refused.value.details) == told


def test_what_a_message_leaves_out_stands_in_a_file_that_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table()
    frame.loc[::2, "Low"] = -1.0
    source = saved(frame, tmp_path)
    with pytest.raises(SystemExit) as stop:
        prepare_data.main(["--source", source, "--dataset", str(tmp_path / "out")])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    listed = Path(said[said.index("(all are listed in ") + 19 : said.rindex(")")])
    assert len(listed.read_text(encoding="utf-8").splitlines()) == 150
    assert [path.name for path in tmp_path.iterdir()] == ["market.csv"], "nothing half-written"


def test_a_cell_and_a_header_without_end_are_shown_in_part(tmp_path: Path) -> None:
    wide = pd.concat([table().drop(columns="Low"), pd.DataFrame(1, range(300), range(3000))], axis=1)
    wide["Close"] = ["x" * 100_000, *wide["Close"][1:].astype(str)]
    with pytest.raises(SourceError) as refused:
        prepare(saved(wide, tmp_path), SETTINGS)
    assert len(str(refused.value)) < 2000
    assert "lacks Low; columns found: Date, Open, High, Close, 0, 1, 2" in str(refused.value)
    assert " and 2984 more" in str(refused.value)
