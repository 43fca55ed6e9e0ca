"""HDF5 files that PtychoShelves prepared for its engines.

The layout was read off PtychoShelves' loader: ``/measurement/n0/data`` holds counts with the direct
beam at the corner, ``/measurement/n0/positions`` whole pixels of the object from its corner to the
probe's, ``/detector/n0`` the modules and the bad pixels. It says nothing of wavelength, distance and
pixel: these come from the recipe.
"""

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # for compressed frames
import numpy as np

from ..scan import Scan
from ..shelf import readers


@readers.put("ptychoshelves")
def ptychoshelves(
    path: Path, wavelength_m: float | None = None, distance_m: float | None = None,
    pixel_m: float | None = None, scan: int = 0,
) -> Scan:  # fmt: skip
    """Frames, modules and whole-pixel positions; the geometry is told by the recipe."""
    with h5py.File(path) as file:
        if f"measurement/n{scan}" not in file:
            raise KeyError(f"it has no /measurement/n{scan}, which prepared files have")
        measurement, detector = file[f"measurement/n{scan}"], file[f"detector/n{scan}"]
        if wavelength_m is None or distance_m is None or pixel_m is None:
            raise ValueError(
                "the file doesn't hold the geometry: give wavelength_m, distance_m and pixel_m"
            )
        frames = np.asarray(measurement["data"][()], np.float32)
        corner = pairs(measurement["positions"][()], 2)
        good = np.zeros(frames.shape[1:], bool)
        for rows, columns, top, left in pairs(detector["modules"][()], 4):
            good[top : top + rows, left : left + columns] = True
        if "bad_pixels" in detector:
            bad = pairs(detector["bad_pixels"][()], 2)
            good[bad[:, 0], bad[:, 1]] = False
    object_pixel = wavelength_m * distance_m / (frames.shape[1] * pixel_m)
    frames, good = np.fft.fftshift(frames, axes=(1, 2)), np.fft.fftshift(good)
    return Scan(
        np.where(good, frames, 0), good, corner * object_pixel, wavelength_m, distance_m, pixel_m,
        origin=Path(path).name,
    )  # fmt: skip


def pairs(values: np.ndarray, columns: int) -> np.ndarray:
    """Return a table with so many columns, however MATLAB turned it."""
    table = np.asarray(values).astype(np.int64)
    return table if table.shape[-1] == columns else table.T


def write(path: Path, scan: Scan) -> None:
    """Write a scan as PtychoShelves would have prepared it: positions lose their fractions.

    Parameters
    ----------
    path : Path
    scan : Scan
    """
    at, _ = scan.positions_px()
    corner = np.rint(at - scan.edge // 2)
    good = np.fft.ifftshift(scan.good)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = 2
        detector = file.create_group("detector/n0")
        detector.attrs["rows"] = detector.attrs["columns"] = np.uint32(scan.edge)
        detector["modules"] = np.array([[scan.edge, scan.edge, 0, 0]], np.uint32)
        detector["bad_pixels"] = np.argwhere(~good).astype(np.uint32)
        measurement = file.create_group("measurement/n0")
        measurement.attrs["detector"] = np.uint32(0)
        measurement["positions"] = (corner - corner.min(axis=0)).astype(np.uint32)
        measurement.create_dataset(
            "data", data=np.fft.ifftshift(scan.frames, axes=(1, 2)), compression="gzip", shuffle=True
        )
