"""Tables of 100,000 rows: more days than the sky is known for, or several rows a day, are one sentence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_core.data.prepare import prepare
from model_core.errors import PgatError, SkyError, SourceError
from tests.data.market import SETTINGS

ROWS = 100_000
pytestmark = pytest.mark.slow


def table(dates: object) -> pd.DataFrame:
    """100,000 rows of a lively market."""
    close = 100 * np.exp(np.cumsum(0.001 * np.random.default_rng(1).standard_normal(ROWS)))
    return pd.DataFrame(
        {"Date": dates, "Open": close, "High": close * 1.01, "Low": close * 0.99, "Close": close}
    )


def refusal(path: Path) -> PgatError:
    with pytest.raises((SourceError, SkyError)) as error:
        prepare(str(path), SETTINGS)
    assert len(str(error.value)) < 600
    return error.value


def test_daily_rows_of_four_centuries_are_refused_until_the_rows_named_are_left_out(tmp_path: Path) -> None:
    frame = table(np.busday_offset(np.datetime64("1900-01-02"), np.arange(ROWS)).astype(str))
    path = tmp_path / "market.csv"
    frame.to_csv(path, index=False)
    assert (
        "'2101-01-03' is not a date from 1800-01-01 to 2100-12-31, in row 52440 and 47560 others of 100000; leave "
        "those rows out of the table" in str(refusal(path))
    )
    frame[frame["Date"] < "2101"].to_csv(path, index=False)
    assert "the sky is known from 1900-01-01 to 2051-12-31, and 12788 of 52442 dates lie outside" in str(
        refusal(path)
    )
    known = frame[frame["Date"] < "2051-12"]  # and the days after the table have a sky, too
    known.to_csv(path, index=False)
    assert len(prepare(str(path), SETTINGS).dates) == len(known) > 39_000


@pytest.mark.parametrize("every", ["h", "min"])
@pytest.mark.parametrize("written", ["text", "moments in UTC", "seconds", "a column of its own", "Parquet"])
def test_bars_within_the_day_are_one_sentence_that_says_what_to_make_of_them(
    every: str, written: str, tmp_path: Path
) -> None:
    stamps = pd.Series(pd.date_range("2010-01-04 00:00", periods=ROWS, freq=every))
    path = tmp_path / "market.csv"
    frame = table(stamps)
    match written:
        case "moments in UTC":
            frame["Date"] = stamps.dt.tz_localize("UTC").map(pd.Timestamp.isoformat)
        case "seconds":
            frame["Date"] = stamps.to_numpy().astype("datetime64[s]").astype(np.int64)
        case "a column of its own":
            frame = frame.assign(Date=stamps.dt.strftime("%Y.%m.%d"), Time=stamps.dt.strftime("%H:%M"))
    frame.to_parquet(path) if written == "Parquet" else frame.to_csv(path, index=False)
    message = str(refusal(path))
    assert "of its dates have several rows, the first of them 2010-01-0" in message
    assert "give one row per trading day: combine bars within a day into one" in message
