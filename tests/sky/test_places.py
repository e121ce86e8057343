"""Where the bodies stand: against independent positions, on special days, and as a motion."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_core.config.data import SkySettings
from model_core.errors import SkyError
from model_core.sky.bodies import BODIES, PLANETS
from model_core.sky.ephemeris import FIRST_DATE, LAST_DATE, Position, positions, signed_angle_deg

AUTHORITY = Path(__file__).with_name("authority") / "places.csv"
NEW_YORK = {"place": "observer", "latitude_deg": 40.7128, "longitude_deg": -74.006}

# Arcseconds of longitude and latitude since 1972. The outer planets differ by what DE421 and DE423
# differ; the inner bodies by rounding, nutation (0.0025″) and the definition of the ecliptic.
TOLERANCE_ARCSEC = dict.fromkeys(("Sun", "Moon", "Mercury", "Venus", "Mars", "Saturn"), 0.005) | {
    "Jupiter": 0.03,
    "Uranus": 0.05,
    "Neptune": 0.06,
    "Pluto": 0.10,
}


def sky(*dates: str, **sky_settings: object) -> dict[str, Position]:
    return positions(np.array(dates, dtype="datetime64[D]"), SkySettings.model_validate(sky_settings))


def day_range(first: str, last: str) -> NDArray[np.datetime64]:
    return np.arange(first, last, dtype="datetime64[D]")


def authority(place: str, hour: float) -> pd.DataFrame:
    table = pd.read_csv(AUTHORITY, comment="#")
    return table[(table.place == place) & (table.hour == hour)]


def errors_arcsec(expected: pd.DataFrame, body: str, **sky_settings: object) -> tuple[float, float, float]:
    """Largest error in longitude and latitude (″), and in distance (relative)."""
    rows = expected[expected.body == body]
    found = sky(*rows.date, **sky_settings)[body]
    longitude = signed_angle_deg(found.longitude_deg - rows.longitude_deg.to_numpy())
    latitude = found.latitude_deg - rows.latitude_deg.to_numpy()
    distance = found.distance_au / rows.distance_au.to_numpy() - 1.0
    return 3600 * np.abs(longitude).max(), 3600 * np.abs(latitude).max(), np.abs(distance).max()


@pytest.mark.parametrize("body", PLANETS)
def test_places_since_1972_agree_with_de423_reduced_by_erfa(body: str) -> None:
    longitude, latitude, distance = errors_arcsec(authority("geocentre", 21.0), body, hour_utc=21.0)
    assert longitude < TOLERANCE_ARCSEC[body]
    assert latitude < TOLERANCE_ARCSEC[body]
    assert distance < 3e-7


@pytest.mark.parametrize("body", PLANETS)
def test_places_before_1972_agree_with_de423_to_the_uncertainty_of_the_earths_rotation(body: str) -> None:
    """The authority's clock comes from another table, coarse to a second in 1900: 0.5″ of the Moon."""
    longitude, latitude, distance = errors_arcsec(authority("geocentre", 0.0), body, hour_utc=0.0)
    assert longitude < (0.6 if body == "Moon" else 0.4)
    assert latitude < 0.1
    assert distance < 1e-6


@pytest.mark.parametrize("body", ["Sun", "Moon", "Venus"])
def test_places_seen_from_new_york_agree_with_de423_reduced_by_erfa(body: str) -> None:
    longitude, latitude, distance = errors_arcsec(
        authority("New York", 21.0), body, hour_utc=21.0, **NEW_YORK
    )
    assert longitude < 0.005
    assert latitude < 0.005
    assert distance < 1e-7


def test_the_worked_examples_of_meeus_are_met() -> None:
    """Astronomical Algorithms, 2nd ed., examples 25.b (Sun) and 47.a (Moon), at 0h of dynamical time."""
    terrestrial_midnight = {"hour_utc": 24.0 - 59.184 / 3600}
    sun = sky("1992-10-12", **terrestrial_midnight)["Sun"]
    assert sun.longitude_deg[0] == pytest.approx(199 + 54 / 60 + 21.818 / 3600, abs=0.5 / 3600)
    assert sun.distance_au[0] == pytest.approx(0.99760853, abs=2e-6)
    moon = sky("1992-04-11", **terrestrial_midnight)["Moon"]
    # The book's abridged series of the Moon is good to 10″ in longitude and 4″ in latitude.
    assert moon.longitude_deg[0] == pytest.approx(133.167265, abs=10 / 3600)
    assert moon.latitude_deg[0] == pytest.approx(-3.229126, abs=4 / 3600)
    assert moon.distance_au[0] * 149597870.7 == pytest.approx(368409.7, abs=30)


def test_the_mean_node_meets_the_worked_example_of_meeus() -> None:
    """Example 22.a: 1987 April 10 at 0h of dynamical time, Ω = 11.2531°."""
    node = sky("1987-04-09", hour_utc=24.0 - 55.184 / 3600)["North node"]
    assert node.longitude_deg[0] == pytest.approx(11.2531, abs=2e-4)


# --- special days ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "day", "hour", "minute", "turns"),
    [
        # Published stations in longitude, UT.
        ("Mercury", "2021-01-30", 15, 52, "retrograde"),
        ("Mercury", "2021-02-21", 0, 52, "direct"),
        ("Mars", "2020-09-09", 22, 22, "retrograde"),
        ("Mars", "2020-11-14", 0, 36, "direct"),
    ],
)
def test_a_planet_stands_still_at_the_minute_of_its_station(
    body: str, day: str, hour: int, minute: int, turns: str
) -> None:
    before, after = (
        sky(day, hour_utc=hour + (minute + shift) / 60)[body].speed_deg_per_day[0] for shift in (-1.5, 1.5)
    )
    assert (before > 0 > after) if turns == "retrograde" else (before < 0 < after)


def test_the_moon_is_fastest_at_perigee_and_slowest_at_apogee() -> None:
    """November 2016: the perigee of the 14th was the closest since 1948; apogee on 31 October."""
    days = day_range("2016-10-25", "2016-11-22")
    moon = positions(days, SkySettings(hour_utc=12.0))["Moon"]
    fastest, slowest = days[moon.speed_deg_per_day.argmax()], days[moon.speed_deg_per_day.argmin()]
    assert fastest == days[moon.distance_au.argmin()] == np.datetime64("2016-11-14")
    assert abs(slowest - days[moon.distance_au.argmax()]) <= np.timedelta64(1, "D")
    assert abs(slowest - np.datetime64("2016-10-31")) <= np.timedelta64(1, "D")
    assert 11.7 < moon.speed_deg_per_day.min() < moon.speed_deg_per_day.max() < 15.4


@pytest.mark.parametrize(
    ("day", "extreme_km"),
    [("1912-01-04", 356375), ("1984-03-02", 406712)],
)
def test_the_moons_extreme_distances_of_the_century_are_met(day: str, extreme_km: float) -> None:
    """Meeus, Astronomical Algorithms, ch. 50: the least and the greatest distance of 1900–2000."""
    km = [sky(day, hour_utc=float(hour))["Moon"].distance_au[0] * 149597870.7 for hour in range(24)]
    closest_to_extreme = min(km, key=lambda distance: abs(distance - extreme_km))
    assert closest_to_extreme == pytest.approx(extreme_km, abs=10)


def test_a_conjunction_across_zero_degrees_is_met_and_passes_smoothly() -> None:
    """The eclipse of 2015-03-20: new moon at 9:36 UT in 29°27′ of Pisces, hours before the equinox."""
    hours = np.arange(24) + 0.6
    found = [sky("2015-03-20", hour_utc=float(hour)) for hour in hours]
    sun, moon = (np.array([at[body].longitude_deg[0] for at in found]) for body in ("Sun", "Moon"))
    elongation = signed_angle_deg(moon - sun)
    assert elongation[9] == pytest.approx(0.0, abs=0.01)
    assert sun[9] == pytest.approx(359 + 27 / 60, abs=0.02)
    assert moon.max() > 350, "the Moon begins the day in Pisces"
    assert moon.min() < 10, "and ends it in Aries"
    for angle in (sun, moon, elongation):
        steps = np.hypot(np.diff(np.sin(np.radians(angle))), np.diff(np.cos(np.radians(angle))))
        assert steps.max() < np.radians(0.7), "no hour moves the pair by more than the Moon's speed"


def test_a_leap_day_is_one_day_and_1900_had_none() -> None:
    leap = positions(day_range("2000-02-27", "2000-03-03"), SkySettings())["Sun"].longitude_deg
    no_leap = sky("1900-02-27", "1900-02-28", "1900-03-01")["Sun"].longitude_deg
    for longitude in (leap, no_leap):
        assert np.diff(longitude) == pytest.approx(1.0, abs=0.02)


def test_the_first_and_the_last_date_are_supported_at_every_hour() -> None:
    for hour in (0.0, 23.999):
        found = sky(str(FIRST_DATE), str(LAST_DATE), hour_utc=hour, **NEW_YORK)
        assert all(np.isfinite(found[body].longitude_deg).all() for body in BODIES)


@pytest.mark.parametrize("outside", [FIRST_DATE - 1, LAST_DATE + 1])
def test_the_day_before_the_first_and_after_the_last_are_refused_with_the_range(
    outside: np.datetime64,
) -> None:
    with pytest.raises(SkyError, match=f"from {FIRST_DATE} to {LAST_DATE}.*1 of 2 dates.*{outside}"):
        sky("2000-01-03", str(outside))


def test_a_missing_date_is_refused_by_its_row() -> None:
    with pytest.raises(SkyError, match="date number 1 is missing"):
        sky("2000-01-03", "NaT")


# --- motion and symmetries ------------------------------------------------------------------------


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    day=st.integers(int(FIRST_DATE.astype(int)) + 1, int(LAST_DATE.astype(int)) - 1),
    hour=st.floats(1.0, 23.0),
)
@pytest.mark.parametrize("observer", [{}, NEW_YORK])
def test_speeds_are_the_finite_differences_of_the_longitudes(
    day: int, hour: float, observer: dict[str, object]
) -> None:
    date = str(np.datetime64(day, "D"))
    step_h = 2.0 / 60
    before, at, after = (sky(date, hour_utc=h, **observer) for h in (hour - step_h, hour, hour + step_h))
    for body in BODIES:
        arc = signed_angle_deg(after[body].longitude_deg - before[body].longitude_deg)
        assert at[body].speed_deg_per_day == pytest.approx(arc / (2 * step_h / 24), abs=2e-4)


def test_the_nodes_stand_exactly_opposite_and_go_backwards() -> None:
    found = positions(day_range("1990-01-01", "1992-01-01"), SkySettings())
    north, south = found["North node"], found["South node"]
    assert np.abs(signed_angle_deg(south.longitude_deg - north.longitude_deg)) == pytest.approx(
        180.0, abs=1e-12
    )
    assert np.array_equal(north.speed_deg_per_day, south.speed_deg_per_day)
    assert (north.speed_deg_per_day < 0).all()


def test_the_order_of_dates_and_their_number_change_nothing() -> None:
    days = day_range("2009-06-01", "2009-07-01")
    shuffled = np.random.default_rng(1).permutation(len(days))
    whole, part = positions(days, SkySettings()), positions(days[shuffled][:7], SkySettings())
    for body in BODIES:
        assert part[body].longitude_deg == pytest.approx(whole[body].longitude_deg[shuffled][:7], abs=1e-11)


def test_the_hour_moves_the_moon_and_the_place_shifts_it_by_its_parallax() -> None:
    late, early = sky("2010-05-05", hour_utc=21.0)["Moon"], sky("2010-05-05", hour_utc=9.0)["Moon"]
    assert signed_angle_deg(late.longitude_deg - early.longitude_deg)[0] == pytest.approx(6.6, abs=1.1)
    seen = sky("2010-05-05", hour_utc=21.0, **NEW_YORK)["Moon"]
    assert 0.05 < np.abs(signed_angle_deg(seen.longitude_deg - late.longitude_deg))[0] < 1.02
