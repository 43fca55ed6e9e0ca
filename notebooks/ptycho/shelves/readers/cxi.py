"""CXI files (Maia 2012, doi:10.1038/nmeth.2110), as CDTools, SHARP, Ptychodus and others write them."""

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # for compressed frames
import numpy as np

from ..scan import Scan, ScanError
from ..shelf import readers

HC_J_M = 1.98644586e-25  # Planck constant times speed of light, CODATA 2018
UNITS = {  # of lengths in metres, of energies in joules; CXI has these two unless an attribute says otherwise
    "m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9, "pm": 1e-12, "angstrom": 1e-10,
    "J": 1.0, "eV": 1.602176634e-19, "keV": 1.602176634e-16,
}  # fmt: skip
HAS_SIGNAL = 0x1000  # the only bit of a CXI mask that speaks for a pixel
FRAMES = ("instrument_1/detector_1/data", "data_1/data")
TRANSLATIONS = (
    "sample_1/geometry_1/translation",
    "instrument_1/detector_1/translation",
    "data_1/translation",
)


@readers.put("cxi")
def cxi(path: Path) -> Scan:
    """Frames, mask, geometry and translations of the first entry, in SI units."""
    with h5py.File(path) as file:
        if "entry_1" not in file:
            raise KeyError("it has no /entry_1, which all CXI files have")
        entry = file["entry_1"]
        frames = frames_of(entry)
        detector = entry.get("instrument_1/detector_1", {})
        bad = np.zeros(frames.shape[-2:], np.int64)
        if "mask" in detector:
            bad = np.asarray(detector["mask"][()]).astype(np.int64)
        rows, columns, pixel_m = directions(detector)
        moved = translations(entry)
        wavelength = wavelength_of(entry.get("instrument_1/source_1", {}))
        distance = number(detector, "distance")
    if len(moved) != len(frames):
        raise ScanError(f"it has {len(frames)} frames, but {len(moved)} translations of the sample")
    # The sample moves, so the beam goes the other way over it.
    positions = -np.stack([moved @ rows, moved @ columns], axis=1)
    bad = bad.any(axis=0) if bad.ndim == 3 else bad
    good = (bad & ~HAS_SIGNAL == 0) & np.isfinite(frames).all(axis=0) & (frames >= 0).all(axis=0)
    frames = np.where(good, frames, 0)
    return Scan(frames, good, positions, wavelength, distance, pixel_m, origin=Path(path).name)


def frames_of(entry: h5py.Group) -> np.ndarray:
    """Return the counts: (positions, rows, columns) float32."""
    place = next((place for place in FRAMES if place in entry), None)
    if place is None:
        raise ScanError(f"its entry_1 holds no frames: neither {' nor '.join(FRAMES)}")
    if entry[place].ndim != 3:
        raise ScanError(
            f"{entry[place].name} has the shape {entry[place].shape}: that is no stack of frames, "
            "(positions, rows, columns), such as a scan has"
        )
    if entry[place].dtype.kind == "c":
        raise ScanError(f"{entry[place].name} is complex: this is a result, not a scan")
    return np.asarray(entry[place][()], np.float32)


def number(group: h5py.Group, name: str) -> float:
    """Return a number in SI units, not-a-number where it isn't there."""
    if name not in group:
        return np.nan
    return float(np.ravel(group[name][()])[0]) * unit(group[name])


def unit(dataset: h5py.Dataset) -> float:
    """Return by what a number must be multiplied to be in SI units."""
    said = dataset.attrs.get("units", "m")
    said = said.decode() if isinstance(said, bytes) else str(said)
    if said not in UNITS:
        raise ScanError(f"{dataset.name} is in {said!r}: known are {', '.join(UNITS)}")
    return UNITS[said]


def wavelength_of(source: h5py.Group) -> float:
    """Return the wavelength, metres, from itself or from the photon energy."""
    length = number(source, "wavelength")
    return length if np.isfinite(length) else HC_J_M / number(source, "energy")


def directions(detector: h5py.Group) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the unit vectors along which rows and columns count, and a pixel's edge, metres."""
    if "basis_vectors" in detector:
        basis = np.asarray(detector["basis_vectors"][()], float) * unit(detector["basis_vectors"])
        if basis.shape not in ((2, 3), (3, 2)):
            raise ScanError(f"basis_vectors have the shape {basis.shape}, not (2, 3)")
        basis = basis if basis.shape == (2, 3) else basis.T
    else:
        y, x = (number(detector, f"{axis}_pixel_size") for axis in "yx")
        if not np.isfinite([y, x]).all():
            return np.array([0.0, -1, 0]), np.array([-1.0, 0, 0]), np.nan
        basis = np.array([[0, -y, 0], [-x, 0, 0]])
    row, column = np.linalg.norm(basis, axis=1)
    if not np.isclose(row, column, rtol=1e-4):
        raise ScanError(
            f"its pixels are not square, {row:g} m by {column:g} m: rebin the frames first"
        )
    return basis[0] / row, basis[1] / column, float(row)


def translations(entry: h5py.Group) -> np.ndarray:
    """Return how far the sample was moved: (positions, 3) float64, metres."""
    place = next((place for place in TRANSLATIONS if place in entry), None)
    if place is None:
        raise ScanError(
            f"its entry_1 holds no translations of the sample (looked for {', '.join(TRANSLATIONS)}), "
            "without which nothing can be reconstructed: take them from the scan's log into the "
            "first of these, (positions, 3), metres, x, y, z, or write a reader that knows where "
            "they are"
        )
    moved = np.asarray(entry[place][()], float)
    if moved.ndim != 2 or moved.shape[1] not in (2, 3):
        raise ScanError(f"{entry[place].name} has the shape {moved.shape}, not (positions, 3)")
    moved = moved * unit(entry[place])
    return moved if moved.shape[1] == 3 else np.pad(moved, ((0, 0), (0, 1)))
