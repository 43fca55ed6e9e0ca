"""Results as CXI (Maia 2012, doi:10.1038/nmeth.2110): SI units, complex arrays, a log."""

from pathlib import Path

import h5py
import numpy as np

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
        entry = file.create_group("entry_1")
        entry.attrs["NX_class"] = "NXentry"
        entry["title"] = f"Reconstruction of {scan.origin}"
        image = entry.create_group("image_1")
        image.create_dataset("data", data=state.sample, compression="gzip", shuffle=True)
        image["data_space"], image["data_type"] = "real", "transmission"
        image["image_size"] = np.array(state.sample.shape[::-1]) * pixel
        image["image_size"].attrs["units"] = "m"
        image["process_1/command"] = " then ".join(dict.fromkeys(name for name, _, _ in state.errors))
        image["process_1/epoch"] = [epoch for _, epoch, _ in state.errors]
        image["process_1/error"] = [error for _, _, error in state.errors]
        source = entry.create_group("instrument_1/source_1")
        source["energy"], source["wavelength"] = HC_J_M / scan.wavelength_m, scan.wavelength_m
        source["illumination"] = state.probe
        source["illumination"].attrs["pixel_size"] = pixel
        detector = entry.create_group("instrument_1/detector_1")
        detector["distance"] = scan.distance_m
        detector["x_pixel_size"] = detector["y_pixel_size"] = scan.pixel_m
        # Of the sample: it goes left and up where the beam goes right and down over it.
        moved = np.stack([columns, rows, np.zeros(len(rows))], axis=1)
        entry["sample_1/geometry_1/translation"] = moved
        entry.create_group("data_1")["data"] = h5py.SoftLink("/entry_1/image_1/data")
