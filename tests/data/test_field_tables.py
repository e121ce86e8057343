"""Tables as the tools of the field write them are read right, or refused with a remedy that works to the letter.

Most of the files in ``field/`` hold one market: ``d00_control.csv`` has its days and prices. Of the others the
expected first and last rows stand here, as whoever wrote the file meant them.
"""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_core.config.load import load_settings
from model_core.data.prepare import prepare
from model_core.data.reading.sources import read_source
from model_core.data.reading.table import PriceTable, check_table
from model_core.errors import UserError

FIELD = Path(__file__).parent / "field"
WINDOW = "data.window={seq_len: 16, label_len: 8, pred_len: 3}"
CONTROL = pd.read_csv(FIELD / "d00_control.csv")
PRICES = ["Open", "High", "Low", "Close"]


def read(name: str, *sets: str) -> PriceTable:
    """The checked table of a file under ``--set`` overrides."""
    settings = load_settings(None, [WINDOW, *sets]).data
    return check_table(read_source(str(FIELD / name), settings), settings)


def refused(name: str, *sets: str) -> str:
    with pytest.raises(UserError) as error:
        read(name, *sets)
    assert len(str(error.value)) < 2000
    assert "\n" not in str(error.value)
    return str(error.value)


def advice(message: str) -> list[str]:
    """The settings that a message gives, as a shell would pass them on."""
    words = [shlex.split(found)[1] for found in re.findall(r"--set (?:'[^']*'|\S+)", message)]
    return [re.sub(r"(?<!=)[;,)]+$", "", word) for word in words]


def is_control(table: PriceTable, rows: int = 500) -> bool:
    same_days = table.dates.astype(str).tolist() == CONTROL["Date"][:rows].tolist()
    return same_days and np.allclose(table.prices, CONTROL[PRICES].to_numpy()[:rows], rtol=1e-9)


def ends(table: PriceTable) -> tuple[tuple[str, float], tuple[str, float]]:
    """Day and Close of the first and of the last row."""
    closes = table.prices[:, 3].round(6).tolist()
    return (str(table.dates[0]), closes[0]), (str(table.dates[-1]), closes[-1])


def codes(table: PriceTable) -> dict[str, int]:
    return {warning.code: warning.count for warning in table.warnings}


READ_AS_CONTROL = {
    "d00_control.csv": {},
    "d01_yf_multiheader.csv": {},
    "d02_yf_multiindex.parquet": {},
    "d03_midnight_berlin.csv": {"timezone": 500},
    "d03_midnight_berlin.parquet": {"timezone": 500},
    "d03_midnight_ny.csv": {"timezone": 500},
    "d03_midnight_tokyo.csv": {"timezone": 500},
    "d03_tv_india_open.csv": {"timezone": 500},
    "d05_yahooquery_mixed.csv": {"odd_stamps": 1},
    "d12_trailing_comma.csv": {},
    "d12_trailing_first_only.csv": {},
    "d13_sep_line.csv": {},
    "d14_d_mon_yy.csv": {},
    "d14_dash_ddmmyyyy.csv": {},
    "d14_ddmmyy.csv": {},
    "d14_dots_year_first.csv": {},
    "d14_gfinance.csv": {},
    "d14_postgres_ny.csv": {"timezone": 500},
    "d19_index_and_column.parquet": {},
    "d20_alpaca.parquet": {"timezone": 500},
    "d20_string_index_unnamed.parquet": {},
    "d26_control.csv.gz": {},
    "d27_unnamed_index.csv": {},
}


@pytest.mark.parametrize("name", READ_AS_CONTROL)
def test_days_and_prices_are_those_of_the_control(name: str) -> None:
    table = read(name)
    assert is_control(table)
    assert codes(table) == READ_AS_CONTROL[name]


@pytest.mark.parametrize(("name", "rows"), [("e5_short100.csv", 100), ("e5_short150.csv", 150)])
def test_short_tables_are_read_as_they_are(name: str, rows: int) -> None:
    assert is_control(read(name), rows)


CRYPTO = (("2022-01-01", 29286.87), ("2023-05-15", 30593.73))
READ = {
    "d05_crypto_live_row.csv": CRYPTO,
    "d11_binance_futures.csv": CRYPTO,
    "d11_ccxt_ms.parquet": CRYPTO,
    "d11_tradingview_unix.csv": CRYPTO,
    "d34_crypto.csv": CRYPTO,
    "d34_sun_thu.csv": (("2018-01-01", 99.9601), ("2019-12-01", 73.0218)),
    "d08_thousands_crossing.csv": (("2018-01-02", 1017.43), ("2019-12-02", 1167.94)),
    "d09_decimal_comma.csv": (("2018-01-02", 60.34), ("2019-12-02", 69.26)),
    "d10_mt4_noheader.csv": (("2018-01-02", 1.09516), ("2019-12-02", 0.87514)),
    "d15_float_noise.csv": (("2018-01-02", 97.362963), ("2019-12-02", 128.059259)),
    "d37_fund.csv": (("2018-01-02", 6.02), ("2019-12-02", 5.28)),
    "e3_peg.csv": (("2018-01-02", 1.0), ("2019-12-02", 1.0)),
}


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("d34_crypto.csv", ["2023-05-16", "2023-05-17", "2023-05-18", "2023-05-19", "2023-05-20"]),
        ("d34_sun_thu.csv", ["2019-12-02", "2019-12-03", "2019-12-04", "2019-12-05", "2019-12-08"]),
        ("d00_control.csv", ["2019-12-03", "2019-12-04", "2019-12-05", "2019-12-06", "2019-12-09"]),
    ],
)
def test_the_days_to_come_follow_the_tables_own_week_and_its_weekends_are_nothing_odd(
    name: str, after: list[str]
) -> None:
    settings = load_settings(None, ["data.window={seq_len: 16, label_len: 8, pred_len: 5}"]).data
    dataset = prepare(str(FIELD / name), settings)
    assert dataset.future_dates.astype(str).tolist() == after
    assert dataset.quality.warning_counts == {}


@pytest.mark.parametrize("name", READ)
def test_days_and_prices_are_those_that_the_writer_meant(name: str) -> None:
    table = read(name)
    assert ends(table) == READ[name]
    assert len(table.dates) == 500
    weekdays = pd.DatetimeIndex(table.dates).day_of_week
    expected = range(7) if READ[name] == CRYPTO else {0, 1, 2, 3, 6} if "sun_thu" in name else range(5)
    assert set(weekdays) == set(expected)


def test_one_live_row_moves_no_other_row_and_is_named() -> None:
    """499 rows stand at midnight UTC, the last one at 13:05."""
    found = {warning.code: warning for warning in read("d05_crypto_live_row.csv").warnings}
    assert found["odd_stamps"].examples == ("row 500 (2023-05-15)",)
    assert found["timezone"].message == "dates are at midnight UTC and were taken as days"


def test_rounding_is_no_bad_candle() -> None:
    table = read("d15_float_noise.csv")
    opens, highs, lows, closes = table.prices.T
    assert codes(table) == {"float_noise": 10}
    assert (highs >= np.maximum(opens, closes)).all()
    assert (lows <= np.minimum(opens, closes)).all()


@pytest.mark.parametrize("name", ["d04_utc_of_berlin_midnight.csv", "d06_oanda.csv"])
def test_bars_stamped_on_the_evening_before_are_refused_until_it_is_said(name: str) -> None:
    columns = ["data.columns={Open: o, High: h, Low: l, Close: c}"] if "oanda" in name else []
    message = refused(name, *columns)
    assert "20% of its dates would be Sundays" in message
    assert "data.timezone" in message
    assert advice(message) == ["data.opens_on_eve=true"]
    assert is_control(read(name, *columns, *advice(message)))
    with_sundays = read(name, *columns, "data.opens_on_eve=false")
    assert str(with_sundays.dates[0]) == "2018-01-01"


def test_midnight_in_berlin_as_utc_is_right_with_the_zone_of_the_exchange() -> None:
    assert is_control(read("d04_utc_of_berlin_midnight.csv", "data.timezone=Europe/Berlin"))


def test_a_wrong_claim_of_the_evening_before_is_refused() -> None:
    assert "with data.opens_on_eve 20% of its dates are Saturdays" in refused(
        "d00_control.csv", "data.opens_on_eve=true"
    )


def test_first_days_of_months_are_refused_until_the_order_of_day_and_month_is_said() -> None:
    message = refused("d14_monthly_ddmm.csv")
    assert "fit 2 readings, e.g. '01/01/2005'" in message
    first, second = advice(message)
    assert (first, second) == ("data.date_format=%d/%m/%Y", "data.date_format=%m/%d/%Y")
    table = read("d14_monthly_ddmm.csv", first)
    assert ends(table) == (("2005-01-01", 100.6979), ("2017-06-01", 99.9468))
    assert set(pd.DatetimeIndex(table.dates).day) == {1}


@pytest.mark.parametrize("sort", [[], ["data.sort=true"]])
def test_days_that_a_spreadsheet_took_for_months_are_refused_and_not_sorted(sort: list[str]) -> None:
    message = refused("d14_excel_mangled.csv", *sort)
    assert "day and month are interchanged in some of its dates" in message
    assert "sort" not in message


def test_points_that_separate_thousands_are_refused_until_it_is_said() -> None:
    message = refused("d09_german_points_cross.csv")
    thousands, decimal = advice(message)
    assert (thousands, decimal) == ("data.format.thousands=.", "data.format.decimal=.")
    table = read("d09_german_points_cross.csv", thousands)
    assert ends(table) == (("2018-01-02", 700.0), ("2019-12-02", 1356.0))
    assert codes(table)["jumps"] == 1, "of the market itself, from 7xx to 13xx"


def test_a_spreadsheet_and_an_archive_are_named_for_what_they_are() -> None:
    assert refused("d26_book.xlsx").endswith("is an Excel workbook (.xlsx); save the sheet as CSV")


INVESTING = (("2018-01-02", 2456.92), ("2019-12-02", 2678.59))


def test_a_reversed_table_with_columns_of_other_names_says_all_that_is_needed_at_once() -> None:
    message = refused("d08_investing_us.csv")
    assert "lacks Close; columns found: Date, Price, Open, High, Low" in message
    assert "its newest row comes first" in message
    columns, sort = advice(message)
    assert (columns, sort) == ("data.columns={Close: its name}", "data.sort=true")
    assert ends(read("d08_investing_us.csv", columns.replace("its name", "Price"), sort)) == INVESTING


def test_german_names_are_refused_with_the_names_that_work() -> None:
    message = refused("d09_german.csv")
    assert "columns found: Datum, Eröffnung, Hoch, Tief, Schluss" in message
    names = ["data.columns={date: Datum, Open: Eröffnung, High: Hoch, Low: Tief, Close: Schluss}"]
    assert advice(refused("d09_german.csv", *names)) == ["data.sort=true"]
    assert ends(read("d09_german.csv", *names, "data.sort=true")) == INVESTING


def test_every_file_of_the_field_is_tested_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in sorted(FIELD.iterdir()) if f'"{path.name}"' not in text] == []
