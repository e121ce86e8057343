"""Student's t as a forecast: distribution, quantiles, density and CRPS in closed form. NumPy and SciPy only.

With z = (y − μ) / s, f and F density and distribution of the t with ν degrees of freedom, and B the beta function:

    CRPS = s · [z (2 F(z) − 1) + 2 f(z) (ν + z²) / (ν − 1) − 2 √ν B(½, ν − ½) / ((ν − 1) B(½, ν/2)²)]

                                                                            (Jordan, Krüger and Lerch, 2019; ν > 1)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import beta, gammaln, stdtr, stdtrit

Values = NDArray[np.float64]


@dataclass(frozen=True)
class StudentT:
    """A t distribution for every element of an array; ``mean`` and ``scale`` are [...], float64."""

    mean: Values
    scale: Values
    """Not the standard deviation, which is √(ν / (ν − 2)) times as large."""
    degrees: float
    """ν, above 2."""

    @classmethod
    def with_variance(cls, mean: Values, variance: Values, degrees: float) -> "StudentT":
        """The t with ``degrees`` and this mean and variance [...]."""
        return cls(mean, np.sqrt(variance * (degrees - 2) / degrees), degrees)

    def cdf(self, value: Values) -> Values:
        """[...] probability of at most ``value`` [...]."""
        return np.asarray(stdtr(self.degrees, (value - self.mean) / self.scale))

    def quantile(self, probability: float) -> Values:
        """[...] the value that is not exceeded with ``probability``."""
        return self.mean + self.scale * float(stdtrit(self.degrees, probability))

    def log_density(self, value: Values) -> Values:
        """[...] natural logarithm of the density at ``value`` [...]."""
        return self._log_density((value - self.mean) / self.scale) - np.log(self.scale)

    def crps(self, true: Values) -> Values:
        """[...] continuous ranked probability score at ``true`` [...]; smaller is better, unit of the values."""
        nu = self.degrees
        z = (true - self.mean) / self.scale
        spread = 2 * np.sqrt(nu) * beta(0.5, nu - 0.5) / ((nu - 1) * beta(0.5, nu / 2) ** 2)
        near = 2 * np.exp(self._log_density(z)) * (nu + z**2) / (nu - 1)
        return self.scale * (z * (2 * stdtr(nu, z) - 1) + near - spread)

    def _log_density(self, z: Values) -> Values:
        nu = self.degrees
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
        return np.asarray(constant - (nu + 1) / 2 * np.log1p(z**2 / nu))
