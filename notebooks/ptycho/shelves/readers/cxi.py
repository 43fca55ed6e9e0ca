"""CXI files (Maia 2012, doi:10.1038/nmeth.2110), as CDTools, SHARP and this use case write them."""

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # for compressed frames
import numpy as np

from ..scan import Scan
from ..shelf import readers

HC_J_M = 1.98644586e-25  # Planck constant times speed of light, CODATA 2018


@readers.put("cxi")
def cxi(path: Path) -> Scan:
    """Frames, mask, geometry and translations of the first entry, in SI units."""
    with h5py.File(path) as file:
        if "entry_1" not in file:
            raise KeyError("it has no /entry_1, which all CXI files have")
        entry = file["entry_1"]
        detector = entry["instrument_1/detector_1"]
        source = entry["instrument_1/source_1"]
        frames = np.asarray(
            detector["data"] if "data" in detector else entry["data_1/data"], np.float32
        )
        bad = detector["mask"][()] if "mask" in detector else np.zeros(frames.shape[1:], int)
        rows, columns, pixel_m = directions(detector)
        moved = translations(entry)
        wavelength = (
            float(source["wavelength"][()])
            if "wavelength" in source
            else HC_J_M / float(source["energy"][()])
        )
        distance = float(detector["distance"][()])
    # The sample moves, so the beam goes the other way over it.
    positions = -np.stack([moved @ rows, moved @ columns], axis=1)
    good = (bad == 0) & np.isfinite(frames).all(axis=0) & (frames >= 0).all(axis=0)
    frames = np.where(good, frames, 0)
    return Scan(frames, good, positions, wavelength, distance, pixel_m, origin=Path(path).name)


def directions(detector: h5py.Group) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the unit vectors along which rows and columns count, and a pixel's edge, metres."""
    if "basis_vectors" in detector:
        basis = np.asarray(detector["basis_vectors"][()], float)
        basis = basis if basis.shape == (2, 3) else basis.T
    else:
        y, x = (float(detector[f"{axis}_pixel_size"][()]) for axis in "yx")
        basis = np.array([[0, -y, 0], [-x, 0, 0]])
    row, column = np.linalg.norm(basis, axis=1)
    if not np.isclose(row, column, rtol=1e-4):
        raise ValueError(f"pixels are not square: {row:g} m by {column:g} m")
    return basis[0] / row, basis[1] / column, float(row)


def translations(entry: h5py.Group) -> np.ndarray:
    """Return how far the sample was moved: (positions, 3) float64, metres."""
    for place in (
        "sample_1/geometry_1/translation",
        "instrument_1/detector_1/translation",
        "data_1/translation",
    ):
        if place in entry:
            return np.asarray(entry[place][()], float)
    raise KeyError("entry_1 holds no translations of the sample")
