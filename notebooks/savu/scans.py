"""The scans of these notebooks: what was measured, and the truth where it is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from simulation import DARK, FLAT, PROJECTION

from workbench.data import Files

NXTOMO = "entry1/tomo_entry"  # where Savu's NxtomoLoader looks by default


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
    truth: Truth | None = None

    @property
    def unit(self) -> str:
        """The unit of an attenuation coefficient."""
        return "1/mm" if self.pixel_mm != 1 else "1/pixel"


def nxtomo(path: Path, truth: Truth | None = None, *, rows: slice = slice(None)) -> Scan:
    """Return the scan of an NXtomo file: Diamond's, the ESRF's or your own.

    Parameters
    ----------
    path : Path
        Everything is looked for where the NXtomo definition puts it, in the first entry found.
    truth : Truth, optional
        Where it is known.
    rows : slice
        The camera's rows to read; a whole scan can be larger than the memory.
    """
    with h5py.File(path) as file:
        entry = file[NXTOMO] if NXTOMO in file else next(iter(file.values()))
        detector = entry["instrument/detector"]
        key = detector["image_key"][()]
        angles = entry["sample/rotation_angle"][()]
        frames = detector["data"] if "data" in detector else entry["data/data"]
        kinds = [frames[np.flatnonzero(key == k), rows] for k in (PROJECTION, FLAT, DARK)]
        pixel_mm = length_mm(detector["x_pixel_size"]) if "x_pixel_size" in detector else 1.0
    return Scan(
        path,
        *(kind.astype(np.float32) for kind in kinds),
        angles_deg=angles[key == PROJECTION],
        pixel_mm=pixel_mm,
        first=int(np.flatnonzero(key == PROJECTION)[0]),
        truth=truth,
    )


def length_mm(dataset: h5py.Dataset) -> float:
    """Return a length in millimetres, whatever unit it is written in."""
    per_mm = {"m": 1e3, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3}
    unit = dataset.attrs.get("units", "mm")
    return float(dataset[()]) * per_mm[unit if isinstance(unit, str) else unit.decode()]


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


def full_field(files: Files, rows: slice = slice(1000, 1008)) -> Scan:
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
