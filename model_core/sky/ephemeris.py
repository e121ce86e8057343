"""Where the thirteen bodies stand on given dates: apparent positions from DE421, as sky waves.

*Position*: apparent (light time, light deflection, aberration), true ecliptic and equinox of date, seen
from the center of the Earth or from an observer. Planets from Mars outwards are the barycenters of
their systems. *Moment*: the settings' hour, UTC since 1972 and UT1 before. Nutation is IAU 2000B,
within 0.0025″ of the full series over the supported dates.

*Speed* is the central difference of the longitude over a thousandth of a day to both sides: unlike
the rates that the ephemeris itself offers it includes aberration, light time and the motion of the
equinox, so it is the derivative of the very longitude that stands beside it.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skyfield.api import wgs84
from skyfield.framelib import ecliptic_frame
from skyfield.nutationlib import iau2000b_radians
from skyfield.positionlib import Astrometric
from skyfield.timelib import Time, Timescale
from skyfield.vectorlib import VectorFunction

from model_core.config.data import SkySettings
from model_core.errors import SkyError
from model_core.progress import ProgressMeter
from model_core.sky.bodies import CHIRON, NODES, PLANETS
from model_core.sky.cache import cached
from model_core.sky.chiron import Chiron, load_table
from model_core.sky.kernel import open_sky
from model_core.sky.nodes import mean_node_deg, mean_node_speed_deg_per_day
from model_core.sky.waves import Wave, waves_of

FIRST_DATE = np.datetime64("1900-01-01")
LAST_DATE = np.datetime64("2051-12-31")
"""First and last supported date: what DE421 covers and Chiron's path was validated on."""

OBSERVED = (*PLANETS, CHIRON)

_TARGETS = {
    "Sun": "sun",
    "Moon": "moon",
    "Mercury": "mercury",
    "Venus": "venus",
    "Mars": "mars barycenter",
    "Jupiter": "jupiter barycenter",
    "Saturn": "saturn barycenter",
    "Uranus": "uranus barycenter",
    "Neptune": "neptune barycenter",
    "Pluto": "pluto barycenter",
}
_HALF_STEP_DAYS = 1e-3
_DATES_AT_ONCE = 4096
"""Bounds the memory; more dates at once are not faster."""

_JD_OF_1970 = 2440587.5
_FIRST_UTC = np.datetime64("1972-01-01")
"""Before, UTC did not follow the atomic clocks second by second, and civil time was UT."""

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Position:
    """Where a body stands on each date; all fields are [n], longitudes in [0°, 360°).

    Nodes are directions: their latitude is 0° and their distance 0 au, and no wave holds these.
    """

    longitude_deg: Column
    speed_deg_per_day: Column
    latitude_deg: Column
    distance_au: Column


def sky_waves(dates: NDArray[np.datetime64], settings: SkySettings) -> pd.DataFrame:
    """The 113 sky waves of layout ``ephemeris`` for each date, computed or from the cache.

    Args:
        dates: days [n], in any order.
        settings: hour, place and cache folder.

    Returns:
        One row per date in the order of ``dates``, one float64 column per sky wave.

    Raises:
        SkyError: a date is missing or not supported.
        StoreError: the cache folder cannot be read or written.
    """
    days = _checked(dates)
    return cached(days, settings, lambda: waves_of_positions(positions(days, settings)))


def positions(dates: NDArray[np.datetime64], settings: SkySettings) -> dict[str, Position]:
    """Position of every body on each date, never from the cache.

    Raises:
        SkyError: a date is missing or not supported.
    """
    days = _checked(dates)
    parts = []
    with ProgressMeter("computing the sky", len(days), "days") as meter:
        for start in range(0, max(len(days), 1), _DATES_AT_ONCE):
            some = days[start : start + _DATES_AT_ONCE]
            parts.append(_positions_at_once(some, settings))
            meter.update(len(some))
    return {body: _joined([part[body] for part in parts]) for body in parts[0]}


def _checked(dates: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    days = np.asarray(dates).astype("datetime64[D]")
    if days.ndim != 1:
        raise SkyError(f"dates must be one list of days; got an array of shape {days.shape}")
    if np.isnat(days).any():
        row = int(np.flatnonzero(np.isnat(days))[0])
        raise SkyError(f"date number {row} is missing; every row needs a date before its sky can be computed")
    outside = days[(days < FIRST_DATE) | (days > LAST_DATE)]
    if len(outside):
        remedy = (
            "give a table of dates within"
            if len(outside) == len(days)
            else "leave those rows out of the table"
        )
        raise SkyError(
            f"the sky is known from {FIRST_DATE} to {LAST_DATE}, and {len(outside)} of {len(days)} dates "
            f"{'lies' if len(outside) == 1 else 'lie'} outside, the first of them {outside[0]}; {remedy}"
        )
    return days


def _positions_at_once(days: NDArray[np.datetime64], settings: SkySettings) -> dict[str, Position]:
    kernel, timescale = open_sky()
    with closing(kernel):
        middle = _moments(days, settings.hour_utc, timescale)
        # One pass over three moments per date: before, at and after it.
        moments = timescale.tt_jd(
            np.tile(middle.whole, 3),
            np.concatenate(
                [middle.tt_fraction + shift for shift in (-_HALF_STEP_DAYS, 0.0, _HALF_STEP_DAYS)]
            ),
        )
        moments._nutation_angles_radians = iau2000b_radians(moments)  # a tenth of the full series' time
        bodies: dict[str, VectorFunction] = {body: kernel[target] for body, target in _TARGETS.items()}
        bodies[CHIRON] = Chiron(load_table())
        observer = _observer(kernel["earth"], settings).at(moments)
        found = {body: _position(observer.observe(bodies[body])) for body in OBSERVED}
    return {**found, **_node_positions(middle.tt)}


def _moments(days: NDArray[np.datetime64], hour_utc: float, timescale: Timescale) -> Time:
    """The settings' hour of each day on the uniform scale TT."""
    utc = days >= _FIRST_UTC
    since_1970 = days.astype(np.int64).astype(np.float64)
    by_utc = timescale.utc(1970, 1, 1 + since_1970, hour_utc)
    by_ut1 = timescale.ut1_jd(since_1970 + _JD_OF_1970 + hour_utc / 24.0)
    return timescale.tt_jd(
        np.where(utc, by_utc.whole, by_ut1.whole), np.where(utc, by_utc.tt_fraction, by_ut1.tt_fraction)
    )


def _observer(earth: VectorFunction, settings: SkySettings) -> VectorFunction:
    match settings.place:
        case "geocentre":
            return earth
        case "observer":
            return earth + wgs84.latlon(settings.latitude_deg, settings.longitude_deg, settings.elevation_m)


def _position(astrometric: Astrometric) -> Position:
    """Position and speed of one body from its astrometric positions before, at and after each date."""
    latitude, longitude, distance = astrometric.apparent().frame_latlon(ecliptic_frame)
    before, at, after = np.split(longitude.degrees, 3)
    return Position(
        longitude_deg=np.mod(at, 360.0),
        speed_deg_per_day=signed_angle_deg(after - before) / (2.0 * _HALF_STEP_DAYS),
        latitude_deg=np.split(latitude.degrees, 3)[1],
        distance_au=np.split(distance.au, 3)[1],
    )


def _node_positions(jd_tt: Column) -> dict[str, Position]:
    north_deg = mean_node_deg(jd_tt)
    speed, nothing = mean_node_speed_deg_per_day(jd_tt), np.zeros_like(jd_tt)
    longitudes_deg = (north_deg, np.mod(north_deg + 180.0, 360.0))
    return {
        node: Position(longitude_deg, speed, nothing, nothing)
        for node, longitude_deg in zip(NODES, longitudes_deg, strict=True)
    }


def signed_angle_deg(angle_deg: Column) -> Column:
    """The same angle in [−180°, 180°)."""
    return np.mod(angle_deg + 180.0, 360.0) - 180.0


def _joined(parts: Sequence[Position]) -> Position:
    return Position(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Position))
    )


def waves_of_positions(positions: Mapping[str, Position]) -> pd.DataFrame:
    """The 113 sky waves of layout ``ephemeris``, one row per date of the bodies' positions."""
    waves = (wave for wave in waves_of("ephemeris") if wave.kind == "sky")
    return pd.DataFrame({wave.name: _column(wave, positions) for wave in waves})


def _column(wave: Wave, positions: Mapping[str, Position]) -> Column:
    """Values of one sky wave of layout ``ephemeris``, all of which belong to a body."""
    position = positions[str(wave.body)]
    match wave.quantity:
        case "longitude_sin" | "longitude_cos":
            return _sine_or_cosine(wave, position.longitude_deg)
        case "sign_sin" | "sign_cos":
            return _sine_or_cosine(wave, 12.0 * position.longitude_deg)
        case "synodic_sin" | "synodic_cos":
            partner = positions[NODES[0] if wave.body == "Sun" else "Sun"]
            return _sine_or_cosine(wave, position.longitude_deg - partner.longitude_deg)
        case "speed":
            return position.speed_deg_per_day
        case "distance":
            return position.distance_au
        case "latitude":
            return position.latitude_deg
        case quantity:
            raise ValueError(f"{quantity} is not a quantity of layout ephemeris")


def _sine_or_cosine(wave: Wave, angle_deg: Column) -> Column:
    function = np.sin if wave.quantity.endswith("_sin") else np.cos
    values: Column = function(np.radians(angle_deg))
    return values
