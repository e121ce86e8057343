"""The table of waves: both layouts are complete, found by name, and documented."""

from typing import get_args

import pytest

from model_core.config.data import Layout
from model_core.config.model import NUM_BODIES
from model_core.sky.aspects import ASPECTS
from model_core.sky.bodies import BODIES, CHIRON, NODES
from model_core.sky.waves import Quantity, column_of, sky_names, waves_of

LAYOUTS: tuple[Layout, ...] = get_args(Layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_has_118_waves_of_different_names_prices_first(layout: Layout) -> None:
    waves = waves_of(layout)
    names = [wave.name for wave in waves]
    assert len(waves) == len(set(names)) == 118
    assert names[:5] == ["log_Open", "log_High", "log_Low", "log_Close", "time_delta"]
    assert list(sky_names(layout)) == names[5:]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sky_waves_and_no_others_are_known_in_advance(layout: Layout) -> None:
    assert all(wave.known_in_advance == (wave.kind == "sky") for wave in waves_of(layout))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_angles_come_as_unscaled_pairs_of_one_body(layout: Layout) -> None:
    waves = waves_of(layout)
    sines = [wave for wave in waves if wave.quantity.endswith("_sin")]
    for sine in sines:
        cosine = next(wave for wave in waves if wave.name == sine.name.removesuffix("sin") + "cos")
        assert (cosine.body, cosine.quantity) == (sine.body, sine.quantity.removesuffix("sin") + "cos")
        assert (sine.scaled, cosine.scaled) == (False, False)
    assert len(sines) == sum(wave.quantity.endswith("_cos") for wave in waves) > 0


def test_every_body_of_the_ephemeris_layout_has_its_nine_or_seven_waves() -> None:
    assert len(BODIES) == NUM_BODIES
    waves = waves_of("ephemeris")
    for body in BODIES:
        own = [wave for wave in waves if wave.body == body]
        assert len(own) == (7 if body in NODES else 9)
        assert all(body.replace(" ", "_") in wave.name for wave in own)


def test_the_published_layout_counts_as_published() -> None:
    waves = waves_of("published")
    counts = {
        ending: sum(wave.quantity == ending for wave in waves) for ending in ("speed", "distance", "shadbala")
    }
    assert counts == {"speed": 12, "distance": 10, "shadbala": 7}
    assert sum(wave.quantity.startswith("natal_") for wave in waves) == 26
    assert not any(wave.body == CHIRON for wave in waves)
    assert next(wave for wave in waves if wave.name == "dyn_Mean Rahu_sin").body == "North node"


def test_a_column_is_found_by_body_and_quantity() -> None:
    waves = waves_of("ephemeris")
    assert waves[column_of(waves, "North node", "longitude_cos")].name == "dyn_North_node_cos"
    with pytest.raises(KeyError, match="no wave holds the distance of South node"):
        column_of(waves, "South node", "distance")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_wave_says_what_it_means_and_in_which_unit(layout: Layout) -> None:
    for wave in waves_of(layout):
        assert all((wave.meaning, wave.unit, wave.quantity in get_args(Quantity)))


def test_the_five_aspects_stand_at_their_classical_angles() -> None:
    assert {aspect.name: aspect.angle_deg for aspect in ASPECTS} == {
        "conjunction": 0,
        "sextile": 60,
        "square": 90,
        "trine": 120,
        "opposition": 180,
    }
    assert all(aspect.orb_deg > 0 and aspect.strength != 0 for aspect in ASPECTS)
