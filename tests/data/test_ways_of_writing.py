"""One market, written in every way that people write one, is read as one market."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.data.writing import (
    Write,
    as_csv,
    as_parquet,
    compressed,
    csv,
    dated,
    days,
    german,
    is_market,
    market,
    numbers,
    parquet,
    put,
    read,
    refusal,
    since_1970,
    stamps,
    written,
    zoned,
    zstandard,
)

READ: dict[str, Write] = {
    "midnight in New York, through summer time": stamps("America/New_York", 0),
    "the opening in New York, through summer time": stamps("America/New_York", 9.5),
    "the close in Sydney": stamps("Australia/Sydney", 16),
    "midnight in London, with offsets 0 and 1": stamps("Europe/London", 0),
    "midnight in Tokyo in Parquet": zoned("Asia/Tokyo", 0),
    "the opening in Kolkata in Parquet": zoned("Asia/Kolkata", 9.25),
    "midnight in London in Parquet": zoned("Europe/London", 0),
    "New York's close in UTC": stamps("America/New_York", 16, "UTC"),
    "New York's close in UTC in Parquet": zoned("America/New_York", 16, "UTC"),
    "midnight UTC in Parquet": zoned("UTC", 0),
    "an offset of two digits": written("%Y-%m-%d 00:00:00-05"),
    "an offset without a colon": written("%Y-%m-%dT00:00:00.000+0530"),
    "an offset and its zone": written("%Y-%m-%dT00:00+01:00[Europe/Paris]"),
    "Z, a time without separators": written("%Y%m%dT000000Z"),
    "UTC in words": written("%Y-%m-%d 00:00:00 UTC"),
    "year.month.day": written("%Y.%m.%d"),
    "day-month-year": written("%d-%m-%Y"),
    "day.month.year in two digits": written("%d.%m.%y"),
    "day month year with spaces": written("%d %m %Y"),
    "month/day/year and the hour": written("%m/%d/%Y 16:00:00"),
    "month/day/year and the hour in words": written("%m/%d/%Y 4:00:00 PM"),
    "day-Mon-year in two digits": written("%d-%b-%y"),
    "DDMonYYYY": written("%d%b%Y"),
    "year-Mon-day": written("%Y-%b-%d"),
    "the weekday before": written("%a, %b %d, %Y"),
    "months written out": written("%B %d, %Y"),
    "ordinals": written("%dth %B %Y"),
    "DDMMYYYY": written("%d%m%Y"),
    "the time after a comma": written("%m/%d/%Y, 12:00 AM"),
    "microseconds": lambda f, d: put(d, csv(dated(f, since_1970("us", 1e6)(f)))),
    "nanoseconds in Parquet": parquet(lambda f: dated(f, since_1970("ns", 1e9)(f)), index=False),
    "seconds as floats in Parquet": parquet(lambda f: dated(f, since_1970("s", 1, float)(f)), index=False),
    "milliseconds as text in Parquet": parquet(lambda f: dated(f, since_1970("ms", 1000)(f).astype(str))),
    "a byte order mark and semicolons": lambda f, d: put(d, csv(f, sep=";").encode("utf-8-sig")),
    "UTF-16": lambda f, d: put(d, csv(f).encode("utf-16")),
    "Latin-1 in a header": lambda f, d: put(d, csv(f.assign(Größe=1)).encode("latin-1")),
    "CRLF": lambda f, d: put(d, csv(f).replace("\n", "\r\n")),
    "lines that end with CR": lambda f, d: put(d, csv(f).replace("\n", "\r")),
    "everything in quotes": lambda f, d: put(d, csv(f, quoting=1)),
    "blank lines at both ends": lambda f, d: put(d, "\n\n" + csv(f) + "\n\n  \n"),
    "rows of nothing at the end": lambda f, d: put(d, csv(f) + ",,,,\n,,,,\n"),
    "comments first": lambda f, d: put(d, "# made by hand, in 2011\n#\n" + csv(f)),
    "a header behind a hash": lambda f, d: put(d, "#" + csv(f)),
    "spaces after commas": lambda f, d: put(d, csv(f).replace(",", ", ")),
    "vertical bars": lambda f, d: put(d, csv(f, sep="|")),
    "sep=, before the header": lambda f, d: put(d, "sep=,\n" + csv(f)),
    "gzip": compressed(gzip.compress, as_csv),
    "bzip2": compressed(bz2.compress, as_csv),
    "xz": compressed(lzma.compress, as_csv),
    "zstd": compressed(zstandard, as_csv),
    "Parquet in gzip": compressed(gzip.compress, as_parquet),
    "decimal commas, semicolons": numbers(german, ";"),
    "decimal commas, tabs": numbers(german, "\t"),
    "decimal commas in quotes": numbers(german),
    "thousands commas in quotes": numbers(str),
    "thousands apostrophes": numbers(lambda text: text.replace(",", "'")),
    "thousands spaces": numbers(lambda text: text.replace(",", "\u00a0")),
    "MetaTrader 5": lambda f, d: put(
        d,
        csv(
            dated(f, days(f).dt.strftime("%Y.%m.%d")), sep="\t", header=[f"<{c.upper()}>" for c in f.columns]
        ),
    ),
    "blanks in the header": lambda f, d: put(
        d, csv(dated(f, days(f).dt.strftime("%d-%b-%Y")), header=[f"{c.upper()} " for c in f.columns])
    ),
    "an index without a name": lambda f, d: put(d, str(f.set_index("Date").rename_axis(None).to_csv())),
    "a header without the index, as R writes it": lambda f, d: put(d, csv(f).replace("Date,", "", 1)),
    "row numbers in an unnamed column": lambda f, d: put(d, str(f.to_csv())),
    "text dates in the index of a Parquet file": parquet(lambda f: f.set_index("Date")),
    "dates in an unnamed index": parquet(lambda f: dated(f, days(f)).set_index("Date").rename_axis(None)),
    "several levels in the index": parquet(lambda f: f.assign(symbol="A").set_index(["symbol", "Date"])),
    "a column and an index of one name": parquet(lambda f: f.set_index("Date", drop=False)),
    "two header lines": lambda f, d: put(d, csv(f).replace("\n", "\n,EUR,EUR,EUR,EUR\n", 1)),
}


@pytest.mark.parametrize("name", READ)
def test_how_it_is_written_does_not_matter(name: str, tmp_path: Path) -> None:
    frame = market(30.0) if "thousands" in name or "decimal" in name else market()
    assert is_market(read(READ[name](frame, tmp_path)), frame)


@pytest.mark.parametrize("pattern", ["%d-%m-%Y", "%d-%m-%Y %H:%M", "%Y-%m-%dT%H:%M:%S%z", "%d %B %Y"])
def test_a_format_of_ones_own_reads_what_it_describes(pattern: str, tmp_path: Path) -> None:
    frame = market()
    text = days(frame).dt.tz_localize("Asia/Tokyo").map(lambda day: day.strftime(pattern))
    path = put(tmp_path, csv(dated(frame, text)))
    assert is_market(read(path, f"data.date_format={pattern}"), frame)


def test_a_format_that_reads_nothing_is_named_with_an_example(tmp_path: Path) -> None:
    path = put(tmp_path, csv(market()))
    assert "data.date_format '%d/%m/%Y' reads none of the dates, e.g. '2010-01-04'" in refusal(
        path, "data.date_format=%d/%m/%Y"
    )


@pytest.mark.parametrize(
    ("sets", "change"),
    [
        (["data.format.delimiter=;"], lambda f: csv(f, sep=";")),
        (["data.format.delimiter=tab"], lambda f: csv(f, sep="\t")),
        (["data.format.delimiter= "], lambda f: csv(f, sep=" ")),
        (["data.format.delimiter=~"], lambda f: csv(f, sep="~")),
        (["data.format.skip=2"], lambda f: "x\ny\n" + csv(f)),
        (["data.format.header=3"], lambda f: "x,y,z\n1,2,3\n" + csv(f)),
        (["data.format.encoding=cp1252"], lambda f: csv(f.assign(Größe=1)).encode("cp1252")),
    ],
)
def test_each_setting_of_the_format_is_followed(
    sets: list[str], change: Callable[[pd.DataFrame], str | bytes], tmp_path: Path
) -> None:
    frame = market()
    assert is_market(read(put(tmp_path, change(frame)), *sets), frame)
