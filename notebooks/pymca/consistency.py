"""Checks that need no truth: what a fit must fulfil whatever was measured."""

from collections.abc import Mapping

import numpy as np

from workbench import Checks

LARGEST_MISFIT = 5.0  # per cent of all counts; a steel with a million counts in a peak has 2
GAIN_PERCENT = 1.0
AXIS_EV = 25.0
LARGEST_SUM = 1.1
CERTIFICATE_PERCENT = 20.0
MATRIX_POINTS = 8.0  # percentage points between a matrix that was typed in and what is found


def misfit_percent(result: Mapping) -> float:
    """Return what the fit leaves beyond counting noise, per cent of all counts.

    Unlike chi-squared it doesn't grow with the counts: a model that is wrong by a few per cent has
    a few per cent, a wrong energy axis or element tens.
    """
    data, model = np.ravel(result["ydata"]), np.ravel(result["yfit"])
    noise = np.sqrt(2 / np.pi * np.clip(model, 0.5, None))  # mean distance of a count from its mean
    return float(100 * max(np.sum(np.abs(data - model) - noise), 0) / data.sum())


def judge_fit(checks: Checks, name: str, result: Mapping) -> None:
    """Check that a fit describes its data."""
    checks.below(
        f"{name}: misfit beyond counting noise",
        got=misfit_percent(result),
        limit=LARGEST_MISFIT,
        unit="%",
    )


def judge_axis(
    checks: Checks,
    *,
    off_ev: float,
    element: str,
    gain: float,
    fitted_gain: float,
    stated: float | None,
) -> None:
    """Check the energy axis: a third peak, the fit against two peaks, and what the file states."""
    checks.close(
        f"Your energy axis: {element} Kα, off by", got=off_ev, truth=0, within=AXIS_EV, unit="eV"
    )
    checks.close("Your gain: of the fit against two peaks", got=1000 * fitted_gain, truth=1000 * gain,
                 within_percent=GAIN_PERCENT, unit="eV per channel")  # fmt: skip
    if stated is None:
        checks.not_judged(
            "Your gain: against the file's own calibration", why="the file states none"
        )
    else:
        checks.close("Your gain: against the file's own calibration", got=1000 * fitted_gain, truth=1000 * stated,
                     within_percent=GAIN_PERCENT, unit="eV per channel")  # fmt: skip


def judge_fractions(
    checks: Checks, fractions: Mapping[str, float], matrix: Mapping[str, float]
) -> None:
    """Check mass fractions: their sum, and against the matrix that absorption was computed with."""
    total = sum(fractions.values())
    checks.below("Your mass fractions: their sum", got=total, limit=LARGEST_SUM)
    checks.above("Your mass fractions: the smallest", got=min(fractions.values()), limit=-1e-3)
    shared = [element for element in fractions if matrix.get(element, 0) > 0]
    name = "Your mass fractions: largest distance from the matrix typed in"
    if len(shared) < 2:
        checks.not_judged(name, why="the matrix holds none or one of these elements")
        return
    found, typed = (np.array([part[e] for e in shared]) for part in (fractions, matrix))
    off = 100 * np.abs(found / found.sum() - typed / typed.sum()).max()
    checks.below(name, got=off, limit=MATRIX_POINTS, unit="percentage points")


def judge_certificate(
    checks: Checks, fractions: Mapping[str, float], certified: Mapping[str, float]
) -> None:
    """Check mass fractions against those that are certified, where some are."""
    for element, found in fractions.items():
        name = f"Your {element}: against its certificate"
        if element in certified:
            checks.close(
                name, got=found, truth=certified[element], within_percent=CERTIFICATE_PERCENT
            )
        else:
            checks.not_judged(name, why="no certified value")


def matrix_of(configuration: Mapping) -> dict[str, float]:
    """Return the mass fractions of a configuration's sample; empty where it isn't a material of its list."""
    material = configuration["materials"].get(configuration["attenuators"]["Matrix"][1], {})
    parts = (np.atleast_1d(material.get(key, [])) for key in ("CompoundList", "CompoundFraction"))
    return {str(element): float(part) for element, part in zip(*parts, strict=False)}


def judge_counts(checks: Checks, values: np.ndarray) -> None:
    """Check that numbers are counts, as all uncertainties take them to be."""
    good = values[np.isfinite(values)]
    share = 100 * np.mean(good != np.round(good)) if good.size else np.nan
    checks.below("Your numbers that aren't whole: no counts", got=share, limit=0.1, unit="%")


def judge_monitor(checks: Checks, counts: np.ndarray, monitor: np.ndarray) -> None:
    """Check that the counts follow the monitor from each spectrum to the next, as light does.

    A sample changes slowly; what jumps is the beam, and a monitor that doesn't jump with it is none.
    """
    name = "Counts against monitor, from spectrum to spectrum: power"
    steps, jumps = np.diff(np.log(monitor)), np.diff(np.log(counts))
    noise = np.sqrt(np.mean(2 / counts))
    if len(steps) < 8 or steps.std() * np.sqrt(len(steps)) < 10 * max(noise, 1e-3):
        checks.not_judged(name, why="the beam is too steady for it", expected="1")
        return
    checks.close(name, got=float(steps @ jumps / (steps @ steps)), truth=1, within=0.5)


def judge_map(
    checks: Checks,
    areas: Mapping[str, np.ndarray],
    sigmas: Mapping[str, np.ndarray],
    summed: Mapping,
) -> None:
    """Check a map's areas: all pixels together against the sum, and none far below zero."""
    strongest = max(areas, key=lambda group: summed[group]["fitarea"])
    total = float(np.nansum(areas[strongest]))
    checks.close(f"{strongest}: areas of all pixels against that of the sum", got=total,
                 truth=summed[strongest]["fitarea"], within_percent=3, unit="counts")  # fmt: skip
    below = {
        g: 100 * np.nanmean(areas[g] < -5 * sigmas[g]) for g in areas if np.nansum(sigmas[g]) > 0
    }
    if not below:
        checks.not_judged("Pixels with an area far below zero", why="no uncertainties")
        return
    worst = max(below, key=lambda group: below[group])
    checks.below(
        f"Pixels with an area far below zero, most in {worst}", got=below[worst], limit=1, unit="%"
    )
