"""The simulated sample: a Siemens star with trees, on an uneven film."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from beam import crop, step
from experiment import Setup

FINE = 2  # steps of the simulation's grid in a pixel of the object


@dataclass(frozen=True)
class Branch:
    """A straight bar with round ends, in pixels of the object from its middle.

    Parameters
    ----------
    start, end : complex
        Column + 1j row.
    width : float
    """

    start: complex
    end: complex
    width: float


def grow(rng: np.random.Generator, root: Branch, generations: int) -> Iterator[Branch]:
    """Yield a branch and all that grow out of its end, two out of each, thinner and shorter."""
    yield root
    if generations == 0:
        return
    for side in (-1, 1):
        turn = np.exp(1j * side * rng.uniform(0.35, 0.75))
        reach = (root.end - root.start) * turn * rng.uniform(0.68, 0.85)
        yield from grow(rng, Branch(root.end, root.end + reach, root.width * 0.75), generations - 1)


def draw_branch(image: np.ndarray, branch: Branch, pixel: float) -> None:
    """Raise an image to 1 in place where a branch is; its edges are one pixel of the object soft.

    Parameters
    ----------
    image : (n, n) float64
    branch : Branch
    pixel : float
        Of the image, in pixels of the object.
    """
    middle, reach = len(image) // 2, abs(branch.end - branch.start) + 2 * branch.width + 5
    corner = np.array([branch.start.imag, branch.start.real]) / pixel + middle
    low = np.clip(np.floor(corner - reach / pixel), 0, len(image)).astype(int)
    high = np.clip(np.ceil(corner + reach / pixel), 0, len(image)).astype(int)
    rows, columns = np.arange(low[0], high[0]), np.arange(low[1], high[1])
    at = ((columns - middle)[None, :] + 1j * (rows - middle)[:, None]) * pixel
    along = branch.end - branch.start
    share = np.clip(((at - branch.start) * along.conjugate()).real / abs(along) ** 2, 0, 1)
    distance = np.abs(at - branch.start - share * along)
    part = image[low[0] : high[0], low[1] : high[1]]
    np.maximum(part, step(branch.width / 2 - distance), out=part)


def siemens_star(edge: int, pixel: float, radius: float, spokes: int, turn: float) -> np.ndarray:
    """Return a star whose spokes narrow towards its middle: (edge, edge) float64, 0 to 1.

    Parameters
    ----------
    edge : int
        Of the image.
    pixel, radius : float
        Of the image and of the star, in pixels of the object.
    spokes : int
    turn : float
        Of the first spoke, rad.
    """
    axis = (np.arange(edge) - edge // 2) * pixel
    far, angle = np.hypot(axis[:, None], axis), np.arctan2(axis[:, None], axis) - turn
    to_edge = np.arcsin(np.sin(spokes * angle)) / spokes * far  # along the arc
    return step(to_edge) * step(radius - far)


def clouds(rng: np.random.Generator, edge: int, pixel: float) -> np.ndarray:
    """Return a smooth random relief without a scale of its own: (edge, edge) float64, 0 to 1.

    White noise whose Fourier amplitudes fall as q^-2, and faster beyond one period in four pixels.
    """
    q = np.hypot(*np.meshgrid(np.fft.fftfreq(edge, pixel), np.fft.fftfreq(edge, pixel)))
    falling = np.where(q > 0, 1 / np.maximum(q, 1 / (edge * pixel)) ** 2, 0)
    falling = falling * np.exp(-((q / 0.25) ** 2))
    relief = np.fft.ifft2(np.fft.fft2(rng.normal(size=(edge, edge))) * falling).real
    return (relief - relief.min()) / np.ptp(relief)


def make_object(rng: np.random.Generator, setup: Setup) -> np.ndarray:
    """Return the sample's transmission: (FINE object_px, FINE object_px) complex128.

    A Siemens star with trees that grow out of it, as of some 0.4 micrometres of gold (1 rad and
    about 14 % of the amplitude), on an uneven film that hardly absorbs. The smallest parts are two
    pixels of the object wide, the largest as wide as the scan.
    """
    edge, pixel = FINE * setup.object_px, 1 / FINE
    radius = 0.13 * setup.object_px
    metal = siemens_star(edge, pixel, radius, spokes=24, turn=rng.uniform(0, 2 * np.pi))
    trunks, turn = 7, rng.uniform(0, 2 * np.pi)
    for k in range(trunks):
        outwards = np.exp(1j * (turn + (k + rng.uniform(-0.15, 0.15)) * 2 * np.pi / trunks))
        root = Branch(radius * outwards, (radius + rng.uniform(12, 15)) * outwards, 6.0)
        for branch in grow(rng, root, generations=4):
            draw_branch(metal, branch, pixel)
    film = clouds(rng, edge, pixel)
    return np.exp(-(1j + 0.15) * metal - (0.8j + 0.02) * film)


def band_limited(image: np.ndarray, edge: int) -> np.ndarray:
    """Return an image as a coarser grid can hold it: (edge, edge) complex128.

    Fourier components that the grid cannot hold are left out; the rest keep their values, and pixel
    [0, 0] its place.
    """
    spectrum = crop(np.fft.fftshift(np.fft.fft2(image)), edge)
    return np.fft.ifft2(np.fft.ifftshift(spectrum)) * (edge / len(image)) ** 2
