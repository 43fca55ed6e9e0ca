"""The simulated beam: a probe behind a zone plate, and the modes of a source that is no point."""

import numpy as np
from experiment import Optics, Setup


def probe_spectrum(setup: Setup, optics: Optics) -> np.ndarray:
    """Return the beam's angular spectrum: (frame_px, frame_px) complex128, 0 frequency at [0, 0].

    In the focal plane it is an image of the zone plate, as far away as the detector: an annulus.
    Over the distance z a paraxial wave's component of the spatial frequency q is multiplied by
    exp(-i pi wavelength z q^2) (Goodman, Introduction to Fourier Optics, section 4.2).
    """
    q = np.fft.fftfreq(setup.frame_px, setup.object_pixel_m)
    y, x = np.meshgrid(q, q, indexing="ij")
    q_edge = setup.numerical_aperture / setup.wavelength_m
    soft = 1 / (setup.frame_px * setup.object_pixel_m)  # one pixel of the detector
    radius = np.hypot(x, y)
    stop = setup.central_stop_m / setup.zone_plate_m * q_edge
    amplitude = step((q_edge - radius) / soft) * step((radius - stop) / soft)
    amplitude = amplitude * np.sqrt(np.maximum(1 + optics.tilt * x / q_edge, 0))
    phase = optics.astigmatism_rad * (x**2 - y**2) / q_edge**2
    phase = phase - np.pi * setup.wavelength_m * optics.defocus_m * radius**2
    spectrum = amplitude * np.exp(1j * phase)
    return spectrum * np.sqrt(setup.photons / np.sum(amplitude**2))


def step(x: np.ndarray) -> np.ndarray:
    """Return a smooth step from 0 to 1 around x = 0, from 12 to 88 % within -0.5 to 0.5."""
    return 1 / (1 + np.exp(-4 * np.clip(x, -10, 10)))


def probe_image(setup: Setup, optics: Optics) -> np.ndarray:
    """Return the probe in the sample's plane: (frame_px, frame_px) complex128, its middle centred.

    Its square is photons a pixel.
    """
    return np.fft.fftshift(np.fft.ifft2(probe_spectrum(setup, optics), norm="ortho"))


def embed(spectrum: np.ndarray, edge: int) -> np.ndarray:
    """Return a centred square spectrum amid zeros: (edge, edge)."""
    start = edge // 2 - len(spectrum) // 2
    wide = np.zeros((edge, edge), spectrum.dtype)
    wide[start : start + len(spectrum), start : start + len(spectrum)] = spectrum
    return wide


def crop(image: np.ndarray, edge: int) -> np.ndarray:
    """Return the middle of a square image: (edge, edge)."""
    start = len(image) // 2 - edge // 2
    return image[start : start + edge, start : start + edge]


def source_points(setup: Setup) -> list[tuple[float, float]]:
    """Return where points of the source are imaged to, pixels along a row, and their weights.

    Gauss-Hermite quadrature: the weighted sum over seven points stands for the Gaussian. Light from
    two points doesn't interfere.
    """
    if not setup.source_px:
        return [(0.0, 1.0)]
    at, weight = np.polynomial.hermite_e.hermegauss(7)
    return list(zip(setup.source_px * at, weight / weight.sum(), strict=True))


def probe_modes(setup: Setup, optics: Optics) -> np.ndarray:
    """Return the mutually incoherent, orthogonal modes: (modes, frame_px, frame_px) complex128.

    The strongest first, as many as the source has points; squares are photons a pixel. They are
    the singular vectors of the probes of all points.
    """
    q = np.fft.fftfreq(setup.frame_px)
    spectrum = probe_spectrum(setup, optics)
    probes = [
        np.sqrt(weight) * np.fft.ifft2(spectrum * np.exp(-2j * np.pi * q * shift), norm="ortho")
        for shift, weight in source_points(setup)
    ]
    _, sizes, modes = np.linalg.svd(np.reshape(probes, (len(probes), -1)), full_matrices=False)
    shape = (-1, setup.frame_px, setup.frame_px)
    return np.fft.fftshift((sizes[:, None] * modes).reshape(shape), axes=(1, 2))


def dose(setup: Setup, probe: np.ndarray, positions_px: np.ndarray) -> np.ndarray:
    """Return the photons that fell on every pixel of the object: (object_px, object_px) float32."""
    total = np.zeros((setup.object_px, setup.object_px), np.float32)
    for top, left in np.rint(positions_px).astype(int) - setup.frame_px // 2:
        total[top : top + setup.frame_px, left : left + setup.frame_px] += np.abs(probe) ** 2
    return total
