"""Chiron's orbit, integrated once: the maker of the table that ``chiron.py`` reads.

Chiron moves between Saturn and Uranus, whose pull moves it by degrees within decades, so that an
ellipse is useless. Here it is a massless particle in the field of the Sun, the eight planets (the
Earth together with the Moon) and Pluto, all taken from the JPL ephemeris DE421:

    r″ = Σᵢ GMᵢ (rᵢ(t) − r) / |rᵢ(t) − r|³        (barycentric, ICRF axes, au and days of TDB)

solved by DOP853 in both directions from one state. Neglected: general relativity (Chiron's
perihelion turns by 0.003″ per orbit), asteroids, and the gas it loses. JPL Horizons, whose orbit
was fitted to later observations, puts Chiron within 0.3″ of this path from 1952 to 2034 and within 1″
from 1900 to 2052 (``tests/sky/test_chiron.py``).

``python -m model_core.sky.chiron_orbit`` writes the table again (ten seconds).
"""

from collections.abc import Callable
from contextlib import closing

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from model_core.sky.chiron import TABLE, ChironTable, save_table
from model_core.sky.kernel import open_sky

EPOCH_JD_TDB = 2457024.5
STATE_AU_AU_PER_DAY = (
    *(17.4404393298572, -4.46551388636102, -0.316178692932792),
    *(0.00149989912115741, 0.0028227295271653, 0.000976500311700511),
)
"""Heliocentric position and velocity of Chiron at the epoch (2015-01-02), ICRF axes."""

GM_SUN_AU3_PER_DAY2 = 0.01720209895**2
"""The square of the Gaussian gravitational constant."""

SUN_MASS_PER_BODY = {
    1: 6023600.0,  # Mercury
    2: 408523.71,  # Venus
    3: 328900.5614,  # Earth and Moon
    4: 3098708.0,  # Mars
    5: 1047.3486,  # Jupiter
    6: 3497.898,  # Saturn
    7: 22902.98,  # Uranus
    8: 19412.24,  # Neptune
    9: 1.352e8,  # Pluto
}
"""Reciprocal masses by the NAIF number of each system's barycenter (Astronomical Almanac)."""

SUN = 10
KM_PER_AU = 149597870.7
TOLERANCE = 1e-13
LONGEST_STEP_DAYS = 32.0
"""Keeps DOP853's interpolation between its steps good: half of it moves no number of the table by 5e-12 au,
while steps as long as the tolerance allows move some by 2e-8 au."""

FIRST_JD = 2415008.5
"""The table begins on 1899-12-20 and ends on 2053-06-19, inside of DE421 and a little beyond the
dates that ``ephemeris.py`` admits, since light needs hours from Chiron to us."""

SEGMENTS = 219
DAYS_PER_SEGMENT = 256.0
CHEBYSHEV_DEGREE = 10

State = NDArray[np.float64]
"""Position (au) and velocity (au/day): six numbers."""


def integrate(
    start_jd: float, state: State, stop_jd: float, tolerance: float = TOLERANCE
) -> Callable[[State], State]:
    """Barycentric path of a massless body from one moment to another, forwards or backwards.

    Args:
        start_jd: Julian date (TDB) of ``state``.
        state: barycentric position and velocity, au and au/day, ICRF axes.
        stop_jd: Julian date (TDB) at which the integration ends.
        tolerance: relative error allowed in one step.

    Returns:
        Function from Julian dates [n] between the two ends to states [6, n].
    """
    with closing(open_sky()[0]) as kernel:
        bodies = tuple(kernel.spk[0, body] for body in (SUN, *SUN_MASS_PER_BODY))
        gm = GM_SUN_AU3_PER_DAY2 / np.array([1.0, *SUN_MASS_PER_BODY.values()])

        def rate(jd: float, state: State) -> State:
            positions = np.array([body.compute(jd) for body in bodies]) / KM_PER_AU
            pull = positions - state[:3]
            cubes = np.einsum("ij,ij->i", pull, pull) ** 1.5
            return np.concatenate([state[3:], (gm / cubes) @ pull])

        solution = solve_ivp(
            rate,
            (start_jd, stop_jd),
            state,
            method="DOP853",
            rtol=tolerance,
            atol=tolerance * 1e-3,
            max_step=LONGEST_STEP_DAYS,
            dense_output=True,
        )
    path: Callable[[State], State] = solution.sol
    return path


def barycentric_epoch_state() -> State:
    """Chiron's state at the epoch, moved from the Sun to the barycenter of the Solar System."""
    return np.array(STATE_AU_AU_PER_DAY) + sun_state(EPOCH_JD_TDB)


def sun_state(jd_tdb: float) -> State:
    """The Sun's barycentric position and velocity, au and au/day, ICRF axes."""
    with closing(open_sky()[0]) as kernel:
        position_km, velocity_km_per_day = kernel.spk[0, SUN].compute_and_differentiate(jd_tdb)
    return np.concatenate([position_km, velocity_km_per_day]) / KM_PER_AU


def make_table() -> ChironTable:
    """Integrate to both ends and fit Chebyshev polynomials to the path, segment by segment."""
    state = barycentric_epoch_state()
    before = integrate(EPOCH_JD_TDB, state, FIRST_JD)
    after = integrate(EPOCH_JD_TDB, state, FIRST_JD + SEGMENTS * DAYS_PER_SEGMENT)
    nodes = chebyshev.chebpts1(2 * CHEBYSHEV_DEGREE)
    coefficients = np.empty((SEGMENTS, 3, CHEBYSHEV_DEGREE + 1))
    for segment in range(SEGMENTS):
        jd = FIRST_JD + (segment + 0.5 + 0.5 * nodes) * DAYS_PER_SEGMENT
        position = np.where(jd < EPOCH_JD_TDB, before(jd)[:3], after(jd)[:3])
        coefficients[segment] = chebyshev.chebfit(nodes, position.T, CHEBYSHEV_DEGREE).T
    return ChironTable(FIRST_JD, DAYS_PER_SEGMENT, coefficients)


if __name__ == "__main__":
    save_table(TABLE, make_table())
