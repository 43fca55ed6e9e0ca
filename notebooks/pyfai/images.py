"""The images that the tutorials can begin with, and what is known of each before it is analysed.

`workbench.data` brings the files; this reads them, whichever format and orientation they have, so
that a tutorial goes on with the same few things: counts, mask, detector, calibrant, energy, a rough
start, a geometry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import fabio
import h5py
import numpy as np
from flat_detector import HC_KEV_ANGSTROM, Geometry
from pyFAI.detectors import detector_factory
from truths import Truth, read_truth

from workbench.data import Files

CEO2_ANGSTROM = 5.41165  # lattice parameter of ceria as NIST certifies it, SRM 674b


@dataclass(frozen=True)
class Exposure:
    """One image and what is known of it.

    Parameters
    ----------
    counts : (ny, nx) int32
        The rows in the order that the geometry means.
    mask : (ny, nx) bool
        True where nothing is measured.
    detector, calibrant : str
        As pyFAI's lists have them.
    energy_kev : float
        Photon energy.
    start : (float, float, float)
        Distance along the beam (mm) and beam centre x, y (pixel), as a motor and the shadow of
        the beam stop show them.
    geometry : Geometry, optional
        The true one, or the one that was published with a measured image.
    truth : Truth, optional
        Of a simulated image.
    """

    counts: np.ndarray
    mask: np.ndarray
    detector: str
    calibrant: str
    energy_kev: float
    start: tuple[float, float, float]
    geometry: Geometry | None = None
    truth: Truth | None = None


def read(files: Files) -> Exposure:
    """Return the image of a data set of this use case."""
    name = files.label.partition("/")[2]
    if name not in READERS:
        raise ValueError(f"{files.label} isn't a single image; there are {', '.join(READERS)}")
    return READERS[name](files)


# ---------------------------------------------------------------------------- simulated


def simulated(name: str, calibrant: str) -> Callable[[Files], Exposure]:
    """Return a reader of the images that `simulation.py` writes."""

    def reader(files: Files) -> Exposure:
        truth = read_truth(files["truth.h5"])
        return Exposure(
            counts=fabio.open(files[name]).data,
            mask=fabio.open(files["mask.edf"]).data != 0,
            detector=truth.detector.name,
            calibrant=calibrant,
            energy_kev=truth.geometry.energy_kev,
            start=(201.0, 378, 474),
            geometry=truth.geometry,
            truth=truth,
        )

    return reader


# ---------------------------------------------------------------------------- measured


def pilatus_1m(files: Files) -> Exposure:
    """Return the example of Dioptas, whose geometry means the image upside down."""
    counts = np.flipud(fabio.open(files["CeO2_Pilatus1M.tif"]).data)
    geometry = from_poni(files["CeO2_Pilatus1M.poni"])
    return Exposure(
        counts=counts,
        mask=unusable(counts, "Pilatus1M"),
        detector="Pilatus1M",
        calibrant="CeO2",
        energy_kev=geometry.energy_kev,
        start=(210.0, 489, 510),
        geometry=geometry,
    )


def pilatus_2m(files: Files) -> Exposure:
    """Return the example of HEXRD, whose instrument file lists further bad pixels."""
    with h5py.File(files["ceria_50x30_740mm_000005_Pilatus2M.hdf5"]) as file:
        counts = file["imageseries/images"][0]
    with h5py.File(files["Pilatus2M_CeO2_Yb_edge.hexrd"]) as file:
        panel = file["instrument/detectors/Pilatus2M"]
        geometry = from_hexrd(panel, file["instrument/beam/energy"][0])
        bad = ~panel["buffer"][()] | (counts > panel["saturation_level"][0])
    return Exposure(
        counts=counts,
        mask=unusable(counts, "Pilatus2M") | bad,
        detector="Pilatus2M",
        calibrant="CeO2",
        energy_kev=geometry.energy_kev,
        start=(741.0, 778, 805),
        geometry=geometry,
    )


def unusable(counts: np.ndarray, detector: str) -> np.ndarray:
    """Return the detector's gaps, and the pixels that it marks by a number below zero."""
    return (detector_factory(detector).mask != 0) | (counts < 0)


def from_poni(path: Path) -> Geometry:
    """Return the geometry of a .poni file, whichever version it has."""
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines())
    value: Mapping[str, str] = {name.strip().lower(): text.strip() for name, _, text in lines}
    return Geometry(
        dist_m=float(value["distance"]),
        poni1_m=float(value["poni1"]),
        poni2_m=float(value["poni2"]),
        rot1_rad=float(value["rot1"]),
        rot2_rad=float(value["rot2"]),
        rot3_rad=float(value["rot3"]),
        energy_kev=HC_KEV_ANGSTROM * 1e-10 / float(value["wavelength"]),
    )


def from_hexrd(panel: h5py.Group, energy_kev: float) -> Geometry:
    """Return what HEXRD writes of a panel in pyFAI's parameters.

    HEXRD says where the panel's middle is (x to the right, y up, z against the beam) and turns it
    by a vector: about its direction, by its length. pyFAI says where the perpendicular from the
    sample meets the panel, counted from its first pixel along rows (axis 1, here down) and
    columns (axis 2), and turns about three axes in turn.
    """
    turn = panel["transform/tilt"][()]
    x, y, z = turn
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.linalg.norm(turn)
    rotation = np.eye(3) + np.sinc(angle / np.pi) * cross
    rotation += 0.5 * np.sinc(angle / 2 / np.pi) ** 2 * cross @ cross  # Rodrigues' formula
    axes = np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1]])  # of pyFAI, in HEXRD's coordinates
    rotation = axes @ rotation @ axes.T
    middle = rotation.T @ axes @ panel["transform/translation"][()] * 1e-3
    size = panel["pixels/size"][()] * 1e-3
    rows, columns = panel["pixels/rows"][0], panel["pixels/columns"][0]
    return Geometry(
        dist_m=middle[2],
        poni1_m=rows / 2 * size[0] - middle[0],
        poni2_m=columns / 2 * size[1] - middle[1],
        rot1_rad=np.arctan2(-rotation[2, 1], rotation[2, 2]),
        rot2_rad=np.arcsin(rotation[2, 0]),
        rot3_rad=np.arctan2(rotation[1, 0], rotation[0, 0]),
        energy_kev=energy_kev,
    )


READERS: Mapping[str, Callable[[Files], Exposure]] = {
    "lab6-image": simulated("lab6.edf", "LaB6_SRM660c"),
    "ceo2-image": simulated("ceo2.edf", "CeO2"),
    "ceo2-pilatus1m": pilatus_1m,
    "ceo2-pilatus2m": pilatus_2m,
}
