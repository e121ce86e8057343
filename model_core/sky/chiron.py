"""Chiron's path, read from the table that ``chiron_orbit.py`` integrated once.

The table holds Chebyshev polynomials of the barycentric position, segment by segment, as the JPL
ephemerides do; between its nodes it reproduces the integration to 1e-11 au.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from skyfield.timelib import Time
from skyfield.vectorlib import VectorFunction

TABLE = Path(__file__).with_name("chiron.npz")
SOLAR_SYSTEM_BARYCENTER = 0
NAIF_NUMBER = 20002060


@dataclass(frozen=True)
class ChironTable:
    """Chebyshev polynomials of Chiron's barycentric ICRF position in au.

    Args:
        first_jd: Julian date (TDB) at which the first segment begins.
        days_per_segment: length of every segment.
        coefficients: [segments, 3, degree + 1].
    """

    first_jd: float
    days_per_segment: float
    coefficients: NDArray[np.float64]

    @property
    def last_jd(self) -> float:
        """Julian date (TDB) at which the last segment ends."""
        return self.first_jd + len(self.coefficients) * self.days_per_segment

    def position_and_velocity(
        self, jd: NDArray[np.float64], fraction: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position (au) and velocity (au/day), both [3, n], at the Julian dates ``jd + fraction`` (TDB).

        Raises:
            ValueError: a date lies outside of the table.
        """
        days = (jd - self.first_jd) + fraction
        segment = np.floor(days / self.days_per_segment).astype(np.int64)
        if np.any(segment < 0) or np.any(segment >= len(self.coefficients)):
            raise ValueError(f"Chiron's table covers the Julian dates {self.first_jd} to {self.last_jd} only")
        scaled = 2.0 * (days / self.days_per_segment - segment) - 1.0
        basis = chebyshev.chebvander(scaled, self.coefficients.shape[2] - 1)
        slopes = chebyshev.chebder(self.coefficients, scl=2.0 / self.days_per_segment, axis=2)
        position = np.einsum("nck,nk->cn", self.coefficients[segment], basis)
        velocity = np.einsum("nck,nk->cn", slopes[segment], basis[:, :-1])
        return position, velocity


class Chiron(VectorFunction):  # type: ignore[misc]  # Skyfield has no types
    """Chiron as a body that Skyfield can observe, like the planets of its ephemeris."""

    center = SOLAR_SYSTEM_BARYCENTER
    target = NAIF_NUMBER

    def __init__(self, table: ChironTable) -> None:
        self._table = table

    def _at(self, t: Time) -> tuple[NDArray[np.float64], NDArray[np.float64], None, None]:
        position, velocity = self._table.position_and_velocity(t.whole, t.tdb_fraction)
        return position, velocity, None, None


def load_table(path: Path = TABLE) -> ChironTable:
    """Read a table of Chiron's path."""
    with np.load(path, allow_pickle=False) as stored:
        return ChironTable(
            float(stored["first_jd"]), float(stored["days_per_segment"]), stored["coefficients"]
        )


def save_table(path: Path, table: ChironTable) -> None:
    """Write a table of Chiron's path."""
    np.savez(
        path,
        first_jd=table.first_jd,
        days_per_segment=table.days_per_segment,
        coefficients=table.coefficients,
    )
