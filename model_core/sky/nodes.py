"""The Moon's mean nodes, where its mean orbit crosses the ecliptic (no nutation).

    Ω = 125.0445479° − 1934.1362891° T + 0.0020754° T² + T³/467441 − T⁴/60616000

with T in Julian centuries of TT since J2000 (Meeus, Astronomical Algorithms, 2nd ed., eq. 47.7). The
south node stands opposite: Ω + 180°.
"""

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

JD_OF_J2000 = 2451545.0
DAYS_PER_CENTURY = 36525.0

_NODE_DEG = Polynomial([125.0445479, -1934.1362891, 0.0020754, 1 / 467441, -1 / 60616000])
_NODE_DEG_PER_CENTURY = _NODE_DEG.deriv()


def mean_node_deg(jd_tt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitude of the mean north node in [0°, 360°) at the Julian dates ``jd_tt`` [n] (TT)."""
    longitude: NDArray[np.float64] = np.mod(_NODE_DEG(_centuries(jd_tt)), 360.0)
    return longitude


def mean_node_speed_deg_per_day(jd_tt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Speed of both mean nodes, about −0.053 °/day, at the Julian dates ``jd_tt`` [n] (TT)."""
    speed: NDArray[np.float64] = _NODE_DEG_PER_CENTURY(_centuries(jd_tt)) / DAYS_PER_CENTURY
    return speed


def _centuries(jd_tt: NDArray[np.float64]) -> NDArray[np.float64]:
    return (jd_tt - JD_OF_J2000) / DAYS_PER_CENTURY
