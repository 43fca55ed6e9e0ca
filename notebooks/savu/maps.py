"""Scans of several signals at once: reading them, and reconstructing fluorescence with its losses."""

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from mapping import BEAM_KEV, EDGE_JUMP, ELEMENTS, Element
from scipy.ndimage import rotate
from steps import inside


@dataclass(frozen=True)
class Map:
    """Signals of a thin beam at many positions, heights and directions.

    Parameters
    ----------
    angles_deg : (angles,) float64
        In rising order.
    step_mm : float
        Between two positions.
    diode, monitor : (angles, heights, positions) float64
        Behind the sample, and before it.
    spectra : (some angles, heights, positions, channels)
        Counts of the fluorescence detector; it can have fewer directions and places than the diode.
    energies_kev : (channels,) float64
    truth : dict of str to array
        What is known of a simulated scan, empty otherwise.
    """

    angles_deg: np.ndarray = field(repr=False)
    step_mm: float
    diode: np.ndarray = field(repr=False)
    monitor: np.ndarray = field(repr=False)
    spectra: np.ndarray = field(repr=False)
    energies_kev: np.ndarray = field(repr=False)
    truth: dict[str, np.ndarray] = field(repr=False, default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether there is a spectrum at every point."""
        return self.spectra.shape[:3] == self.diode.shape


def read(path: Path, truth: Path | None = None) -> Map:
    """Return what a file with ``stxm_entry`` and ``fluo_entry`` holds, as Savu's mm.nxs has them."""
    with h5py.File(path) as file:
        stxm, fluo = file["entry1/stxm_entry"], file["entry1/fluo_entry"]
        angles = stxm["data/theta"][()].astype(float)
        order = np.argsort(angles)
        spectra = fluo["data/data"][()]
        if len(spectra) == len(angles):
            spectra = spectra[order]
        found = Map(
            angles[order],
            float(np.ptp(stxm["data/x"][0]) / (stxm["data/x"].shape[1] - 1)),
            stxm["data/data"][()].astype(float)[order],
            stxm["monitor/data"][()].astype(float)[order],
            spectra,
            fluo["data/energy"][()],
        )
    if truth is None:
        return found
    with h5py.File(truth) as file:
        known = {name: item[()] for name, item in file.items()}
    return Map(**{**vars(found), "truth": known})


def centred(sinogram: np.ndarray, axis: float) -> np.ndarray:
    """Return a sinogram shifted so that the axis is in its middle."""
    places = np.arange(sinogram.shape[1])
    return np.array([np.interp(places + axis - places.mean(), places, row) for row in sinogram])


def turned(image: np.ndarray, angle_deg: float) -> np.ndarray:
    """Return an image turned about its middle, of the same shape."""
    return rotate(image, angle_deg, reshape=False, order=1)


def mu_at(
    element: Element, mu_matrix: np.ndarray, concentrations: dict[str, np.ndarray]
) -> np.ndarray:
    """Return the attenuation coefficient for an element's K-alpha line, 1/mm.

    It follows the cube of the wavelength; an element's own part drops below its absorption edge.
    Of a real sample, take both from tables.
    """
    scale = (BEAM_KEV / element.alpha_kev) ** 3
    total = mu_matrix * scale
    for other in ELEMENTS:
        jump = EDGE_JUMP if element.alpha_kev < other.edge_kev else 1.0
        total = total + 2.0 * scale / jump * concentrations[other.name]
    return total


def ways(
    mu_in: np.ndarray, mu_out: np.ndarray, angles_deg: np.ndarray, step_mm: float
) -> np.ndarray:
    """Return which share of light is left after the ways in and out: (angles, n, n) float64.

    In the frame of the beam: it comes from the last row, and the detector is beyond the last column.
    """
    left = []
    for angle in angles_deg:
        way_in, way_out = turned(mu_in, -angle), turned(mu_out, -angle)
        into = np.cumsum(way_in[::-1], axis=0)[::-1] - way_in / 2
        out = np.cumsum(way_out[:, ::-1], axis=1)[:, ::-1] - way_out / 2
        left.append(np.exp(-(into + out) * step_mm))
    return np.array(left)


def emission(
    sinogram: np.ndarray,
    left: np.ndarray,
    angles_deg: np.ndarray,
    step_mm: float,
    *,
    start: np.ndarray | None = None,
    iterations: int = 10,
) -> np.ndarray:
    """Return what emits light, by maximum likelihood (Shepp & Vardi 1982): (n, n) float64.

    Parameters
    ----------
    sinogram : (angles, n) float64
        The axis in its middle.
    left : (angles, n, n) float64
        Which share of the light arrives, as `ways` has it; ones for no losses.
    angles_deg : (angles,) float64
    step_mm : float
    start : (n, n) float64, optional
        To go on from; nowhere is anything below 0, or anything where this is 0.
    iterations : int
    """
    side = sinogram.shape[1]
    amount = 0.05 * inside(side, 0.95) if start is None else start
    weight = (
        sum(turned(share, angle) for share, angle in zip(left, angles_deg, strict=True)) * step_mm
    )
    weight = np.maximum(weight, 1e-3 * weight.max())
    for _ in range(iterations):
        back = np.zeros((side, side))
        for row, share, angle in zip(sinogram, left, angles_deg, strict=True):
            expected = (turned(amount, -angle) * share).sum(axis=0) * step_mm
            back += turned(share * (row / np.maximum(expected, 1e-4)), angle) * step_mm
        amount = np.clip(amount * back / weight, 0, None)
    return amount
