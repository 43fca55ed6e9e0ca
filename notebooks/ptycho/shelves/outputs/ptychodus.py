"""Results as Ptychodus (Argonne National Laboratory) calls a product, for its viewers and tools."""

from pathlib import Path

import h5py
import numpy as np

from ..scan import Scan, State
from ..shelf import outputs

HC_EV_M = 1.239841984e-6  # Planck constant times speed of light over the elementary charge


@outputs.put("ptychodus")
def ptychodus(path: Path, scan: Scan, state: State) -> None:
    """Object, probe, positions and errors as an HDF5 product that Ptychodus opens."""
    pixel = scan.object_pixel_m
    pixels = {"pixel_width_m": pixel, "pixel_height_m": pixel}
    # Ptychodus counts from the middle of an image, between two pixels where their number is even.
    middle = scan.edge // 2 - (scan.edge - 1) / 2 + (np.array(state.sample.shape) - 1) / 2
    rows, columns = (state.positions_px - middle).T * pixel
    with h5py.File(path, "w") as file:
        file.attrs["name"] = scan.origin or "a scan"
        file.attrs["comments"] = " then ".join(dict.fromkeys(name for name, _, _ in state.errors))
        file.attrs["detector_object_distance_m"] = scan.distance_m
        file.attrs["photon_energy_eV"] = HC_EV_M / scan.wavelength_m
        file["object"] = state.sample[None]  # layers first
        file["object"].attrs.update({**pixels, "center_x_m": 0.0, "center_y_m": 0.0})
        file["probe"] = state.probe[None]  # coherent modes first, then incoherent ones
        file["probe"].attrs.update(pixels)
        file["probe_position_indexes"] = np.arange(len(rows))
        file["probe_position_x_m"], file["probe_position_y_m"] = columns, rows
        file["loss_epochs"] = [epoch for _, epoch, _ in state.errors]
        file["loss_values"] = [error for _, _, error in state.errors]
