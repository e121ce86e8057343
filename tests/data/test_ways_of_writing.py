"""One market, written in every way that people write one, is read as one market or refused with what helps."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from model_core.config.load import load_settings
from model_core.data.reading.sources import read_source
from model_core.data.reading.table import PriceTable, check_table
from model_core.errors import UserError
from tests.data.market import table
from tests.data.test_field_tables import PRICES, WINDOW, advice

Write = Callable[[pd.DataFrame, Path], str]


def market(scale: float = 1.0, digits: int = 2) -> pd.DataFrame:
    """300 weekdays from 2010-01-04 with prices of a few digits, so that every way of writing is exact."""
    frame = table()
    frame[PRICES] = (frame[PRICES] * scale).round(digits)
    return frame


def read(path: str, *sets: str) -> PriceTable:
    settings = load_settings(None, [WINDOW, *sets]).data
    return check_table(read_source(path, settings), settings)


def refusal(path: str, *sets: str) -> str:
    with pytest.raises(UserError) as error:
        read(path, *sets)
    assert len(str(error.value)) < 2000
    assert "\n" not in str(error.value)
    return str(error.value)


def is_market(found: PriceTable, frame: pd.DataFrame) -> bool:
    same = found.dates.astype(str).tolist() == frame["Date"].tolist()
    return same and np.allclose(found.prices, frame[PRICES].to_numpy(), rtol=1e-12)


def put(folder: Path, content: bytes | str, name: str = "market.csv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def csv(frame: pd.DataFrame, **keywords: Any) -> str:
    return str(frame.to_csv(index=False, **keywords))


def days(frame: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(frame["Date"])


def dated(frame: pd.DataFrame, dates: Any) -> pd.DataFrame:
    return frame.assign(Date=dates)


def stamps(zone: str, hours: float, shown: str | None = None) -> Write:
    """A CSV of stamps ``hours`` after midnight in ``zone``, written with the offset of ``shown``."""

    def write(frame: pd.DataFrame, folder: Path) -> str:
        local = (days(frame) + pd.Timedelta(hours=hours)).dt.tz_localize(zone)
        return put(folder, csv(dated(frame, local.dt.tz_convert(shown or zone).map(pd.Timestamp.isoformat))))

    return write


def zoned(zone: str, hours: float, shown: str | None = None) -> Write:
    """The same in Parquet."""

    def write(frame: pd.DataFrame, folder: Path) -> str:
        local = (days(frame) + pd.Timedelta(hours=hours)).dt.tz_localize(zone).dt.tz_convert(shown or zone)
        dated(frame, local).to_parquet(folder / "market.parquet")
        return str(folder / "market.parquet")

    return write


def written(pattern: str) -> Write:
    return lambda frame, folder: put(folder, csv(dated(frame, days(frame).dt.strftime(pattern))))


def parquet(change: Callable[[pd.DataFrame], pd.DataFrame], index: bool = True) -> Write:
    def write(frame: pd.DataFrame, folder: Path) -> str:
        change(frame).to_parquet(folder / "market.parquet", index=index)
        return str(folder / "market.parquet")

    return write


def since_1970(unit: str, per_second: float, kind: type = int) -> Callable[[pd.DataFrame], pd.Series]:
    def count(frame: pd.DataFrame) -> pd.Series:
        seconds = days(frame).to_numpy().astype("datetime64[s]").astype(np.int64)
        return pd.Series((seconds * per_second).astype(kind), index=frame.index)

    return count


def numbers(change: Callable[[str], str], separator: str = ",") -> Write:
    """Every price as text, changed; quoted where it holds the separator."""

    def write(frame: pd.DataFrame, folder: Path) -> str:
        text = frame.assign(**{name: frame[name].map(lambda x: change(f"{x:,.2f}")) for name in PRICES})
        return put(folder, csv(text, sep=separator))

    return write


def compressed(pack: Callable[[bytes], bytes], content: Callable[[pd.DataFrame], bytes]) -> Write:
    return lambda frame, folder: put(folder, pack(content(frame)), "market.csv")


def as_csv(frame: pd.DataFrame) -> bytes:
    return csv(frame).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def zstandard(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(content)
    return buffer.getvalue().to_pybytes()


def german(text: str) -> str:
    return text.replace(",", "_").replace(".", ",").replace("_", ".")


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


def eve(zone: str) -> tuple[Write, Write]:
    return stamps(zone, 0, "UTC"), zoned(zone, 0, "UTC")


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


def test_midnight_in_london_as_utc_is_refused_though_most_rows_of_winter_stand_at_midnight(
    tmp_path: Path,
) -> None:
    """Moved to New York all of them would lie on the evening before; taken as days, those of summer would."""
    frame = market()
    path = stamps("Europe/London", 0, "UTC")(frame, tmp_path)
    refusal(path)
    assert is_market(read(path, "data.timezone=Europe/London"), frame)


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


def test_whole_prices_with_one_comma_are_refused_until_it_is_said(tmp_path: Path) -> None:
    frame = market(30.0, digits=0)
    text = frame.assign(**{name: frame[name].map(lambda x: f"{x:,.0f}") for name in PRICES})
    path = put(tmp_path, csv(text, sep=";"))
    message = refusal(path)
    thousands, decimal = advice(message)
    assert is_market(read(path, thousands), frame)
    assert is_market(read(path, decimal), frame.assign(**{name: frame[name] / 1000 for name in PRICES}))


def test_three_decimals_everywhere_are_read_with_a_warning_that_names_the_setting(tmp_path: Path) -> None:
    frame = market(digits=3)
    text = frame.assign(**{name: frame[name].map(lambda x: f"{x:.3f}") for name in PRICES})
    path = put(tmp_path, csv(text))
    found = read(path)
    assert is_market(found, frame)
    assert [warning.code for warning in found.warnings] == ["three_decimals"]
    assert read(path, "data.format.decimal=.").warnings == ()
    grouped = read(path, "data.format.thousands=.")
    np.testing.assert_allclose(grouped.prices, found.prices * 1000)


def test_columns_of_two_tickers_are_named_so_that_the_names_work(tmp_path: Path) -> None:
    frame = market()
    both = pd.concat({"A": frame[PRICES], "B": frame[PRICES] * 2}, axis=1).swaplevel(axis=1)
    both.index = pd.DatetimeIndex(days(frame), name="Date")
    for name, path in (("market.parquet", tmp_path / "m.parquet"), ("market.csv", tmp_path / "m.csv")):
        both.to_parquet(path) if name.endswith("parquet") else both.to_csv(path)
        message = refusal(str(path))
        assert "columns found: Date, Open A, High A, Low A, Close A, Open B" in message
        mapped = "data.columns={Open: Open B, High: High B, Low: Low B, Close: Close B}"
        assert is_market(read(str(path), mapped), frame.assign(**{c: frame[c] * 2 for c in PRICES}))


def test_of_two_columns_of_one_name_the_one_that_is_named_is_read(tmp_path: Path) -> None:
    frame = market()
    path = put(tmp_path, csv(frame.assign(x=frame["Close"] * 0 + 1)).replace(",x\n", ",Close\n", 1))
    message = refusal(path)
    assert "has 2 columns for Close: Close (column 5), Close (column 6)" in message
    assert is_market(read(path, *advice(message)), frame)


def test_of_two_columns_that_differ_in_case_the_one_that_is_named_is_read(tmp_path: Path) -> None:
    frame = market()
    path = put(tmp_path, csv(frame.assign(close=1.0)))
    assert is_market(read(path, *advice(refusal(path))), frame)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"Date": ["2018-01-02"]}', "is JSON; write the table as CSV or Parquet"),
        (json.dumps([{"Date": 1}]).encode(), "is JSON"),
        (
            b"<!DOCTYPE html><html>",
            "is a web page (HTML), perhaps a log-in page; download the table",
        ),
        (b"%PDF-1.7 ...", "is a PDF document"),
        (b"ARROW1\0\0...", "is an Arrow (Feather) file; write it as Parquet"),
        (gzip.compress(bytes(range(256)), mtime=0)[:100], "is a damaged gzip file"),
        (b"\x28\xb5\x2f\xfdnot zstd", "is a damaged zstd file"),
        (gzip.compress(b"<html>", mtime=0), "holds, compressed with gzip, a web page"),
        (gzip.compress(b"", mtime=0), "is empty"),
    ],
)
def test_what_holds_no_table_is_named_for_what_it_is(content: bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(put(tmp_path, content))


def test_an_archive_is_named_with_what_to_do(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", csv(market()))
        archive.writestr("b.csv", "")
    assert "is a ZIP archive of 2 files; unpack it" in refusal(put(tmp_path, buffer.getvalue()))


def test_a_cell_with_a_comma_is_named_with_its_row(tmp_path: Path) -> None:
    lines = csv(market()).splitlines()
    lines[12] += ",5,6"
    message = refusal(put(tmp_path, "\n".join(lines)))
    assert "1 row has more cells than the header's 5, first row 12 with 7" in message


def test_dates_of_which_half_name_a_zone_are_refused(tmp_path: Path) -> None:
    frame = market()
    mixed = frame["Date"].where(frame.index % 2 == 0, frame["Date"] + "T21:00:00Z")
    message = refusal(put(tmp_path, csv(dated(frame, mixed))))
    assert "refused for 150 problems" in message
    assert "the date has no time zone, but other rows have one" in message


def test_years_of_two_digits_that_lie_ahead_are_refused(tmp_path: Path) -> None:
    frame = market()
    late = days(frame) - pd.DateOffset(years=70)
    message = refusal(put(tmp_path, csv(dated(frame, late.dt.strftime("%d/%m/%y")))))
    assert "lie in the future" in message


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
