"""Checks of a measured map, whose truth nobody knows: what holds if axes, units, shape and library are right.

What a map doesn't allow to be judged is said, and counts as neither passed nor failed.
"""

import numpy as np
from map_files import Map
from maps import free_points
from Orange.data import Table
from orangecontrib.spectroscopy.data import getx

from workbench import Checks

FEWEST_PIXELS = 30
STRONG = 3.0  # an absorbance, above which hardly any light reaches the detector


def judge_spectra(checks: Checks, section: Map) -> None:
    """Check that absorbances are possible ones, and that pixels are in their order."""
    spectra = section.table.X
    strong = float(np.mean(spectra.max(axis=1) > STRONG))
    checks.below(
        f"Spectra with an absorbance above {STRONG:g}", got=100 * strong, limit=10, unit="%"
    )
    typical = np.median(spectra, axis=1)
    down = float(np.mean(typical - spectra.min(axis=1) > 1.5 * (spectra.max(axis=1) - typical)))
    checks.below("Spectra whose strongest bands point down", got=100 * down, limit=50, unit="%")
    name = "Neighbours are alike: correlation of the mean absorbance"
    if min(section.shape) < 3 or len(spectra) < FEWEST_PIXELS:
        checks.not_judged(name, why="the map is too small or a line", expected="above 0.15")
    else:
        checks.above(name, got=neighbours(section.image(spectra.mean(axis=1))), limit=0.15)


def neighbours(image: np.ndarray) -> float:
    """Return how pixels correlate with those beside and below them: about 0 if they are out of order."""
    one = np.concatenate([image[:, :-1].ravel(), image[:-1].ravel()])
    other = np.concatenate([image[:, 1:].ravel(), image[1:].ravel()])
    both = np.isfinite(one) & np.isfinite(other)
    return float(np.corrcoef(one[both], other[both])[0, 1])


def judge_vapour(checks: Checks, raw: Table, dry: Table, vapour: Table | None) -> None:
    """Check that the lines of water vapour are gone, which they aren't with another instrument's spectrum."""
    x = getx(raw)
    between = (x > 1330) & (x < 2000)
    name = "Vapour's lines left, of what they were"
    if vapour is None or between.sum() < 20:
        why = "VAPOUR is not given" if vapour is None else "the map has no vapour's lines"
        checks.not_judged(name, why=why, expected="below 0.5")
        return
    line = vapour.X[0, between]
    checks.below(
        name,
        got=combed(dry.X[:, between], line) / max(combed(raw.X[:, between], line), 1e-12),
        limit=0.5,
    )


def combed(spectra: np.ndarray, line: np.ndarray) -> float:
    """Return how much of narrow lines is in spectra, root mean square, by second differences."""
    pattern, rough = np.diff(line, 2), np.diff(spectra, 2, axis=1)
    return float(np.sqrt(np.mean((rough @ pattern / (pattern @ pattern)) ** 2)))


def noise_of(spectra: np.ndarray, used: np.ndarray) -> float:
    """Return the noise of a point, from third differences of neighbours, in which bands cancel."""
    rough = np.diff(spectra, 3, axis=1)
    kept = np.lib.stride_tricks.sliding_window_view(used, 4).all(axis=1)
    return float(1.4826 * np.median(abs(rough[:, kept])) / np.sqrt(20))


def judge_fit(
    checks: Checks, raw: Table, pure: np.ndarray, amounts: np.ndarray, residual: np.ndarray
) -> None:
    """Check that pure spectra explain the map: no more is left than noise, and no amount is below zero."""
    used = free_points(getx(raw), pure)
    left = float(np.sqrt(np.mean(residual[:, used] ** 2)))
    checks.below(
        "Residual of the fit over the noise", got=left / max(noise_of(raw.X, used), 1e-12), limit=3
    )
    for number, amount in enumerate(amounts, 1):
        scale = float(np.percentile(abs(amount), 99))
        share = float(np.mean(amount < -0.2 * scale))
        checks.below(
            f"Pixels with clearly less than nothing of pure spectrum {number}",
            got=100 * share,
            limit=5,
            unit="%",
        )
