"""Results as CXI (Maia 2012, doi:10.1038/nmeth.2110): SI units, complex arrays, a log."""

from pathlib import Path

import h5py
import numpy as np
from nexus import group, put

from ..scan import Scan, State
from ..shelf import outputs

HC_J_M = 1.98644586e-25  # Planck constant times speed of light, CODATA 2018


@outputs.put("cxi")
def cxi(path: Path, scan: Scan, state: State) -> None:
    """The sample as image_1, the probe as the source's illumination, positions, and all errors."""
    pixel = scan.object_pixel_m
    rows, columns = (state.positions_px - np.array(state.sample.shape) // 2).T * pixel
    with h5py.File(path, "w") as file:
        file["cxi_version"], file["number_of_entries"] = 160, 1
        file.attrs["default"] = "entry_1"
        entry = group(file, "entry_1", "NXentry", default="data_1")
        entry["title"] = f"Reconstruction of {scan.origin}"
        image = entry.create_group("image_1")
        image.create_dataset("data", data=state.sample, compression="gzip", shuffle=True)
        image["data_space"], image["data_type"] = "real", "transmission"
        put(image, "image_size", np.array(state.sample.shape[::-1]) * pixel, "m")
        image["process_1/command"] = " then ".join(
            dict.fromkeys(name for name, _, _ in state.errors)
        )
        image["process_1/epoch"] = [epoch for _, epoch, _ in state.errors]
        image["process_1/error"] = [error for _, _, error in state.errors]
        source = entry.create_group("instrument_1/source_1")
        put(source, "energy", HC_J_M / scan.wavelength_m, "J")
        put(source, "wavelength", scan.wavelength_m, "m")
        source["illumination"] = state.probe
        source["illumination"].attrs["pixel_size"] = pixel
        detector = entry.create_group("instrument_1/detector_1")
        put(detector, "distance", scan.distance_m, "m")
        for axis in "xy":
            put(detector, f"{axis}_pixel_size", scan.pixel_m, "m")
        # Of the sample: it goes left and up where the beam goes right and down over it.
        moved = np.stack([columns, rows, np.zeros(len(rows))], axis=1)
        put(entry, "sample_1/geometry_1/translation", moved, "m")
        # What a NeXus viewer opens by itself.
        data = group(entry, "data_1", "NXdata", signal="data", axes=["y", "x"])
        data["data"] = h5py.SoftLink("/entry_1/image_1/data")
        for axis, length in zip("yx", state.sample.shape, strict=True):
            put(data, axis, (np.arange(length) - length // 2) * pixel, "m")
