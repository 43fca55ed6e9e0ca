"""A ptychographic scan whose truth is known: a coherent beam steps over a structured film.

Everything is computed here with NumPy alone: no part of a reconstruction program makes the data.
The light is computed on a grid twice as fine as the one that the detector resolves, and what
scatters beyond the detector is lost, as in an experiment; so the model that programs fit is close
to the data, but not the one that made them.

The scan has what a real one has: positions that no grid fits, a probe with a central stop,
astigmatism and an uneven beam, photon noise, dead and hot pixels, and, where wanted, a source that
is not a point. It lacks background, blur of the detector, errors of the positions, a thick sample,
and a beam or sample that changes. Every random number comes from the seed.

Conventions: waves go as exp(+ikz) along z, so that matter retards to negative phases and a
diffraction pattern is the forward Fourier transform of the exit wave. As one looks along the beam,
rows count downwards and columns to the right; the laboratory's y points up and its x to the left.
"""

from pathlib import Path

import h5py
import numpy as np
from beam import crop, embed, probe_spectrum, source_points
from experiment import Optics, Setup
from sample import FINE, make_object
from scan_files import write_scan, write_truth

HOT, DEAD = 4, 8  # bits of a CXI mask; 0 is a good pixel


def make_positions(rng: np.random.Generator, setup: Setup) -> np.ndarray:
    """Return the row and column of the probe's middle on the object: (positions, 2) float64, px.

    A Fermat spiral covers a disc evenly and without a lattice, which would leave its own pattern
    in the reconstruction (Huang et al. 2014, doi:10.1364/OE.22.012634). The stage misses its
    targets by 0.3 pixels each way, which an interferometer measures. Pixel centres are at whole
    numbers.
    """
    k = np.arange(setup.positions)
    radius = setup.step_px * np.sqrt((k + 0.5) / np.pi)
    turn = rng.uniform(0, 2 * np.pi) + k * np.pi * (3 - np.sqrt(5))
    spiral = np.stack([radius * np.sin(turn), radius * np.cos(turn)], axis=1)
    return spiral + rng.normal(0, 0.3, spiral.shape) + setup.object_px // 2


def diffract(
    setup: Setup, spectrum: np.ndarray, sample: np.ndarray, at_px: np.ndarray
) -> np.ndarray:
    """Return a diffraction pattern without noise: (frame_px, frame_px) float64, photons.

    Far from the sample, the light is the Fourier transform of the exit wave, probe times object
    (Fraunhofer diffraction). The direct beam falls on pixel [frame_px // 2, frame_px // 2].

    Parameters
    ----------
    setup : Setup
    spectrum : (frame_px, frame_px) complex128
        Of the probe, 0 frequency first.
    sample : (FINE object_px, FINE object_px) complex128
        Transmission on the fine grid.
    at_px : (2,) float64
        Row and column of the probe's middle, pixels of the object.
    """
    edge = FINE * setup.frame_px
    whole = np.floor(at_px * FINE).astype(int)
    rest_y, rest_x = at_px - whole / FINE  # less than a step of the fine grid
    q = np.fft.fftfreq(setup.frame_px)
    moved = spectrum * np.exp(-2j * np.pi * (q[:, None] * rest_y + q[None, :] * rest_x))
    wide = np.fft.ifftshift(embed(np.fft.fftshift(moved), edge))
    probe = np.fft.fftshift(np.fft.ifft2(wide, norm="ortho"))
    top, left = whole - edge // 2
    exit_wave = probe * sample[top : top + edge, left : left + edge]
    light = np.fft.fftshift(np.fft.fft2(exit_wave, norm="ortho"))
    return np.abs(crop(light, setup.frame_px)) ** 2


def make_mask(rng: np.random.Generator, setup: Setup) -> np.ndarray:
    """Return which pixels are bad: (frame_px, frame_px) uint32; 20 are dead, 6 hot."""
    mask = np.zeros((setup.frame_px, setup.frame_px), np.uint32)
    bad = rng.choice(mask.size, 26, replace=False)
    mask.flat[bad[:20]], mask.flat[bad[20:]] = DEAD, HOT
    return mask


def count(
    rng: np.random.Generator,
    setup: Setup,
    spectrum: np.ndarray,
    sample: np.ndarray,
    positions_px: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Return all frames with photon noise: (positions, frame_px, frame_px) int32.

    Dead pixels count nothing, hot ones about as much as the brightest.
    """
    frames = np.empty((len(positions_px), setup.frame_px, setup.frame_px), np.int32)
    points = source_points(setup)
    for frame, at_px in zip(frames, positions_px, strict=True):
        light = (w * diffract(setup, spectrum, sample, at_px + np.array([0, x])) for x, w in points)
        frame[:] = rng.poisson(sum(light))
    frames[:, mask == DEAD] = 0
    frames[:, mask == HOT] = rng.poisson(5000, (len(frames), int(np.sum(mask == HOT))))
    return frames


def partly_coherent_scan(folder: Path, seed: int) -> None:
    """Write the scan of a seed when the source is not a point, with more photons."""
    scan(folder, seed, Setup(source_px=1.5, photons=2e5))


def scan(folder: Path, seed: int, setup: Setup | None = None) -> None:
    """Write a scan, ``scan.cxi``, and what it does not tell, ``truth.h5``.

    Parameters
    ----------
    folder : Path
        Where to; it exists.
    seed : int
        Of all random numbers. It changes the sample, the positions, the focus and the bad pixels.
    setup : Setup, optional
        Another experiment.
    """
    rng = np.random.default_rng(seed)
    setup = setup or Setup()
    optics = Optics(
        defocus_m=rng.uniform(0.33e-3, 0.39e-3),
        astigmatism_rad=rng.uniform(0.3, 0.8),
        tilt=rng.uniform(-0.3, 0.3),
    )
    sample = make_object(rng, setup)
    positions_px = make_positions(rng, setup)
    mask = make_mask(rng, setup)
    frames = count(rng, setup, probe_spectrum(setup, optics), sample, positions_px, mask)
    with h5py.File(folder / "scan.cxi", "w") as file:
        write_scan(file, setup, frames, mask, translations_m(setup, positions_px))
    with h5py.File(folder / "truth.h5", "w") as file:
        write_truth(file, setup, optics, sample, positions_px)


def translations_m(setup: Setup, positions_px: np.ndarray) -> np.ndarray:
    """Return how far the sample is moved in the laboratory: (positions, 3) float64, metres.

    Columns are x, y and z. To bring a point right of and below the object's middle into the
    beam, the sample moves left and up: along +x and +y.
    """
    row, column = (positions_px - setup.object_px // 2).T * setup.object_pixel_m
    return np.stack([column, row, np.zeros_like(row)], axis=1)
