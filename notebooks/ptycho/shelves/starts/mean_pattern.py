"""A probe from the data alone."""

import numpy as np

from ..scan import Scan
from ..shelf import Count, starts
from .modes import spread


@starts.put("mean_pattern")
def mean_pattern(scan: Scan, defocus_m: float = 0.0, modes: Count = 1) -> np.ndarray:
    """Root of the mean pattern as if the beam came in one phase, moved out of focus."""
    mean = np.where(scan.good, scan.frames.mean(axis=0), 0)
    q = np.fft.fftfreq(scan.edge, scan.object_pixel_m)
    curved = np.exp(-1j * np.pi * scan.wavelength_m * defocus_m * (q[:, None] ** 2 + q**2))
    spectrum = np.fft.ifftshift(np.sqrt(mean)) * curved
    return spread(np.fft.fftshift(np.fft.ifft2(spectrum, norm="ortho")), modes)
