"""Writes small tomography scans as NXtomo files; run in the use case's environment."""

from pathlib import Path

import h5py
import numpy as np
import simulation
from simulation import DARK, FLAT, PROJECTION, Setup


def counts(
    angles: np.ndarray,
    axis_px: float,
    *,
    columns: int = 160,
    wide: float = 1.0,
    rows: int = 4,
    seed: int = 5,
    photons: float = 20_000,
) -> tuple[np.ndarray, np.ndarray]:
    """Return frames and their image keys: darks, flats, then a projection for every angle.

    Parameters
    ----------
    angles : (projections,) float64
        Degrees.
    axis_px : float
        Column of the axis.
    columns, rows : int
        Of the camera.
    wide : float
        Width of the sample over 80 % of the camera's.
    seed : int
    photons : float
        In a pixel of a flat.
    """
    rng = np.random.default_rng(seed)
    sample = Setup(shape=(rows, int(columns * wide)), projections=len(angles))
    bodies = simulation.make_sample(rng, sample)
    t_mm = (np.arange(columns * 3) / 3 - 1 / 3 - axis_px) * sample.pixel_mm
    passed = np.empty((len(angles), rows, columns))
    for row, height in enumerate(sample.heights_mm):
        through = np.exp(-simulation.line_integrals(bodies, height, angles, t_mm))
        passed[:, row] = through.reshape(-1, columns, 3).mean(axis=-1)
    key = np.repeat([DARK, FLAT, PROJECTION], [8, 8, len(angles)])
    light = np.zeros((len(key), rows, columns))
    light[key == FLAT], light[key == PROJECTION] = 1, passed
    beam = simulation.make_beam(rng, sample)[:, np.arange(columns) % sample.shape[1]]
    light *= photons * beam
    frames = 100 + 1.5 * rng.poisson(light) + rng.normal(0, 3, light.shape)
    return np.clip(np.rint(frames), 0, 65535).astype(np.uint16), key


def nxtomo(
    path: Path | str,
    frames: np.ndarray,
    key: np.ndarray,
    angles: np.ndarray,
    *,
    unit: str | None = "deg",
    pixel: float | None = 3.25e-3,
    pixel_unit: str | None = "mm",
    place: str = "entry",
    mode: str = "w",
) -> None:
    """Write a scan; angles belong to the projections, darks and flats get 0."""
    with h5py.File(path, mode) as file:
        entry = file.create_group(place)
        entry["definition"] = "NXtomo"
        detector = entry.create_group("instrument/detector")
        detector["data"], detector["image_key"] = frames, key
        turned = np.zeros(len(key))
        turned[np.asarray(key) == PROJECTION] = angles
        entry["sample/rotation_angle"] = turned
        if unit is not None:
            entry["sample/rotation_angle"].attrs["units"] = unit
        if pixel is not None:
            detector["x_pixel_size"] = pixel
            if pixel_unit is not None:
                detector["x_pixel_size"].attrs["units"] = pixel_unit
