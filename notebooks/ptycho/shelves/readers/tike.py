"""NumPy archives of tike's tests: ``data``, ``scan`` and ``probe``, without a geometry."""

from pathlib import Path

import numpy as np

from ..scan import Scan
from ..shelf import Positive, readers


@readers.put("tike")
def tike(path: Path, object_pixel_m: Positive = 1e-8) -> Scan:
    """Frames and probe; the file counts in pixels, which are taken as 10 nm unless told."""
    if Path(path).suffix != ".npz":
        raise ValueError("it isn't a NumPy archive (.npz)")
    with np.load(path) as file:
        frames = np.asarray(file["data"][0], np.float32)
        positions = np.asarray(file["scan"][0], float)
        probe = np.asarray(file["probe"], np.complex64).reshape(-1, *file["probe"].shape[-2:])
    frames = np.fft.fftshift(frames, axes=(1, 2))  # tike keeps the direct beam at the corner
    edge = frames.shape[1]
    return Scan(
        frames, np.ones(frames.shape[1:], bool), positions * object_pixel_m,
        wavelength_m=1e-10, distance_m=1.0, pixel_m=1e-10 / (edge * object_pixel_m),
        probe=probe, origin=Path(path).name,
    )  # fmt: skip
