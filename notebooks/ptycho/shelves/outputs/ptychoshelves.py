"""Results where PtychoShelves' own viewers look for them."""

from pathlib import Path

import h5py
import numpy as np

from ..scan import Scan, State
from ..shelf import outputs


@outputs.put("ptychoshelves")
def ptychoshelves(path: Path, scan: Scan, state: State) -> None:
    """Object and probe below /reconstruction/p.

    Rows come first: MATLAB sees a file's axes in reverse, and PtychoShelves swaps the first two
    when it writes and when it reads, so that (modes, rows, columns) here is its (rows, columns,
    modes).
    """
    with h5py.File(path, "w") as file:
        p = file.create_group("reconstruction/p")
        p["objects/object_0"] = state.sample
        p["probes/probe_0"] = state.probe
        p["positions"] = state.positions_px - scan.edge // 2
        p["dx_spec"] = np.full(2, scan.object_pixel_m)
        p["lambda"] = scan.wavelength_m
        p["z"] = scan.distance_m
        p["asize"] = np.full(2, scan.edge)
        file["reconstruction/object"] = h5py.SoftLink("/reconstruction/p/objects/object_0")
        file["reconstruction/probes"] = h5py.SoftLink("/reconstruction/p/probes/probe_0")
