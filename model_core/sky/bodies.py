"""The thirteen celestial bodies, in the one order that every array of this package uses."""

PLANETS = (
    "Sun",
    "Moon",
    "Mercury",
    "Venus",
    "Mars",
    "Jupiter",
    "Saturn",
    "Uranus",
    "Neptune",
    "Pluto",
)
"""The ten bodies whose positions come straight from the JPL ephemeris (Sun and Moon included)."""

CHIRON = "Chiron"
"""Minor planet 2060, integrated in ``model_core.sky.chiron``."""

NODES = ("North node", "South node")
"""The Moon's mean nodes: directions on the ecliptic, without latitude or distance."""

BODIES: tuple[str, ...] = (*PLANETS, CHIRON, *NODES)
"""All thirteen; N of the model."""
