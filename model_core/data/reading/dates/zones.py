"""Which date a stamp means: its own, the day whose midnight it is, or the date of its moment at the exchange."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_core.errors import Problem

_MOST = 0.95
"""Share of rows that makes a convention; the rest are odd rows."""
_SUMMER_TIME = 60.0
"""Minutes: offsets of 0 and 60 in one table are one zone, such as London's."""
_NOON = pd.Timedelta(hours=12)
_AUCKLAND = pd.Timedelta(hours=10)
"""The earliest hour that midnight at an exchange has in UTC on the day before: a stamp without zone may be that."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Stamps:
    """Dates and times of a column as written, without their offset, and the offset."""

    local: pd.Series
    offset: NDArray[np.float64]
    """[R] minutes from UTC, NaN where none is written."""
    own_zone: str
    """Name of the one zone that the whole column carries, if it is not UTC; otherwise empty."""
    problems: list[Problem]
    written_as: str


@dataclass(frozen=True)
class LocalDates:
    """Local stamps, each of which lies on the date that it means."""

    local: pd.Series
    convention: str
    """What the rows mean, for people."""
    zoned: Mask
    """[R] rows that name a zone or an offset."""
    sentence: str
    """What was done with them; empty if there are none to speak of."""
    open_day: Mask
    """[R] rows whose time of day leaves open which trading day is meant."""
    odd: Mask
    """[R] rows that differ from the rest."""
    problems: list[Problem] = field(default_factory=list)
    by_timezone: bool = False
    """Whether the zone of the exchange decided on the dates."""


def local_dates(stamps: Stamps, timezone: str) -> LocalDates:
    """The date that each stamp means, by the convention that nearly all of them share."""
    local = stamps.local
    read = local.notna().to_numpy()
    none = np.zeros(len(local), dtype=bool)
    midnight = (local == local.dt.normalize()).to_numpy()
    late = (local >= local.dt.normalize() + _NOON).to_numpy()
    if stamps.own_zone:
        sentence = f"dates carry the zone {stamps.own_zone} and were taken as written"
        return LocalDates(local, f"own dates in {stamps.own_zone}", read, sentence, late, none)
    zoned = read & ~np.isnan(stamps.offset)
    bare = read & ~zoned
    share = zoned.sum() / max(1, read.sum())
    if 1 - _MOST < share < _MOST:
        return LocalDates(local, "", zoned, "", none, none, _half_zoned(zoned, bare))
    utc = zoned & (stamps.offset == 0) & (not _one_zone_with_summer_time(stamps.offset[zoned]))
    own = zoned & ~utc
    if share < 0.5:
        moved = utc & ~midnight
        perhaps_utc = bare & (local >= local.dt.normalize() + _AUCKLAND).to_numpy()
        return LocalDates(_moved(local, moved, timezone), "as written", zoned, "", perhaps_utc, zoned)
    if own.sum() >= utc.sum():
        local = _moved(local, utc & ~midnight, timezone)
        sentence = "dates carry their own UTC offsets and were taken as written"
        return LocalDates(
            local, "own dates, each in its own offset from UTC", zoned, sentence, late, utc | bare
        )
    if midnight[utc].mean() >= _MOST:
        sentence = "dates are at midnight UTC and were taken as days"
        return LocalDates(
            local, "days at midnight UTC", zoned, sentence, none, own | bare | (utc & ~midnight)
        )
    sentence = f"moments in UTC were converted to the date in {timezone}"
    kind = "the date has no time zone, but other rows have one"
    problems = [Problem(kind, kind, row) for row in np.flatnonzero(bare).tolist()]
    return LocalDates(
        _moved(local, utc, timezone),
        f"moments in UTC, dated in {timezone}",
        zoned,
        sentence,
        utc,
        own,
        problems,
        by_timezone=True,
    )


def _one_zone_with_summer_time(offsets: NDArray[np.float64]) -> bool:
    return set(np.unique(offsets).tolist()) in ({0.0, _SUMMER_TIME}, {-_SUMMER_TIME, 0.0})


def _half_zoned(zoned: Mask, bare: Mask) -> list[Problem]:
    fewer, kind = bare, "the date has no time zone, but other rows have one"
    if zoned.sum() < bare.sum():
        fewer, kind = zoned, "the date has a time zone, but other rows have none"
    return [Problem(kind, kind, row) for row in np.flatnonzero(fewer).tolist()]


def _moved(utc: pd.Series, rows: Mask, timezone: str) -> pd.Series:
    """Some rows, which are moments in UTC, as local date and time at the exchange."""
    if not rows.any():
        return utc
    return utc.mask(rows, utc.dt.tz_localize("UTC").dt.tz_convert(ZoneInfo(timezone)).dt.tz_localize(None))
