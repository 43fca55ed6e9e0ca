"""Powder diffraction images whose truth is known.

Everything is computed here with NumPy alone: no part of pyFAI makes the data that these tutorials
give to pyFAI. (FabIO writes the images as EDF files, h5py the stack and the truth.) The two meet
only in the *definition* of the geometry (distance, PONI and three rotations), which is the one
printed in the pyFAI paper (Ashiotis et al. 2015, doi:10.1107/S1600576715004306).

The images have what a real one has: module gaps, dead and hot pixels, a beam stop, a tilted
detector, polarised beam, rings of finite width that fall onto finite pixels, background, and photon
noise. They lack parallax in the sensor, spottiness and preferred orientation of the sample,
and the energy response of the detector. Every random number comes from the seed.

`lab6_image`, `ceo2_image` and `aluminium_ramp` each write one data set, which `workbench.data`
calls; `read_truth` reads what it has written beside the data.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import fabio
import h5py
import hdf5plugin
import numpy as np

HC_KEV_ANGSTROM = 12.398419843  # Planck constant times speed of light, CODATA 2018
POLARISATION = 0.98  # of the horizontal kind: 1 is fully horizontal, -1 fully vertical
BAD_PIXEL = 2**32 - 1  # what an Eiger writes where it measures nothing


# ---------------------------------------------------------------------------- geometry


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
        return HC_KEV_ANGSTROM / self.energy_kev

    @property
    def wavelength_m(self) -> float:
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


# ---------------------------------------------------------------------------- sample


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


# ---------------------------------------------------------------------------- images


@dataclass(frozen=True)
class Truth:
    """What is behind one image.

    Parameters
    ----------
    mask : (ny, nx) bool
        True where nothing is measured: gaps, dead and hot pixels, beam stop.
    expected : (ny, nx) float32
        The mean of the counts, mask or not.
    geometry : Geometry
    detector : Detector
    crystal : Crystal
    curve : Curve
    """

    mask: np.ndarray
    expected: np.ndarray
    geometry: Geometry
    detector: Detector
    crystal: Crystal
    curve: Curve


def subpixels(geometry: Geometry, detector: Detector, per_side: int) -> list[np.ndarray]:
    """Return 2theta (ny, nx, rad) at the midpoints of per_side x per_side parts of every pixel."""
    at = (np.arange(per_side) + 0.5) / per_side
    return [angles(geometry, detector, (y, x)).two_theta for y in at for x in at]


def losses(geometry: Geometry, detector: Detector) -> np.ndarray:
    """Return the share of the curve that each pixel's solid angle and polarisation leave: (ny, nx).

    Both change slowly, so that the centre of the pixel stands for all of it.
    """
    centre = angles(geometry, detector)
    return solid_angle(centre) * polarisation(centre)


def average(curve: Curve, points: list[np.ndarray]) -> np.ndarray:
    """Return the curve's mean over the points within each pixel: (ny, nx)."""
    return sum(curve(two_theta) for two_theta in points) / len(points)


def beam_stop(geometry: Geometry, detector: Detector, radius_m: float, arm_m: float) -> np.ndarray:
    """Return the shadow of a disc on a horizontal arm: (ny, nx) bool.

    Nobody centres a beam stop to a pixel: it sits 3 pixels too high and 4 too far right.
    """
    centre_y, centre_x = np.add(geometry.beam_centre_px(detector), (3, 4))
    y = (np.arange(detector.shape[0])[:, None] + 0.5 - centre_y) * detector.pixel_m
    x = (np.arange(detector.shape[1])[None, :] + 0.5 - centre_x) * detector.pixel_m
    return (np.hypot(y, x) < radius_m) | ((np.abs(y) < arm_m / 2) & (x < 0))


def expose(
    rng: np.random.Generator,
    geometry: Geometry,
    detector: Detector,
    crystal: Crystal,
    curve: Curve,
) -> tuple[np.ndarray, Truth]:
    """Return one exposure with photon noise and the faults of a real detector, and its truth.

    The counts, (ny, nx) int32, are what the detector wrote: hot pixels far too high, everything
    else that is masked 0.
    """
    points = subpixels(geometry, detector, 3)
    expected = average(curve, points) * losses(geometry, detector)
    counts = rng.poisson(expected).astype(np.int32)
    dead, hot = (rng.random(detector.shape) < share for share in (3e-4, 2e-4))
    stop = beam_stop(geometry, detector, radius_m=6e-3, arm_m=2e-3)
    counts[detector.gaps | dead | stop] = 0
    counts[hot & ~detector.gaps] = rng.integers(10**5, 10**6, np.sum(hot & ~detector.gaps))
    mask = detector.gaps | dead | hot | stop
    return counts, Truth(mask, expected.astype(np.float32), geometry, detector, crystal, curve)


def lab6_image(folder: Path, seed: int) -> None:
    """Write LaB6 (SRM 660c) at 20 keV on a tilted Pilatus 1M, about 0.2 m away.

    The seed moves the detector as well, by a few pixels, milliradians and millimetres.
    """
    rng = np.random.default_rng(seed)
    geometry = Geometry(
        dist_m=0.2 + rng.uniform(-2e-3, 2e-3),
        poni1_m=0.085 + rng.uniform(-4e-4, 4e-4),
        poni2_m=0.072 + rng.uniform(-4e-4, 4e-4),
        rot1_rad=np.radians(2.0) + rng.uniform(-2e-3, 2e-3),
        rot2_rad=np.radians(-1.2) + rng.uniform(-2e-3, 2e-3),
        rot3_rad=0.0,
        energy_kev=20.0,
    )
    wavelength = geometry.wavelength_angstrom
    rings = powder_curve(LAB6, wavelength, 0.65, peak=2500, broadening_deg=0.07)
    curve = with_background(rings, wavelength, air=60, glass=10)
    counts, truth = expose(rng, geometry, PILATUS_1M, LAB6, curve)
    write_image(folder / "lab6.edf", counts, truth)


def ceo2_image(folder: Path, seed: int) -> None:
    """Write fine-grained CeO2 in a glass capillary at 20 keV on a tilted Pilatus 1M.

    The seed changes the lattice as well, by up to a thousandth.
    """
    rng = np.random.default_rng(seed)
    geometry = Geometry(0.2, 0.085, 0.072, np.radians(2.0), np.radians(-1.2), 0.0, 20.0)
    wavelength = geometry.wavelength_angstrom
    crystal = replace(CEO2, a_angstrom=CEO2.a_angstrom * (1 + rng.uniform(-1e-3, 1e-3)))
    rings = powder_curve(crystal, wavelength, 0.65, peak=2000, broadening_deg=0.16)
    curve = with_background(rings, wavelength, air=150, glass=60)
    counts, truth = expose(rng, geometry, PILATUS_1M, crystal, curve)
    write_image(folder / "ceo2.edf", counts, truth)
    write_poni(folder / "known.poni", geometry, PILATUS_1M.name)


# ---------------------------------------------------------------------------- a heating ramp


@dataclass(frozen=True)
class Ramp:
    """The truth behind a stack of frames: aluminium, heated.

    Parameters
    ----------
    temperature_k : (n,) float64
        Of the sample, one a frame.
    monitor : (n,) float64
        Incident flux over that of the first frame: it decays, and is topped up once.
    expansion_per_k : float
        Linear thermal expansion coefficient: a = a0 (1 + expansion (T - T0)).
    b_slope_angstrom2_per_k : float
        How B grows: B = B0 + slope (T - T0).
    geometry : Geometry
    detector : Detector
    crystal : Crystal
        The sample at T0, the first temperature.
    curve : Curve
        What the sample scatters at T0.
    """

    temperature_k: np.ndarray
    monitor: np.ndarray
    expansion_per_k: float
    b_slope_angstrom2_per_k: float
    geometry: Geometry
    detector: Detector
    crystal: Crystal
    curve: Curve

    def crystal_at(self, temperature_k: float) -> Crystal:
        """Return the sample as it is at a temperature."""
        above = temperature_k - self.temperature_k[0]
        return replace(
            self.crystal,
            a_angstrom=self.crystal.a_angstrom * (1 + self.expansion_per_k * above),
            b_angstrom2=self.crystal.b_angstrom2 + self.b_slope_angstrom2_per_k * above,
        )


def aluminium_ramp(folder: Path, seed: int, frames: int = 60) -> None:
    """Write a NeXus file of a heated powder as a beamline would, its geometry and its truth.

    ``/entry/data/data`` (n, ny, nx) uint32, counts, one chunk a frame, bitshuffle + LZ4;
    ``/entry/instrument/detector/pixel_mask`` (ny, nx) uint32, not 0 where a pixel is bad;
    ``/entry/instrument/monitor/data`` (n,) and ``/entry/sample/temperature`` (n,), K.

    Parameters
    ----------
    folder : Path
        Where the files go.
    seed : int
        Of all random numbers. It moves the expansion coefficient, too.
    frames : int
        Frames of the ramp from 300 K to 890 K.
    """
    rng = np.random.default_rng(seed)
    geometry = Geometry(0.15, 0.019, 0.0386, np.radians(20.0), 0.0, 0.0, 20.0)
    temperature = np.linspace(300, 890, frames)
    decay = np.exp(-np.arange(frames) / 120)
    monitor = np.where(np.arange(frames) < frames * 0.6, decay, decay / decay[int(frames * 0.6)])
    monitor = monitor * rng.normal(1, 0.003, frames)
    monitor /= monitor[0]
    wavelength, broadening, peak = geometry.wavelength_angstrom, 0.12, 400
    strongest = top_of(lines(ALUMINIUM, wavelength, 0.7), broadening)

    def curve_of(crystal: Crystal) -> Curve:
        rings = powder_curve(
            crystal, wavelength, 0.66, peak=peak, broadening_deg=broadening, strongest=strongest
        )
        return with_background(rings, wavelength, air=20, glass=0)

    ramp = Ramp(
        temperature,
        monitor,
        23.1e-6 * (1 + rng.uniform(-0.1, 0.1)),
        0.86 / 293,
        geometry,
        EIGER_500K,
        ALUMINIUM,
        curve_of(ALUMINIUM),
    )
    bad = rng.random(EIGER_500K.shape) < 5e-4
    points, kept = subpixels(geometry, EIGER_500K, 2), losses(geometry, EIGER_500K)
    with h5py.File(folder / "aluminium.h5", "w") as file:
        data = create_nexus(file, ramp, bad)
        for i, kelvin in enumerate(temperature):
            curve = curve_of(ramp.crystal_at(kelvin))
            frame = rng.poisson(average(curve, points) * kept * monitor[i]).astype(np.uint32)
            frame[bad] = BAD_PIXEL
            data[i] = frame
    write_poni(folder / "eiger.poni", geometry, EIGER_500K.name)
    write_truth(folder / "truth.h5", ramp)


def create_nexus(file: h5py.File, ramp: Ramp, bad: np.ndarray) -> h5py.Dataset:
    """Write everything but the frames, and return the dataset that takes them."""
    file.attrs["default"] = "entry"
    entry = group(file, "entry", "NXentry", default="data")
    data = group(entry, "data", "NXdata", signal="data")
    instrument = group(entry, "instrument", "NXinstrument")
    detector = group(instrument, "detector", "NXdetector")
    detector["pixel_mask"] = bad.astype(np.uint32)
    detector["x_pixel_size"] = detector["y_pixel_size"] = ramp.detector.pixel_m
    group(instrument, "monitor", "NXmonitor")["data"] = ramp.monitor
    sample = group(entry, "sample", "NXsample")
    sample["name"] = "aluminium powder (simulated)"
    sample["temperature"] = ramp.temperature_k
    sample["temperature"].attrs["units"] = "K"
    shape = ramp.detector.shape
    return data.create_dataset(
        "data",
        (len(ramp.temperature_k), *shape),
        "uint32",
        chunks=(1, *shape),
        **hdf5plugin.Bitshuffle(cname="lz4"),
    )


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    """Return a new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs.update({"NX_class": nx_class, **attributes})
    return made


# ---------------------------------------------------------------------------- files

PONI = """poni_version: 2.1
Detector: {detector}
Detector_config: {{"orientation": 3}}
Distance: {geometry.dist_m}
Poni1: {geometry.poni1_m}
Poni2: {geometry.poni2_m}
Rot1: {geometry.rot1_rad}
Rot2: {geometry.rot2_rad}
Rot3: {geometry.rot3_rad}
Wavelength: {geometry.wavelength_m}
"""
"""A geometry as pyFAI reads it. Orientation 3: the first pixel is at the bottom right, as seen from
the sample."""

UNITS = {
    **dict.fromkeys(("dist_m", "poni1_m", "poni2_m", "pixel_m"), "m"),
    **dict.fromkeys(("rot1_rad", "rot2_rad", "rot3_rad", "two_theta"), "rad"),
    **dict.fromkeys(("intensity", "expected"), "counts"),
    **dict.fromkeys(("shape", "module_shape", "gap_shape"), "pixel"),
    "energy_kev": "keV",
    "a_angstrom": "angstrom",
    "b_angstrom2": "angstrom^2",
    "temperature_k": "K",
    "expansion_per_k": "1/K",
    "b_slope_angstrom2_per_k": "angstrom^2/K",
}
"""Of the numbers in a file of truth; what is not here has none."""


def write_image(path: Path, counts: np.ndarray, truth: Truth) -> None:
    """Write an image as EDF, and its mask (1 where a pixel is bad) and its truth beside it."""
    fabio.edfimage.EdfImage(data=counts).write(path)
    fabio.edfimage.EdfImage(data=truth.mask.astype(np.uint8)).write(path.with_name("mask.edf"))
    write_truth(path.with_name("truth.h5"), truth)


def write_poni(path: Path, geometry: Geometry, detector: str) -> None:
    """Write a geometry as pyFAI reads it, of the detector that it knows by this name."""
    path.write_text(PONI.format(geometry=geometry, detector=detector), encoding="utf-8")


def write_truth(path: Path, truth: Truth | Ramp) -> None:
    """Write a truth: each field a dataset with its unit, or a group with its own fields."""
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = type(truth).__name__
        write_fields(file, vars(truth))


def write_fields(parent: h5py.Group, fields: dict[str, object]) -> None:
    """Write numbers, arrays, text, and what has fields of its own."""
    for name, value in fields.items():
        if isinstance(value, Curve):
            write_fields(parent.create_group(name), value._asdict())
        elif isinstance(value, Crystal):
            numbers, positions = zip(*value.atoms, strict=True)
            atoms = {"atomic_numbers": numbers, "positions": positions}
            kept = {k: v for k, v in vars(value).items() if k != "atoms"}
            write_fields(parent.create_group(name), kept | atoms)
        elif isinstance(value, Geometry | Detector):
            write_fields(parent.create_group(name), vars(value))
        else:
            large = np.size(value) > 1000
            packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            dataset = parent.create_dataset(name, data=value, **(packed if large else {}))
            if name in UNITS:
                dataset.attrs["units"] = UNITS[name]


def read_truth(path: Path) -> Truth | Ramp:
    """Return the truth that lies beside simulated data."""
    with h5py.File(path) as file:
        kind = {"Truth": Truth, "Ramp": Ramp}[file.attrs["kind"]]
        crystal = read_fields(file["crystal"])
        atoms = zip(crystal.pop("atomic_numbers"), crystal.pop("positions"), strict=True)
        detector = read_fields(file["detector"])
        parts = {
            "geometry": Geometry(**read_fields(file["geometry"])),
            "detector": Detector(
                **{k: tuple(v.tolist()) if np.ndim(v) else v for k, v in detector.items()}
            ),
            "crystal": Crystal(
                **crystal, atoms=tuple((int(z), tuple(place.tolist())) for z, place in atoms)
            ),
            "curve": Curve(**read_fields(file["curve"])),
        }
        return kind(**read_fields(file), **parts)


def read_fields(group: h5py.Group) -> dict[str, object]:
    """Return the numbers, arrays and texts of a group, not of the groups within."""
    found = {name: item[()] for name, item in group.items() if isinstance(item, h5py.Dataset)}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}
