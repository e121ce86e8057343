"""Settings of the file that holds a market table: how it is written, and how large it may be."""

import codecs
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from model_core.config.base import Section, Unit
from model_core.errors import quoted

_NO_DELIMITERS = '"\n\r\0'


class FormatSettings(Section):
    """How the file of a market table is written.

    ``None`` recognizes it from the file itself; a file that fits two readings is refused with the setting
    that decides. Only CSV needs them, but for ``epoch_unit``.
    """

    delimiter: str | None = Field(None, min_length=1)
    """Between two cells: one sign, ``tab``, or ``space`` for any number of blanks."""
    decimal: Literal[".", ","] | None = None
    """Between the whole and the fraction of a number."""
    thousands: Literal[",", ".", " ", "'"] | None = None
    """Between groups of three digits."""
    header: Annotated[int, Field(ge=1)] | Literal["none"] | None = None
    """The line with the column names, counted from 1 after the skipped ones; ``none``: there is none, and the
    columns are called column 1, column 2, …"""
    skip: Annotated[int, Unit("lines")] = Field(0, ge=0)
    """Lines before the table."""
    epoch_unit: Literal["s", "ms", "us", "ns", "excel"] | None = None
    """Of dates written as one number since 1970-01-01 UTC; ``excel``: the day numbers of a spreadsheet."""
    encoding: str | None = None
    """As Python calls it, e.g. ``latin-1``, ``gb18030`` or ``utf-16``."""

    @field_validator("delimiter")
    @classmethod
    def _one_sign(cls, value: str | None) -> str | None:
        sign = {"\\t": "\t", "tab": "\t", "space": " "}.get(value or "", value)
        if sign is not None and (len(sign) != 1 or sign in _NO_DELIMITERS):
            raise ValueError(
                f"{quoted(value)} cannot separate cells; give one character such as ; or |, tab or space"
            )
        return sign

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            if value is None:
                return None
            "".encode(value)  # refuses codecs of no text, such as hex
            return codecs.lookup(value).name
        except (LookupError, UnicodeError) as error:
            raise ValueError(
                f"{quoted(value)} is not an encoding; write one like utf-8, latin-1 or utf-16"
            ) from error

    @model_validator(mode="after")
    def _two_marks(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they must differ")
        return self


class LimitSettings(Section):
    """How large a market table may be. What a file says of its size is looked at before it is read whole."""

    rows: Annotated[int, Unit("rows")] = Field(1_000_000, ge=1)
    """Most rows."""
    columns: Annotated[int, Unit("columns")] = Field(10_000, ge=1)
    """Most columns."""
    bytes: Annotated[int, Unit("bytes")] = Field(250_000_000, ge=1)
    """Of the file, of what it unpacks to, and of its values when they are read."""
