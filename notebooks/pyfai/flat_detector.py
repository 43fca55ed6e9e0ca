"""A flat detector and where it stands: what each of its pixels looks at.

The definition of the geometry (distance, PONI and three rotations) is the one printed in the pyFAI
paper (Ashiotis et al. 2015, doi:10.1107/S1600576715004306), written here with NumPy alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

HC_KEV_ANGSTROM = 12.398419843  # Planck constant times speed of light, CODATA 2018
POLARISATION = 0.98  # of the horizontal kind: 1 is fully horizontal, -1 fully vertical


@dataclass(frozen=True)
class Detector:
    """A flat detector, in the numbers of its data sheet.

    Parameters
    ----------
    name : str
        As pyFAI's list of detectors has it.
    shape : tuple of int
        (ny, nx), pixels: slow axis 1 upwards, fast axis 2.
    pixel_m : float
        Edge of a square pixel, metres.
    module_shape, gap_shape : tuple of int
        Pixels of one module, and of the dead stripes between two modules.
    """

    name: str
    shape: tuple[int, int]
    pixel_m: float
    module_shape: tuple[int, int]
    gap_shape: tuple[int, int] = (0, 0)

    @property
    def gaps(self) -> np.ndarray:
        """The stripes between the modules: (ny, nx) bool, True where nothing is measured."""
        inside = [
            np.arange(n) % (module + gap) < module
            for n, module, gap in zip(self.shape, self.module_shape, self.gap_shape, strict=True)
        ]
        return ~np.logical_and.outer(*inside)


PILATUS_1M = Detector("Pilatus1M", (1043, 981), 172e-6, (195, 487), (17, 7))
EIGER_500K = Detector("Eiger500k", (514, 1030), 75e-6, (514, 1030))


@dataclass(frozen=True)
class Geometry:
    """Where the detector stands, in pyFAI's parameters.

    Parameters
    ----------
    dist_m, poni1_m, poni2_m : float
        Distance of the detector's plane from the sample, and the foot of that perpendicular (the
        point of normal incidence) on the detector, metres.
    rot1_rad, rot2_rad, rot3_rad : float
        Rotations about axis 1 (up), axis 2 (horizontal) and the beam; the first two left-handed.
    energy_kev : float
        Photon energy.
    """

    dist_m: float
    poni1_m: float
    poni2_m: float
    rot1_rad: float
    rot2_rad: float
    rot3_rad: float
    energy_kev: float

    @property
    def wavelength_angstrom(self) -> float:
        """Wavelength in angstroms."""
        return HC_KEV_ANGSTROM / self.energy_kev

    @property
    def wavelength_m(self) -> float:
        """Wavelength in metres."""
        return self.wavelength_angstrom * 1e-10

    @property
    def rotation(self) -> np.ndarray:
        """From the detector's axes to the laboratory's: (3, 3), R3 R2 R1 of the paper."""
        (c1, c2, c3), (s1, s2, s3) = (
            f([self.rot1_rad, self.rot2_rad, self.rot3_rad]) for f in (np.cos, np.sin)
        )
        about_1 = np.array([[1, 0, 0], [0, c1, s1], [0, -s1, c1]])
        about_2 = np.array([[c2, 0, -s2], [0, 1, 0], [s2, 0, c2]])
        about_3 = np.array([[c3, -s3, 0], [s3, c3, 0], [0, 0, 1]])
        return about_3 @ about_2 @ about_1

    @property
    def tilt_deg(self) -> float:
        """Angle between the beam and the detector's normal, degrees."""
        return float(np.degrees(np.arccos(self.rotation[2, 2])))

    @property
    def beam_distance_m(self) -> float:
        """From the sample to the detector's plane along the beam, metres."""
        return self.dist_m / self.rotation[2, 2]

    def beam_centre_px(self, detector: Detector) -> tuple[float, float]:
        """Return where the direct beam meets the detector's plane: (y, x), pixels from its corner."""
        ray = self.rotation.T[:, 2] * self.beam_distance_m
        return (
            float((self.poni1_m + ray[0]) / detector.pixel_m),
            float((self.poni2_m + ray[1]) / detector.pixel_m),
        )


class Angles(NamedTuple):
    """Where points of the detector look to, each (ny, nx)."""

    two_theta: np.ndarray  # rad, between the beam and the ray
    chi: np.ndarray  # rad, azimuth from axis 2
    cos_incidence: np.ndarray  # of the angle between the ray and the detector's normal


def angles(geometry: Geometry, detector: Detector, at: tuple[float, float] = (0.5, 0.5)) -> Angles:
    """Return the angles of one point in every pixel.

    Parameters
    ----------
    geometry : Geometry
        Where the detector stands.
    detector : Detector
        Its shape and pixels.
    at : tuple of float
        The point within each pixel, in pixels from its corner; the default is the centre.
    """
    rows, columns = (np.arange(n) + shift for n, shift in zip(detector.shape, at, strict=True))
    y = (rows * detector.pixel_m - geometry.poni1_m)[:, None]
    x = (columns * detector.pixel_m - geometry.poni2_m)[None, :]
    up, across, along = (r[0] * y + r[1] * x + r[2] * geometry.dist_m for r in geometry.rotation)
    length = np.sqrt(x**2 + y**2 + geometry.dist_m**2)
    return Angles(
        two_theta=np.arctan2(np.hypot(up, across), along),
        chi=np.arctan2(up, across),
        cos_incidence=geometry.dist_m / length,
    )


def solid_angle(where: Angles) -> np.ndarray:
    """Return each pixel's solid angle over that of one at the PONI: (ny, nx).

    A pixel of area A at the length r of its ray covers A cos(i) / r^2, and r = dist / cos(i).
    """
    return where.cos_incidence**3


def polarisation(where: Angles, degree: float = POLARISATION) -> np.ndarray:
    """Return the fraction of the scattered intensity that polarisation leaves: (ny, nx).

    Thomson scattering sends nothing along the electric field: 1 - (sin 2theta cos chi)^2 for
    horizontal and 1 - (sin 2theta sin chi)^2 for vertical light, mixed (1 + degree) : (1 - degree).
    """
    sin2 = np.sin(where.two_theta) ** 2
    horizontal = 1 - sin2 * np.cos(where.chi) ** 2
    vertical = 1 - sin2 * np.sin(where.chi) ** 2
    return (1 + degree) / 2 * horizontal + (1 - degree) / 2 * vertical
