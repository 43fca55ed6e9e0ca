"""A probe from what is known of the optics."""

import numpy as np

from ..scan import Scan
from ..shelf import Count, NotNegative, Positive, starts
from .modes import spread


@starts.put("zone_plate")
def zone_plate(
    scan: Scan, defocus_m: float, diameter_m: Positive, outermost_zone_m: Positive,
    central_stop_m: NotNegative = 0.0, modes: Count = 1,
) -> np.ndarray:  # fmt: skip
    """The light of a perfect zone plate, a defocus downstream of its focus."""
    q = np.fft.fftfreq(scan.edge, scan.object_pixel_m)
    radius = np.hypot(q[:, None], q)
    q_edge = 1 / (2 * outermost_zone_m)
    lit = (radius < q_edge) & (radius > central_stop_m / diameter_m * q_edge)
    spectrum = lit * np.exp(-1j * np.pi * scan.wavelength_m * defocus_m * radius**2)
    probe = np.fft.fftshift(np.fft.ifft2(spectrum, norm="ortho"))
    counts = np.where(scan.good, scan.frames, 0).sum(axis=(1, 2)).max()
    return spread(probe * np.sqrt(counts / np.sum(np.abs(probe) ** 2)), modes)
