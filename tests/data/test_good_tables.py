"""Tables that differ from each other only in how they are written give the same dataset."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_core.config.data import DataSettings
from model_core.data.prepare import prepare
from tests.data.market import SETTINGS, saved, table

Write = Callable[[pd.DataFrame, Path], str]


def with_dates(pattern: str) -> Write:
    def write(frame: pd.DataFrame, folder: Path) -> str:
        dates = pd.to_datetime(frame["Date"]).dt.strftime(pattern)
        return saved(frame.assign(Date=dates), folder)

    return write


def parquet(frame: pd.DataFrame, folder: Path) -> str:
    path = folder / "market.parquet"
    frame.assign(Date=pd.to_datetime(frame["Date"])).to_parquet(path)
    return str(path)


def indexed_parquet(frame: pd.DataFrame, folder: Path) -> str:
    path = folder / "market.parquet"
    frame.assign(Date=pd.to_datetime(frame["Date"])).set_index("Date").to_parquet(path)
    return str(path)


def parquet_of(frame: pd.DataFrame, dates: pd.Series, folder: Path) -> str:
    path = folder / "market.parquet"
    frame.assign(Date=dates).to_parquet(path)
    return str(path)


def separated(frame: pd.DataFrame, folder: Path, separator: str) -> str:
    path = folder / "market.csv"
    frame.to_csv(path, index=False, sep=separator)
    return str(path)


def byte_order_mark(frame: pd.DataFrame, folder: Path) -> str:
    path = folder / "market.csv"
    path.write_bytes(frame.to_csv(index=False).encode("utf-8-sig"))
    return str(path)


WRITTEN: dict[str, Write] = {
    "upper case": lambda f, d: saved(f.rename(columns=str.upper), d),
    "lower case": lambda f, d: saved(f.rename(columns=str.lower), d),
    "other columns beside": lambda f, d: saved(f.assign(Volume=1, **{"Adj Close": 2.0}), d),
    "Parquet": parquet,
    "Parquet with the date as its index": indexed_parquet,
    "semicolons": lambda f, d: separated(f, d, ";"),
    "day.month.year": with_dates("%d.%m.%Y"),
    "month/day/year": with_dates("%m/%d/%Y"),
    "year/month/day": with_dates("%Y/%m/%d"),
    "compact": with_dates("%Y%m%d"),
    "day-Mon-year": with_dates("%d-%b-%Y"),
    "day/month/year": with_dates("%d/%m/%Y"),
    "Mon day, year": with_dates("%b %d, %Y"),
    "day Mon year": with_dates("%d %b %Y"),
    "compact numbers in Parquet": lambda f, d: parquet_of(
        f, pd.to_datetime(f["Date"]).dt.strftime("%Y%m%d").astype(int), d
    ),
    "days in Parquet": lambda f, d: parquet_of(f, pd.to_datetime(f["Date"]).dt.date, d),
    "zoned stamps in Parquet": lambda f, d: parquet_of(
        f, (pd.to_datetime(f["Date"]) + pd.Timedelta(hours=16)).dt.tz_localize("America/New_York"), d
    ),
    "tabs": lambda f, d: separated(f, d, "\t"),
    "a byte order mark": byte_order_mark,
    "with a time of day": with_dates("%Y-%m-%d 16:00:00"),
    "with a zone": with_dates("%Y-%m-%dT21:00:00+00:00"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_how_a_table_is_written_does_not_matter(name: str, tmp_path: Path) -> None:
    expected = table()
    dataset = prepare(WRITTEN[name](expected, tmp_path), SETTINGS)
    assert list(dataset.dates.astype(str)) == list(expected["Date"])
    prices = expected[["Open", "High", "Low", "Close"]].to_numpy()
    np.testing.assert_allclose(np.exp(dataset.log_prices), prices, rtol=1e-12)


def test_a_column_map_finds_columns_of_other_names(tmp_path: Path) -> None:
    path = saved(table().rename(columns={"Close": "Settle", "Date": "Trading Day"}), tmp_path)
    settings = SETTINGS.model_copy(update={"columns": {"Close": "settle", "date": "Trading Day"}})
    assert len(prepare(path, settings).dates) == 300


def test_a_date_format_of_ones_own_reads_what_no_known_form_does(tmp_path: Path) -> None:
    path = with_dates("%y|%d|%m")(table(), tmp_path)
    dataset = prepare(path, SETTINGS.model_copy(update={"date_format": "%y|%d|%m"}))
    assert list(dataset.dates.astype(str)) == list(table()["Date"])


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        ("%Y-%m-%dT00:00:00+00:00", "dates are at midnight UTC and were taken as days"),
        ("%Y-%m-%d 00:00:00+09:00", "dates carry the zone UTC+09:00 and were taken as written"),
    ],
)
def test_midnight_of_its_own_zone_is_a_day_as_written(stamp: str, said: str, tmp_path: Path) -> None:
    """Moved to New York, every Monday would be a Sunday evening."""
    frame = table()
    stamps = pd.to_datetime(pd.to_datetime(frame["Date"]).dt.strftime(stamp))
    path = parquet_of(frame, stamps, tmp_path)
    dataset = prepare(path, SETTINGS)
    assert list(dataset.dates.astype(str)) == list(frame["Date"])
    (warning,) = dataset.quality.warnings
    assert (warning.code, warning.count) == ("timezone", 300)
    assert warning.message == said


def test_a_hundred_years_of_days_are_prepared(tmp_path: Path) -> None:
    """Enough rows for every year from 1950 to 2049, on a coarse grid to stay quick."""
    frame = table(2600)
    dates = pd.date_range("1950-01-02", periods=2600, freq="14D").strftime("%Y-%m-%d")
    dataset = prepare(saved(frame.assign(Date=dates), tmp_path), SETTINGS)
    assert (str(dataset.dates[0])[:4], str(dataset.dates[-1])[:4]) == ("1950", "2049")
    assert {w.code: w.count for w in dataset.quality.warnings} == {"gaps": 2599}
    assert np.isfinite(dataset.waves).all()


def test_every_warning_is_counted_under_its_code(tmp_path: Path) -> None:
    frame = table().drop(index=range(100, 110))
    quality = prepare(saved(frame[::-1], tmp_path), SETTINGS.model_copy(update={"sort": True})).quality
    assert quality.warning_counts == {"sorted": 289, "gaps": 1}
    assert quality.warning_counts == {w.code: w.count for w in quality.warnings}


def test_unsorted_rows_are_sorted_and_counted_only_on_request(tmp_path: Path) -> None:
    path = saved(table()[::-1], tmp_path)
    dataset = prepare(path, SETTINGS.model_copy(update={"sort": True}))
    assert (np.diff(dataset.dates).astype(int) > 0).all()
    assert [w.count for w in dataset.quality.warnings if w.code == "sorted"] == [299]


def test_a_late_evening_in_utc_is_the_exchange_date(tmp_path: Path) -> None:
    """01:00 UTC on Tuesday is still Monday evening in New York."""
    frame = table()
    stamps = pd.to_datetime(frame["Date"]) + pd.Timedelta(days=1, hours=1)
    path = saved(frame.assign(Date=stamps.dt.strftime("%Y-%m-%dT%H:%M:%SZ")), tmp_path)
    dataset = prepare(path, SETTINGS)
    assert list(dataset.dates.astype(str)) == list(frame["Date"])
    assert [w.code for w in dataset.quality.warnings] == ["timezone"]


ODD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, int]] = {
    "stale Opens": (
        lambda f: f.assign(Open=f["Close"].shift().fillna(f["Open"])).assign(
            High=f["High"] * 1.2, Low=f["Low"] * 0.8
        ),
        "stale_opens",
        299,
    ),
    "an unadjusted split": (
        lambda f: pd.concat(
            [f[:150], f[150:].assign(**{c: f[150:][c] / 2 for c in ("Open", "High", "Low", "Close")})]
        ),
        "jumps",
        1,
    ),
    "a gap": (lambda f: f.drop(index=range(100, 110)), "gaps", 1),
    "a weekend row": (lambda f: f.assign(Date=f["Date"].replace("2010-01-08", "2010-01-09")), "weekend", 1),
    "a day without range": (
        lambda f: f.assign(**{c: f[c].where(f.index != 50, 100.0) for c in ("Open", "High", "Low", "Close")}),
        "zero_range",
        1,
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_but_possible_is_counted_and_not_refused(name: str, tmp_path: Path) -> None:
    change, code, count = ODD[name]
    dataset = prepare(saved(change(table()), tmp_path), SETTINGS)
    assert {w.code: w.count for w in dataset.quality.warnings} == {code: count}


def test_the_sp500_sample_warns_of_stale_opens() -> None:
    settings = DataSettings()
    warnings = {w.code: w.message for w in prepare("sample://sp500", settings).quality.warnings}
    assert "1999 (96%)" in warnings["stale_opens"]
    assert "2014" not in warnings["stale_opens"]


def test_the_nasdaq_sample_is_clean() -> None:
    dataset = prepare("sample://nasdaq", DataSettings())
    assert dataset.quality.warnings == ()
    assert (len(dataset.dates), str(dataset.dates[0]), str(dataset.dates[-1])) == (
        5031,
        "1999-01-04",
        "2018-12-31",
    )
    assert len(dataset.splits.test) == 998
