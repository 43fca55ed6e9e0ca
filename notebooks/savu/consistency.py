"""What a scan's own data say about it, without a truth: for the checks of scans of your own.

Each function returns a number that is known to be small, or near 1, where units, order and axis are
right. What the data don't allow is noted as such, and never as passed.
"""

from collections.abc import Callable

import axis
import numpy as np
from angles import largest_gap
from axis import Axis, attenuation, in_view
from scan import Scan
from scipy.ndimage import uniform_filter1d

from workbench import Checks

NOISE = "Noise beside the sample, over that of the flats"
WIDER = "the sample is wider than what the camera sees"
MANY_STEPS = 4  # more than so many steps without a projection are a gap
COARSE_DEG = 6  # steps above this change a projection as much as any other
CLEAR = 3.0  # times its noise, by which a width must vary with the angle to be judged
BRIGHT = 1.1  # a transmission that noise beside the sample doesn't reach


def judge_scan(checks: Checks, scan: Scan, transmissions: np.ndarray, found: Axis) -> None:
    """Add the checks that need no slice: angles, axis, transmissions.

    Parameters
    ----------
    checks : Checks
    scan : Scan
    transmissions : (projections, rows, columns) float32
        Cleaned of zingers.
    found : Axis
    """
    turned, lines = scan.angles_deg, attenuation(axis.some_rows(transmissions))
    if scan.published_px is not None:
        checks.close(
            "Axis, against the published one",
            got=found.centre_px,
            truth=scan.published_px,
            within=1,
            unit="px",
        )
    gap, step = largest_gap(turned, 360.0 if found.stitched else 180.0)
    checks.below("Largest gap between angles", got=gap, limit=MANY_STEPS * step, unit="°")
    judge_axis(checks, found)
    name = "Change from angle to angle, over that between any two"
    if step > COARSE_DEG:
        checks.not_judged(name, why=f"the angles are {step:.3g}° apart", expected="below 0.5")
    else:
        checks.below(name, got=unlike(lines), limit=0.5)
    bright, dark = out_of_range(transmissions)
    checks.below(f"Transmissions above {BRIGHT}", got=100 * bright, limit=2, unit="%")
    checks.below("Pixels that nothing passes", got=100 * dark, limit=2, unit="%")
    whole = {
        "Attenuation of a whole projection, scatter over the angles": (
            "%",
            3.0,
            lambda: 100 * scatter_of_mass(lines),
        ),
        "Centre of mass, away from a sine": (
            "px",
            max(0.5, 0.005 * lines.shape[2]),
            lambda: axis.by_mass(lines, turned)[1],
        ),
        NOISE: ("", 3.0, lambda: noise_beside(scan, transmissions)),
    }
    if len(scan.flats) < 3:
        whole.popitem()
        checks.not_judged(
            NOISE, why=f"{len(scan.flats)} flats don't tell their noise", expected="below 3"
        )
    for what, (unit, limit, value) in whole.items():
        only_whole(checks, in_view(lines), what, value, limit, unit)
    judge_width(checks, lines, turned, found.centre_px)
    widest = widest_dead(scan)
    if widest:
        checks.below("Widest run of columns without light", got=widest, limit=8, unit="px")


def judge_axis(checks: Checks, found: Axis) -> None:
    """Add that opposite projections are mirror images, and that methods agree on where."""
    name, limit = "Opposite projections, mismatch about the axis", 0.2
    if np.isnan(found.mismatch):
        checks.not_judged(name, why=found.reasons[axis.MIRROR], expected=f"below {limit:g}")
    else:
        checks.below(name, got=found.mismatch, limit=limit)
    ways = list(found.ways.items())
    if len(ways) < 2:
        why = "; ".join(f"no {way}: {reason}" for way, reason in found.reasons.items())
        checks.not_judged("Axis by two methods", why=why, expected="± 1 px")
    for way, at in ways[1:]:
        checks.close(
            f"Axis by {way} against {ways[0][0]}", got=at, truth=ways[0][1], within=1, unit="px"
        )


def judge_width(
    checks: Checks, lines: np.ndarray, angles_deg: np.ndarray, centre_px: float
) -> None:
    """Add that the sample is as wide at each angle as a body is that turns by these angles.

    Angles that are twice or half as large as the file says, or of frames in another order, leave the
    axis where it is: only this and slices that are projected again see them.
    """
    name, limit = "Width of the sample, away from that of a body that turns so", 0.5
    if not in_view(lines):
        checks.not_judged(name, why=WIDER, expected=f"below {limit:g}")
        return
    away_by, varies, noise = width_of(lines, angles_deg, centre_px)
    if varies < CLEAR * noise:
        checks.not_judged(
            name, why="the sample is about as wide from all sides", expected=f"below {limit:g}"
        )
    else:
        checks.below(name, got=away_by / varies, limit=limit)


def only_whole(
    checks: Checks, whole: bool, name: str, value: Callable[[], float], limit: float, unit: str
) -> None:
    """Add a check that holds only where the whole sample is in view."""
    if whole:
        checks.below(name, got=value(), limit=limit, unit=unit)
    else:
        checks.not_judged(name, why=WIDER, expected=f"below {limit:g} {unit}".rstrip())


def judge_slices(
    checks: Checks, lines: np.ndarray, again: Callable[[float], np.ndarray], off_px: float = 3.0
) -> None:
    """Add that the slices, projected again, are what was measured, and that a wrong axis shows.

    Parameters
    ----------
    checks : Checks
    lines : (projections, rows, columns) float64
        The line integrals of which the slices were made.
    again : callable
        Returns the line integrals of slices that are made about an axis moved by so many pixels.
    off_px : float
        Of the negative control, to both sides.
    """
    name, control = (
        "Slices projected again, away from what was measured",
        f"The same with the axis {off_px:g} px off, over that",
    )
    if not in_view(lines):
        for what, expected in ((name, "below 15 %"), (control, "above 1.1")):
            checks.not_judged(what, why=WIDER, expected=expected)
        return
    right, left, further = (away(again(by), lines) for by in (0.0, -off_px, off_px))
    checks.below(name, got=100 * right, limit=15, unit="%")
    checks.above(control, got=min(left, further) / right, limit=1.1)


def judge_material(checks: Checks, slices: np.ndarray, expected: float | None, unit: str) -> None:
    """Add that most of the sample attenuates as its material does.

    Parameters
    ----------
    checks : Checks
    slices : (rows, columns, columns) float32
    expected : float, optional
        Attenuation coefficient that a person knows.
    unit : str
    """
    name = "Attenuation coefficient of most of the sample"
    if expected is None:
        checks.not_judged(
            name, why="nobody says which it should be: set MATERIAL", expected="± 10 %"
        )
    else:
        checks.close(name, got=commonest(slices), truth=expected, within_percent=10, unit=unit)


# ---------------------------------------------------------------------------- numbers


def unlike(lines: np.ndarray) -> float:
    """Return how much projections differ from the next, over how much from any other.

    Small for angles in their order, 1 for shuffled ones. Fine structure is smoothed away, as it
    changes from step to step.
    """
    smooth = uniform_filter1d(lines, max(3, lines.shape[2] // 24), axis=2)
    following = np.mean((smooth[1:] - smooth[:-1]) ** 2)
    any_other = 2 * np.mean(smooth.var(axis=0))
    return float(following / any_other) if any_other > 0 else 1.0


def out_of_range(transmissions: np.ndarray) -> tuple[float, float]:
    """Return the share of transmissions that are too large, and of those that are hardly above 0."""
    return float(np.mean(transmissions > BRIGHT)), float(np.mean(transmissions < 2e-3))


def width_of(
    lines: np.ndarray, angles_deg: np.ndarray, centre_px: float
) -> tuple[float, float, float]:
    """Return how far the sample's width is from that of a body that turns, how it varies, its noise.

    The second moment of a projection about the axis is a + b cos(2 angle) + c sin(2 angle), whatever
    the body.

    Parameters
    ----------
    lines : (projections, rows, columns) float64
        The whole sample is in view in all of them.
    angles_deg : (projections,) float64
    centre_px : float

    Returns
    -------
    tuple of float
        Root mean squares, px².
    """
    weight = lines.sum(axis=1)
    width = weight @ (np.arange(lines.shape[2]) - centre_px) ** 2 / weight.sum(axis=1)
    angle = np.radians(2 * angles_deg)
    design = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)
    left = width - design @ np.linalg.lstsq(design, width, rcond=None)[0]
    # Of fourth differences, in which what changes slowly cancels.
    noise = np.sqrt(np.mean(np.diff(width, 4) ** 2) / 70) if len(width) > 8 else np.inf
    return float(left.std()), float(width.std()), float(noise)


def scatter_of_mass(lines: np.ndarray) -> float:
    """Return the standard deviation of the attenuation of whole projections over its mean."""
    mass = lines.sum(axis=(1, 2))
    return float(mass.std() / abs(mass.mean()))


def noise_beside(scan: Scan, transmissions: np.ndarray) -> float:
    """Return the noise from angle to angle beside the sample, over what the flats let expect.

    Changes of the whole beam are taken out of both; the larger of the ratio and its inverse.
    """
    beside = np.r_[0 : axis.EDGE_PX, -axis.EDGE_PX : 0]
    light = scan.flats - scan.darks.mean(axis=0)
    steady = (light / np.maximum(light.mean(axis=(1, 2), keepdims=True), 1e-9))[..., beside]
    lit = steady.mean(axis=0) > 0
    if not lit.any():
        return np.inf
    expected = np.median(steady.std(axis=0, ddof=1)[lit] / steady.mean(axis=0)[lit])
    there = transmissions[:, :, beside]
    there = there / there.mean(axis=(1, 2), keepdims=True)
    found = np.median(np.diff(there, axis=0).std(axis=0)) / np.sqrt(2)
    return float(max(found / expected, expected / found)) if min(found, expected) > 0 else np.inf


def widest_dead(scan: Scan) -> int:
    """Return the largest number of neighbouring columns that see no light in a row."""
    dead = scan.flats.mean(axis=0) <= scan.darks.mean(axis=0)
    most = 0
    for line in dead[dead.any(axis=1)]:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
        most = max(most, int((edges[1::2] - edges[::2]).max()))
    return most


def away(again: np.ndarray, lines: np.ndarray) -> float:
    """Return the root-mean-square difference of line integrals over the root mean square."""
    return float(np.linalg.norm(again - lines) / np.linalg.norm(lines))


def commonest(slices: np.ndarray) -> float:
    """Return the value that most of the sample has: where its distribution is highest, without the air."""
    top = float(np.percentile(slices, 95))
    inside = slices[(slices > 0.25 * top) & (slices < 3 * top)]
    if not inside.size:
        return 0.0
    counts, edges = np.histogram(inside, 100)
    k = int(np.argmax(uniform_filter1d(counts.astype(float), 5)))
    return float((edges[k] + edges[k + 1]) / 2)
