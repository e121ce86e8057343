"""Apparent places by software and an ephemeris that the product does not use.

Writes ``places.csv`` beside this file: positions from JPL's DE423 (the product uses DE421), reduced
with the IAU's SOFA routines as published under a free license by ERFA (the product uses Skyfield):
light time, deflection by the Sun, aberration, IAU 2006 precession and 2000A nutation, ecliptic of
date. Needs an environment of its own, since neither package is part of the product:

    pip install numpy==2.2.6 astropy==7.1.0 pyerfa==2.0.1.5 jplephem==2.24 de423==2010.1
    python tests/sky/authority/make_places.py
"""

import csv
from pathlib import Path
from typing import Any

import de423
import erfa
import numpy as np
from astropy.time import Time
from astropy.utils import iers
from jplephem.ephem import Ephemeris

iers.conf.auto_download = False
iers.conf.iers_degraded_accuracy = "warn"

AU_KM = 149597870.7
LIGHT_AU_PER_DAY = 173.1446326846693
TARGETS = {
    "Sun": "sun",
    "Moon": "moon",
    **{
        name.title(): name
        for name in ("mercury", "venus", "mars", "jupiter", "saturn", "uranus", "neptune", "pluto")
    },
}
# TT − UT1 in seconds on 1 January, Meeus, Astronomical Algorithms, table 10.A.
DELTA_T_S = {1900: -2.8, 1910: 10.4, 1920: 21.2, 1930: 24.0, 1940: 24.3, 1950: 29.1, 1960: 33.1, 1970: 40.2}
NEW_YORK_DEG = (40.7128, -74.006)

State = tuple[np.ndarray, np.ndarray]

ephemeris = Ephemeris(de423)
EARTH_SHARE = 1.0 / (1.0 + ephemeris.EMRAT)


def barycentric(target: str, jd: float) -> State:
    """Position (au) and velocity (au/day)."""
    if target in ("earth", "moon"):
        earth_moon = ephemeris.position_and_velocity("earthmoon", jd)
        moon = ephemeris.position_and_velocity("moon", jd)
        share = -EARTH_SHARE if target == "earth" else 1.0 - EARTH_SHARE
        position, velocity = (a + share * b for a, b in zip(earth_moon, moon, strict=True))
    else:
        position, velocity = ephemeris.position_and_velocity(target, jd)
    return np.ravel(position) / AU_KM, np.ravel(velocity) / AU_KM


def apparent(
    target: str, tt: tuple[float, float], observer: tuple[np.ndarray, np.ndarray]
) -> tuple[Any, Any, Any]:
    """Longitude and latitude (degrees) and distance (au) in the true ecliptic and equinox of date."""
    jd = tt[0] + tt[1]  # TDB − TT stays below 0.002 s
    eye, eye_velocity = observer
    days: Any = 0.0
    for _ in range(5):
        position = barycentric(target, jd - days)[0] - eye
        distance = np.linalg.norm(position)
        days = distance / LIGHT_AU_PER_DAY
    direction = position / distance
    if target != "sun":
        sun_to_eye = eye - barycentric("sun", jd)[0]
        sun_to_body = barycentric(target, jd - days)[0] - barycentric("sun", jd - days)[0]
        em = np.linalg.norm(sun_to_eye)
        direction = erfa.ld(
            1.0, direction, sun_to_body / np.linalg.norm(sun_to_body), sun_to_eye / em, em, 1e-9
        )
    speed = eye_velocity / LIGHT_AU_PER_DAY
    shrink = np.sqrt(1.0 - speed @ speed)
    sun_distance = np.linalg.norm(eye - barycentric("sun", jd)[0])
    direction = erfa.ab(direction, speed, sun_distance, shrink)
    of_date = erfa.pnm06a(*tt) @ direction
    _, d_epsilon = erfa.nut06a(*tt)
    ecliptic = erfa.rx(erfa.obl06(*tt) + d_epsilon, np.eye(3)) @ of_date
    longitude, latitude = erfa.c2s(ecliptic)
    return np.degrees(longitude) % 360.0, np.degrees(latitude), distance


def geocentre(tt: tuple[float, float]) -> State:
    return barycentric("earth", tt[0] + tt[1])


def new_york(tt: tuple[float, float], ut1: tuple[float, float]) -> State:
    latitude, longitude = np.radians(NEW_YORK_DEG)
    theta = erfa.era00(*ut1)
    pv = erfa.pvtob(longitude, latitude, 0.0, 0.0, 0.0, erfa.sp00(*tt), theta)
    to_icrs = erfa.c2i06a(*tt).T
    position, velocity = to_icrs @ pv["p"] / (AU_KM * 1e3), to_icrs @ pv["v"] * 86400.0 / (AU_KM * 1e3)
    earth_position, earth_velocity = geocentre(tt)
    return earth_position + position, earth_velocity + velocity


def main() -> None:
    rows: list[tuple[str, float, str, str, str, str, str]] = []

    def add(
        date: str, hour: float, place: str, bodies: list[str], tt: tuple[float, float], observer: State
    ) -> None:
        for body in bodies:
            longitude, latitude, distance = apparent(TARGETS[body], tt, observer)
            rows.append((date, hour, place, body, f"{longitude:.7f}", f"{latitude:.7f}", f"{distance:.10f}"))

    for year, delta_t in DELTA_T_S.items():
        jd = float(Time(f"{year}-01-01", scale="tt").jd)
        tt = (jd, delta_t / 86400.0)
        add(f"{year}-01-01", 0.0, "geocentre", list(TARGETS), tt, geocentre(tt))
    random = np.random.default_rng(2024)
    days = np.sort(
        random.choice(np.arange("1972-01-01", "2052-01-01", dtype="datetime64[D]"), 48, replace=False)
    )
    for day in [*days, np.datetime64("2000-02-29"), np.datetime64("2051-12-31")]:
        moment = Time(f"{day}T21:00:00", scale="utc").tt
        tt = (float(moment.jd1), float(moment.jd2))
        add(str(day), 21.0, "geocentre", list(TARGETS), tt, geocentre(tt))
    for day in ("1975-07-04", "1990-01-15", "2004-09-30", "2010-02-28", "2018-12-31", "2024-06-21"):
        moment = Time(f"{day}T21:00:00", scale="utc")
        tt = (float(moment.tt.jd1), float(moment.tt.jd2))
        ut1 = (float(moment.ut1.jd1), float(moment.ut1.jd2))
        add(day, 21.0, "New York", ["Sun", "Moon", "Venus"], tt, new_york(tt, ut1))

    with Path(__file__).with_name("places.csv").open("w", newline="", encoding="utf-8") as file:
        file.write(
            "# Apparent places, true ecliptic and equinox of date, from JPL DE423 reduced with ERFA.\n"
        )
        file.write(
            "# Made by tests/sky/authority/make_places.py with pyerfa 2.0.1.5, astropy 7.1.0, de423 2010.1.\n"
        )
        file.write("# hour: UTC from 1972 on, UT1 before (TT − UT1 from Meeus, table 10.A).\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("date", "hour", "place", "body", "longitude_deg", "latitude_deg", "distance_au"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
