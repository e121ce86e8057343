"""THE table: the 118 input waves of both layouts. Preparation, the model's grouping of columns by
body and ``docs/waves.md`` all come from here, and find a wave by name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from model_core.axes import TARGETS
from model_core.config.data import Layout
from model_core.sky.bodies import BODIES, NODES

Quantity = Literal[
    "log_price",
    "time_delta",
    "longitude_sin",
    "longitude_cos",
    "speed",
    "sign_sin",
    "sign_cos",
    "distance",
    "latitude",
    "synodic_sin",
    "synodic_cos",
    "shadbala",
    "natal_sin",
    "natal_cos",
]


@dataclass(frozen=True)
class Wave:
    """One input column: what it measures, of which body, and how preparation treats it.

    ``known_in_advance`` waves are given to the decoder for the days of the horizon. ``scaled`` waves
    are standardized with the train rows' mean and deviation; price waves are not, since windows turn
    them into displacements, and neither are angles, since phase differences need the raw pair.
    """

    name: str
    kind: Literal["price", "time", "sky"]
    body: str | None
    quantity: Quantity
    unit: str
    known_in_advance: bool
    scaled: bool
    meaning: str


# quantity: (ending of the column's name, unit, scaled, meaning)
_DYNAMIC: dict[Quantity, tuple[str, str, bool, str]] = {
    "longitude_sin": ("sin", "1", False, "sine of the ecliptic longitude λ"),
    "longitude_cos": ("cos", "1", False, "cosine of the ecliptic longitude λ"),
    "speed": ("speed", "°/day", True, "rate of λ, negative while retrograde"),
    "sign_sin": ("sign_sin", "1", False, "sine of the zodiac sign phase 12 λ"),
    "sign_cos": ("sign_cos", "1", False, "cosine of the zodiac sign phase 12 λ"),
    "distance": ("distance", "au", True, "distance from the observer"),
    "latitude": ("lat", "°", True, "ecliptic latitude"),
    "shadbala": ("shadbala", "as in the table", True, "strength in Vedic astrology"),
}
_NODE_QUANTITIES: tuple[Quantity, ...] = (
    "longitude_sin",
    "longitude_cos",
    "speed",
    "sign_sin",
    "sign_cos",
)
_BODY_QUANTITIES: tuple[Quantity, ...] = (*_NODE_QUANTITIES, "distance", "latitude")

# The column names of published 118-column tables: planets in their order there, nodes by Vedic name.
_PUBLISHED_PLANETS = (
    "Sun",
    "Moon",
    "Mars",
    "Mercury",
    "Jupiter",
    "Venus",
    "Saturn",
    "Uranus",
    "Neptune",
    "Pluto",
)
_PUBLISHED_NODES = {"Mean Rahu": "North node", "Mean Ketu": "South node"}
_PUBLISHED_SHADBALA = _PUBLISHED_PLANETS[:7]


def waves_of(layout: Layout) -> tuple[Wave, ...]:
    """All 118 waves of a layout: 4 log prices, ``time_delta``, then 113 sky waves."""
    match layout:
        case "ephemeris":
            sky = tuple(_ephemeris_sky())
        case "published":
            sky = tuple(_published_sky())
    return (*_PRICE_WAVES, _TIME_WAVE, *sky)


def sky_names(layout: Layout) -> tuple[str, ...]:
    """Column names of the 113 sky waves of a layout, in table order."""
    return tuple(wave.name for wave in waves_of(layout) if wave.kind == "sky")


def column_of(waves: Iterable[Wave], body: str, quantity: Quantity) -> int:
    """Position of the one wave of ``body`` that holds ``quantity``.

    Raises:
        KeyError: there is no such wave, e.g. the distance of a node.
    """
    for position, wave in enumerate(waves):
        if wave.body == body and wave.quantity == quantity:
            return position
    raise KeyError(f"no wave holds the {quantity} of {body}")


_PRICE_WAVES = tuple(
    Wave(
        name=f"log_{target}",
        kind="price",
        body=None,
        quantity="log_price",
        unit="log price",
        known_in_advance=False,
        scaled=False,
        meaning=f"natural logarithm of {target}; a target, shown to the model as a displacement",
    )
    for target in TARGETS
)

_TIME_WAVE = Wave(
    name="time_delta",
    kind="time",
    body=None,
    quantity="time_delta",
    unit="days",
    known_in_advance=False,
    scaled=True,
    meaning="days since the previous row; the decoder learns of gaps from the calendar instead",
)


def _sky(
    name: str,
    body: str | None,
    quantity: Quantity,
    unit: str,
    scaled: bool,
    meaning: str,
) -> Wave:
    return Wave(
        name,
        "sky",
        body,
        quantity,
        unit,
        known_in_advance=True,
        scaled=scaled,
        meaning=meaning,
    )


def _dynamic(name: str, body: str, quantities: Iterable[Quantity]) -> Iterator[Wave]:
    """The ``dyn_<name>_…`` columns of one body."""
    for quantity in quantities:
        ending, unit, scaled, meaning = _DYNAMIC[quantity]
        if quantity == "speed" and body in NODES:
            # The mean node's speed changes by 2e-8 °/day in 20 years: standardized, that drift would
            # look like a signal and leave every train range.
            scaled, meaning = (
                False,
                "rate of λ, constant to 1e-7 °/day and therefore left raw",
            )
        yield _sky(f"dyn_{name}_{ending}", body, quantity, unit, scaled, meaning)


def _ephemeris_sky() -> Iterator[Wave]:
    for body in BODIES:
        name = body.replace(" ", "_")
        yield from _dynamic(name, body, _NODE_QUANTITIES if body in NODES else _BODY_QUANTITIES)
        phase = "eclipse-season phase λ_Sun − Ω" if body == "Sun" else f"synodic phase λ − λ_Sun of {body}"
        yield _sky(f"{name}_sin", body, "synodic_sin", "1", False, f"sine of the {phase}")
        yield _sky(f"{name}_cos", body, "synodic_cos", "1", False, f"cosine of the {phase}")


def _published_sky() -> Iterator[Wave]:
    for planet in _PUBLISHED_PLANETS:
        yield from _dynamic(planet, planet, _BODY_QUANTITIES)
    for name, node in _PUBLISHED_NODES.items():
        yield from _dynamic(name, node, _NODE_QUANTITIES)
    for planet in _PUBLISHED_SHADBALA:
        yield from _dynamic(planet, planet, ("shadbala",))
    bodies: dict[str, str | None] = {planet: planet for planet in _PUBLISHED_PLANETS}
    for name, body in {**bodies, **_PUBLISHED_NODES, "Ascendant": None}.items():
        meaning = f"natal longitude of {name}, constant in time"
        yield _sky(f"{name}_sin", body, "natal_sin", "1", False, f"sine of the {meaning}")
        yield _sky(f"{name}_cos", body, "natal_cos", "1", False, f"cosine of the {meaning}")
