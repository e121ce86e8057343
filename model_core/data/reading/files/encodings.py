"""The encoding of a CSV file: a setting, its mark, UTF-8 or Windows' Western one; another is named, not guessed."""

import re
from collections.abc import Sequence

from model_core.errors import SourceError

WESTERN = "cp1252"
"""What bytes that are not UTF-8 are read as; most other usual encodings would be misread as it without an error."""
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_OTHERS = {
    "gb18030": ("日期", "交易", "时间", "开盘", "收盘", "最高", "最低"),
    "big5": ("日期", "交易", "時間", "開盤", "收盤", "最高", "最低"),
    "cp932": ("日付", "取引", "始値", "高値", "安値", "終値"),
    "cp949": ("날짜", "거래", "일자", "시가", "고가", "저가", "종가"),
    "cp1251": ("дата", "откр", "закр", "макс", "мин"),
}
"""Encodings of the field that are neither → words of their headers: date, open, close, high, low."""
_MIXED = re.compile(r"[A-Za-z][^\W\d_A-Za-z]|[^\W\d_A-Za-z][A-Za-z]")
"""A Latin letter beside one that is not: German in an encoding of Russia or China."""
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
"""What single bytes mean in Japan; headers are written in full."""
_LOOKED_AT = 65_536
_TOLD = 4
_TOLD_CHARACTERS = 60


def decoded(uri: str, content: bytes, encoding: str | None) -> tuple[str, str]:
    """The text of a file, with plain line ends and without its mark, and the encoding it was read in.

    Raises:
        SourceError: the bytes are not text in it; it names an encoding in which they may be.
    """
    mark = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    for name in [encoding] if encoding else [mark] if mark else ["utf-8", WESTERN]:
        try:
            text = content.decode(name).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeError:
            continue
        if "\0" not in text:
            return text, name
    if encoding:
        raise SourceError(
            f"{uri} is not a table: its bytes are not text in {encoding} (data.format.encoding); give CSV or Parquet, "
            "or name its encoding, such as utf-8, latin-1 or utf-16"
        )
    found = _of_two_bytes(content) or _others(content[:_LOOKED_AT])
    advice = _advice(found) if found else "name its encoding with data.format.encoding, such as utf-16-le"
    raise SourceError(f"{uri} is not a table: its bytes are not text; give CSV or Parquet, or {advice}")


def other_encoding(names: Sequence[str]) -> str:
    """What to set if column names read as Windows' Western letters are words of another encoding, else nothing."""
    header = ",".join(names)
    try:
        found = _others(header.encode(WESTERN)) if not header.isascii() else {}
    except UnicodeError:
        return ""
    return f"if its letters are not Western ones, {_advice(found)}" if found else ""


def _advice(found: dict[str, str]) -> str:
    said = [
        f"--set data.format.encoding={name} (its header then reads {text[:_TOLD_CHARACTERS]!r})"
        for name, text in list(found.items())[:_TOLD]
    ]
    return f"set its encoding: {' or '.join(said)}"


def _of_two_bytes(content: bytes) -> dict[str, str]:
    """UTF-16 without a mark: every other byte of plain text is zero."""
    start = content[:_LOOKED_AT]
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros and zeros.count(0) > len(zeros) / 2:
            text = start[: len(start) // 2 * 2].decode(name, errors="replace")
            return {name: text.split("\n")[0].strip()}
    return {}


def _others(content: bytes) -> dict[str, str]:
    """Encodings of ``_OTHERS`` in which the first line with letters beyond ASCII reads as words → that line.

    Where one knows a word of a header, it is the only one.
    """
    line = next((line.strip() for line in content.splitlines() if not line.isascii()), b"")
    plausible: dict[str, str] = {}
    for name, words in _OTHERS.items():
        try:
            text = line.decode(name)
        except UnicodeError:
            continue
        if any(word in text.lower() for word in words):
            return {name: text}
        strange = [sign for sign in text if not sign.isascii() and not sign.isalpha()]
        if text and not strange and not _MIXED.search(text) and not _HALF_WIDTH.search(text):
            plausible[name] = text
    return plausible
