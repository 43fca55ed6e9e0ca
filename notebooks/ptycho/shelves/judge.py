"""How good is a reconstruction? Compared with a truth, or with another one.

A reconstruction is determined up to a shift of sample and probe together, a linear phase (which the
probe can undo) and a complex factor. All three are removed before anything is compared.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """How an image differs from the truth.

    Parameters
    ----------
    error : float
        Root of the summed squared differences over that of the truth's own variation.
    rings : (n,) float64
        Spatial frequencies as shares of the Nyquist frequency.
    frc : (n,) float64
        Fourier ring correlation.
    cut : float
        The first ring whose correlation falls below one half, as a share of the Nyquist frequency.
    image, truth : (rows, columns) complex64
        What was compared, aligned.
    """

    error: float
    rings: np.ndarray
    frc: np.ndarray
    cut: float
    image: np.ndarray
    truth: np.ndarray

    @property
    def weakest(self) -> float:
        """The lowest correlation below three quarters of the Nyquist frequency."""
        return float(self.frc[self.rings < 0.75].min())

    def resolution_m(self, pixel_m: float) -> float:
        """Return half the period at the cut, metres."""
        return pixel_m / self.cut if self.cut else np.inf


def compare(image: np.ndarray, truth: np.ndarray, edge: int, shift_px: float = 6.0) -> Verdict:
    """Compare the middles of two complex images.

    Parameters
    ----------
    image, truth : (rows, columns) complex
        With the same middle, pixel [rows // 2, columns // 2], but for a shift.
    edge : int
        Of the square that is compared, pixels.
    shift_px : float, optional
        The largest shift that is looked for.
    """
    truth = middle(truth, edge)
    wide = middle(image, edge + 2 * int(np.ceil(shift_px)))
    window = hann(edge)
    aligned = align(wide, truth, window)
    shape = window > 0.05
    off = np.linalg.norm((aligned - truth)[shape])
    error = float(off / np.linalg.norm((truth - truth[shape].mean())[shape]))
    rings, frc = ring_correlation(aligned * window, truth * window)
    below = np.flatnonzero(frc[1:] < 0.5)
    cut = float(rings[1:][below[0]]) if len(below) else 1.0
    return Verdict(error, rings, frc, cut, aligned.astype(np.complex64), truth)


def align(wide: np.ndarray, truth: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return the middle of an image with shift, linear phase and factor removed.

    The phase of the ratio of both images gives a ramp, the peak of their cross correlation a shift;
    each is a little wrong until the other is right. From there all are refined at once.
    """
    edge = len(truth)
    for _ in range(3):
        wide = wide * slope(len(wide), -phase_ramp(middle(wide, edge) * truth.conj() * window))
        wide = moved(wide, -offset(truth * window, middle(wide, edge) * window))
    for _ in range(20):
        ramp, shift, factor = step_nearer(wide, truth, window)
        wide = moved(wide * slope(len(wide), ramp), shift) * factor
        if np.abs(shift).max() < 1e-4 and np.abs(ramp).max() < 1e-6:
            break
    return middle(wide, edge)


def step_nearer(
    wide: np.ndarray, truth: np.ndarray, window: np.ndarray
) -> tuple[np.ndarray, np.ndarray, complex]:
    """Return by which ramp, shift and factor an image comes nearest to the truth.

    One step of Gauss and Newton: the image is linear in small ramps (rad a pixel) and shifts
    (pixels), and the weighted squared differences are the least.
    """
    edge = len(truth)
    axis = np.arange(edge) - edge // 2
    image = middle(wide, edge)
    down, right = (middle(slopes, edge) for slopes in derivatives(wide))
    parts = [1j * axis[:, None] * image, 1j * axis * image, -down, -right, image, 1j * image]
    columns = np.stack([(part * window).ravel() for part in parts], axis=1)
    off = ((truth - image) * window).ravel()
    found = np.linalg.lstsq(
        np.concatenate([columns.real, columns.imag]),
        np.concatenate([off.real, off.imag]),
        rcond=None,
    )[0]
    return found[:2], np.clip(found[2:4], -0.5, 0.5), 1 + found[4] + 1j * found[5]


def derivatives(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how an image changes a pixel further down, and further right, by Fourier transforms."""
    spectrum = np.fft.fft2(image)
    rows, columns = (2j * np.pi * np.fft.fftfreq(n) for n in image.shape)
    return np.fft.ifft2(spectrum * rows[:, None]), np.fft.ifft2(spectrum * columns)


def middle(image: np.ndarray, edge: int) -> np.ndarray:
    """Return the middle of an image: (edge, edge)."""
    rows, columns = (size // 2 - edge // 2 for size in image.shape)
    if min(rows, columns) < 0:
        raise ValueError(f"an image of {image.shape} has no middle of {edge} pixels")
    return image[rows : rows + edge, columns : columns + edge]


def phase_ramp(product: np.ndarray) -> np.ndarray:
    """Return the slope of a product's phase along rows and columns, rad a pixel."""
    down = np.sum(product[1:] * product[:-1].conj())
    right = np.sum(product[:, 1:] * product[:, :-1].conj())
    return np.array([np.angle(down), np.angle(right)])


def slope(edge: int, ramp: np.ndarray) -> np.ndarray:
    """Return a phase factor whose phase grows by `ramp` rad a pixel: (edge, edge)."""
    axis = np.arange(edge) - edge // 2
    return np.exp(1j * ramp[0] * axis)[:, None] * np.exp(1j * ramp[1] * axis)


def offset(truth: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return how far an image lies below and to the right of the truth, pixels, to a hundredth.

    The peak of the cross correlation of both without their means, refined by a Fourier sum around
    it (Guizar-Sicairos, Thurman and Fienup 2008, doi:10.1364/OL.33.000156).
    """
    a, b = (np.fft.fft2(x - x.mean()) for x in (truth, image))
    cross = b * a.conj()
    peak = np.abs(np.fft.ifft2(cross))
    edge = len(truth)
    coarse = np.array(np.unravel_index(peak.argmax(), peak.shape), float)
    coarse = (coarse + edge // 2) % edge - edge // 2
    q = np.fft.fftfreq(edge)
    for step in (0.1, 0.01):
        fine = np.arange(-10, 11) * step
        rows = np.exp(2j * np.pi * np.outer(coarse[0] + fine, q))
        columns = np.exp(2j * np.pi * np.outer(q, coarse[1] + fine))
        value = np.abs(rows @ cross @ columns)
        best = np.unravel_index(value.argmax(), value.shape)
        coarse = coarse + fine[list(best)]
    return coarse


def moved(image: np.ndarray, by_px: np.ndarray) -> np.ndarray:
    """Return an image moved down and right by a fraction of a pixel too."""
    rows, columns = (np.fft.fftfreq(n) for n in image.shape)
    ramp = np.exp(-2j * np.pi * rows * by_px[0])[:, None] * np.exp(-2j * np.pi * columns * by_px[1])
    return np.fft.ifft2(np.fft.fft2(image) * ramp)


def orthogonal(modes: np.ndarray) -> np.ndarray:
    """Return the same light in orthogonal probe modes, the strongest first: (modes, n, n) complex.

    Modes that add up incoherently may be mixed by any unitary matrix without a change of what the
    detector sees. The singular vectors are the one choice that is orthogonal (Thibault and Menzel
    2013, doi:10.1038/nature11806): only these can be compared.
    """
    _, sizes, rows = np.linalg.svd(modes.reshape(len(modes), -1), full_matrices=False)
    return (sizes[:, None] * rows).reshape(modes.shape)


def shares(modes: np.ndarray) -> np.ndarray:
    """Return how much of the light each orthogonal mode holds, the strongest first: (modes,)."""
    power = np.sum(np.abs(orthogonal(modes)) ** 2, axis=(1, 2))
    return power / power.sum()


def hann(edge: int) -> np.ndarray:
    """Return a window that falls to 0 at its edges: (edge, edge) float64."""
    axis = np.sin(np.pi * (np.arange(edge) + 0.5) / edge) ** 2
    return np.sqrt(axis[:, None] * axis)


def ring_correlation(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies (shares of Nyquist) and the Fourier ring correlation of two images.

    Real part of the normalised correlation on rings one pixel wide (van Heel and Schatz 2005,
    doi:10.1016/j.jsb.2005.05.009).
    """
    edge = len(one)
    a, b = np.fft.fft2(one), np.fft.fft2(other)
    q = np.fft.fftfreq(edge) * edge
    ring = np.rint(np.hypot(q[:, None], q)).astype(int).ravel()
    count = edge // 2 + 1

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(ring, weights=values.ravel(), minlength=count)[:count]

    power = np.sqrt(total(np.abs(a) ** 2) * total(np.abs(b) ** 2))
    return np.arange(count) / (edge / 2), total((a * b.conj()).real) / np.maximum(power, 1e-30)
