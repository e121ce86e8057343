"""The JPL ephemeris DE421 as the package ``skyfield-data`` ships it: nothing is downloaded.

It covers 1899-07-29 … 2053-10-09 (Folkner, Williams, Boggs: The Planetary and Lunar Ephemeris
DE 421, 2009).
"""

import warnings

from skyfield.api import Loader
from skyfield.jpllib import SpiceKernel
from skyfield.timelib import Timescale
from skyfield_data import get_skyfield_data_path


def open_sky() -> tuple[SpiceKernel, Timescale]:
    """The open ephemeris, to be closed by the caller, and the time scales that Skyfield brings along."""
    load = Loader(_data_folder(), verbose=False)
    return load("de421.bsp"), load.timescale(builtin=True)


def _data_folder() -> str:
    with warnings.catch_warnings():
        # The package complains that its table of the Earth's measured rotation has expired. Only its
        # ephemeris is used here, which does not age.
        warnings.filterwarnings("ignore", message=".*has expired", category=RuntimeWarning)
        return str(get_skyfield_data_path())
