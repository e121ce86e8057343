"""A currency that stands beside every price of a column."""

import re
from collections.abc import Mapping

import pandas as pd

_SIGNS = r"US\$|[$€£¥]"
_CODES = "USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD|HKD|KRW|BRL|SEK|NOK|DKK|PLN"
_DIGIT = re.compile(r"\d")
_BEFORE = re.compile(rf"(?P<sign>[+-]?)\s*(?P<mark>{_SIGNS})\s*(?=[+-]?[\d.,])")
_AFTER = re.compile(rf"(?<=[\d.,])\s*(?P<mark>{_SIGNS}|{_CODES})$")


def without_currency(texts: Mapping[str, pd.Series | None]) -> tuple[dict[str, pd.Series | None], str]:
    """Columns of text without the one currency that all values of a column carry, and that currency.

    A column in which a value with digits carries none, or another, stays as it is; so do all columns if two have
    different ones.

    Args:
        texts: our name → its text, ``None`` for a column of real numbers.
    """
    bare = dict(texts)
    marks = set()
    for name, text in texts.items():
        for pattern in (_BEFORE, _AFTER):
            mark = _mark(text, pattern) if text is not None else ""
            if mark and text is not None:
                kept = r"\g<sign>" if pattern is _BEFORE else ""
                bare[name] = text.str.replace(pattern, kept, regex=True, n=1)
                marks.add(mark)
    return (bare, marks.pop()) if len(marks) == 1 else (dict(texts), "")


def _mark(text: pd.Series, pattern: re.Pattern[str]) -> str:
    """The currency in every value that holds a digit; empty if there is none, or more than one."""
    values = [value for value in text.dropna() if _DIGIT.search(value)]
    found = _in(pattern, values[0]) if values else ""
    if not found:
        return ""
    return found if all(_in(pattern, value) == found for value in values) else ""


def _in(pattern: re.Pattern[str], value: str) -> str:
    found = pattern.match(value) if pattern is _BEFORE else pattern.search(value)
    return found["mark"] if found else ""
