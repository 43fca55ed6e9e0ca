"""The steps from a scan to a volume, on Algotom and the ASTRA Toolbox, and how their results are judged."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import algotom.prep.correction as correction
import algotom.prep.removal as removal
import algotom.rec.reconstruction as reconstruction
import astra
import numpy as np
from scipy.ndimage import map_coordinates, median_filter, shift

LEAST_TRANSMISSION = 1e-3  # below it is noise, and a logarithm needs something above 0


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def gpu() -> bool:
    """Return whether the ASTRA Toolbox finds a GPU here."""
    return bool(astra.use_cuda())


def each(function: Callable[[np.ndarray], np.ndarray], sinograms: np.ndarray) -> np.ndarray:
    """Return what a function makes of every sinogram, several at a time.

    Parameters
    ----------
    function : callable
        Takes and returns (projections, columns).
    sinograms : (projections, rows, columns) float32
    """
    with ThreadPoolExecutor(cores()) as pool:
        return np.stack(list(pool.map(function, sinograms.swapaxes(0, 1))), axis=1)


def correct(projections: np.ndarray, flats: np.ndarray, darks: np.ndarray) -> np.ndarray:
    """Return transmissions: (frames, rows, columns) float32, no unit.

    Pixels that see no light, or hold no number, are filled from their neighbours in the row.
    """
    flat, dark = flats.mean(axis=0), darks.mean(axis=0)
    made = correction.flat_field_correction(projections, flat, dark)
    unknown = ~np.isfinite(made) | (flat <= dark)
    return np.clip(filled(made, unknown), LEAST_TRANSMISSION, None).astype(np.float32)


def filled(stack: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Return a stack whose unknown pixels lie on straight lines between their neighbours in a row."""
    stack, columns = stack.copy(), np.arange(stack.shape[-1])
    for frame, row in np.argwhere(unknown.any(axis=-1)):
        line, bad = stack[frame, row], unknown[frame, row]
        line[bad] = 1 if bad.all() else np.interp(columns[bad], columns[~bad], line[~bad])
    return stack


def remove_zingers(transmissions: np.ndarray, threshold: float = 0.3, size: int = 1) -> np.ndarray:
    """Return transmissions without pixels that are brighter than their neighbours by a share.

    Neighbours are those in the sinogram: the same column at other angles, and the columns beside.
    """
    return each(lambda sinogram: removal.remove_zinger(sinogram, threshold, size), transmissions)


def remove_rings(transmissions: np.ndarray, size: int = 21) -> np.ndarray:
    """Return transmissions whose columns fit their neighbours, by sorting (Vo et al. 2018)."""
    return each(lambda sinogram: removal.remove_stripe_based_sorting(sinogram, size), transmissions)


def reconstruct(
    transmissions: np.ndarray,
    centre_px: float,
    angles_deg: np.ndarray,
    *,
    pixel_mm: float = 1.0,
    method: str = "FBP",
    window: str = "hann",
) -> np.ndarray:
    """Return slices by the ASTRA Toolbox: (rows, columns, columns) float32, 1/mm.

    Parameters
    ----------
    transmissions : (projections, rows, columns) float32
    centre_px : float
        Column of the axis.
    angles_deg : (projections,) float64
    pixel_mm : float
        Edge of a pixel.
    method : str
        ``FBP``, or ``FBP_CUDA`` on a GPU.
    window : str
        The filter of filtered back-projection.
    """
    angles = np.radians(angles_deg)

    def one(sinogram: np.ndarray) -> np.ndarray:
        options: dict[str, Any] = {"method": method, "filter_name": window}
        return reconstruction.astra_reconstruction(
            -np.log(np.clip(sinogram, LEAST_TRANSMISSION, None)),
            centre_px,
            angles=angles,
            ratio=None,
            apply_log=False,
            **options,
        )

    # A GPU takes one slice after the other.
    with ThreadPoolExecutor(1 if method.endswith("_CUDA") else cores()) as pool:
        slices = list(pool.map(one, transmissions.swapaxes(0, 1)))
    return np.stack(slices).astype(np.float32) / np.float32(pixel_mm)


def reconstruct_directly(
    transmissions: np.ndarray,
    cropped: slice,
    angles_deg: np.ndarray,
    *,
    pixel_mm: float = 1.0,
    window: str = "hann",
) -> np.ndarray:
    """Return slices by the ASTRA Toolbox alone, without padding and without interpolation.

    Parameters
    ----------
    transmissions : (projections, rows, columns) float32
    cropped : slice
        The columns to use; the axis is in their middle.
    angles_deg : (projections,) float64
    pixel_mm : float
    window : str
        The filter of filtered back-projection.

    Returns
    -------
    (rows, columns, columns) float32, 1/mm
    """
    side = transmissions.shape[2]
    sinograms = -np.log(np.clip(transmissions[:, :, cropped], LEAST_TRANSMISSION, None))
    width = sinograms.shape[2]
    beams = astra.create_proj_geom("parallel", 1.0, width, np.radians(angles_deg))
    grid = astra.create_vol_geom(side, side)
    projector = astra.create_projector("line", beams, grid)
    slices = []
    for sinogram in sinograms.swapaxes(0, 1):
        into = astra.data2d.create("-vol", grid)
        of = astra.data2d.create("-sino", beams, np.ascontiguousarray(sinogram))
        settings = astra.astra_dict("FBP") | {
            "ProjectorId": projector,
            "ProjectionDataId": of,
            "ReconstructionDataId": into,
            "FilterType": window,
        }
        algorithm = astra.algorithm.create(settings)
        astra.algorithm.run(algorithm)
        slices.append(astra.data2d.get(into))
        astra.algorithm.delete(algorithm)
        astra.data2d.delete([into, of])
    astra.projector.delete(projector)
    return np.stack(slices).astype(np.float32) / np.float32(pixel_mm)


def project(
    slices: np.ndarray, columns: int, centre_px: float, angles_deg: np.ndarray
) -> np.ndarray:
    """Return the line integrals of slices by the ASTRA Toolbox: (projections, rows, columns) float32.

    Parameters
    ----------
    slices : (rows, side, side) float32
        In 1/pixel.
    columns : int
        Of the camera.
    centre_px : float
        Column of the axis.
    angles_deg : (projections,) float64
    """
    beams = astra.create_proj_geom("parallel", 1.0, columns, np.radians(angles_deg))
    grid = astra.create_vol_geom(slices.shape[1], slices.shape[2])
    projector = astra.create_projector("line", beams, grid)
    made = []
    for image in slices:
        of, sinogram = astra.create_sino(np.ascontiguousarray(image), projector)
        made.append(shift(sinogram, (0, centre_px - (columns - 1) / 2), order=1))
        astra.data2d.delete(of)
    astra.projector.delete(projector)
    return np.stack(made, axis=1)


# ---------------------------------------------------------------------------- judging


def inside(side: int, share: float = 0.9) -> np.ndarray:
    """Return the disk that counts, without the edge of the field of view: (side, side) bool."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.hypot(x, y) < share * side / 2


def error_percent(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the root-mean-square difference in the disk over the truth's root-mean-square, %."""
    disk = inside(truth.shape[-1])
    difference = (image - truth)[..., disk]
    return float(100 * np.linalg.norm(difference) / np.linalg.norm(truth[..., disk]))


def on_circles(image: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return an image along circles around its middle: (radii, 720) float64."""
    middle = (image.shape[0] - 1) / 2
    angle = np.radians(np.arange(0, 360, 0.5))
    places = middle + radii[:, None] * np.stack([np.sin(angle), np.cos(angle)])[:, None, :]
    return map_coordinates(np.asarray(image, float), places, order=1)


def ring_profile(image: np.ndarray, truth: np.ndarray, last_px: int = 110) -> np.ndarray:
    """Return what an image has too much on average over every circle: (last - 8,) float64.

    Means of neighbouring circles are taken off, so that slow errors don't count; from 8 pixels on.
    """
    means = on_circles(image - truth, np.arange(8, last_px)).mean(axis=1)
    return means - median_filter(means, 13, mode="nearest")


def ring_height(image: np.ndarray, truth: np.ndarray, radii_px: np.ndarray) -> float:
    """Return the root-mean-square height of known rings, in the image's unit.

    Only circles within a pixel of a known ring count. Elsewhere, what a ring filter takes away from
    the sample would be taken for rings: it would be most of what is left.
    """
    profile = ring_profile(image, truth)
    radii = np.arange(8, 8 + len(profile))
    near = (abs(radii[:, None] - radii_px) <= 1).any(axis=1)
    return float(np.sqrt(np.mean(profile[near] ** 2)))
