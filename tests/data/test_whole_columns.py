"""What is wrong with a whole column, or with a line that is no row, is said once, with a remedy that works."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_core.config.data import SkySettings
from model_core.errors import SkyError
from model_core.sky.ephemeris import positions
from tests.data.market import table
from tests.data.test_field_tables import PRICES, advice
from tests.data.writing import (
    csv,
    dated,
    days,
    is_market,
    market,
    numbers,
    put,
    read,
    refusal,
    since_1970,
    written,
)

FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
CURRENCIES = {
    "$": lambda text: f"${text}",
    "US$": lambda text: f"US$ {text}",
    "£": lambda text: f"£{text}",
    "¥": lambda text: f"¥ {text}",
    "€": lambda text: f"{text} €",
    "USD": lambda text: f"{text} USD",
    "EUR": lambda text: f"{text}EUR",
}


@pytest.mark.parametrize("mark", CURRENCIES)
def test_a_currency_beside_every_price_is_left_out_with_a_note(mark: str, tmp_path: Path) -> None:
    frame = market(30.0)
    found = read(numbers(CURRENCIES[mark])(frame, tmp_path))
    assert is_market(found, frame)
    said = [warning.message for warning in found.warnings if warning.code == "currency"]
    assert said == [f"{mark} next to the prices was left out"]


def test_two_currencies_in_one_table_are_refused(tmp_path: Path) -> None:
    text = market().assign(
        Open=lambda f: "$" + f["Open"].astype(str), Close=lambda f: "€" + f["Close"].astype(str)
    )
    message = refusal(put(tmp_path, csv(text)))
    assert "refused for 2 problems: Open is '$" in message
    assert is_market(read(put(tmp_path, csv(market()))), market())


def test_the_typographic_apostrophe_separates_thousands(tmp_path: Path) -> None:
    frame = market(30.0)
    assert is_market(read(numbers(lambda text: text.replace(",", "\u2019"))(frame, tmp_path)), frame)
    found = read(str(tmp_path / "market.csv"), "data.format.thousands='")
    assert is_market(found, frame)


def test_an_unreadable_price_column_is_said_once_and_written_as_told_it_is_read(tmp_path: Path) -> None:
    frame = market()
    text = frame.assign(Close=[f"{price:.2f}".translate(FULL_WIDTH) for price in frame["Close"]])
    message = refusal(put(tmp_path, csv(text)))
    first = text["Close"].iloc[0]
    assert (
        f"refused for 1 problem: Close is '{first}', not a number, in row 1 and 299 others of 300;" in message
    )
    assert "write numbers like 1234.5" in message
    assert is_market(read(put(tmp_path, csv(frame))), frame)


def test_the_column_that_is_named_instead_is_read(tmp_path: Path) -> None:
    frame = market()
    path = put(tmp_path, csv(frame.assign(Close="up", Last=frame["Close"])))
    (setting,) = advice(refusal(path))
    assert is_market(read(path, setting.replace("its name", "Last")), frame)


FRENCH = "janv. févr. mars avril mai juin juil. août sept. oct. nov. déc."
GERMAN = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
DATES = {
    "French months": lambda day: f"{day:%d} {FRENCH.split()[day.month - 1]} {day:%Y}",
    "German months": lambda day: f"{day:%d}. {GERMAN.split()[day.month - 1]} {day:%Y}",
    "a Microsoft date": lambda day: f"/Date({day.value // 10**6})/",
    "full-width digits": lambda day: f"{day:%Y-%m-%d}".translate(FULL_WIDTH),
}


@pytest.mark.parametrize("name", DATES)
def test_an_unreadable_date_column_is_said_once_and_written_as_told_it_is_read(
    name: str, tmp_path: Path
) -> None:
    frame = market()
    message = refusal(put(tmp_path, csv(dated(frame, days(frame).map(DATES[name])))))
    assert "is refused for 1 problem: " in message
    assert (
        "; write dates like 2018-12-31, or describe them with --set 'data.date_format=…' in Python's"
        in message
    )
    assert is_market(read(put(tmp_path, csv(frame))), frame)


@pytest.mark.parametrize("pattern", ["%Y~%m~%d", "%Y-%j", '="%Y-%m-%d"', "H%y %m|%d"])
def test_an_unknown_way_of_writing_dates_can_be_described(pattern: str, tmp_path: Path) -> None:
    frame = market()
    path = written(pattern)(frame, tmp_path)
    (setting,) = advice(refusal(path))
    assert is_market(read(path, setting.replace("…", pattern)), frame)


def test_a_table_of_months_can_be_described(tmp_path: Path) -> None:
    months = pd.date_range("1990-01-01", periods=300, freq="MS")
    path = put(tmp_path, csv(dated(market(), months.strftime("%Y-%m"))))
    message = refusal(path)
    assert "e.g. '1990-01', are written in a way that is not known here" in message
    found = read(path, *[setting.replace("…", "%Y-%m") for setting in advice(message)])
    assert found.dates.tolist() == months.to_numpy().astype("datetime64[D]").tolist()


def year_of_the_hijra(day: pd.Timestamp) -> str:
    return f"{day.year - 579}-{day:%m-%d}"


@pytest.mark.parametrize("sets", [[], ["data.date_format=%Y-%m-%d"]])
def test_years_of_another_calendar_are_refused_once_and_by_a_format_of_ones_own_too(
    sets: list[str], tmp_path: Path
) -> None:
    frame = market()
    path = put(tmp_path, csv(dated(frame, days(frame).map(year_of_the_hijra))))
    message = refusal(path, *sets)
    assert (
        "is not a date from 1800-01-01 to 2100-12-31, in row 1 and 299 others of 300; give dates in these"
        in message
    )
    assert is_market(read(put(tmp_path, csv(frame)), "data.date_format=%Y-%m-%d"), frame)


def bars_within_days(frame: pd.DataFrame) -> pd.DataFrame:
    again = pd.concat([frame, frame], ignore_index=True).sort_values("Date", kind="stable")
    hours = np.tile(["02:00", "23:30"], len(frame))
    return again.assign(Date=again["Date"] + " " + hours)


def moments_within_days(frame: pd.DataFrame) -> pd.DataFrame:
    hourly = pd.concat([frame] * 6, ignore_index=True).sort_values("Date", kind="stable")
    return hourly.assign(Date=since_1970("s", 1)(hourly) + 3600 * np.tile(np.arange(14, 20), len(frame)))


SEVERAL: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "bars within the day": bars_within_days,
    "the same as numbers": moments_within_days,
    "one ticker after the other": lambda f: pd.concat([f, f], ignore_index=True),
    "two tickers a day": lambda f: pd.concat([f, f], ignore_index=True).sort_values("Date", kind="stable"),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_rows_a_day_are_said_once_and_one_a_day_is_read(name: str, tmp_path: Path) -> None:
    frame = market()
    spoiled = SEVERAL[name](frame)
    message = refusal(put(tmp_path, csv(spoiled)))
    assert (
        "refused for 1 problem: 300 of its dates have several rows, the first of them 2010-01-04 (rows 1 and "
        in message
    )
    assert "give one row per trading day" in message
    assert is_market(read(put(tmp_path, csv(frame))), frame)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Downloaded from Barchart.com as of 01-02-2018", "'Downloaded from Barchart.com as of 01-02-2018'"),
        ('"Downloaded at 2018-01-02, 10:00"', "'Downloaded at 2018-01-02, 10:00'"),
        ("# end of file", "'# end of file'"),
        ("300", "'300'"),
    ],
)
def test_a_line_after_the_table_is_one_problem_and_goes(line: str, shown: str, tmp_path: Path) -> None:
    frame = market()
    message = refusal(put(tmp_path, csv(frame) + line + "\n"))
    assert f"refused for 1 problem: row 301: not a row of the table ({shown}); remove that line;" in message
    assert is_market(read(put(tmp_path, csv(frame))), frame)


@pytest.mark.parametrize("unit", ["s", "compact"])
def test_a_lone_number_among_dates_that_are_numbers_is_no_row_either(unit: str, tmp_path: Path) -> None:
    frame = market()
    numbered = since_1970("s", 1)(frame) if unit == "s" else days(frame).dt.strftime("%Y%m%d")
    sound = csv(dated(frame, numbered))
    message = refusal(put(tmp_path, sound + "300\n"))
    assert "refused for 1 problem: row 301: not a row of the table ('300'); remove that line;" in message
    assert is_market(read(put(tmp_path, sound)), frame)


def test_a_day_without_any_price_is_one_problem_and_goes(tmp_path: Path) -> None:
    frame = market()
    lines = csv(frame).splitlines(keepends=True)
    message = refusal(put(tmp_path, "".join([*lines[:10], "2010-01-14,,,,\n", *lines[10:]])))
    assert (
        "refused for 1 problem: row 10: not a row of the table ('2010-01-14'); remove that line;" in message
    )
    assert is_market(read(put(tmp_path, "".join(lines))), frame)


def test_a_dash_among_prices_with_a_currency_is_the_one_that_is_named(tmp_path: Path) -> None:
    frame = market()
    text = frame.assign(Close="$" + frame["Close"].map("{:.2f}".format))
    path = put(tmp_path, csv(text.assign(Close=["-", *text["Close"][1:]])))
    assert "refused for 1 problem: row 1 (2010-01-04): Close is '-', not a number;" in refusal(path)
    assert is_market(read(put(tmp_path, csv(text))), frame)


@pytest.mark.parametrize("pattern", ["%y%m%d", "%d%m%y", "%Y%j"])
def test_days_written_as_one_number_are_refused_with_their_format(pattern: str, tmp_path: Path) -> None:
    frame = market()
    path = written(pattern)(frame, tmp_path)
    (setting,) = advice(refusal(path))
    assert setting == f"data.date_format={pattern}"
    assert is_market(read(path, setting), frame)


def test_a_count_of_days_is_not_offered_a_unit_of_time(tmp_path: Path) -> None:
    frame = market()
    julian = days(frame).map(lambda day: int(day.to_julian_date() + 0.5))
    message = refusal(put(tmp_path, csv(dated(frame, julian))))
    assert (
        f"its dates are numbers like {julian[0]}, which are not daily dates in any unit of time since 1970"
        in message
    )
    assert "epoch_unit" not in message
    assert is_market(read(put(tmp_path, csv(frame))), frame)


def test_seconds_a_quarter_apart_are_offered_the_unit_that_fits(tmp_path: Path) -> None:
    frame = market().assign(Date=pd.date_range("1975-01-01", periods=300, freq="QS").strftime("%Y-%m-%d"))
    frame = frame[frame["Date"] < "2049"]
    path = put(tmp_path, csv(dated(frame, since_1970("s", 1)(frame))))
    message = refusal(path)
    assert advice(message) == ["data.format.epoch_unit=s"]
    assert is_market(read(path, *advice(message)), frame)


def test_one_line_before_the_table_is_spoken_of_as_one(tmp_path: Path) -> None:
    path = put(tmp_path, "A title\n" + csv(market()))
    message = refusal(path)
    assert (
        "starts with 1 line before the table ('A title'); --set data.format.skip=1 leaves it out" in message
    )
    assert is_market(read(path, *advice(message)), market())


@pytest.mark.parametrize(("cells", "said"), [(1, "1 row has more cells"), (2, "2 rows have more cells")])
def test_rows_with_too_many_cells_are_counted_in_english(cells: int, said: str, tmp_path: Path) -> None:
    lines = csv(market()).splitlines()
    longer = [line + ",7" if 100 <= i < 100 + cells else line for i, line in enumerate(lines)]
    assert said in refusal(put(tmp_path, "\n".join(longer)))
    assert is_market(read(put(tmp_path, "\n".join(lines))), market())


def test_one_day_outside_the_sky_is_to_be_left_out() -> None:
    dates = np.array(["2051-12-29", "2060-01-01"], dtype="datetime64[D]")
    with pytest.raises(SkyError, match=r"1 of 2 dates lies outside, .*; leave those rows out of the table"):
        positions(dates, SkySettings())


def test_a_table_that_lies_outside_the_sky_is_not_to_be_emptied() -> None:
    late = np.arange("2060-01-01", "2060-01-05", dtype="datetime64[D]")
    with pytest.raises(
        SkyError, match="4 of 4 dates lie outside, the first of them 2060-01-01; give a table of dates within"
    ):
        positions(late, SkySettings())


def test_prices_without_a_currency_carry_no_note(tmp_path: Path) -> None:
    found = read(put(tmp_path, csv(table())))
    assert [warning.code for warning in found.warnings if warning.code == "currency"] == []
    assert found.prices.shape == (300, len(PRICES))
