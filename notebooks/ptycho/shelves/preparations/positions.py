"""What is done to the positions before a reconstruction."""

import numpy as np

from ..scan import Scan
from ..shelf import Count, Positive, preparations


@preparations.put("orient")
def orient(
    scan: Scan, swap: bool = False, flip_rows: bool = False, flip_columns: bool = False
) -> Scan:
    """Turn the positions' axes: which motor direction is which is the first thing to go wrong."""
    rows, columns = scan.positions_m.T[:: -1 if swap else 1]
    signs = -1 if flip_rows else 1, -1 if flip_columns else 1
    return scan.changed(positions_m=np.stack([signs[0] * rows, signs[1] * columns], axis=1))


@preparations.put("affine")
def affine(scan: Scan, scale: Positive = 1.0, rotation_deg: float = 0.0) -> Scan:
    """Scale and rotate the positions about their middle."""
    middle = scan.positions_m.mean(axis=0)
    angle = np.radians(rotation_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scan.changed(positions_m=(scan.positions_m - middle) @ turn.T * scale + middle)


@preparations.put("thin")
def thin(scan: Scan, every: Count) -> Scan:
    """Keep one frame out of so many."""
    return scan.changed(frames=scan.frames[::every], positions_m=scan.positions_m[::every])
