"""What a cubic powder scatters: its rings, their widths, and the background below them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Crystal:
    """A cubic powder.

    Parameters
    ----------
    a_angstrom : float
        Lattice parameter.
    atoms : tuple of (int, tuple)
        Atomic number and fractional coordinates of every atom in the cell.
    b_angstrom2 : float
        Debye-Waller factor B of all atoms: amplitudes fall as exp(-B s^2), s = 1 / (2 d).
    """

    a_angstrom: float
    atoms: tuple[tuple[int, tuple[float, float, float]], ...]
    b_angstrom2: float = 0.5


FACES = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))


def boron(x: float) -> tuple[tuple[float, float, float], ...]:
    """Return the corners of the boron octahedron of LaB6."""
    return (
        *((s * x, 0.5, 0.5) for s in (1, -1)),
        *((0.5, s * x, 0.5) for s in (1, -1)),
        *((0.5, 0.5, s * x) for s in (1, -1)),
    )


# Lattice parameter: NIST certificate of SRM 660c, at 22.5 degrees Celsius.
LAB6 = Crystal(4.156826, ((57, (0, 0, 0)), *((5, b) for b in boron(0.1996))), 0.4)
CEO2 = Crystal(
    5.4115,
    (
        *((58, f) for f in FACES),
        *((8, (x, y, z)) for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)),
    ),
)
ALUMINIUM = Crystal(4.0495, tuple((13, f) for f in FACES), 0.86)


class Lines(NamedTuple):
    """The rings of a cubic powder, inner first, each (n,)."""

    n: np.ndarray  # h^2 + k^2 + l^2
    d_angstrom: np.ndarray
    two_theta: np.ndarray  # rad
    strength: np.ndarray  # intensity per solid angle, integrated over the ring's width; arbitrary


def lines(crystal: Crystal, wavelength_angstrom: float, two_theta_max: float) -> Lines:
    """Return the powder rings up to `two_theta_max` (rad).

    Structure factors sum over the cell with f = Z exp(-2.5 s^2), a rough form factor. The
    Debye-Scherrer geometry spreads m |F|^2 / (4 sin theta) over a circle that grows with
    sin 2theta (Warren, X-ray Diffraction, 1969); polarisation is the detector image's matter.
    """
    d_min = wavelength_angstrom / 2 / np.sin(two_theta_max / 2)
    top = int(crystal.a_angstrom / d_min)
    axis = np.arange(-top, top + 1)
    hkl = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    squares = (hkl**2).sum(axis=1)
    keep = (squares > 0) & (squares <= (crystal.a_angstrom / d_min) ** 2)
    hkl, squares = hkl[keep], squares[keep]
    s2 = squares / (2 * crystal.a_angstrom) ** 2
    number, place = (np.array(column) for column in zip(*crystal.atoms, strict=True))
    amplitude = (np.exp(2j * np.pi * hkl @ place.T) @ number) * np.exp(
        -(2.5 + crystal.b_angstrom2) * s2
    )
    n, family = np.unique(squares, return_inverse=True)
    power = np.bincount(family, weights=np.abs(amplitude) ** 2)  # the multiplicity is in the sum
    seen = power > 1e-6 * power.max()
    n, power = n[seen], power[seen]
    d = crystal.a_angstrom / np.sqrt(n)
    theta = np.arcsin(wavelength_angstrom / 2 / d)
    return Lines(n, d, 2 * theta, power / (np.sin(theta) * np.sin(2 * theta)))


def pseudo_voigt(x: np.ndarray, fwhm: float, lorentzian: float = 0.4) -> np.ndarray:
    """Return a peak of unit area at 0, the same shape as `x` and in the inverse of its unit."""
    half = fwhm / 2
    gauss = np.sqrt(np.log(2) / np.pi) / half * np.exp(-np.log(2) * (x / half) ** 2)
    lorentz = half / np.pi / (x**2 + half**2)
    return lorentzian * lorentz + (1 - lorentzian) * gauss


def fwhm_rad(two_theta: np.ndarray, broadening_deg: float) -> np.ndarray:
    """Return a ring's full width at half maximum, rad.

    Caglioti's formula, FWHM^2 = U tan^2(theta) + V tan(theta) + W, with V = 0 and U = 2 W.
    """
    return np.radians(broadening_deg) * np.sqrt(1 + 2 * np.tan(two_theta / 2) ** 2)


class Curve(NamedTuple):
    """What the sample scatters, on a fine grid."""

    two_theta: np.ndarray  # (n,) rad
    intensity: np.ndarray  # (n,) counts in a pixel at the PONI, nothing lost to polarisation

    def __call__(self, two_theta: np.ndarray) -> np.ndarray:
        """Return the intensity at any angles (rad)."""
        return np.interp(two_theta, self.two_theta, self.intensity)


def powder_curve(
    crystal: Crystal,
    wavelength_angstrom: float,
    two_theta_max: float,
    *,
    peak: float,
    broadening_deg: float,
    strongest: float | None = None,
) -> Curve:
    """Return the rings of a powder without background.

    Parameters
    ----------
    crystal : Crystal
        What diffracts.
    wavelength_angstrom : float
        Of the beam.
    two_theta_max : float
        Where the curve ends, rad.
    peak : float
        Counts at the top of the strongest ring.
    broadening_deg : float
        Width of the rings at small angles, degrees.
    strongest : float, optional
        The strength that `peak` stands for; None means that of this crystal's strongest ring.
    """
    grid = np.linspace(0, two_theta_max, 40_001)
    rings = lines(crystal, wavelength_angstrom, two_theta_max + 0.02)
    widths = fwhm_rad(rings.two_theta, broadening_deg)
    total = sum(
        strength * pseudo_voigt(grid - centre, width)
        for centre, strength, width in zip(rings.two_theta, rings.strength, widths, strict=True)
    )
    scale = peak / (strongest or top_of(rings, broadening_deg))
    return Curve(grid, scale * total)


def top_of(rings: Lines, broadening_deg: float) -> float:
    """Return the height of the strongest ring, in the unit of `strength` per radian."""
    return max(
        strength * pseudo_voigt(np.zeros(1), width)[0]
        for strength, width in zip(
            rings.strength, fwhm_rad(rings.two_theta, broadening_deg), strict=True
        )
    )


def with_background(curve: Curve, wavelength_angstrom: float, *, air: float, glass: float) -> Curve:
    """Return the curve with air scattering and the broad halo of a glass capillary, in counts."""
    q = 4 * np.pi / wavelength_angstrom * np.sin(curve.two_theta / 2)
    halo = glass * np.exp(-0.5 * ((q - 1.6) / 0.45) ** 2)
    return Curve(curve.two_theta, curve.intensity + air * (0.3 + np.exp(-q / 1.2)) + halo)
