"""Peak finding by the recipe of peakfinder8, so that its settings can be tried on one frame.

Barty et al. (2014), doi:10.1107/S1600576714007626. It is what CrystFEL does with
``--peaks=peakfinder8``, in NumPy and SciPy and without its order of reading pixels; the first
tutorial compares the two where CrystFEL is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

ROUNDS = 5  # of leaving out what isn't background
WHOLE = (slice(0, None), slice(0, None))
EIGHT = np.ones((3, 3))  # pixels that touch at a corner belong together


@dataclass(frozen=True)
class Settings:
    """What peakfinder8 is told; `options` are the words of indexamajig.

    Parameters
    ----------
    threshold : float
        A peak's pixels have at least so many counts.
    min_snr : float
        And so many standard deviations above the mean at their distance from the beam.
    min_pix_count, max_pix_count : int
        Pixels of a peak.
    local_bg_radius : int
        The background of a peak is taken from twice this distance around it, pixels.
    min_res, max_res : int
        Distances from the beam between which peaks are looked for, pixels.
    """

    threshold: float = 60
    min_snr: float = 8
    min_pix_count: int = 2
    max_pix_count: int = 60
    local_bg_radius: int = 4
    min_res: int = 10
    max_res: int = 220

    @property
    def options(self) -> list[str]:
        """The same for indexamajig."""
        return [
            "--peaks=peakfinder8",
            f"--threshold={self.threshold:g}",
            f"--min-snr={self.min_snr:g}",
            f"--min-pix-count={self.min_pix_count}",
            f"--max-pix-count={self.max_pix_count}",
            f"--local-bg-radius={self.local_bg_radius}",
            f"--min-res={self.min_res}",
            f"--max-res={self.max_res}",
        ]


class Peaks(NamedTuple):
    """Peaks of one frame, each (n,)."""

    fs: np.ndarray  # centre of mass, pixels from the corner of the first pixel, fast scan
    ss: np.ndarray  # the same, slow scan
    counts: np.ndarray  # above the local background
    snr: np.ndarray
    pixels: np.ndarray


def thresholds(
    frame: np.ndarray, good: np.ndarray, radius: np.ndarray, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the background and the least count of a peak's pixel at each distance: (radii,) each.

    Mean and standard deviation of a ring, without what lies outside the limits that they gave in
    the round before: so peaks don't count as background.
    """
    ring, value = radius[good], frame[good].astype(float)
    n = radius.max() + 1
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    mean = np.zeros(n)
    for _ in range(ROUNDS):
        inside = (value > low[ring]) & (value < high[ring])
        number = np.bincount(ring[inside], minlength=n)
        filled = np.maximum(number, 1)
        mean = np.bincount(ring[inside], value[inside], n) / filled
        square = np.bincount(ring[inside], value[inside] ** 2, n) / filled
        sigma = np.sqrt(np.maximum(square - mean**2, 0))
        high = np.maximum(mean + settings.min_snr * sigma, settings.threshold)
        low = mean - settings.min_snr * sigma
        high[number == 0], low[number == 0] = np.inf, np.inf
    return mean, high


def find(
    frame: np.ndarray,
    mask: np.ndarray,
    radius: np.ndarray,
    settings: Settings,
    panels: Sequence[tuple[slice, slice]] = (WHOLE,),
) -> Peaks:
    """Return the peaks of a frame.

    Parameters
    ----------
    frame : (ny, nx) array
        Counts.
    mask : (ny, nx) bool
        True where nothing is measured.
    radius : (ny, nx) int64
        Every pixel's distance from the beam, whole pixels.
    settings : Settings
    panels : sequence of (slice, slice)
        Rows and columns of each panel: no peak lies on two of them.
    """
    good = ~mask & (radius > settings.min_res) & (radius < settings.max_res)
    _, high = thresholds(frame, good, radius, settings)
    above = good & (frame > high[radius])
    found = []
    for rows, columns in panels:
        panel = (rows, columns)
        part = on_panel(frame[panel], good[panel], above[panel], settings)
        found += [(fs + columns.start, ss + rows.start, *rest) for fs, ss, *rest in part]
    return Peaks(*np.array(found, dtype=float).reshape(-1, 5).T)


def on_panel(
    frame: np.ndarray, good: np.ndarray, above: np.ndarray, settings: Settings
) -> list[tuple[float, float, float, float, int]]:
    """Return the peaks of one panel as rows of `Peaks`, counted from its own corner."""
    label, n = ndimage.label(above, EIGHT)
    size = np.bincount(label.ravel(), minlength=n + 1)
    boxes = ndimage.find_objects(label)
    found = [
        measure(frame, good & ~above, label, k, boxes[k - 1], settings)
        for k in range(1, n + 1)
        if settings.min_pix_count <= size[k] <= settings.max_pix_count
    ]
    return [peak for peak in found if peak is not None]


def measure(
    frame: np.ndarray,
    background: np.ndarray,
    label: np.ndarray,
    number: int,
    box: tuple[slice, slice],
    settings: Settings,
) -> tuple[float, float, float, float, int] | None:
    """Return one row of `Peaks`, or None where it is too weak against what is around it."""
    ss, fs = np.nonzero(label[box] == number)
    ss, fs = ss + box[0].start, fs + box[1].start
    counts = frame[ss, fs].astype(float)
    reach = 2 * settings.local_bg_radius
    centre = [round(np.average(axis, weights=counts)) for axis in (ss, fs)]
    rows, columns = (slice(max(0, at - reach), at + reach) for at in centre)
    slow = np.arange(*rows.indices(frame.shape[0]))[:, None]
    fast = np.arange(*columns.indices(frame.shape[1]))[None, :]
    near = np.hypot(slow - centre[0], fast - centre[1]) <= reach
    around = frame[rows, columns][near & background[rows, columns]].astype(float)
    if not len(around):
        return None
    net = counts - around.mean()
    spread = around.std()
    snr = net.sum() / spread if spread > 0 else 0
    if snr < settings.min_snr or net.max() < around.max() - around.mean():
        return None
    fs_px, ss_px = (np.average(axis, weights=counts) + 0.5 for axis in (fs, ss))
    return fs_px, ss_px, net.sum(), snr, len(counts)
