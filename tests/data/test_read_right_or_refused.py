"""Tables that look sound and are not: each was once read with wrong days or prices, or ended in a traceback."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.market import table
from tests.data.test_field_tables import PRICES, advice
from tests.data.writing import (
    Write,
    csv,
    dated,
    days,
    is_market,
    market,
    parquet,
    put,
    read,
    refusal,
    since_1970,
    stamps,
    zoned,
)


def without_zone(zone: str, hours: float = 0) -> Write:
    """Stamps of a zone, written as UTC but without saying so."""

    def write(frame: pd.DataFrame, folder: Path) -> str:
        local = (days(frame) + pd.Timedelta(hours=hours)).dt.tz_localize(zone)
        return put(folder, csv(dated(frame, local.dt.tz_convert("UTC").dt.tz_localize(None))))

    return write


ACROSS_MIDNIGHT: dict[str, Write] = {
    "midnight in London as UTC that does not say so": without_zone("Europe/London"),
    "4:00 UTC, which is 23:00 in New York's winter": stamps("UTC", 4),
    "the same in seconds": lambda f, d: put(d, csv(dated(f, since_1970("s", 1)(f) + 4 * 3600))),
    "the same with New York's own offset": stamps("UTC", 4, "America/New_York"),
    "the same in Parquet": zoned("UTC", 4, "America/New_York"),
    "New York's midnight by the offset of its winter": zoned("America/New_York", 0, "Etc/GMT+5"),
    "Auckland's close, seen from New York": stamps("Pacific/Auckland", 16, "UTC"),
}


@pytest.mark.parametrize("name", ACROSS_MIDNIGHT)
def test_stamps_on_both_sides_of_midnight_are_refused(name: str, tmp_path: Path) -> None:
    path = ACROSS_MIDNIGHT[name](market(), tmp_path)
    assert "its stamps lie on both sides of midnight, e.g. 2" in refusal(path)
    assert len(read(path, *advice(refusal(path))).dates) == 300  # as they stand, when asked for


@pytest.mark.parametrize(("zone", "hours"), [("Pacific/Auckland", 16), ("UTC", 4)])
def test_the_zone_of_the_exchange_puts_them_on_one_side(zone: str, hours: float, tmp_path: Path) -> None:
    frame = market()
    path = stamps(zone, hours, "UTC")(frame, tmp_path)
    assert "set data.timezone, now America/New_York" in refusal(path)
    assert is_market(read(path, f"data.timezone={zone}"), frame)


def test_midnight_in_auckland_as_utc_that_does_not_say_so_is_refused(tmp_path: Path) -> None:
    """11:00 and 12:00 of the day before: Sunday to Thursday."""
    frame = market()
    path = without_zone("Pacific/Auckland")(frame, tmp_path)
    assert "would be Sundays and hardly one a Friday" in refusal(path)
    assert is_market(read(path, "data.opens_on_eve=true"), frame)


def test_milliseconds_that_go_on_in_microseconds_are_refused(tmp_path: Path) -> None:
    frame = market()
    for first in (1, 150, 299):
        numbers = since_1970("ms", 1000)(frame)
        numbers[first:] *= 1000
        message = refusal(put(tmp_path, csv(dated(frame, numbers))))
        assert f"are numbers of two sizes, e.g. {numbers[first - 1]} in row {first}" in message


def test_numbers_that_cross_1970_are_of_one_size(tmp_path: Path) -> None:
    frame = market().assign(Date=np.busday_offset(np.datetime64("1969-06-02"), np.arange(300)).astype(str))
    assert is_market(read(put(tmp_path, csv(dated(frame, since_1970("ms", 1000)(frame))))), frame)


def test_true_is_no_price(tmp_path: Path) -> None:
    path = parquet(lambda frame: frame.assign(**dict.fromkeys(PRICES, True)))(market(), tmp_path)
    assert "Open is True, not a number" in refusal(path)


def test_an_infinite_price_is_shown_as_one(tmp_path: Path) -> None:
    path = parquet(lambda frame: frame.assign(High=np.inf))(market(), tmp_path)
    assert "High is inf, not a number" in refusal(path)


@pytest.mark.parametrize("last", [dt.date(9999, 12, 31), dt.date(1, 1, 1), np.datetime64(2**57, "us")])
def test_a_day_that_no_calendar_holds_is_refused(last: Any, tmp_path: Path) -> None:
    frame = table()
    dates = [*frame["Date"].to_numpy().astype("datetime64[us]")[:-1], np.datetime64(last, "us")]
    columns = {"Date": pa.array(dates, pa.timestamp("us")), **{name: frame[name] for name in PRICES}}
    pq.write_table(pa.table(columns), tmp_path / "market.parquet")
    message = refusal(str(tmp_path / "market.parquet"))
    assert "row 300: " in message
    assert "is not a date from 1800-01-01 to 2100-12-31" in message


def test_blanks_divide_cells_when_asked_to(tmp_path: Path) -> None:
    frame = market()
    path = put(tmp_path, frame.to_string(index=False))
    assert is_market(read(path, "data.format.delimiter=space"), frame)


def test_a_unit_of_numbers_is_refused_where_dates_are_none(tmp_path: Path) -> None:
    message = refusal(put(tmp_path, csv(market())), "data.format.epoch_unit=ms")
    assert (
        "data.format.epoch_unit is ms, but dates like '2010-01-04' are not numbers; leave it out" in message
    )


def test_a_table_without_a_name_is_no_folder() -> None:
    assert "the name of the table is empty" in refusal("")
