"""Small-angle scattering of dilute spheres with a distribution of sizes, on an absolute scale."""

from math import lgamma

import numpy as np

NM_PER_ANGSTROM = 0.1
CM_PER_ANGSTROM = 1e-8
SIZES = 81  # radii that stand for the distribution


def moment(power: int, spread: float) -> float:
    """Return the mean of R^power over a Schulz distribution, with the mean radius as the unit.

    Parameters
    ----------
    power : int
        Of the radius.
    spread : float
        Standard deviation of the radii over their mean. The distribution is the gamma distribution
        with the shape 1 / spread^2 (Kotlarchyk & Chen, J. Chem. Phys. 79 (1983) 2461).
    """
    shape = 1 / spread**2
    return float(np.exp(lgamma(shape + power) - lgamma(shape) - power * np.log(shape)))


def guinier_radius_nm(radius_nm: float, spread: float) -> float:
    """Return the radius of gyration that the scattering at the smallest angles shows, nm.

    Scattering weights each sphere with its squared volume: Rg^2 = 3/5 <R^8> / <R^6>.
    """
    return radius_nm * float(np.sqrt(0.6 * moment(8, spread) / moment(6, spread)))


def form_factor(x: np.ndarray) -> np.ndarray:
    """Return Rayleigh's form factor of a sphere, 1 at x = q R = 0, the same shape as `x`."""
    small = np.maximum(x, 1e-3)
    return (3 * (np.sin(small) - small * np.cos(small)) / small**3) ** 2


def cross_section(
    q: np.ndarray, radius_nm: float, spread: float, volume_fraction: float, contrast_cm2: float
) -> np.ndarray:
    """Return the cross-section of spheres per volume of sample: (n,), 1/cm.

    Parameters
    ----------
    q : (n,) float64
        Momentum transfer, 1/angstrom.
    radius_nm, spread : float
        Mean radius, and the standard deviation of the radii over it, above 0.
    volume_fraction : float
        Of the spheres. They are taken as so dilute that they don't see each other.
    contrast_cm2 : float
        Difference of scattering length density to the solvent, 1/cm^2.
    """
    nodes, weights = np.polynomial.legendre.leggauss(SIZES)
    radii = np.maximum(1 + 5 * spread * nodes, 1e-3)  # over the mean
    shape = 1 / spread**2
    density = np.exp(shape * (np.log(radii) + 1 - radii)) / radii  # a gamma distribution, its top 1
    chance = weights * density / np.sum(weights * density)
    mean_angstrom = radius_nm / NM_PER_ANGSTROM
    volumes = 4 / 3 * np.pi * (radii * mean_angstrom * CM_PER_ANGSTROM) ** 3
    each = form_factor(q[:, None] * radii * mean_angstrom) @ (chance * volumes**2)
    return volume_fraction * contrast_cm2**2 * each / (chance @ volumes)
