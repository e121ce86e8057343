"""Numbers and columns that may mean two things, and what is no table at all, are named for what they are."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.test_field_tables import PRICES, advice
from tests.data.writing import csv, days, is_market, market, put, read, refusal


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
