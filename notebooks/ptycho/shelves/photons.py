"""What photons allow: how far a right model is from the data, and a wrong one must be.

An engine's own error says how well it fits, not whether it could fit so well. Photons scatter, so a
right model stays a known distance away; and a model is worth nothing that knows no more than the
mean of all patterns.
"""

from dataclasses import dataclass

import numpy as np

from workbench import Checks

from .scan import Model, Scan, State

LARGE = 50.0  # counts from which on the limit of many photons holds


@dataclass(frozen=True)
class Fit:
    """A model against the data.

    Parameters
    ----------
    over_photons : float
        The squared distance of amplitudes over what photon noise leaves: 1 for the truth. Far less
        can't be, unless what is fitted aren't photons.
    over_mean : float
        The same over that of the mean pattern, which knows nothing of the sample.
    unexplained : float
        The latter with what photon noise leaves taken off both: the share of what changes from frame
        to frame that the model doesn't know.
    worst_frame : float
        The largest of any frame over the median of all.
    counted : float
        The model's light over the measured.
    whole : bool
        Whether frames hold whole numbers, as photons are.
    """

    over_photons: float
    over_mean: float
    unexplained: float
    worst_frame: float
    counted: float
    whole: bool


def left_by_photons(counts: np.ndarray) -> np.ndarray:
    """Return the mean of (root of a Poisson number - root of its mean)^2, for means.

    It is 1/4 for many photons, and twice the mean for few (Anscombe 1948).
    """
    means = np.concatenate([[0.0], np.geomspace(1e-4, LARGE, 160)])
    n = np.arange(int(LARGE + 12 * np.sqrt(LARGE)))
    logs = np.concatenate([[0.0], np.cumsum(np.log(n[1:]))])
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = np.exp(n * np.log(means[1:, None]) - means[1:, None] - logs)
    left = np.concatenate([[0.0], 2 * means[1:] - 2 * np.sqrt(means[1:]) * (chance @ np.sqrt(n))])
    return np.where(
        counts < LARGE, np.interp(counts, means, left), 0.25 + 7 / (64 * np.maximum(counts, LARGE))
    )


def fit_of(scan: Scan, state: State, counts_per_photon: float = 1.0) -> Fit:
    """Return how a state fits the scan, by frames evenly over it.

    Parameters
    ----------
    scan : Scan
    state : State
    counts_per_photon : float
        Of a detector that integrates.
    """
    model = Model(scan)
    measured = model.measured[:, scan.good] / np.sqrt(counts_per_photon)
    amplitudes = model.amplitudes(state, model.chosen)[:, scan.good] / np.sqrt(counts_per_photon)
    off = np.sum((amplitudes - measured) ** 2, axis=1)
    allowed = np.sum(left_by_photons(amplitudes**2), axis=1)
    mean = np.sqrt(np.mean(measured**2, axis=0))
    by_mean = float(np.sum((mean - measured) ** 2))
    changes = max(by_mean - float(allowed.sum()), 1e-12)
    by_frame = off / np.maximum(allowed, 1e-12)
    return Fit(
        over_photons=float(off.sum() / max(allowed.sum(), 1e-12)),
        over_mean=float(off.sum() / max(by_mean, 1e-12)),
        unexplained=max(0.0, float(off.sum() - allowed.sum())) / changes,
        worst_frame=float(by_frame.max() / max(np.median(by_frame), 1e-12)),
        counted=float(np.sum(amplitudes**2) / max(np.sum(measured**2), 1e-12)),
        whole=bool((scan.frames == np.rint(scan.frames)).all()),
    )


def judge(checks: Checks, scan: Scan, state: State, counts_per_photon: float = 1.0) -> None:
    """Add the checks of a reconstruction that need no truth."""
    fit = fit_of(scan, state, counts_per_photon)
    unknown = "Changes from frame to frame that the model doesn't know, photon noise apart"
    least, most = (
        "Distance to the data over what photon noise leaves: not less",
        "Distance to the data over what photon noise leaves",
    )
    if fit.whole or counts_per_photon != 1:
        checks.above(least, got=fit.over_photons, limit=0.5)
        checks.below(most, got=fit.over_photons, limit=5)
        checks.below(unknown, got=100 * fit.unexplained, limit=20, unit="%")
    else:
        why = "counts aren't whole photons: set COUNTS_PER_PHOTON"
        checks.not_judged(most, why=why, expected="0.5 to 5")
        checks.not_judged(unknown, why=why, expected="below 20 %")
    checks.below("Distance to the data over that of the mean pattern", got=fit.over_mean, limit=0.5)
    checks.below("Worst frame over the usual one", got=fit.worst_frame, limit=6)
    checks.close("Light of the model over that measured", got=fit.counted, truth=1, within=0.1)
    checks.below(
        "Middle of the light, away from the frame's",
        got=off_centre(scan),
        limit=scan.edge / 8,
        unit="px",
    )


def off_centre(scan: Scan) -> float:
    """Return how far the mean pattern's centre of mass is from pixel [n // 2, n // 2], px."""
    mean = np.where(scan.good, scan.frames.mean(axis=0), 0)
    rows, columns = np.indices(mean.shape)
    total = max(mean.sum(), 1e-12)
    at = np.array([(mean * rows).sum(), (mean * columns).sum()]) / total
    return float(np.hypot(*(at - np.array(mean.shape) // 2)))
