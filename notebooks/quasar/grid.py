"""Which row and column of a map each spectrum belongs to, from positions as a stage reports them."""

from dataclasses import dataclass

import numpy as np

from workbench.readings import Place, Reading, ReadingError

MOST_JITTER = 0.2  # of a step, root mean square: above it nobody can say which pixel a spectrum is
LEAST_FILLED = 0.5  # of a map's pixels
ENOUGH = 5000  # positions from which a step is found


@dataclass(frozen=True)
class Levels:
    """The rows or the columns of a map.

    Parameters
    ----------
    index : (spectra,) int64
        Counted from the lowest position.
    step : float or None
        How far apart they are; None of a single one.
    jitter : float
        How far positions lie from their own row or column, root mean square.
    """

    index: np.ndarray
    step: float | None
    jitter: float

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.index.max()) + 1


def levels(position: np.ndarray) -> Levels | None:
    """Return the evenly spaced rows or columns that positions lie on, None if they lie on none.

    Every number of rows is tried that leaves none of them empty; the one fits best whose positions
    lie nearest to it.
    """
    low, span = position.min(), np.ptp(position)
    if span <= 1e-9 * max(1.0, abs(low)):
        return Levels(np.zeros(len(position), int), None, 0.0)
    some = np.sort(position)
    some = some if len(some) <= ENOUGH else some[:: len(some) // ENOUGH + 1]
    best, nearest = None, MOST_JITTER
    for count in range(2, len(np.unique(some)) + 1):
        first, step = fitted(some, low, span / (count - 1))
        index = np.rint((some - first) / step)
        off = float(np.sqrt(np.mean(((some - first) / step - index) ** 2)))
        if off < nearest - 1e-6 and len(np.unique(index)) == count:
            best, nearest = (first, step), off
    if best is None:
        return None
    first, step = best
    index = np.rint((position - first) / step).astype(int)
    jitter = np.sqrt(np.mean((position - first - index * step) ** 2))
    return Levels(index - index.min(), float(step), float(jitter))


def fitted(position: np.ndarray, first: float, step: float) -> tuple[float, float]:
    """Return the first row and the distance of rows that fit best, from a guess."""
    for _ in range(2):
        index = np.rint((position - first) / step)
        if np.ptp(index) < 1:
            break
        step, first = np.polyfit(index, position, 1)
    return float(first), float(step)


def place_pixels(
    x: np.ndarray, y: np.ndarray, place: Place, reading: Reading
) -> tuple[Levels, Levels]:
    """Return the rows and the columns of a map's spectra.

    Raises
    ------
    ReadingError
        They lie on no grid, or two of them at the same pixel.
    """
    across, down = levels(x), levels(y)
    if thin(across, down, len(x)) and down is not None and flat(x, down):
        across = line(x)
    elif thin(down, across, len(y)) and across is not None and flat(y, across):
        down = line(y)
    if across is None or down is None:
        axis = "map_x" if across is None else "map_y"
        raise ReadingError(
            place, f"positions {axis} that lie on no grid", "rows and columns at even distances",
            "Resample the map onto a grid, or look at its spectra without their places.",
        )  # fmt: skip
    pixels = across.count * down.count
    taken = np.unique(down.index * across.count + across.index)
    if len(taken) < len(x):
        raise ReadingError(
            place, f"{len(x)} spectra at {len(taken)} pixels", "one spectrum a pixel",
            "Several scans may lie in one file, or the stage's positions are too far off.",
        )  # fmt: skip
    if len(x) < LEAST_FILLED * pixels:
        raise ReadingError(
            place,
            f"{len(x)} spectra on {down.count} x {across.count} pixels",
            "most pixels measured",
        )
    reading.took(f"{place}: {down.count} rows and {across.count} columns, {len(x)} spectra")
    if len(x) < pixels:
        reading.left_out(f"{pixels - len(x)} of {pixels} pixels, of which there is no spectrum")
    for name, found in (("map_x", across), ("map_y", down)):
        if found.step and found.jitter > 0.005 * found.step:
            reading.assumed(
                f"{name}: positions off by {found.jitter:.2g}, typically, belong to the nearest of the grid, {found.step:.4g} apart"
            )
    return down, across


def thin(one: Levels | None, other: Levels | None, spectra: int) -> bool:
    """Return whether an axis makes no map with the other: chance finds a few rows in anything."""
    return one is None or (other is not None and spectra < LEAST_FILLED * one.count * other.count)


def flat(position: np.ndarray, other: Levels) -> bool:
    """Return whether positions differ by less than the other axis' steps: a line scan."""
    return other.step is not None and np.ptp(position) < 0.5 * abs(other.step)


def line(position: np.ndarray) -> Levels:
    """Return the one row of a line scan."""
    return Levels(np.zeros(len(position), int), None, float(position.std()))
