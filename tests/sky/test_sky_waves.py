"""The 113 sky waves: what they hold, and the cache that keeps them."""

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_core.config.data import SkySettings
from model_core.errors import StoreError
from model_core.sky.bodies import BODIES
from model_core.sky.ephemeris import positions, signed_angle_deg, sky_waves, waves_of_positions
from model_core.sky.waves import sky_names, waves_of

DAYS = np.arange("2015-03-01", "2015-05-01", dtype="datetime64[D]")


@pytest.fixture
def settings(tmp_path: Path) -> SkySettings:
    return SkySettings(cache=str(tmp_path / "cache"))


def files_in(settings: SkySettings) -> list[Path]:
    return sorted((Path(str(settings.cache)) / "sky").iterdir())


def angle_deg(waves: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Angle in degrees of the pair ``<name>_sin``, ``<name>_cos``."""
    return np.degrees(np.arctan2(waves[f"{name}_sin"].to_numpy(), waves[f"{name}_cos"].to_numpy()))


# --- what the waves hold ---------------------------------------------------------------------------


def test_the_waves_are_113_finite_columns_in_table_order(settings: SkySettings) -> None:
    waves = sky_waves(DAYS, settings)
    assert tuple(waves.columns) == sky_names("ephemeris")
    assert len(waves) == len(DAYS)
    assert (waves.dtypes == np.float64).all()
    assert np.isfinite(waves.to_numpy()).all()


def test_every_pair_lies_on_the_unit_circle(settings: SkySettings) -> None:
    waves = sky_waves(DAYS, settings)
    sines = [name for name in waves.columns if name.endswith("_sin")]
    assert len(sines) == 3 * len(BODIES)
    for sine in sines:
        cosine = sine.removesuffix("sin") + "cos"
        assert np.hypot(waves[sine].to_numpy(), waves[cosine].to_numpy()) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("body", BODIES)
def test_pairs_speeds_distances_and_latitudes_are_those_of_the_places(
    body: str, settings: SkySettings
) -> None:
    waves, found, name = sky_waves(DAYS, settings), positions(DAYS, settings), body.replace(" ", "_")
    place, sun, node = found[body], found["Sun"], found["North node"]
    partner = node if body == "Sun" else sun
    expected = {
        f"dyn_{name}": place.longitude_deg,
        f"dyn_{name}_sign": 12 * place.longitude_deg,
        name: place.longitude_deg - partner.longitude_deg,
    }
    for pair, expected_deg in expected.items():
        assert np.abs(signed_angle_deg(angle_deg(waves, pair) - expected_deg)).max() < 1e-10
    own = [wave for wave in waves_of("ephemeris") if wave.body == body]
    columns = {wave.quantity: waves[wave.name].to_numpy() for wave in own}
    assert np.array_equal(columns["speed"], place.speed_deg_per_day)
    if "distance" in columns:
        assert np.array_equal(columns["distance"], place.distance_au)
        assert np.array_equal(columns["latitude"], place.latitude_deg)


@run(max_examples=20, deadline=None, derandomize=True)
@given(turns=st.lists(st.integers(-3, 3), min_size=len(BODIES), max_size=len(BODIES)))
def test_whole_turns_of_any_body_change_no_wave(turns: list[int]) -> None:
    found = positions(DAYS[:5], SkySettings())
    turned = {
        body: replace(found[body], longitude_deg=found[body].longitude_deg + 360.0 * turn)
        for body, turn in zip(BODIES, turns, strict=True)
    }
    difference = waves_of_positions(turned) - waves_of_positions(found)
    assert np.abs(difference.to_numpy()).max() < 1e-11


def test_no_wave_of_the_planets_repeats_another(settings: SkySettings) -> None:
    """The nodes do: the south mirrors the north, and Ω − λ_Sun mirrors the Sun's λ_Sun − Ω."""
    waves = sky_waves(np.arange("1900-01-01", "2052-01-01", 50, dtype="datetime64[D]"), settings)
    own = waves[[name for name in waves.columns if "_node_" not in name]]
    correlation = np.corrcoef(own.to_numpy(), rowvar=False) - np.eye(own.shape[1])
    assert np.abs(correlation).max() < 0.9999


def test_an_empty_list_of_dates_gives_an_empty_table(settings: SkySettings) -> None:
    assert sky_waves(DAYS[:0], settings).shape == (0, 113)


# --- the cache --------------------------------------------------------------------------------------


def test_the_same_request_is_computed_once(settings: SkySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sky_waves(DAYS, settings)

    def refuse(*_: object) -> None:
        pytest.fail("a cached sky was computed again")

    monkeypatch.setattr("model_core.sky.ephemeris.positions", refuse)
    pd.testing.assert_frame_equal(sky_waves(DAYS, settings), first, check_exact=True)


@pytest.mark.parametrize(
    "change",
    [
        {"hour_utc": 20.0},
        {"place": "observer"},
        {"place": "observer", "latitude_deg": 40.0},
        {"place": "observer", "longitude_deg": 40.0},
        {"place": "observer", "elevation_m": 4000.0},
    ],
)
def test_another_hour_or_place_is_another_request(settings: SkySettings, change: dict[str, object]) -> None:
    first, other = sky_waves(DAYS, settings), sky_waves(DAYS, settings.model_copy(update=change))
    assert not np.array_equal(first["dyn_Moon_sin"], other["dyn_Moon_sin"])
    assert len(files_in(settings)) == 2


def test_other_dates_or_another_order_are_another_request(settings: SkySettings) -> None:
    forward, backward = sky_waves(DAYS, settings), sky_waves(DAYS[::-1], settings)
    assert backward["dyn_Moon_sin"].iloc[0] == pytest.approx(forward["dyn_Moon_sin"].iloc[-1], abs=1e-13)
    sky_waves(DAYS[1:], settings)
    assert len(files_in(settings)) == 3


def test_an_unused_latitude_does_not_make_another_request(settings: SkySettings) -> None:
    sky_waves(DAYS, settings)
    sky_waves(DAYS, settings.model_copy(update={"latitude_deg": 40.0}))
    assert len(files_in(settings)) == 1


@pytest.mark.parametrize("damage", ["cut short", "one bit flipped", "emptied", "replaced by text"])
def test_a_damaged_sky_is_said_so_and_computed_again(
    damage: str, settings: SkySettings, caplog: pytest.LogCaptureFixture
) -> None:
    first = sky_waves(DAYS, settings)
    (path,) = files_in(settings)
    content = bytearray(path.read_bytes())
    match damage:
        case "cut short":
            path.write_bytes(content[:-100])
        case "one bit flipped":
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        case "emptied":
            path.write_bytes(b"")
        case _:
            path.write_text("no sky")
    with caplog.at_level(logging.WARNING, logger="pgat.sky"):
        again = sky_waves(DAYS, settings)
    assert f"the cached sky {path} is damaged" in caplog.text
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    assert files_in(settings) == [path]
    assert path.read_bytes() != content[:-100]


def test_an_undamaged_sky_leaves_no_line_in_the_log(
    settings: SkySettings, caplog: pytest.LogCaptureFixture
) -> None:
    sky_waves(DAYS, settings)
    sky_waves(DAYS, settings)
    assert not caplog.records


def test_a_cache_that_cannot_be_used_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match=r"sky cache .*file.* cannot be used .* set data\.sky\.cache"):
        sky_waves(DAYS, SkySettings(cache=str(tmp_path / "file")))


def test_the_default_folder_is_read_from_the_environment_at_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        sky_waves(DAYS[:3], SkySettings())
        assert list((tmp_path / name / "celestial-enhanced-pgat" / "sky").glob("*.parquet"))


def test_without_xdg_the_default_folder_is_in_the_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    sky_waves(DAYS[:3], SkySettings())
    assert list((tmp_path / ".cache" / "celestial-enhanced-pgat" / "sky").glob("*.parquet"))


def _moon(settings: SkySettings) -> float:
    return float(sky_waves(DAYS, settings)["dyn_Moon_sin"].sum())


def test_processes_that_share_a_cache_agree_and_leave_one_whole_file(settings: SkySettings) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = set(pool.map(_moon, [settings] * 4))
    assert len(found) == 1
    assert len(files_in(settings)) == 1
    assert found == {_moon(settings)}
