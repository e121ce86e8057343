"""Years of two digits are read where one century is possible, and refused where two are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.test_field_tables import advice
from tests.data.writing import csv, dated, days, is_market, market, put, read, refusal

WEEKDAYS, WITH_SATURDAYS, FROM_SUNDAY, EVERY_DAY = "1111100", "1111110", "1111001", "1111111"


def trading(first: str, week: str) -> pd.DataFrame:
    """300 trading days from ``first`` on."""
    dates = np.busday_offset(first, np.arange(300), roll="forward", weekmask=week)
    return market().assign(Date=dates.astype(str))


def written(frame: pd.DataFrame, pattern: str, folder: Path) -> str:
    return put(folder, csv(dated(frame, days(frame).dt.strftime(pattern))))


@pytest.mark.parametrize("week", [WEEKDAYS, WITH_SATURDAYS])
@pytest.mark.parametrize("year", [1895, 1899, 1911, 1924])
@pytest.mark.parametrize("pattern", ["%m/%d/%y", "%d-%b-%y"])
def test_a_table_that_may_be_a_century_older_is_refused(
    year: int, week: str, pattern: str, tmp_path: Path
) -> None:
    path = written(trading(f"{year}-02-14", week), pattern, tmp_path)
    message = refusal(path)
    assert f"fit two centuries: in {year + 100}" in message
    assert "of its dates are Sundays" in message
    (follow,) = advice(message)
    assert read(path, follow).dates[0] == np.datetime64(f"{year + 100}-02-14")


@pytest.mark.parametrize("year", [1970, 1999, 2018])
@pytest.mark.parametrize("week", [WEEKDAYS, WITH_SATURDAYS, EVERY_DAY])
@pytest.mark.parametrize("pattern", ["%m/%d/%y", "%d-%b-%y"])
def test_a_week_that_the_century_before_did_not_have_is_read(
    year: int, week: str, pattern: str, tmp_path: Path
) -> None:
    frame = trading(f"{year}-02-14", week)
    assert is_market(read(written(frame, pattern, tmp_path)), frame)


def test_a_week_from_sunday_to_thursday_is_read_when_its_format_is_given(tmp_path: Path) -> None:
    """It would be Monday to Friday a century before, and only the writer knows."""
    frame = trading("2018-02-14", FROM_SUNDAY)
    path = written(frame, "%d.%m.%y", tmp_path)
    message = refusal(path)
    assert advice(message) == ["data.date_format=%d.%m.%y"]
    assert is_market(read(path, *advice(message)), frame)


@pytest.mark.parametrize("sets", [[], ["data.date_format=%d/%m/%y"]])
def test_prices_of_days_to_come_are_refused_with_a_format_of_ones_own_too(
    sets: list[str], tmp_path: Path
) -> None:
    frame = trading("1940-02-14", WEEKDAYS)
    path = written(frame, "%d/%m/%y", tmp_path)
    assert "300 of its dates lie in the future, e.g. '14/02/40': write years with four digits" in refusal(
        path, *sets
    )
    assert is_market(read(written(frame, "%d/%m/%Y", tmp_path)), frame)


def test_the_newest_row_first_hides_no_century(tmp_path: Path) -> None:
    path = written(trading("1911-02-14", WEEKDAYS)[::-1], "%m/%d/%y", tmp_path)
    assert "in 2011–2012 20% of its dates are Sundays, in 1911–1912 hardly one" in refusal(path)
