"""What is behind simulated data, and the files that keep it: geometries and truths."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
from flat_detector import Detector, Geometry
from powder import Crystal, Curve


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


@dataclass(frozen=True)
class Solution:
    """The truth behind small-angle scattering of spheres in water.

    Parameters
    ----------
    radius_nm, spread : float
        Mean radius, and the standard deviation of the radii over it.
    volume_fraction : float
        Of the spheres.
    thickness_cm : float
        Of the liquid in the capillary.
    contrast_cm2 : float
        Difference of scattering length density of spheres and water, 1/cm^2.
    water_per_cm : float
        Cross-section of water per volume, 1/cm.
    mask : (ny, nx) bool
        True where nothing, or less than what fell in, is measured.
    geometry : Geometry
    detector : Detector
    """

    radius_nm: float
    spread: float
    volume_fraction: float
    thickness_cm: float
    contrast_cm2: float
    water_per_cm: float
    mask: np.ndarray
    geometry: Geometry
    detector: Detector


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
    "radius_nm": "nm",
    "thickness_cm": "cm",
    "contrast_cm2": "1/cm^2",
    "water_per_cm": "1/cm",
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


def write_truth(path: Path, truth: Truth | Ramp | Solution) -> None:
    """Write a truth: each field a dataset with its unit, or a group with its own fields."""
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = type(truth).__name__
        write_fields(file, vars(truth))


def write_fields(parent: h5py.Group, fields: dict[str, Any]) -> None:
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


def read_truth(path: Path) -> Any:
    """Return the truth that lies beside simulated data: a Truth, a Ramp or a Solution."""
    with h5py.File(path) as file:
        kind = {"Truth": Truth, "Ramp": Ramp, "Solution": Solution}[file.attrs["kind"]]
        parts = {name: PARTS[name](read_fields(group)) for name, group in groups(file).items()}
        return kind(**read_fields(file), **parts)


def groups(file: h5py.File) -> dict[str, h5py.Group]:
    """Return what in a file has fields of its own."""
    return {name: item for name, item in file.items() if isinstance(item, h5py.Group)}


def crystal_from(fields: dict[str, Any]) -> Crystal:
    """Return a crystal from the fields that `write_fields` wrote."""
    atoms = zip(fields.pop("atomic_numbers"), fields.pop("positions"), strict=True)
    return Crystal(**fields, atoms=tuple((int(z), tuple(place.tolist())) for z, place in atoms))


def detector_from(fields: dict[str, Any]) -> Detector:
    """Return a detector from the fields that `write_fields` wrote."""
    plain: dict[str, Any] = {k: tuple(v.tolist()) if np.ndim(v) else v for k, v in fields.items()}
    return Detector(**plain)


PARTS = {
    "geometry": lambda fields: Geometry(**fields),
    "curve": lambda fields: Curve(**fields),
    "crystal": crystal_from,
    "detector": detector_from,
}


def read_fields(group: h5py.Group) -> dict[str, Any]:
    """Return the numbers, arrays and texts of a group, not of the groups within."""
    found = {name: item[()] for name, item in group.items() if isinstance(item, h5py.Dataset)}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}
