"""Checks that need no truth: what an integrated image must fulfil whatever was measured."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from workbench import Checks

SECTORS = 24
LARGEST_SHIFT_PX = 0.5  # of a ring's radius, as it goes around
LARGEST_SPREAD_PERCENT = 0.1  # of the lattice parameter, from ring to ring
LEAST_KEPT_PERCENT = 50.0
LEAST_RINGS = 3
STEADY = 0.005
"""What a frame's total may differ from its neighbours' beyond counting, as a part of it."""

WATER_KEV = np.array([5, 6, 8, 10, 15, 20, 30, 40, 50, 60, 80, 100])
WATER_PER_CM = np.array(
    [42.58, 24.64, 10.37, 5.329, 1.673, 0.8096, 0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707]
)
"""Attenuation of water, 1/cm: NIST's tables (Hubbell and Seltzer, NISTIR 5632)."""


class Rings(NamedTuple):
    """Where a cubic lattice's rings are found.

    Parameters
    ----------
    a : (n,) float64
        Lattice parameter by each ring that was found, Å; NaN of one that was not.
    scale : float
        Where all rings together fit best: lattice parameter, Å.
    strange : float
        The strongest peak that none of them explains, over the strongest that one does.
    """

    a: np.ndarray
    scale: float
    strange: float


def above_background(intensity: np.ndarray, half_width: int) -> np.ndarray:
    """Return a curve less its lower edge, which a moving minimum and a mean after it follow."""
    padded = np.pad(intensity, half_width, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half_width + 1)
    low = np.pad(np.percentile(windows, 20, axis=1), half_width, mode="edge")
    smooth = np.convolve(low, np.ones(2 * half_width + 1) / (2 * half_width + 1), mode="valid")
    return intensity - smooth


def find_rings(
    q: np.ndarray, intensity: np.ndarray, squares: Sequence[int], a_start: float
) -> Rings:
    """Return where the rings of a cubic lattice are, up to 8 % from where they are expected.

    Parameters
    ----------
    q : (n,)
        Evenly spaced, 1/Å.
    intensity : (n,)
    squares : sequence of int
        h² + k² + l² of the rings.
    a_start : float
        Lattice parameter that is expected, Å.
    """
    roots = 2 * np.pi * np.sqrt(np.asarray(squares, float))
    step = q[1] - q[0]
    curve = np.clip(above_background(intensity, max(round(0.12 / step), 5)), 0, None)
    curve = np.sqrt(curve)  # so that one strong ring doesn't decide alone
    trial = a_start * np.linspace(0.92, 1.08, 3201)
    inside = roots[:, None] / trial < q[-1]
    score = np.where(inside, np.interp(roots[:, None] / trial, q, curve), 0).sum(
        axis=0
    ) / np.maximum(inside.sum(axis=0), 1)
    scale = float(trial[score.argmax()])
    each, window = [], 0.012
    for root in roots:
        near = np.abs(q * scale / root - 1) < window
        if (
            root / scale > q[-1]
            or near.sum() < 3
            or curve[near].max() < 3 * np.median(curve) + 1e-9
        ):
            each.append(np.nan)
            continue
        top = q[near][curve[near].argmax()]
        close = np.abs(q - top) < max(0.5 * window * top, 2 * step)
        each.append(root / np.average(q[close], weights=curve[close] ** 4))
    found = np.array(each)
    explained = np.zeros(q.shape, bool)
    for root in roots:
        explained |= np.abs(q * scale / root - 1) < window
    reach = (q > 0.97 * roots.min() / scale) & (q < 1.01 * roots.max() / scale)
    ours, others = curve[reach & explained], curve[reach & ~explained]
    strange = (
        float((others.max() / ours.max()) ** 2)
        if ours.size and others.size and ours.max() > 0
        else np.nan
    )
    return Rings(found, scale, strange)


def judge_lattice(
    checks: Checks,
    q: np.ndarray,
    intensity: np.ndarray,
    squares: Sequence[int],
    a_start: float,
    within_percent: float,
) -> None:
    """Check that rings are where a known lattice has them: wavelength, distance and calibrant."""
    names = ("Rings of the lattice that were found", "Lattice parameter against the one that is expected",
             "Lattice parameter from ring to ring: spread", "Strongest peak that no ring explains, over the strongest ring")  # fmt: skip
    if len(squares) < LEAST_RINGS:
        for name in names:
            checks.not_judged(name, why="SQUARES names fewer than three rings")
        return
    rings = find_rings(q, intensity, squares, a_start)
    reachable = sum(2 * np.pi * np.sqrt(n) / a_start < 0.98 * q[-1] for n in squares)
    if reachable < LEAST_RINGS:
        for name in names:
            checks.not_judged(name, why="fewer than three of the rings are on the detector")
        return
    known = rings.a[np.isfinite(rings.a)]
    checks.above(names[0], got=len(known), limit=0.7 * reachable)
    checks.close(names[1], got=rings.scale, truth=a_start, within_percent=within_percent, unit="Å")
    if len(known) < LEAST_RINGS:
        checks.not_judged(names[2], why="fewer than three rings were found")
    else:
        checks.below(
            names[2], got=100 * known.std() / known.mean(), limit=LARGEST_SPREAD_PERCENT, unit="%"
        )
    checks.below(names[3], got=rings.strange, limit=0.3)


def ring_around(
    q: np.ndarray, cake: np.ndarray, filled: np.ndarray, near: float, width: float
) -> np.ndarray:
    """Return a ring's place in each sector, 1/Å, NaN where it isn't seen: (sectors,).

    Parameters
    ----------
    q : (n,)
    cake : (sectors, n)
        Intensity.
    filled : (sectors, n) bool
        Where there are pixels.
    near, width : float
        Where the ring is expected, and how far from it, 1/Å.
    """
    window = np.abs(q - near) < width
    places = np.full(len(cake), np.nan)
    for i, (row, here) in enumerate(zip(cake[:, window], filled[:, window], strict=True)):
        if here.mean() < 0.9:
            continue
        edge = np.sort(row[here])[: max(here.sum() // 3, 1)]
        height = np.where(here, row - edge.mean(), 0)
        top = height.argmax()
        if height[top] < 5 * max(edge.std(), 1e-9) or not 0 < top < len(height) - 1:
            continue
        close = np.abs(np.arange(len(height)) - top) <= max(len(height) // 8, 2)
        weight = np.clip(height - 0.3 * height[top], 0, None) * close
        places[i] = np.average(q[window], weights=weight)
    return places


def judge_rings_around(
    checks: Checks, q: np.ndarray, azimuth: np.ndarray, cake: np.ndarray, filled: np.ndarray,
    nears: Sequence[float], to_px: Callable[[float], float],
) -> None:  # fmt: skip
    """Check that rings have the same radius to all sides: centre, tilt, and an image that is turned.

    Parameters
    ----------
    q, cake, filled
        As for `ring_around`.
    azimuth : (sectors,)
        Middle of each sector, rad.
    nears : sequence of float
        Where rings are expected, 1/Å.
    to_px : callable
        Returns the radius on the detector, in pixels, of a q in 1/Å.
    """
    name = "Radius of a ring around the azimuth: amplitude"
    amplitudes, seen, possible = [], 0, 0
    for near in nears:
        window = np.abs(q - near) < 0.06 * near
        whole = filled[:, window].mean(axis=1) > 0.9
        if whole.sum() < 8:
            continue
        places = ring_around(q, cake, filled, near, 0.06 * near)
        good = np.isfinite(places)
        possible, seen = possible + whole.sum(), seen + (good & whole).sum()
        if good.sum() < 8:
            continue
        columns = [np.ones(good.sum())] + [
            f(k * azimuth[good]) for k in (1, 2) for f in (np.cos, np.sin)
        ]
        values = np.linalg.lstsq(np.array(columns).T, places[good], rcond=None)[0]
        per_q = (to_px(1.001 * near) - to_px(0.999 * near)) / (0.002 * near)
        amplitudes.append(max(np.hypot(*values[1:3]), np.hypot(*values[3:5])) * per_q)
    if not possible:
        checks.not_judged(
            name,
            why="no ring is on the detector to enough sides",
            expected=f"below {LARGEST_SHIFT_PX:g} pixel",
        )
        return
    checks.above(
        "Sectors in which the rings are seen", got=100 * seen / possible, limit=70, unit="%"
    )
    if amplitudes:
        checks.below(name, got=float(np.median(amplitudes)), limit=LARGEST_SHIFT_PX, unit="pixel")
    else:
        checks.not_judged(name, why="no ring is seen in enough sectors")


def judge_pixels(
    checks: Checks, counts: np.ndarray, bad: np.ndarray, marked: np.ndarray, radius: np.ndarray
) -> None:
    """Check what the mask keeps and that single pixels fit their neighbours on the ring.

    Parameters
    ----------
    counts : (ny, nx)
    bad : (ny, nx) bool
        All that is not used.
    marked : (ny, nx) bool
        What no mask need say: pixels that hold a mark, and the detector's gaps.
    radius : (ny, nx)
        Of each pixel, in any unit.
    """
    light = np.where(marked, 0, counts.astype(float)).clip(0)
    light = np.minimum(
        light, np.percentile(light[~marked], 99)
    )  # a hot pixel counts as one of many
    total = light.sum()
    kept = 100 * light[~bad].sum() / total if total > 0 else np.nan
    checks.above(
        "Counts that are used, of all on good pixels", got=kept, limit=LEAST_KEPT_PERCENT, unit="%"
    )
    used = ~bad
    edges = np.linspace(radius[used].min(), radius[used].max(), 401)
    where = np.clip(np.digitize(radius[used], edges) - 1, 0, 399)
    values = counts[used].astype(float)
    order = np.argsort(where, kind="stable")
    groups = np.split(values[order], np.searchsorted(where[order], np.arange(1, 400)))
    middle = np.array([np.median(g) if g.size else np.nan for g in groups])[where]
    scatter = np.array([spread_of(g) if g.size else np.nan for g in groups])[where]
    spread = np.maximum(scatter, np.sqrt(np.clip(middle, 1, None)))
    far = 100 * np.mean(np.abs(values - middle) > 20 * spread)
    checks.below("Pixels far from all others at their radius", got=far, limit=0.1, unit="%")


def spread_of(values: np.ndarray) -> float:
    """Return the standard deviation that the middle half of the values tells, outliers or not."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def judge_halves(checks: Checks, one: np.ndarray, other: np.ndarray, sigma: np.ndarray) -> None:
    """Check that two halves of the pixels give the same curve, within their errors.

    Parameters
    ----------
    one, other : (n,)
        Curves of two halves.
    sigma : (n,)
        Error of their difference.
    """
    good = np.isfinite(one) & np.isfinite(other) & (sigma > 0)
    name = "Two halves of the pixels: difference over its error, width"
    if good.sum() < 50:
        checks.not_judged(name, why="too few bins with pixels of both")
        return
    pull = (one - other)[good] / sigma[good]
    checks.close(name, got=spread_of(pull), truth=1, within=0.5)


def water_per_cm(energy_kev: float) -> float:
    """Return the attenuation of water, 1/cm."""
    return float(np.exp(np.interp(np.log(energy_kev), np.log(WATER_KEV), np.log(WATER_PER_CM))))


def judge_water(
    checks: Checks, thickness_cm: float, transmission: dict[str, float], energy_kev: float
) -> None:
    """Check the water's thickness by what it scatters against that by what it absorbs."""
    name = "Water: thickness by scattering against that by absorption"
    through = transmission["water"] / transmission["empty"]
    if not WATER_KEV[0] <= energy_kev <= WATER_KEV[-1] or not through < 0.98:
        checks.not_judged(name, why="the water absorbs too little to tell")
        return
    absorbed = -np.log(through) / water_per_cm(energy_kev)
    checks.close(
        name, got=10 * thickness_cm, truth=10 * float(absorbed), within_percent=25, unit="mm"
    )


def judge_alike(checks: Checks, transmission: dict[str, float]) -> None:
    """Check that the sample lets through what the water does: it is mostly water."""
    off = 100 * (transmission["sample"] / transmission["water"] - 1)
    checks.close(
        "Transmission of the sample against the water's", got=off, truth=0, within=10, unit="%"
    )


def apart(squares: Sequence[int]) -> list[int]:
    """Return the rings that have no other one within a tenth of their radius."""
    roots = np.sqrt(np.asarray(squares, float))
    return [
        n
        for n, root in zip(squares, roots, strict=True)
        if np.sum(np.abs(roots / root - 1) < 0.1) == 1
    ]


def judge_alternate(checks: Checks, curves: np.ndarray, errors: np.ndarray) -> None:
    """Check that a curve lies between its neighbours: a wrong monitor or order makes it jump.

    Parameters
    ----------
    curves, errors : (frames, n)
    """
    name = "Total of a frame against the mean of its neighbours': scatter"
    if len(curves) < 5:
        checks.not_judged(name, why="fewer than five frames")
        return
    good = np.isfinite(curves).all(axis=0) & np.isfinite(errors).all(axis=0)
    total, error = curves[:, good].sum(axis=1), np.sqrt((errors[:, good] ** 2).sum(axis=1))
    if not np.median(total) > 0:
        checks.not_judged(name, why="no counts")
        return
    off = (total[1:-1] - (total[:-2] + total[2:]) / 2) / np.median(total)
    noise = np.sqrt(1.5) * np.median(error) / np.median(total)
    checks.below(name, got=100 * spread_of(off), limit=100 * (STEADY + 3 * noise), unit="%")


NO_SPLIT = ("no", "csr", "cython")


def judge_image(
    checks: Checks,
    integrator,
    counts: np.ndarray,
    bad: np.ndarray,
    marked: np.ndarray,
    *,
    squares: Sequence[int],
    a_start: float,
    within_percent: float,
    polarisation: float | None,
) -> None:
    """Check an image with its geometry and mask, by all that needs no truth.

    Parameters
    ----------
    checks : Checks
    integrator : AzimuthalIntegrator
    counts, bad, marked
        As for `judge_pixels`.
    squares : sequence of int
        h² + k² + l² of the sample's rings; empty for no cubic powder.
    a_start, within_percent : float
        Its lattice parameter, Å, and how well that is known.
    polarisation : float or None
    """
    settings = {
        "unit": "q_A^-1",
        "method": NO_SPLIT,
        "error_model": "poisson",
        "polarization_factor": polarisation,
    }
    bins = int(min(3000, 2 * max(counts.shape)))

    def curve(mask):
        return integrator.integrate1d(counts, bins, mask=mask, **settings)

    whole = curve(bad)
    filled = np.flatnonzero(whole.count)
    q = whole.radial[: filled[-1] + 1]
    intensity = np.interp(q, whole.radial[filled], whole.intensity[filled])
    judge_lattice(checks, q, intensity, squares, a_start, within_percent)

    def radius_px(at):
        sine = at * integrator.wavelength * 1e10 / 4 / np.pi
        return integrator.dist * np.tan(2 * np.arcsin(sine)) / integrator.detector.pixel1

    cake = integrator.integrate2d(counts, bins // 3, SECTORS, mask=bad, **settings)
    nears = [2 * np.pi * np.sqrt(n) / a_start for n in apart(squares)]
    judge_rings_around(
        checks,
        cake.radial,
        np.radians(cake.azimuthal),
        cake.intensity,
        cake.count > 0,
        nears,
        radius_px,
    )
    judge_pixels(
        checks, counts, bad, marked, integrator.array_from_unit(counts.shape, unit="q_A^-1")
    )
    odd = np.indices(counts.shape).sum(axis=0) % 2 == 1
    one, other = curve(bad | odd), curve(bad | ~odd)
    both = (one.count > 0) & (other.count > 0)
    judge_halves(
        checks, one.intensity[both], other.intensity[both], np.hypot(one.sigma, other.sigma)[both]
    )
