"""A probe that came with the data."""

import numpy as np

from ..scan import Scan
from ..shelf import starts
from .modes import spread


@starts.put("given")
def given(scan: Scan, modes: int = 0) -> np.ndarray:
    """The probe that the file holds, its modes too unless told how many."""
    if scan.probe is None:
        raise ValueError("the file holds no probe: take another start")
    return spread(scan.probe[0], modes) if modes else scan.probe
