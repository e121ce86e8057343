"""Files that are no table are named by their content; letters of other encodings are named and then read."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import orc

from tests.data.test_field_tables import advice
from tests.data.writing import csv, is_market, market, put, read, refusal

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def orc_file() -> bytes:
    buffer = io.BytesIO()
    orc.write_table(pa.Table.from_pandas(market()), buffer)
    return buffer.getvalue()


def tar_archive(mode: Literal["w", "w:gz", "w:bz2", "w:xz"]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        content = csv(market()).encode()
        entry = tarfile.TarInfo("market.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def numpy_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


NAMED: dict[str, tuple[bytes, str]] = {
    "Git LFS": (POINTER, "is a Git LFS pointer, not the table itself; fetch it with git lfs pull"),
    "a page of a login": (
        b"\n\n<html lang=en><title>Log in</title>",
        "is a web page (HTML), perhaps a log-in page",
    ),
    "a table in HTML": (b"<table><tr><td>Date</td></tr></table>", "is a web page (HTML)"),
    "a comment before HTML": (b"<!-- saved from url --><html>", "is a web page (HTML)"),
    "ORC": (orc_file(), "is an ORC file; write the table as Parquet"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(64), "is a 7z archive; unpack it and give the table in it"),
    "RAR": (b"Rar!\x1a\x07\x01\0" + bytes(64), "is a RAR archive; unpack it"),
    "tar": (tar_archive("w"), "is a tar archive; unpack it and give the table in it"),
    "tar.gz": (tar_archive("w:gz"), "holds, compressed with gzip, a tar archive; unpack it"),
    "gz twice": (gzip.compress(gzip.compress(b"x")), "is compressed twice; unpack it once"),
    "NumPy": (numpy_array(), "is a NumPy array; write the table as CSV or Parquet"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_file_of_another_kind_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    content, said = NAMED[name]
    path = put(tmp_path, content)
    assert refusal(path).startswith(f"{path} {said}")


@pytest.mark.parametrize("first", ["ORC", "7z", "<PER>"])
def test_a_header_that_begins_like_the_mark_of_another_kind_is_read(first: str, tmp_path: Path) -> None:
    frame = market()
    beside = frame.assign(**{first: 1})
    assert is_market(read(put(tmp_path, csv(beside[[first, *frame.columns]]))), frame)


HEADERS = {
    "gbk": ("日期", "开盘", "最高", "最低", "收盘"),
    "gb2312": ("交易日", "开市价", "高价", "低价", "收市价"),
    "gb18030": ("时间", "开盘价", "最高价", "最低价", "收盘价"),
    "big5": ("日期", "開盤價", "最高價", "最低價", "收盤價"),
    "shift_jis": ("日付", "始値", "高値", "安値", "終値"),
    "euc_kr": ("날짜", "시가", "고가", "저가", "종가"),
    "cp1251": ("Дата", "Открытие", "Максимум", "Минимум", "Закрытие"),
}


@pytest.mark.parametrize("encoding", HEADERS)
def test_a_header_of_other_letters_is_named_with_its_encoding_and_read_with_it(
    encoding: str, tmp_path: Path
) -> None:
    frame = market()
    path = put(tmp_path, csv(frame.set_axis(list(HEADERS[encoding]), axis=1)).encode(encoding))
    message = refusal(path)
    words = ",".join(HEADERS[encoding])
    assert f"(its header then reads {words!r})" in message
    follow = [setting for setting in advice(message) if "encoding" in setting]
    assert len(follow) == 1
    assert f"columns found: {', '.join(HEADERS[encoding])}" in refusal(path, *follow)
    ours = zip(("date", "Open", "High", "Low", "Close"), HEADERS[encoding], strict=True)
    columns = ", ".join(f"{name}: {theirs}" for name, theirs in ours)
    assert is_market(read(path, *follow, f"data.columns={{{columns}}}"), frame)


def test_letters_that_no_column_needs_hinder_nothing(tmp_path: Path) -> None:
    frame = market()
    assert is_market(read(put(tmp_path, csv(frame.assign(名称="平安银行")).encode("gbk"))), frame)


def test_words_of_no_header_leave_the_choice_and_the_right_one_is_among_them(tmp_path: Path) -> None:
    header = ("첫째", "시작", "높음", "낮음", "마감")
    path = put(tmp_path, csv(market().set_axis(list(header), axis=1).assign(x="낮음")).encode("cp949"))
    message = refusal(path)
    assert "data.format.encoding=cp949" in message


def test_western_letters_are_taken_for_no_other_encoding(tmp_path: Path) -> None:
    header = ["Datum", "Eröffnung", "Höchst", "Tiefst", "Schluß"]
    message = refusal(put(tmp_path, csv(market().set_axis(header, axis=1)).encode("latin-1")))
    assert "columns found: Datum, Eröffnung, Höchst, Tiefst, Schluß" in message
    assert "encoding" not in message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_two_bytes_a_letter_without_a_mark_are_named_in_their_order(encoding: str, tmp_path: Path) -> None:
    frame = market()
    path = put(tmp_path, csv(frame).encode(encoding))
    assert advice(refusal(path)) == [f"data.format.encoding={encoding}"]
    assert is_market(read(path, *advice(refusal(path))), frame)
