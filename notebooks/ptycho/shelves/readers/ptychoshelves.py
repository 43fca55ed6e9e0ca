"""HDF5 files that PtychoShelves prepared for its engines.

The layout was read off PtychoShelves' own writer and loader: for each scan n, counted from 0,
``/measurement/n0/data`` holds counts with the direct beam at the corner, ``/measurement/n0/positions``
whole pixels of the object from its corner to the probe's, ``/detector/n0`` the modules and the bad
pixels; where these differ from frame to frame they stand in ``/measurement/n0``. A file of results
links to the prepared one by ``/measurement/data``. Nothing is said of wavelength, distance and pixel:
these come from the recipe.
"""

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  # for compressed frames
import numpy as np

from workbench.readings import Reading

from ..scan import Scan, ScanError
from ..shelf import Positive, readers


@readers.put("ptychoshelves")
def ptychoshelves(
    path: Path, wavelength_m: Positive | None = None, distance_m: Positive | None = None,
    pixel_m: Positive | None = None, scan: int = 0,
) -> Scan:  # fmt: skip
    """Frames, modules and whole-pixel positions; the geometry is told by the recipe."""
    with h5py.File(path) as file:
        measurement, detector = place(file, scan)
        if wavelength_m is None or distance_m is None or pixel_m is None:
            raise ScanError(
                "files that PtychoShelves prepared don't hold the geometry: name the reader in the "
                "recipe and give wavelength_m, distance_m and pixel_m, such as reader: "
                "{use: ptychoshelves, wavelength_m: 2.0e-10, distance_m: 7.3, pixel_m: 1.72e-4}"
            )
        frames = np.asarray(measurement["data"][()], np.float32)
        corner = pairs(measurement["positions"][()], 2)
        good = np.zeros(frames.shape[1:], bool)
        for rows, columns, top, left in pairs(detector["modules"][()], 4):
            good[top : top + rows, left : left + columns] = True
        reading = Reading("Your scan")
        for group in (detector, measurement):  # a pixel that is bad in one frame is left out of all
            if "bad_pixels" in group and group["bad_pixels"].size:
                bad = pairs(group["bad_pixels"][()], 2)
                good[bad[:, 0], bad[:, 1]] = False
        if measurement.get("bad_pixels") is not None and measurement["bad_pixels"].size:
            reading.left_out(f"{len(bad)} pixels of all frames, which the file calls bad in some")
        reading.took(
            f"scan {scan}: {len(frames)} frames of {frames.shape[1]} × {frames.shape[2]} pixels"
        )
        reading.assumed("positions are whole pixels, as PtychoShelves prepares them")
    object_pixel = wavelength_m * distance_m / (frames.shape[1] * pixel_m)
    frames, good = np.fft.fftshift(frames, axes=(1, 2)), np.fft.fftshift(good)
    return Scan(
        frames, good, corner * object_pixel, wavelength_m, distance_m, pixel_m,
        origin=Path(path).name, reading=reading,
    )  # fmt: skip


def place(file: h5py.File, scan: int) -> tuple[h5py.Group, h5py.Group]:
    """Return a scan's groups of measurement and detector, in a prepared file or in a result's link.

    Raises
    ------
    KeyError
        The file is of another kind.
    ScanError
        It is of this kind, but without that scan.
    """
    root = file
    if "reconstruction" in file and "measurement" in file:
        try:
            root = file["measurement/data"]
        except (KeyError, OSError):
            raise ScanError(
                "it is a result of PtychoShelves, and the prepared file to which its "
                "/measurement/data links isn't here: read that one"
            ) from None
    if "measurements" in root and "detectors" in root:
        raise ScanError("it has PtychoShelves' older layout, /measurements: prepare the data again")
    if "measurement" not in root or "detector" not in root:
        raise KeyError("it has no /measurement and /detector, which prepared files have")
    name = f"n{scan}"
    if name not in root["measurement"] or name not in root["detector"]:
        there = ", ".join(sorted(n[1:] for n in root["measurement"] if n[1:].isdigit())) or "none"
        raise ScanError(f"it has no scan {scan}: there are {there}")
    return root[f"measurement/{name}"], root[f"detector/{name}"]


def pairs(values: np.ndarray, columns: int) -> np.ndarray:
    """Return a table with so many columns, however MATLAB turned it."""
    table = np.atleast_2d(values).astype(np.int64)
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
        detector["bad_pixels"] = np.argwhere(~good).astype(float)
        measurement = file.create_group("measurement/n0")
        for name in ("detector", "probe", "object"):
            measurement.attrs[name] = np.uint32(0)
        measurement.attrs["max_sum"] = np.uint32(scan.frames.sum(axis=(1, 2)).max())
        measurement["positions"] = (corner - corner.min(axis=0)).astype(np.uint32)
        measurement.create_dataset(
            "data",
            data=np.fft.ifftshift(scan.frames, axes=(1, 2)),
            compression="gzip",
            shuffle=True,
        )
