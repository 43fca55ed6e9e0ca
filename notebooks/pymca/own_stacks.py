"""Maps and series of your own: axes, pixels that hold no measurement, monitor and time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from workbench.readings import (
    Place,
    QuestionError,
    Reading,
    ReadingError,
    chosen,
    conversion,
    plausible,
)
from workbench.readings.arrays import by, invalid, same_length
from workbench.readings.hdf5 import array, complete, dataset, numeric, opened, place_in, unit_of
from workbench.readings.refusals import refusing

MAP_AXES = ("row", "column", "channel")
MOST_OFF = 10.0  # times that the usual monitor may be from 1
FEWEST_CHANNELS = 200  # of a detector; fewer along the last axis are probably pixels


@dataclass(frozen=True)
class Stack:
    """A map's spectra.

    Parameters
    ----------
    spectra : (rows, columns, channels) float32
        Counts; 0 where a pixel's spectrum can't be used.
    good : (rows, columns) bool
        Where it can.
    """

    spectra: np.ndarray = field(repr=False)
    good: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Series:
    """A series of spectra.

    Parameters
    ----------
    spectra : (n, channels) float64
    minutes : (n,) float64
    monitor : (n,) float64
        NaN where it can't be divided by.
    flags : dict of int to str
        What is wrong with the monitor of which spectrum.
    """

    spectra: np.ndarray = field(repr=False)
    minutes: np.ndarray = field(repr=False)
    monitor: np.ndarray = field(repr=False)
    flags: dict[int, str]


def read_stack(
    path: str | Path,
    name: str,
    reading: Reading,
    *,
    axes: Sequence[str] | None = None,
    detector: int | None = None,
) -> Stack:
    """Return a map with the axes row, column, channel.

    Parameters
    ----------
    path : str or Path
    name : str
        Of the data set in the file.
    reading : Reading
    axes : sequence of str, optional
        What its axes are, in the file's order: ``row``, ``column``, ``channel``, and ``detector``
        where there are several. None: row, column, channel, if that is possible.
    detector : int, optional
        Which detector to take, counted from 0.

    Raises
    ------
    QuestionError
        The axes may be in another order, or there are several detectors.
    ReadingError
        It can't be read, or holds no spectra.
    """
    with opened(path, "STACK") as file:
        item, place = dataset(file, name, "STACK_NAME"), place_in(file, name, "STACK_NAME")
        numeric(item, place)
        if item.dtype.kind == "b":
            raise ReadingError(place, "yes and no, as a mask has them", "counts")
        complete(item, place, reading)
        order = order_of(item, axes, place)
        with refusing(place, "spectra"):
            values = item[()]
    values = one_detector(
        values.reshape([n for n, _ in order]), [a for _, a in order], detector, place, reading
    )
    reading.took(f"{place}: {by(values.shape)} (row, column, channel), {values.dtype}", "AXES")
    bad = bad_spectra(values, reading)
    good = ~bad
    if not good.any():
        raise ReadingError(place, "no pixel whose spectrum can be used", "counts")
    spectra = values.astype(np.float32)
    spectra[bad] = 0
    return Stack(spectra, good)


def order_of(item: h5py.Dataset, axes: Sequence[str] | None, place: Place) -> list[tuple[int, str]]:
    """Return length and name of each axis that means something, in the file's order."""
    place = place.at(place.within, "AXES")
    shape = item.shape
    if axes is not None:
        names = tuple(map(str, axes)) if isinstance(axes, tuple | list) else (str(axes),)
        if (
            len(names) != len(shape)
            or set(names) - {"detector"} != set(MAP_AXES)
            or len(set(names)) != len(names)
        ):
            raise ReadingError(
                place, f"{len(shape)} axes, {by(shape)}, where AXES is {axes!r}",
                "one of row, column, channel for each axis, and detector where there are four",
            )  # fmt: skip
        return list(zip(shape, names, strict=True))
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 4:
        answers = [
            "('row', 'column', 'detector', 'channel')",
            "('detector', 'row', 'column', 'channel')",
        ]
        raise QuestionError(
            place, f"four axes, {by(shape)}", answers, "another order is possible as well"
        )
    if len(shape) != 3:
        raise ReadingError(
            place, f"{len(shape)} axes, {by(item.shape)}", f"3: {', '.join(MAP_AXES)}"
        )
    if shape[2] < max(shape[:2]) or shape[2] < FEWEST_CHANNELS:
        answers = [
            "('row', 'column', 'channel')",
            "('channel', 'row', 'column')",
            "('row', 'channel', 'column')",
        ]
        found = f"{by(shape)}, whose last axis is short for the channels of a spectrum"
        raise QuestionError(place, found, answers, "what its axes are")
    return list(zip(shape, MAP_AXES, strict=True))


def one_detector(
    values: np.ndarray, names: list[str], detector: int | None, place: Place, reading: Reading
) -> np.ndarray:
    """Return the spectra of one detector as row, column, channel."""
    if "detector" in names:
        axis = names.index("detector")
        where = place.at(place.within, "DETECTOR")
        taken = chosen(values.shape[axis], detector, "detector", where, reading)
        values = np.take(values, taken, axis=axis)
        names = [name for name in names if name != "detector"]
    return np.transpose(values, [names.index(name) for name in MAP_AXES])


def bad_spectra(values: np.ndarray, reading: Reading) -> np.ndarray:
    """Return which pixels hold something else than counts, each reason noted: (rows, columns) bool."""
    bad = np.zeros(values.shape[:-1], bool)
    for why, marked in invalid(values).items():
        pixels = marked.any(axis=-1)
        reading.left_out(f"{pixels.sum()} of {pixels.size} pixels, with channels that hold: {why}")
        bad |= pixels
    empty = ~bad & (values.sum(axis=-1, dtype=float) == 0)
    if empty.any():
        reading.left_out(f"{empty.sum()} of {empty.size} pixels without a single count")
    return bad | empty


def read_series(
    path: str | Path,
    names: dict[str, str],
    reading: Reading,
    *,
    time_unit: str | None = None,
    monitor_full: float | None = None,
) -> Series:
    """Return a series with its times in minutes and its monitor.

    Parameters
    ----------
    path : str or Path
    names : dict of str to str
        Where the file has ``spectra``, ``time`` and ``monitor``.
    reading : Reading
    time_unit : str, optional
        Of the times, in place of what the file says.
    monitor_full : float, optional
        What the monitor reads with the whole flux for the whole time; None: 1, if that is possible.

    Raises
    ------
    QuestionError
        The times have no unit, or the monitor isn't about 1.
    ReadingError
        Something is missing, or the parts differ in number.
    """
    place = Place(path, "", "NAMES")
    missing = [part for part in ("spectra", "time", "monitor") if part not in names]
    if missing:
        raise ReadingError(
            place, f"NAMES without {', '.join(missing)}", "spectra, time and monitor"
        )
    with opened(path, "SERIES") as file:
        spectra = array(file, names["spectra"], ("spectrum", "channel"), reading, "NAMES")
        times = array(file, names["time"], ("spectrum",), reading, "NAMES")
        monitor = array(file, names["monitor"], ("spectrum",), reading, "NAMES").astype(float)
        unit = time_unit or unit_of(file[names["time"]])
        to_minutes = conversion(unit, "min", place_in(file, names["time"], "TIME_UNIT"))
    same_length({"spectra": len(spectra), "times": len(times), "monitors": len(monitor)}, place)
    if spectra.shape[1] < FEWEST_CHANNELS and spectra.shape[0] > spectra.shape[1]:
        raise ReadingError(
            place.at(names["spectra"]),
            f"{by(spectra.shape)}, which looks turned around",
            "spectra × channels",
        )
    minutes = to_minutes(times.astype(float))
    if not np.isfinite(minutes).all() or (np.diff(minutes) < 0).any():
        raise ReadingError(
            place.at(names["time"]), "times that don't rise, or are not numbers", "rising times"
        )
    monitor = relative(monitor, monitor_full, place.at(names["monitor"], "MONITOR_FULL"), reading)
    flags = monitor_flags(monitor)
    if flags:
        reading.left_out(
            f"{len(flags)} of {len(monitor)} spectra, whose monitor can't be divided by"
        )
    if len(flags) == len(monitor):
        raise ReadingError(
            place.at(names["monitor"]), "no monitor above 0", "the beam, relative to flux × time"
        )
    flags = marked_spectra(spectra, reading) | flags
    return Series(spectra, minutes, np.where(monitor > 0, monitor, np.nan), flags)


def relative(monitor: np.ndarray, full: float | None, place: Place, reading: Reading) -> np.ndarray:
    """Return a monitor as a part of what it reads with the whole flux for the whole time.

    Raises
    ------
    QuestionError
        It is far from 1, as counts are, and nobody said what 1 would be.
    """
    if full is not None:
        whole = plausible(full, 1e-30, 1e30, "", "a full monitor of", place)
        reading.took(f"the monitor over {whole:g}, which stands for flux × time", "MONITOR_FULL")
        return monitor / whole
    usable = monitor[np.isfinite(monitor) & (monitor > 0)]
    middle = float(np.median(usable)) if usable.size else 1.0
    if not 1 / MOST_OFF < middle < MOST_OFF:
        raise QuestionError(
            place, f"a monitor of about {middle:.3g}, which is no part of the beam's flux × time",
            [f"{middle:.3g}"],
            "what it reads with the flux and time of the configuration; this is its usual value",
        )  # fmt: skip
    reading.assumed("a monitor of 1 stands for the configuration's flux × time", "MONITOR_FULL")
    return monitor


def marked_spectra(spectra: np.ndarray, reading: Reading) -> dict[int, str]:
    """Return which spectra hold something else than counts, and what."""
    found: dict[int, str] = {}
    for why, marked in invalid(spectra).items():
        which = np.flatnonzero(marked.any(axis=1))
        reading.left_out(f"{len(which)} of {len(spectra)} spectra, with channels that hold: {why}")
        found |= {int(i): f"{marked[i].sum()} channels hold: {why}" for i in which}
    return found


def monitor_flags(monitor: np.ndarray) -> dict[int, str]:
    """Return what is wrong with a monitor, by spectrum."""
    middle = (
        np.median(monitor[np.isfinite(monitor) & (monitor > 0)]) if (monitor > 0).any() else np.nan
    )
    found = {}
    for i, value in enumerate(monitor):
        if not np.isfinite(value):
            found[i] = "the monitor is not a number"
        elif value <= 0:
            found[i] = f"the monitor is {value:g}"
        elif value < 0.01 * middle:
            found[i] = f"the monitor is {value:g}, a hundredth of the others' or less"
    return found
