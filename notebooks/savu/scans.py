"""The scans of these notebooks: what was measured, and the truth where it is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from simulation import DARK, FLAT, PROJECTION

from workbench.data import Files

MOST_BYTES = 2 * 2**30  # of projections, that are read when nobody says which rows
NXTOMO = "entry1/tomo_entry"  # where Savu's NxtomoLoader looks by default


class ScanError(ValueError):
    """A file lacks something that a reconstruction needs; the text is for a person."""


@dataclass(frozen=True)
class Truth:
    """What a simulated scan does not tell.

    Parameters
    ----------
    centre_px : float
        Column of the axis of rotation; pixel centres are at whole numbers from 0.
    angles_deg : (projections,) float64
        By which the sample was really turned.
    phantom : (rows, columns, columns) float32
        Attenuation coefficient on the grid of a reconstruction, 1/mm.
    attenuation : (projections, rows, columns) float32
        Minus the logarithm of what a perfect camera would have seen, no unit.
    rings, zingers : record arrays
        As `simulation.Ring` and `simulation.Zinger` name their fields.
    """

    centre_px: float
    angles_deg: np.ndarray = field(repr=False)
    phantom: np.ndarray = field(repr=False)
    attenuation: np.ndarray = field(repr=False)
    rings: np.ndarray = field(repr=False)
    zingers: np.ndarray = field(repr=False)

    @property
    def ring_radii_px(self) -> np.ndarray:
        """How far from the axis each column is that makes a ring: (n,) float64."""
        columns = [r["first_column"] + np.arange(r["columns"]) for r in self.rings]
        return abs(np.concatenate(columns) - self.centre_px)


@dataclass(frozen=True)
class Scan:
    """A parallel-beam scan.

    Parameters
    ----------
    path : Path
        The file that it comes from.
    projections, flats, darks : (frames, rows, columns) float32
        Counts; flats are without the sample, darks without the beam.
    angles_deg : (projections,) float64
        By which the sample was turned.
    pixel_mm : float
        Edge of a pixel in the sample; 1 where nobody says, and all lengths are in pixels then.
    first : int
        The frame of the file that is the first projection.
    rows : (rows,) int64
        Which of the camera's rows were read; empty for all.
    notes : tuple of str
        What a person should know of it.
    truth : Truth, optional
        Of a simulated scan.
    """

    path: Path
    projections: np.ndarray = field(repr=False)
    flats: np.ndarray = field(repr=False)
    darks: np.ndarray = field(repr=False)
    angles_deg: np.ndarray = field(repr=False)
    pixel_mm: float = 1.0
    first: int = 0
    rows: np.ndarray = field(repr=False, default_factory=lambda: np.empty(0, int))
    notes: tuple[str, ...] = ()
    truth: Truth | None = None

    @property
    def unit(self) -> str:
        """The unit of an attenuation coefficient."""
        return "1/mm" if self.pixel_mm != 1 else "1/pixel"


def nxtomo(
    path: Path,
    truth: Truth | None = None,
    *,
    rows: tuple[int, int] | None = None,
    beside: Path | None = None,
) -> Scan:
    """Return the scan of an NXtomo file: Diamond's, the ESRF's or your own.

    Parameters
    ----------
    path : Path
        Everything is looked for where the NXtomo definition puts it; frames may be links to other
        files.
    truth : Truth, optional
        Where it is known.
    rows : tuple of int, optional
        The camera's first row to read, and the first one no more; None for all, or for as many
        about the middle as fit into `MOST_BYTES`.
    beside : Path, optional
        A file of the same layout with the flats and darks, where the scan's own has none.

    Raises
    ------
    ScanError
        Something that a reconstruction needs is missing; the sentence says what.
    """
    with h5py.File(path) as file:
        entry = tomo_entry(file, path)
        key, frames = image_key(entry, path), stack_of(entry, path)
        wanted = projections_of(key, path)
        rows_there = frames.shape[1]
        taken = chosen_rows(rows, rows_there) if rows else middle_rows(len(wanted), frames.shape)
        kinds = {
            k: read_frames(frames, np.flatnonzero(key == k), taken)
            for k in (PROJECTION, FLAT, DARK)
        }
        angles = angles_of(entry, key, path)
        detector = entry["instrument/detector"]
        pixel_mm = length_mm(detector["x_pixel_size"]) if "x_pixel_size" in detector else 1.0
    notes = complete(kinds, path, beside, taken)
    if len(taken) < rows_there:
        notes.append(
            f"{len(taken)} of the camera's {rows_there} rows were read, from row {taken[0]} on."
        )
    return Scan(
        path,
        *(kinds[k].astype(np.float32) for k in (PROJECTION, FLAT, DARK)),
        angles_deg=angles,
        pixel_mm=pixel_mm,
        first=int(wanted[0]),
        rows=np.array(taken),
        notes=tuple(notes),
        truth=truth,
    )


def tomo_entry(file: h5py.File, path: Path) -> h5py.Group:
    """Return the group that holds the scan: Diamond's place first, then any that has an image key."""
    if NXTOMO in file:
        return file[NXTOMO]
    found: list[str] = []
    file.visit(
        lambda name: found.append(name) if name.endswith("instrument/detector/image_key") else None
    )
    if not found:
        raise ScanError(
            f"{path.name} has no instrument/detector/image_key, so it isn't laid out as NXtomo: nothing says "
            "which frames are projections, flats and darks. It has "
            + ", ".join(sorted(file))
            + " at its top."
        )
    return file[found[0].removesuffix("instrument/detector/image_key") or "/"]


def image_key(entry: h5py.Group, path: Path) -> np.ndarray:
    """Return what every frame is: (frames,) int."""
    name = "instrument/detector/image_key"
    if name not in entry:
        raise ScanError(
            f"{path.name} has no {entry.name}/{name}: nothing says which frames are flats and darks."
        )
    return np.ravel(entry[name][()]).astype(int)


def stack_of(entry: h5py.Group, path: Path) -> h5py.Dataset:
    """Return the dataset of all frames, which is often a link to a file beside."""
    for name in ("instrument/detector/data", "data/data"):
        link = entry.get(name, getlink=True)
        if link is None:
            continue
        if (found := entry.get(name)) is not None:
            return found
        missing = getattr(link, "filename", getattr(link, "path", name))
        raise ScanError(
            f"The frames of {path.name} lie in {missing}, which isn't there. Put it beside the scan."
        )
    raise ScanError(
        f"{path.name} has frames neither in {entry.name}/instrument/detector/data nor in {entry.name}/data/data."
    )


def projections_of(key: np.ndarray, path: Path) -> np.ndarray:
    """Return which frames are projections: (n,) int."""
    found = np.flatnonzero(key == PROJECTION)
    if not len(found):
        raise ScanError(f"{path.name} has no projections: no frame has the image key {PROJECTION}.")
    return found


def middle_rows(projections: int, shape: tuple[int, ...]) -> range:
    """Return as many rows about the middle as fit into the memory that a notebook should take."""
    count = int(min(shape[1], max(1, MOST_BYTES // (4 * projections * shape[2]))))
    first = (shape[1] - count) // 2
    return range(first, first + count)


def chosen_rows(rows: tuple[int, int] | None, there: int, few: int = 8) -> range:
    """Return which of so many rows to take.

    Parameters
    ----------
    rows : tuple of int, optional
        The first, and the first one no more; None for a few about the middle.
    there : int
    few : int

    Raises
    ------
    ScanError
        They aren't there.
    """
    if rows is None:
        first = max(0, (there - few) // 2)
        return range(first, min(first + few, there))
    first, end = rows
    if not 0 <= first < end <= there:
        raise ScanError(
            f"ROWS: there are rows 0 to {there - 1}, so {rows} can't be taken. Give the first row and the first "
            f"one no more: (0, {there}) takes all."
        )
    return range(first, end)


def read_frames(frames: h5py.Dataset, which: np.ndarray, rows: range) -> np.ndarray:
    """Return some frames, run after run of neighbours: (n, rows, columns)."""
    runs = np.split(which, np.flatnonzero(np.diff(which) > 1) + 1) if len(which) else []
    part = slice(rows.start, rows.stop, rows.step)
    parts = [frames[run[0] : run[-1] + 1, part] for run in runs]
    return (
        np.concatenate(parts) if parts else np.empty((0, len(rows), frames.shape[2]), frames.dtype)
    )


def angles_of(entry: h5py.Group, key: np.ndarray, path: Path) -> np.ndarray:
    """Return the projections' angles, degrees; they may be given for all frames or for these alone."""
    if "sample/rotation_angle" not in entry:
        raise ScanError(
            f"{path.name} has no {entry.name}/sample/rotation_angle: nobody knows how the sample stood."
        )
    dataset = entry["sample/rotation_angle"]
    angles, count = np.ravel(dataset[()]).astype(float), int((key == PROJECTION).sum())
    if len(angles) not in (len(key), count):
        raise ScanError(
            f"{path.name} has {len(angles)} angles for {len(key)} frames, {count} of them projections."
        )
    unit = dataset.attrs.get("units", "deg")
    in_radians = (unit if isinstance(unit, str) else unit.decode()).startswith("rad")
    angles = np.degrees(angles) if in_radians else angles
    return angles[key == PROJECTION] if len(angles) == len(key) else angles


def complete(
    kinds: dict[int, np.ndarray], path: Path, beside: Path | None, rows: range
) -> list[str]:
    """Take missing flats and darks from a file beside, and return what is to be told."""
    if beside is not None:
        with h5py.File(beside) as file:
            entry = tomo_entry(file, beside)
            key, frames = image_key(entry, beside), stack_of(entry, beside)
            for kind in (FLAT, DARK):
                if not len(kinds[kind]):
                    kinds[kind] = read_frames(frames, np.flatnonzero(key == kind), rows)
    if not len(kinds[FLAT]):
        raise ScanError(
            f"{path.name} has no flats: no frame has the image key {FLAT}. Without a picture of the beam, counts "
            "can't become transmissions. If flats and darks lie in a file of their own, set FLATS to it."
        )
    if len(kinds[DARK]):
        return []
    kinds[DARK] = np.zeros((1, *kinds[FLAT].shape[1:]), np.float32)
    return [
        f"There are no darks (image key {DARK}), so the camera's offset is taken for 0. That is right for a "
        "detector that counts photons; with any other, attenuations come out too small."
    ]


def length_mm(dataset: h5py.Dataset) -> float:
    """Return a length in millimetres, whatever unit it is written in."""
    per_mm = {"m": 1e3, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3}
    unit = dataset.attrs.get("units", "mm")
    return (
        float(np.ravel(dataset[()])[0]) * per_mm[unit if isinstance(unit, str) else unit.decode()]
    )


def simulated(files: Files) -> Scan:
    """Return the simulated scan and its truth."""
    with h5py.File(files["truth.h5"]) as file:
        names = ("angle", "phantom", "attenuation", "rings", "zingers")
        truth = Truth(float(file["centre_of_rotation"][()]), *(file[name][()] for name in names))
    return nxtomo(files["scan.nxs"], truth)


def tooth(files: Files) -> Scan:
    """Return TomoPy's tooth, which is stored the way the APS exchanges data."""
    with h5py.File(files["tooth.h5"]) as file:
        names = ("data", "data_white", "data_dark")
        kinds = [file["exchange"][name][()].astype(np.float32) for name in names]
        angles = file["exchange/theta"][()] if "exchange/theta" in file else None
    if angles is None:
        angles = np.linspace(0, 180, len(kinds[0]))
    return Scan(files["tooth.h5"], *kinds, angles_deg=np.asarray(angles, float))


def full_field(files: Files, rows: tuple[int, int] = (1000, 1008)) -> Scan:
    """Return a few rows of the large scan: the first NXtomo file of the archive."""
    path = next(path for path in files if path.suffix in (".nxs", ".h5", ".hdf"))
    return nxtomo(path, rows=rows)


READERS: Mapping[str, Callable[[Files], Scan]] = {
    "simulated": simulated,
    "tooth": tooth,
    "full-field": full_field,
}


def read(files: Files) -> Scan:
    """Return the scan of a data set of this use case."""
    name = files.label.partition("/")[2]
    if name not in READERS:
        raise ValueError(f"{files.label} is no full-field scan; there are {', '.join(READERS)}")
    return READERS[name](files)
