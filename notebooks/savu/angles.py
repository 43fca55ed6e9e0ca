"""How the sample stood: units, order and range of the angles that a file gives."""

import numpy as np

from workbench.readings import Place, QuestionError, Reading, ReadingError, conversion

UNITS = ("deg", "rad", "mrad", "rev")  # that angles come in, by the layer's names
NEAR = 0.02  # how near to half a turn, or a whole one, a scan ends, as a share


def in_degrees(
    values: np.ndarray, unit: str, told: str | None, place: Place, reading: Reading
) -> np.ndarray:
    """Return angles in degrees, or ask what they are in.

    Scans go over half a turn or a whole one. Where they do so in another unit than in the one that the
    file names, or where it names none and they don't in degrees, nobody but who measured knows.

    Parameters
    ----------
    values : (projections,) float64
        As the file holds them; some may be no numbers.
    unit : str
        That the file names, empty for none.
    told : str, optional
        The unit that a person names.
    place : Place
        Of the angles; its parameter gives the unit.
    reading : Reading

    Raises
    ------
    QuestionError
        Their unit isn't sure.
    ReadingError
        They can't be angles of a scan.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        raise ReadingError(place, "angles of which none is a number", "how the sample stood")
    if np.ptp(known) == 0:
        found = f"{len(known)} projections, all at the angle {known[0]:g}"
        raise ReadingError(place, found, "angles that differ", "Were they never written?")
    words = f"angles from {known.min():g} to {known.max():g}"
    fitting = [u for u in UNITS if fits(known, conversion(u, "deg", place).factor)]
    if told:
        reading.took(f"{place}: {words}, in {told} as {place.parameter} says")
        return np.asarray(conversion(told, "deg", place)(values))
    if not unit:
        if fitting != ["deg"]:
            raise QuestionError(place, f"{words} without a unit", [repr(u) for u in UNITS])
        reading.assumed(f"{place}: {words} are degrees, as no unit is given", place.parameter)
        return values
    converted = conversion(unit, "deg", place)
    if fitting and converted.unit not in fitting:
        turns = np.ptp(known) * converted.factor / 360
        found = f"{words} in '{unit}', which is {turns:.3g} turns and neither half a one nor a whole one"
        answers = dict.fromkeys([*fitting, converted.unit])
        raise QuestionError(place, found, [repr(u) for u in answers])
    reading.took(f"{place}: {words}, in {unit}", place.parameter)
    return np.asarray(converted(values))


def fits(values: np.ndarray, factor: float) -> bool:
    """Return whether angles go over half a turn or a whole one if they are in such a unit.

    Parameters
    ----------
    values : (projections,) float64
    factor : float
        Degrees in the unit.
    """
    reach = float(np.ptp(values)) * factor
    step = reach / max(1, len(values) - 1)
    return step < 45 and any(
        abs(reach - turn) <= max(NEAR * turn, 1.5 * step) for turn in (180, 360)
    )


def usable(angles_deg: np.ndarray, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Return which projections to take, in the order of their angles, and these.

    More than a turn is taken as one. Of a scan that goes over more than half a turn but not over a
    whole one, the first half turn is taken: the rest would count twice in a reconstruction.

    Parameters
    ----------
    angles_deg : (projections,) float64
        Some may be no numbers.
    reading : Reading

    Returns
    -------
    tuple
        Indices, and angles in ascending order, degrees.
    """
    known = np.isfinite(angles_deg)
    if not known.all():
        reading.left_out(
            f"{(~known).sum()} of {len(known)} projections, whose angle isn't a number"
        )
    reach = float(np.ptp(angles_deg[known]))
    step = reach / max(1, known.sum() - 1)
    if reach > 360 + 1.5 * step:
        reading.assumed(
            f"the sample stayed the same over {reach / 360:.2f} turns, which are taken as one"
        )
        angles_deg = angles_deg % 360
    chosen = np.flatnonzero(known)
    order = chosen[np.argsort(angles_deg[chosen], kind="stable")]
    if (np.diff(angles_deg[chosen]) < 0).any():
        reading.took("projections in the order of their angles, which isn't that of the file")
    angles = angles_deg[order]
    steps = np.diff(angles)
    usual = float(np.median(steps[steps > 1e-6]))
    if 180 + 2 * usual < angles[-1] - angles[0] < 360 - 4 * usual:
        first = angles <= angles[0] + 180 + 1e-3
        reading.left_out(
            f"{(~first).sum()} projections beyond half a turn, which would count twice"
        )
        order, angles = order[first], angles[first]
    return order, angles


def largest_gap(angles_deg: np.ndarray, turn: float = 180.0) -> tuple[float, float]:
    """Return the largest gap between directions, and the usual step, degrees.

    Parameters
    ----------
    angles_deg : (projections,) float64
    turn : float
        After which a direction comes again: 180 where the whole sample is in view.
    """
    there = np.unique(np.round(angles_deg % turn, 6))
    steps = np.diff(np.append(there, there[0] + turn))
    steps = steps[steps > 1e-3]
    return float(steps.max()), float(np.median(steps))
