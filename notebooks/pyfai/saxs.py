"""Small-angle scattering whose truth is known: silica spheres in water, and silver behenate.

Four images of a Pilatus 1M, about 3 m away: the calibrant, the empty capillary, water in it, and the
spheres in water. Left out: the size and divergence of the beam, its bandwidth, multiple
scattering, the interaction of the spheres, the rise of water's scattering beyond q = 0.3/angstrom,
and the energy response of the detector.
"""

from dataclasses import dataclass
from pathlib import Path

import fabio
import numpy as np
from exposure import average, losses, subpixels
from flat_detector import PILATUS_1M, Detector, Geometry
from powder import Curve, pseudo_voigt
from spheres import cross_section
from truths import Solution, write_truth

BEHENATE_ANGSTROM = 58.380  # long spacing: Huang et al., J. Appl. Cryst. 26 (1993) 180
ORDERS = np.array([1, 0.24, 0.42, 0.1, 0.15, 0.05, 0.08])  # rough strengths of its rings
WATER_PER_CM = 0.01632  # at 293 K: Orthaber et al., J. Appl. Cryst. 33 (2000) 218
CONTRAST_CM2 = 8.0e10  # amorphous silica of 2.0 g/cm^3 in water
GLASS, WATER = 0.97, 0.846  # transmitted at 15 keV: two walls of 10 um, and 1 mm of water
FLUX_HZ = 1e12


@dataclass(frozen=True)
class Shot:
    """One exposure: its length, and what part of the beam goes straight through."""

    seconds: float
    transmission: float


SHOTS = {
    "agbh": Shot(1, 0.8),
    "empty": Shot(200, GLASS),
    "water": Shot(200, GLASS * WATER),
    "sample": Shot(2, GLASS * WATER * 0.995),
}


def saxs_images(folder: Path, seed: int) -> None:
    """Write four images as EDF, their headers with photons and transmission, and their truth.

    The seed moves the detector, and draws spheres, capillary, bad pixels and noise.
    """
    rng = np.random.default_rng(seed)
    geometry = drawn_geometry(rng, PILATUS_1M)
    sample = {
        "radius_nm": rng.uniform(5.5, 6.5),
        "spread": rng.uniform(0.08, 0.12),
        "volume_fraction": rng.uniform(1.5e-3, 2.5e-3),
        "thickness_cm": 0.1 * rng.uniform(0.96, 1.04),
    }
    light = stop_transmission(geometry, PILATUS_1M)
    dead, hot = (rng.random(PILATUS_1M.shape) < share for share in (3e-4, 2e-4))
    truth = Solution(
        **sample,
        contrast_cm2=CONTRAST_CM2,
        water_per_cm=WATER_PER_CM,
        mask=PILATUS_1M.gaps | dead | hot | (light < 0.99),
        geometry=geometry,
        detector=PILATUS_1M,
    )
    points, kept = subpixels(geometry, PILATUS_1M, 3), losses(geometry, PILATUS_1M) * light
    for name, shot in SHOTS.items():
        photons = FLUX_HZ * shot.seconds * rng.uniform(0.97, 1.03)
        curve = curve_of(name, truth, photons * shot.transmission)
        counts = rng.poisson(average(curve, points) * kept).astype(np.int32)
        counts[PILATUS_1M.gaps | dead] = 0
        counts[hot & ~PILATUS_1M.gaps] = rng.integers(10**6, 10**7, np.sum(hot & ~PILATUS_1M.gaps))
        header = {"Photons": f"{photons:.6e}", "Transmission": f"{shot.transmission:.5f}"}
        fabio.edfimage.EdfImage(data=counts, header=header).write(folder / f"{name}.edf")
    write_truth(folder / "truth.h5", truth)


def drawn_geometry(rng: np.random.Generator, detector: Detector) -> Geometry:
    """Return a detector about 3 m away that looks at the beam's surroundings, slightly tilted."""
    rot1, rot2 = np.radians(rng.uniform(-0.3, 0.3, 2))
    beam_y, beam_x = rng.uniform((515, 295), (525, 305))
    there = Geometry(3 + rng.uniform(-0.02, 0.02), 0.0, 0.0, rot1, rot2, 0.0, 15.0)
    off_y, off_x = there.beam_centre_px(detector)  # from the point of normal incidence
    poni1, poni2 = (np.array([beam_y - off_y, beam_x - off_x]) * detector.pixel_m).tolist()
    return Geometry(there.dist_m, poni1, poni2, rot1, rot2, 0.0, there.energy_kev)


def stop_transmission(geometry: Geometry, detector: Detector) -> np.ndarray:
    """Return what the beam stop, a disc on an arm to the left, lets through: (ny, nx), 0 to 1.

    Its edge is soft, two pixels wide, and its centre is off by 2 and 3 pixels, as it happens.
    """
    centre_y, centre_x = np.add(geometry.beam_centre_px(detector), (2, 3))
    y, x = (
        np.arange(n) + 0.5 - c for n, c in zip(detector.shape, (centre_y, centre_x), strict=True)
    )
    beyond_disc = np.hypot(y[:, None], x) - 17
    beyond_arm = np.maximum(abs(y)[:, None] - 5, x)
    return 1 / (1 + np.exp(-np.minimum(beyond_disc, beyond_arm) / 0.5))


def curve_of(name: str, truth: Solution, photons: float) -> Curve:
    """Return what an exposure scatters, in counts of a pixel at the PONI.

    Parameters
    ----------
    name : str
        One of `SHOTS`.
    truth : Solution
        The sample and where the detector is.
    photons : float
        Of the beam, that went through.
    """
    two_theta = np.linspace(0, 0.06, 60_001)
    q = 4 * np.pi / truth.geometry.wavelength_angstrom * np.sin(two_theta / 2)
    if name == "agbh":
        return Curve(two_theta, behenate(q, truth.geometry.wavelength_angstrom, two_theta))
    capillary = 0.03 * (np.maximum(q, 1e-3) / 8e-3) ** -3.5  # of the light, per steradian
    filled = 0.0 if name == "empty" else truth.water_per_cm
    if name == "sample":
        filled = (1 - truth.volume_fraction) * truth.water_per_cm + cross_section(
            q, truth.radius_nm, truth.spread, truth.volume_fraction, truth.contrast_cm2
        )
    solid_angle = (truth.detector.pixel_m / truth.geometry.dist_m) ** 2
    return Curve(two_theta, photons * solid_angle * (capillary + truth.thickness_cm * filled))


def behenate(q: np.ndarray, wavelength_angstrom: float, two_theta: np.ndarray) -> np.ndarray:
    """Return the rings of silver behenate on their background, counts: (n,)."""
    order = np.arange(1, len(ORDERS) + 1)
    centres = 2 * np.arcsin(order * wavelength_angstrom / 2 / BEHENATE_ANGSTROM)
    width = np.radians(0.022)
    rings = sum(
        s * pseudo_voigt(two_theta - c, width) for s, c in zip(ORDERS, centres, strict=True)
    )
    return 4000 * rings / pseudo_voigt(np.zeros(1), width) + 15 + 2 / np.maximum(q, 5e-3)
