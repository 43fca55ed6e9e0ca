"""A probe that came with the data."""

import numpy as np

from ..scan import Scan, ScanError
from ..shelf import Whole, starts
from .modes import spread


@starts.put("given")
def given(scan: Scan, modes: Whole = 0) -> np.ndarray:
    """The probe that the file holds, scaled to the counts; its modes too unless told how many."""
    if scan.probe is None:
        raise ScanError("the file holds no probe: take another start")
    probe = spread(scan.probe[0], modes) if modes else scan.probe
    counts = np.where(scan.good, scan.frames, 0).sum(axis=(1, 2)).mean()
    return probe * np.sqrt(counts / np.sum(np.abs(probe) ** 2))
