"""Dates and tables that can be read in two ways are refused, with advice that works to the letter."""

from pathlib import Path

import pandas as pd
import pytest

from tests.data.test_field_tables import advice
from tests.data.writing import (
    Write,
    csv,
    dated,
    days,
    eve,
    is_market,
    market,
    parquet,
    put,
    read,
    refusal,
    since_1970,
    stamps,
    written,
)

# name: (how it is written, settings given before, what the message says, which of its settings is meant)
REFUSED: dict[str, tuple[Write, list[str], str, list[int]]] = {
    "midnight in Berlin as UTC": (eve("Europe/Berlin")[0], [], "would be Sundays", [0]),
    "midnight in Berlin as UTC, Parquet": (eve("Europe/Berlin")[1], [], "would be Sundays", [0]),
    "midnight in Tokyo as UTC": (eve("Asia/Tokyo")[0], [], "would be Sundays", [0]),
    "the opening on the evening before": (
        lambda f, d: put(d, csv(dated(f, (days(f) - pd.Timedelta(hours=6)).astype(str) + "-05:00"))),
        [],
        "would be Sundays",
        [0],
    ),
    "the newest row first": (lambda f, d: put(d, csv(f[::-1])), [], "its newest row comes first", [0]),
    "the newest row first, Parquet": (parquet(lambda f: f[::-1], index=False), [], "newest row", [0]),
    "a title": (
        lambda f, d: put(d, "Prices of A\nin EUR\n\n" + csv(f)),
        [],
        "starts with 3 lines before the table ('Prices of A')",
        [0],
    ),
    "no header": (lambda f, d: put(d, csv(f, header=False)), [], "has no header", [0, 1]),
    "no header, seconds": (
        lambda f, d: put(d, csv(dated(f, since_1970("s", 1)(f)), header=False)),
        [],
        "has no header",
        [0, 1],
    ),
    "a spreadsheet's day numbers": (
        lambda f, d: put(d, csv(dated(f, (days(f) - pd.Timestamp("1899-12-30")).dt.days))),
        [],
        "40182, the day numbers of a spreadsheet (then 2010-01-04)",
        [0],
    ),
    "UTF-16 without a mark": (
        lambda f, d: put(d, csv(f).encode("utf-16-le")),
        [],
        "its bytes are not text",
        [0],
    ),
    "an unknown way": (written("%d-%Y-%m"), [], "are written in a way that is not known here", []),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_is_refused_and_the_advice_works_to_the_letter(name: str, tmp_path: Path) -> None:
    write, sets, said, meant = REFUSED[name]
    frame = market()
    path = write(frame, tmp_path)
    message = refusal(path, *sets)
    assert said in message
    follow = [advice(message)[i] for i in meant] if meant else ["data.date_format=%d-%Y-%m"]
    found = read(path, *sets, *follow)
    assert is_market(found, frame)


@pytest.mark.parametrize("write", eve("Europe/Berlin") + eve("Asia/Tokyo"))
def test_the_zone_of_the_exchange_puts_midnight_as_utc_right(write: Write, tmp_path: Path) -> None:
    frame = market()
    path = write(frame, tmp_path)
    assert "data.timezone, now America/New_York" in refusal(path)
    zone = (
        "Asia/Tokyo"
        if str(read(path, "data.opens_on_eve=true").reading["row 1"]).count("15:00")
        else "Europe/Berlin"
    )
    assert is_market(read(path, f"data.timezone={zone}"), frame)


@pytest.mark.parametrize("offset", ["", "-05:00"])
def test_the_zone_of_the_exchange_is_named_only_where_it_decides(offset: str, tmp_path: Path) -> None:
    frame = market()
    evening = (days(frame) - pd.Timedelta(hours=6)).astype(str) + offset
    path = put(tmp_path, csv(dated(frame, evening)))
    message = refusal(path)
    assert "timezone" not in message
    assert is_market(read(path, *advice(message)), frame)


def test_dates_one_day_late_are_refused_until_the_zone_is_said(tmp_path: Path) -> None:
    """New York's close of 16:00, seen from Tokyo, lies on the next morning: Tuesday to Saturday."""
    frame = market()
    path = stamps("America/New_York", 16, "UTC")(frame, tmp_path)
    message = refusal(path, "data.timezone=Asia/Tokyo")
    assert (
        "20% of its dates would be Saturdays and hardly one a Monday: set data.timezone, now Asia/Tokyo"
        in message
    )
    assert is_market(read(path, "data.timezone=America/New_York"), frame)


def test_dates_of_which_half_name_a_zone_are_refused(tmp_path: Path) -> None:
    frame = market()
    mixed = frame["Date"].where(frame.index % 2 == 0, frame["Date"] + "T21:00:00Z")
    message = refusal(put(tmp_path, csv(dated(frame, mixed))))
    assert "refused for 150 problems" in message
    assert "the date has no time zone, but other rows have one" in message


def test_midnight_in_london_as_utc_is_refused_though_most_rows_of_winter_stand_at_midnight(
    tmp_path: Path,
) -> None:
    """Moved to New York all of them would lie on the evening before; taken as days, those of summer would."""
    frame = market()
    path = stamps("Europe/London", 0, "UTC")(frame, tmp_path)
    refusal(path)
    assert is_market(read(path, "data.timezone=Europe/London"), frame)


@pytest.mark.parametrize("content", ["csv", "parquet", "iso"])
def test_days_taken_for_months_are_found_in_every_format(content: str, tmp_path: Path) -> None:
    frame = market()
    mangled = days(frame).map(lambda day: day.replace(month=day.day, day=day.month) if day.day <= 12 else day)
    dates = {
        "csv": mangled.dt.strftime("%d/%m/%Y"),
        "parquet": mangled,
        "iso": mangled.dt.strftime("%Y-%m-%d"),
    }
    if content == "parquet":
        path = parquet(lambda f: dated(f, dates[content]))(frame, tmp_path)
    else:
        path = put(tmp_path, csv(dated(frame, dates[content])))
    for sets in ([], ["data.sort=true"]):
        message = refusal(path, *sets)
        assert "day and month are interchanged in some of its dates" in message
        assert "data.sort" not in message


def test_years_of_two_digits_that_lie_ahead_are_refused(tmp_path: Path) -> None:
    frame = market()
    late = days(frame) - pd.DateOffset(years=70)
    message = refusal(put(tmp_path, csv(dated(frame, late.dt.strftime("%d/%m/%y")))))
    assert "lie in the future" in message
