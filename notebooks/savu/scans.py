"""The scans of these notebooks' data sets, each by its reader."""

from collections.abc import Callable, Mapping

import h5py
import numpy as np
from nxtomo import chosen_rows, nxtomo
from scan import Scan, ScanError, Truth

from workbench.data import Files

TOOTH_AXIS_PX = 296.0
"""That TomoPy's documentation takes, "chosen manually", in its example of a log-polar reconstruction."""

__all__ = ["Scan", "ScanError", "Truth", "chosen_rows", "nxtomo", "read"]


def simulated(files: Files) -> Scan:
    """Return the simulated scan and its truth."""
    with h5py.File(files["truth.h5"]) as file:
        truth = Truth(
            centre_px=float(file["centre_of_rotation"][()]),
            angles_deg=file["angle"][()],
            phantom=file["phantom"][()],
            attenuation=file["attenuation"][()],
            rings=file["rings"][()],
            zingers=file["zingers"][()],
            pixel_mm=float(file["pixel_size"][()]),
        )
    return nxtomo(files["scan.nxs"], truth)


def tooth(files: Files) -> Scan:
    """Return TomoPy's tooth, which is stored the way the APS exchanges data."""
    with h5py.File(files["tooth.h5"]) as file:
        names = ("data", "data_white", "data_dark")
        frames, flats, darks = (file["exchange"][n][()].astype(np.float32) for n in names)
        angles = file["exchange/theta"][()] if "exchange/theta" in file else None
    if angles is None:
        angles = np.linspace(0, 180, len(frames))
    angles = np.asarray(angles, float)
    return Scan(files["tooth.h5"], frames, flats, darks, angles, published_px=TOOTH_AXIS_PX)


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
        raise ValueError(f"{files.label} isn't a full-field scan; there are {', '.join(READERS)}")
    return READERS[name](files)
