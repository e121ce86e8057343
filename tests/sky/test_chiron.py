"""Chiron's table: against JPL's own positions, against a second integration, and as an interpolation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike, NDArray
from skyfield.api import load

from model_core.config.data import SkySettings
from model_core.sky.chiron import ChironTable, load_table, save_table
from model_core.sky.chiron_orbit import (
    DAYS_PER_SEGMENT,
    EPOCH_JD_TDB,
    FIRST_JD,
    SEGMENTS,
    barycentric_epoch_state,
    integrate,
    make_table,
    sun_state,
)
from model_core.sky.ephemeris import LAST_DATE, positions, signed_angle_deg

ARCSEC = np.radians(1 / 3600)
J2000_JD = 2451545.0


@pytest.fixture(scope="module")
def table() -> ChironTable:
    return load_table()


def at(table: ChironTable, jd: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    jds = np.atleast_1d(jd).astype(np.float64)
    return table.position_and_velocity(jds, np.zeros_like(jds))


def test_longitudes_of_150_years_agree_with_jpl_horizons() -> None:
    """The two orbits were fitted to different observations: 0.3″ near today, 1″ by 1900 and 2050."""
    expected = pd.read_csv(Path(__file__).with_name("authority") / "chiron_horizons.csv", comment="#")
    days = expected.date.to_numpy(dtype="datetime64[D]")
    found = positions(days, SkySettings(hour_utc=0.0))["Chiron"].longitude_deg
    error_arcsec = np.abs(signed_angle_deg(found - expected.longitude_deg.to_numpy())) * 3600
    assert error_arcsec.max() < 1.0
    near_today = (days >= np.datetime64("1952-01-01")) & (days <= np.datetime64("2034-01-01"))
    assert error_arcsec[near_today].max() < 0.3


def test_the_end_of_the_last_supported_day_agrees_with_jpl_horizons() -> None:
    """Horizons puts Chiron at 268.2943102° on 2052-01-01, 0h UT."""
    found = positions(np.array([LAST_DATE]), SkySettings(hour_utc=24.0 - 1e-6))["Chiron"].longitude_deg
    assert found[0] == pytest.approx(268.2943102, abs=0.5 / 3600)


def test_the_state_at_j2000_agrees_with_jpl_horizons(table: ChironTable) -> None:
    """Heliocentric ICRF state of 2060 Chiron, Horizons solution JPL#171, JD 2451545.0 TDB."""
    position, velocity = (part[:, 0] for part in at(table, J2000_JD))
    sun = sun_state(J2000_JD)
    expected_au = np.array([-3.529597323721606, -8.675401114502414, -2.935904700117773])
    expected_au_per_day = np.array([4.971227226758336e-03, -3.626418894486951e-03, -8.257960206970693e-04])
    distance_au = np.linalg.norm(expected_au)
    assert np.linalg.norm(position - sun[:3] - expected_au) / distance_au < 0.15 * ARCSEC
    assert np.linalg.norm(velocity - sun[3:] - expected_au_per_day) < 1e-8


def test_the_perihelion_falls_on_its_published_day(table: ChironTable) -> None:
    """1996-02-14, at 8.45 au (Minor Planet Center)."""
    jd = load.timescale(builtin=True).tdb(1996, 1, range(1, 80)).tdb
    distance = [np.linalg.norm(at(table, day)[0][:, 0] - sun_state(day)[:3]) for day in jd]
    assert jd[int(np.argmin(distance))] == pytest.approx(2450127.5, abs=1.0)
    assert min(distance) == pytest.approx(8.45, abs=0.01)


def test_the_table_meets_the_integration_between_its_nodes(table: ChironTable) -> None:
    path = integrate(EPOCH_JD_TDB, barycentric_epoch_state(), EPOCH_JD_TDB - 3000)
    jd = EPOCH_JD_TDB - np.random.default_rng(3).uniform(0, 3000, 200)
    position, velocity = at(table, jd)
    assert np.abs(position - path(jd)[:3]).max() < 1e-11
    assert np.abs(velocity - path(jd)[3:]).max() < 1e-11


def test_segments_join_without_a_step(table: ChironTable) -> None:
    joints = FIRST_JD + DAYS_PER_SEGMENT * np.arange(1, SEGMENTS)
    before, after = at(table, joints - 1e-7), at(table, joints + 1e-7)
    assert np.abs(after[0] - before[0] - 2e-7 * after[1]).max() < 1e-11


def test_integrating_there_and_back_returns_to_the_state() -> None:
    state = barycentric_epoch_state()
    there = integrate(EPOCH_JD_TDB, state, EPOCH_JD_TDB + 3000)(np.array([EPOCH_JD_TDB + 3000]))[:, 0]
    back = integrate(EPOCH_JD_TDB + 3000, there, EPOCH_JD_TDB)(np.array([EPOCH_JD_TDB]))[:, 0]
    assert np.abs(back[:3] - state[:3]).max() < 1e-11


def test_a_looser_tolerance_changes_the_path_by_less_than_a_microarcsecond() -> None:
    state, end = barycentric_epoch_state(), EPOCH_JD_TDB - 3000
    tight = integrate(EPOCH_JD_TDB, state, end)(np.array([end]))[:3, 0]
    loose = integrate(EPOCH_JD_TDB, state, end, tolerance=1e-11)(np.array([end]))[:3, 0]
    assert np.abs(tight - loose).max() / 17.0 < 1e-6 * ARCSEC


@pytest.mark.slow
def test_the_shipped_table_is_what_its_command_makes(table: ChironTable) -> None:
    made = make_table()
    assert (made.first_jd, made.days_per_segment) == (table.first_jd, table.days_per_segment)
    assert np.abs(made.coefficients - table.coefficients).max() < 1e-10


def test_a_table_survives_the_disk(table: ChironTable, tmp_path: Path) -> None:
    save_table(tmp_path / "copy.npz", table)
    copy = load_table(tmp_path / "copy.npz")
    assert np.array_equal(copy.coefficients, table.coefficients)
    assert copy.last_jd == table.last_jd


def test_the_table_refuses_dates_outside_and_reaches_beyond_the_supported_ones(table: ChironTable) -> None:
    last_jd = LAST_DATE.astype("datetime64[D]").astype(int) + 2440587.5
    assert table.last_jd > last_jd + 2
    with pytest.raises(ValueError, match="Chiron's table covers"):
        at(table, table.last_jd + 1)
