"""Where the axis of rotation is: by independent methods, and whether these agree.

None of them is trusted alone. Vo's metric has false minima far from the axis, and the centre of mass
needs the whole sample in view, so the search begins with what needs neither: projections half a turn
apart are mirror images about the axis, wherever it is.
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import algotom.prep.calculation as calculation
import algotom.prep.conversion as conversion
import numpy as np
from scipy.ndimage import shift
from scipy.signal import fftconvolve

MIRROR, VO, MASS, OVERLAP = (
    "opposite projections",
    "Vo's method",
    "centre of mass",
    "overlap of both half turns",
)
UNRELATED = 0.6  # mismatch of projections that have no axis in common: 1, less what chance finds
NEAR_PX = 8  # how far about the mirror images' axis Vo's method looks
FEWEST_PX = 16  # that projections must share about an axis
EDGE_PX = 6  # columns at the camera's edges


@dataclass(frozen=True)
class Axis:
    """An axis of rotation, and what speaks for it.

    Parameters
    ----------
    centre_px : float
        Column; pixel centres are at whole numbers from 0.
    ways : mapping of str to float
        What each method says that could be used.
    reasons : mapping of str to str
        Why others could not.
    mismatch : float
        Of opposite projections about the axis: 0 for mirror images, 1 for unrelated ones; not a
        number where the scan has none.
    stitched : bool
        The sample is wider than the camera and the axis near its edge, so that a whole turn has to be
        put together to half a one of twice the width.
    """

    centre_px: float
    ways: Mapping[str, float]
    reasons: Mapping[str, str]
    mismatch: float
    stitched: bool = False


@dataclass(frozen=True)
class Mirror:
    """How well opposite projections fit, mirrored about every column."""

    centres_px: np.ndarray = field(repr=False)
    mismatch: np.ndarray = field(repr=False)

    @property
    def best(self) -> tuple[float, float]:
        """The column where they fit best, between half pixels too, and the mismatch there.

        Not a number and infinite where they fit best at the end of what was compared.
        """
        k = int(np.argmin(self.mismatch))
        if k in (0, len(self.mismatch) - 1):  # further out they may fit even better
            return np.nan, np.inf
        centre, least = float(self.centres_px[k]), float(self.mismatch[k])
        before, after = self.mismatch[k - 1], self.mismatch[k + 1]
        curve = before - 2 * least + after
        return centre + (0.25 * float((before - after) / curve) if curve > 0 else 0.0), least


def attenuation(transmissions: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """Return line integrals: float64, no unit."""
    return -np.log(np.clip(np.asarray(transmissions, float), least, None))


def some_rows(transmissions: np.ndarray, most: int = 16) -> np.ndarray:
    """Return rows evenly over the camera, enough to judge by: (projections, rows, columns)."""
    rows = transmissions.shape[1]
    return transmissions[:, np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(int))]


def step_of(angles_deg: np.ndarray) -> float:
    """Return the usual step between angles in ascending order, degrees."""
    steps = np.diff(np.sort(angles_deg))
    return float(np.median(steps[steps > 1e-6])) if (steps > 1e-6).any() else 0.0


def whole_turn(angles_deg: np.ndarray) -> bool:
    """Return whether a scan goes on so far that most projections have an opposite one."""
    return float(np.ptp(angles_deg)) + step_of(angles_deg) > 350


def opposite(angles_deg: np.ndarray, most: int = 24) -> list[tuple[int, int, float]]:
    """Return pairs of projections about half a turn apart.

    Returns
    -------
    list of (int, int, float)
        The two, and by how much they are less or more than half a turn apart, degrees: none where
        there is such a pair; else those up to four steps away, from which is extrapolated.
    """
    away = angles_deg[None, :] - angles_deg[:, None] - 180
    step = max(step_of(angles_deg), 1e-3)
    exact = np.argwhere(abs(away) < min(0.05, 0.3 * step))
    chosen = exact if len(exact) else np.argwhere(abs(away) < 4.5 * step)
    if len(chosen) > most:
        chosen = chosen[np.linspace(0, len(chosen) - 1, most).astype(int)]
    return [(int(i), int(j), float(away[i, j])) for i, j in chosen]


def mirrored(first: np.ndarray, second: np.ndarray) -> Mirror:
    """Return how well line integrals fit others that are mirrored, about every half column.

    The mismatch is the squared difference over the variance in what both share: 0 for mirror images,
    1 for noise, and more for what has another level. Where little is shared it can't be small by
    chance, as a slope doesn't fit its mirror image.

    Parameters
    ----------
    first, second : (rows, columns) float64
    """
    columns = first.shape[1]
    twice = np.arange(2 * columns - 1)  # the columns i and 2 centre - i are opposite
    shared = np.minimum(twice, 2 * columns - 2 - twice) + 1
    begin = np.maximum(0, twice - columns + 1)
    product = fftconvolve(first, second, axes=1).sum(axis=0)

    def sums(values: np.ndarray) -> np.ndarray:
        up_to = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        return up_to[:, begin + shared] - up_to[:, begin]

    squares = (sums(first**2) + sums(second**2)).sum(axis=0)
    levels = ((sums(first) ** 2 + sums(second) ** 2) / shared).sum(axis=0)
    wide = shared >= max(FEWEST_PX, columns // 40)
    variance = np.maximum(squares - levels, 1e-12 * squares.max() + 1e-12)
    return Mirror(twice[wide] / 2, ((squares - 2 * product) / variance)[wide])


def by_mirror(lines: np.ndarray, angles_deg: np.ndarray) -> tuple[float, float]:
    """Return the axis by opposite projections, px, and their mismatch about it.

    Where no two are exactly half a turn apart, the axes of those that nearly are depend on by how
    much, and a straight line through them gives that of half a turn.

    Parameters
    ----------
    lines : (projections, rows, columns) float64
        Line integrals.
    angles_deg : (projections,) float64
    """
    by_gap: dict[float, list[Mirror]] = {}
    for i, j, gap in opposite(angles_deg):
        by_gap.setdefault(round(gap, 3), []).append(mirrored(lines[i], lines[j]))
    if not by_gap:
        return np.nan, np.nan
    found = {
        g: Mirror(m[0].centres_px, np.mean([one.mismatch for one in m], axis=0))
        for g, m in by_gap.items()
    }
    nearest = min(found, key=abs)
    centre, mismatch = found[nearest].best
    gaps = np.array(
        [g for g in found if abs(found[g].best[0] - centre) < 2 + NEAR_PX * abs(g - nearest)]
    )
    if len(gaps) > 1:
        centre = float(np.polyfit(gaps, [found[g].best[0] for g in gaps], 1)[1])
    return centre, mismatch


def by_vo(sinogram: np.ndarray, angles_deg: np.ndarray, near_px: float, step: float = 0.1) -> float:
    """Return the axis by Vo's method about a column, px.

    Half pixels come before the fine step, which is a third of the work of taking that all along.

    Parameters
    ----------
    sinogram : (projections, columns) float32
        Transmissions.
    angles_deg : (projections,) float64
        In ascending order; of a scan that goes on, the first half turn is used.
    near_px : float
    step : float
        Of the fine search, px.
    """
    half_turn = sinogram[angles_deg - angles_deg[0] < 180.1]
    cores = len(os.sched_getaffinity(0))
    first = max(1, int(near_px) - NEAR_PX)
    last = min(sinogram.shape[1] - 2, int(np.ceil(near_px)) + NEAR_PX)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is at the end: said by the methods' disagreement
        near = calculation.find_center_vo(half_turn, first, last, step=0.5, ncore=cores)
    return float(calculation.fine_search_cor(half_turn, near, 0.5, step, ncore=cores))


def in_view(lines: np.ndarray) -> bool:
    """Return whether the whole sample is seen in every projection: nothing is cut off at the edges.

    It is where both edges, and what is next to them, let the same through. That it is all of the beam is
    another question: a beam that gets weaker looks the same at both.

    Parameters
    ----------
    lines : (projections, rows, columns) float64
    """
    half = EDGE_PX // 2
    parts = (np.s_[:half], np.s_[half:EDGE_PX], np.s_[-EDGE_PX:-half], np.s_[-half:])
    left, left_inner, right_inner, right = (lines[..., part].mean(axis=(1, 2)) for part in parts)
    same = np.stack(
        [left + left_inner - right - right_inner, left - left_inner, right - right_inner]
    )
    return bool(np.percentile(abs(same), 95) < 0.03 * np.percentile(lines, 99) + 0.02)


def by_mass(lines: np.ndarray, angles_deg: np.ndarray) -> tuple[float, float]:
    """Return the axis by the centre of mass, px, and how far that is from a sine.

    The centre of mass of a body that turns draws centre + x cos(angle) + y sin(angle).

    Parameters
    ----------
    lines : (projections, rows, columns) float64
        The whole sample is in view in all of them.
    angles_deg : (projections,) float64

    Returns
    -------
    tuple of float
        Column, and the root-mean-square distance of the fit, px.
    """
    weight = lines.sum(axis=1)
    mass = weight @ np.arange(lines.shape[2]) / weight.sum(axis=1)
    angle = np.radians(angles_deg)
    design = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)
    fitted = np.linalg.lstsq(design, mass, rcond=None)[0]
    return float(fitted[0]), float(np.sqrt(np.mean((design @ fitted - mass) ** 2)))


def by_overlap(sinogram: np.ndarray, near_px: float) -> float:
    """Return the axis of a whole turn by where its half turns overlap, px (Vo et al. 2021).

    Parameters
    ----------
    sinogram : (projections, columns) float32
        Transmissions of a whole turn in equal steps.
    near_px : float
        Which edge the axis is near, and how much there is to compare.
    """
    columns = sinogram.shape[1]
    left = near_px < (columns - 1) / 2
    shared = 2 * near_px + 1 if left else 2 * (columns - near_px) - 1
    window = int(np.clip(0.6 * shared, 10, columns // 2))
    cores = len(os.sched_getaffinity(0))
    return float(calculation.find_center_360(sinogram, window, side=int(not left), ncore=cores)[0])


def find(transmissions: np.ndarray, angles_deg: np.ndarray, row: int | None = None) -> Axis:
    """Return the axis of rotation by all methods that a scan allows.

    Parameters
    ----------
    transmissions : (projections, rows, columns) float32
        Cleaned of zingers.
    angles_deg : (projections,) float64
        In ascending order.
    row : int, optional
        Which row Vo's method takes; None for the middle one.
    """
    lines = attenuation(some_rows(transmissions))
    columns = lines.shape[2]
    sinogram = transmissions[:, transmissions.shape[1] // 2 if row is None else row]
    ways: dict[str, float] = {}
    reasons: dict[str, str] = {}
    centre, mismatch = by_mirror(lines, angles_deg)
    if np.isnan(mismatch):
        reasons[MIRROR] = "no two projections are half a turn apart"
    elif mismatch > UNRELATED:
        reasons[MIRROR] = "no two projections are mirror images, about any column"
    else:
        ways[MIRROR] = centre
    whole = in_view(lines)
    if whole:
        ways[MASS], _ = by_mass(lines, angles_deg)
    else:
        reasons[MASS] = "the sample is wider than what the camera sees"
    near = ways.get(MIRROR, ways.get(MASS, (columns - 1) / 2))
    stitched = whole_turn(angles_deg) and not whole and abs(near - (columns - 1) / 2) > columns / 8
    if stitched:
        ways[OVERLAP] = by_overlap(sinogram, near)
        reasons[VO] = "it takes half a turn with the axis near the middle"
    else:
        ways[VO] = by_vo(sinogram, angles_deg, near)
    chosen = near if stitched else float(np.median(list(ways.values())))
    return Axis(chosen, ways, reasons, mismatch, stitched)


def half_turn(
    transmissions: np.ndarray, angles_deg: np.ndarray, centre_px: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Put a whole turn about an axis near the edge together to half a turn of twice the width.

    Parameters
    ----------
    transmissions : (projections, rows, columns) float32
    angles_deg : (projections,) float64
        In ascending order, over a whole turn.
    centre_px : float

    Returns
    -------
    tuple
        Transmissions, their angles, and the column of the axis in them.
    """
    columns = transmissions.shape[2]
    first = angles_deg[0]
    wanted = angles_deg[angles_deg < first + 180 - 1e-6]
    turned = np.concatenate([angles_deg, [first + 360]])
    after = np.clip(np.searchsorted(turned, wanted + 180, side="right") - 1, 0, len(turned) - 2)
    share = (
        (wanted + 180 - turned[after]) / np.maximum(turned[after + 1] - turned[after], 1e-9)
    ).astype(np.float32)
    following = (after + 1) % len(angles_deg)
    behind = (
        transmissions[after] * (1 - share)[:, None, None]
        + transmissions[following] * share[:, None, None]
    )
    left = centre_px < (columns - 1) / 2
    shared = 2 * centre_px + 1 if left else 2 * (columns - centre_px) - 1
    # Both parts are moved by half of what the overlap lacks to a whole number of columns.
    whole = int(np.rint(shared))
    off = (whole - shared) / 2 * (1 if left else -1)
    parts = (shift(part, (0, 0, by), order=1, mode="nearest") for part, by in (
        (transmissions[: len(wanted)], off), (behind[:, :, ::-1], -off),
    ))  # fmt: skip
    ahead, behind = parts
    rows = [
        conversion.stitch_image(ahead[:, row], behind[:, row], whole, int(not left), norm=False)
        for row in range(transmissions.shape[1])
    ]
    return np.stack(rows, axis=1).astype(np.float32), wanted, columns - whole / 2 - 0.5
