"""CXI files (Maia 2012, doi:10.1038/nmeth.2110), as CDTools, SHARP, Ptychodus and others write them."""

from pathlib import Path
from typing import Literal

import h5py
import hdf5plugin  # noqa: F401  # for compressed frames
import numpy as np

from workbench.readings import Place, QuestionError, Reading, conversion, hdf5
from workbench.readings.arrays import invalid
from workbench.readings.units import KINDS
from workbench.told import ToldError

from ..scan import POSSIBLE_M, Scan, ScanError
from ..shelf import readers

HC_J_M = 1.98644586e-25  # Planck constant times speed of light, CODATA 2018
HAS_SIGNAL = 0x1000  # the only bit of a CXI mask that speaks for a pixel
ALIKE = 0.02  # by which two that say the same may differ, as a share
STEADY = 1e-3  # by how much a number that is given for each frame may change, as a share
FRAMES = ("instrument_1/detector_1/data", "data_1/data")
TRANSLATIONS = (
    "sample_1/geometry_1/translation",
    "instrument_1/detector_1/translation",
    "data_1/translation",
)
UNUSED = ("data_dark", "data_white", "data_background")


@readers.put("cxi")
def cxi(path: Path, mask_marks: Literal["bad", "good"] | None = None) -> Scan:
    """Frames, mask, geometry and translations of the first entry, in SI units."""
    reading = Reading("Your scan")
    with h5py.File(path) as file:
        if "entry_1" not in file:
            raise KeyError("it has no /entry_1, which all CXI files have")
        entry = file["entry_1"]
        frames = frames_of(entry, reading)
        detector = entry.get("instrument_1/detector_1", {})
        good, bad = mask_of(detector, frames, Place(path, "mask", "READER"), mask_marks, reading)
        rows, columns, pixel_m = directions(detector)
        moved = translations(entry)
        wavelength = wavelength_of(entry.get("instrument_1/source_1", {}))
        distance = number(detector, "distance", "m")
        for name in [n for n in UNUSED if n in detector]:
            reading.left_out(f"{name}: counts are taken as they are")
        for name in sorted(n for n in file if n.startswith("entry_") and n != "entry_1"):
            reading.left_out(f"{name}: only entry_1 is read")
        for name in sorted(n for n in entry.get("instrument_1", {}) if n.startswith("detector_")):
            if name != "detector_1":
                reading.left_out(f"{name}: only detector_1 is read")
    if len(moved) != len(frames):
        raise ScanError(f"it has {len(frames)} frames, but {len(moved)} translations of the sample")
    # The sample moves, so the beam goes the other way over it.
    positions = -np.stack([moved @ rows, moved @ columns], axis=1)
    return Scan(
        frames, good, positions, wavelength, distance, pixel_m,
        origin=Path(path).name, bad=bad, reading=reading,
    )  # fmt: skip


def mask_of(
    detector: h5py.Group, frames: np.ndarray, place: Place, marks: str | None, reading: Reading
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels that are good in all frames, and those that are bad in some.

    Parameters
    ----------
    detector : h5py.Group
    frames : (positions, rows, columns) float32
    place : Place
        Of the mask, for a question.
    marks : str, optional
        What a pixel other than 0 is: ``bad`` or ``good``.
    reading : Reading

    Raises
    ------
    QuestionError
        It calls bad what most of the light falls on, and nobody said what it means.
    """
    shape = frames.shape[1:]
    if "mask" not in detector:
        reading.assumed("all pixels are good but for what can be seen: the file has no mask")
        return np.ones(shape, bool), None
    said = np.nan_to_num(np.asarray(detector["mask"][()], float), nan=1).astype(np.int64)
    marked = said & ~HAS_SIGNAL != 0
    if marked.ndim == 3 and len(marked) == 1:
        marked = marked[0]
    if marked.shape not in (shape, frames.shape):
        raise ScanError(f"frames of {shape} pixels, but a mask of {marked.shape}")
    bad = ~marked if marks == "good" else marked
    always = bad.mean(axis=0) > 0.5 if bad.ndim == 3 else bad
    lit = lit_pixels(frames)
    if (
        marks is None
        and not always.all()
        and max(always.mean(), always[lit].mean() if lit.any() else 0) > 0.5
    ):
        raise QuestionError(
            place,
            f"a mask that calls bad {always.mean():.0%} of all pixels, and {always[lit].mean():.0%} of those on which most light falls",
            ['{"use": "cxi", "mask_marks": "good"}', '{"use": "cxi", "mask_marks": "bad"}'],
            "what pixels other than 0 are",
        )
    if marks is None:
        reading.assumed("pixels of the mask other than 0 are bad, as CXI has it", place.parameter)
    reading.took(f"a mask that calls {bad.mean():.2%} of the pixels bad")
    return (~bad, None) if bad.ndim == 2 else (np.ones(shape, bool), bad)


def lit_pixels(frames: np.ndarray) -> np.ndarray:
    """Return the pixels on which most light falls: (rows, columns) bool."""
    nothing = np.zeros(frames.shape, bool)
    for pixels in invalid(frames).values():
        nothing |= pixels
    mean = np.where(nothing, 0, frames).mean(axis=0)
    return np.asarray(mean > 0.1 * np.percentile(mean, 98))  # above it may be hot pixels


def frames_of(entry: h5py.Group, reading: Reading) -> np.ndarray:
    """Return the counts: (positions, rows, columns) float32."""
    place = next((place for place in FRAMES if place in entry), None)
    if place is None:
        raise ScanError(f"its entry_1 holds no frames: neither {' nor '.join(FRAMES)}")
    if entry[place].ndim != 3:
        raise ScanError(
            f"{entry[place].name} has the shape {entry[place].shape}: that isn't a stack of frames, "
            "(positions, rows, columns), such as a scan has"
        )
    if entry[place].dtype.kind == "c":
        raise ScanError(f"{entry[place].name} is complex: this is a result, not a scan")
    found = entry[place]
    where = hdf5.place_in(found.file, found.name)
    hdf5.numeric(found, where)
    hdf5.complete(found, where, reading)
    reading.took(
        f"{where}: {len(found)} frames of {found.shape[1]} × {found.shape[2]} pixels, {found.dtype}"
    )
    return np.asarray(found[()], np.float32)


def number(group: h5py.Group, name: str, wanted: str) -> float:
    """Return a number in SI units, not-a-number where it isn't there."""
    if name not in group:
        return np.nan
    values = np.ravel(group[name][()]).astype(float)
    if not values.size:
        return np.nan
    if np.ptp(values) > STEADY * abs(values.mean()):
        raise ScanError(
            f"{group[name].name} holds {len(values)} numbers, from {values.min():g} to {values.max():g}: "
            "one is needed. Split the scan, or set it with the preparation 'geometry'"
        )
    return float(values.mean()) * factor(group[name], wanted)


def factor(dataset: h5py.Dataset, wanted: str) -> float:
    """Return by what a number must be multiplied to be in a unit: that of CXI unless it says otherwise."""
    said = hdf5.unit_of(dataset) or wanted
    try:
        return conversion(said, wanted, hdf5.place_in(dataset.file, dataset.name)).factor
    except ToldError:
        kind = next(units for units in KINDS.values() if wanted in units)
        raise ScanError(f"{dataset.name} is in {said!r}: known are {', '.join(kind)}") from None


def wavelength_of(source: h5py.Group) -> float:
    """Return the wavelength, metres, from itself or from the photon energy.

    Raises
    ------
    ScanError
        They contradict each other. An energy that none can be, such as eV called joules, says nothing.
    """
    length = number(source, "wavelength", "m")
    if not np.isfinite(length):
        return HC_J_M / number(source, "energy", "J")
    try:
        by_energy = HC_J_M / number(source, "energy", "J")
    except (ValueError, ZeroDivisionError):
        return length
    (least, most), _ = POSSIBLE_M["wavelength_m"]
    if least < by_energy < most and abs(by_energy / length - 1) > ALIKE:
        raise ScanError(
            f"its wavelength is {length:.4g} m, and by its photon energy {by_energy:.4g} m: keep the "
            "right one in a copy of the file"
        )
    return length


def directions(detector: h5py.Group) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the unit vectors along which rows and columns count, and a pixel's edge, metres."""
    if "basis_vectors" in detector:
        basis = np.asarray(detector["basis_vectors"][()], float) * factor(
            detector["basis_vectors"], "m"
        )
        if basis.shape not in ((2, 3), (3, 2)):
            raise ScanError(f"basis_vectors have the shape {basis.shape}, not (2, 3)")
        basis = basis if basis.shape == (2, 3) else basis.T
    else:
        y, x = (number(detector, f"{axis}_pixel_size", "m") for axis in "yx")
        if not np.isfinite([y, x]).all():
            return np.array([0.0, -1, 0]), np.array([-1.0, 0, 0]), np.nan
        basis = np.array([[0, -y, 0], [-x, 0, 0]])
    row, column = np.linalg.norm(basis, axis=1)
    for name, edge in (("y_pixel_size", row), ("x_pixel_size", column)):
        stated = number(detector, name, "m")
        if stated > 0 and abs(stated / edge - 1) > ALIKE:
            raise ScanError(
                f"its {name} is {stated:.4g} m, and by its basis_vectors {edge:.4g} m: keep the right "
                "ones in a copy of the file"
            )
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
    moved = moved * factor(entry[place], "m")
    return moved if moved.shape[1] == 3 else np.pad(moved, ((0, 0), (0, 1)))
