"""Images and geometries of your own: which frame, what isn't a measurement, and what doesn't fit."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import fabio
import h5py
import numpy as np
import pyFAI
from pyFAI.detectors import Detector, detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from workbench.readings import (
    Place,
    Reading,
    ReadingError,
    chosen,
    conversion,
    fraction,
    plausible,
    quantity,
    refusing,
)
from workbench.readings.arrays import Pixels, by, mask_of, same_length, unusable, with_axes
from workbench.readings.hdf5 import array, complete, dataset, numeric, place_in, unit_of
from workbench.readings.refusals import any_of

GEOMETRY = ("distance", "poni1", "poni2", "rot1", "rot2", "rot3", "wavelength")
MANY_NEGATIVE = 0.01
"""Of the pixels: more than single faults. A dark image was subtracted then."""


def read_image(
    path: str | Path, reading: Reading, *, frame: int | None = None, parameter: str = "IMAGE"
) -> np.ndarray:
    """Return one image: (ny, nx) of the file's own type; see `read_shot`."""
    return read_shot(path, reading, frame=frame, parameter=parameter)[0]


def read_shot(
    path: str | Path, reading: Reading, *, frame: int | None = None, parameter: str = "FOLDER"
) -> tuple[np.ndarray, dict[str, str]]:
    """Return one image, (ny, nx) of the file's own type, and its header.

    Parameters
    ----------
    path : str or Path
        Any format that FabIO reads; of an HDF5 file also ``file.h5::/path/of/the/data``.
    reading : Reading
    frame : int, optional
        Which of the file's frames, counted from 0; asked for where there are several.
    parameter : str
        The parameter that gives the path.
    """
    place = Place(str(path).partition("::")[0], str(path).partition("::")[2], parameter)
    with refusing(place, "an image that FabIO reads"), fabio.open(str(path)) as opened:
        count = max(int(opened.nframes), 1)
        index = chosen(count, frame, "frame", place.at(place.within, "FRAME"), reading)
        shown = opened if count == 1 else opened.get_frame(index)
        values, header = np.array(shown.data), {str(k): str(v) for k, v in shown.header.items()}
    values = with_axes(values, ("row", "column"), place, reading)
    if values.dtype.kind not in "iuf":
        raise ReadingError(place, f"pixels of the type {values.dtype}", "one number a pixel")
    reading.took(f"{place}: {by(values.shape)} pixels (rows x columns), {values.dtype}", parameter)
    return values, header


def read_geometry(path: str | Path | None, reading: Reading) -> AzimuthalIntegrator:
    """Return the geometry of a ``.poni`` file.

    Raises
    ------
    ReadingError
        There is none, it lacks a number, or one that can't be.
    """
    if path is None:
        raise ReadingError(
            Place("PONI", "", "PONI"), "None", "the path of a .poni file",
            "The first tutorial writes one, or pyFAI-calib2.",
        )  # fmt: skip
    place = Place(path, "", "PONI")
    with refusing(place, "a geometry that pyFAI reads (.poni)"):
        text = Path(path).read_text(encoding="utf-8")
        integrator = pyFAI.load(str(path))
    keys = {line.partition(":")[0].strip().lower() for line in text.splitlines() if ":" in line}
    missing = [
        key for key in GEOMETRY if key not in keys and key.replace("distance", "dist") not in keys
    ]
    if missing:
        advice = (
            "Wavelength is in metres: 'Wavelength: 6.2e-11'." if "wavelength" in missing else ""
        )
        raise ReadingError(place, f"no {', '.join(missing)}", f"{', '.join(GEOMETRY)}", advice)
    with refusing(place, "numbers in metres and radians"):
        for name, value, least, most, unit in (
            ("a wavelength", integrator.wavelength, 1e-13, 5e-9, "m"),
            ("a distance", integrator.dist, 1e-3, 200, "m"),
            ("a pixel", integrator.detector.pixel1, 1e-7, 1e-2, "m"),
            ("a pixel", integrator.detector.pixel2, 1e-7, 1e-2, "m"),
            ("a PONI 1", integrator.poni1, -10, 10, "m"),
            ("a PONI 2", integrator.poni2, -10, 10, "m"),
            ("a rotation 1", integrator.rot1, -np.pi, np.pi, "rad"),
            ("a rotation 2", integrator.rot2, -np.pi, np.pi, "rad"),
            ("a rotation 3", integrator.rot3, -2 * np.pi, 2 * np.pi, "rad"),
        ):
            hint = f"It is in {'metres' if unit == 'm' else 'radians'} there."
            plausible(value, least, most, unit, f"{name} of", place, hint)
    said = [line.partition(":")[0].strip().lower() for line in text.splitlines()]
    several = max(said.count("distance"), said.count("dist"))
    if several > 1:
        reading.took(f"{place}: the last of {several} geometries, as pyFAI adds each to the end")
        reading.left_out(f"{place}: {several - 1} older ones")
    if "poni_version" not in keys:
        reading.assumed(f"{place}: an old file, without the detector's mask", "PONI")
    if "orientation" not in text:
        reading.assumed(
            f"{place}: the detector's orientation is pyFAI's default, as none is said", "PONI"
        )
    reading.took(
        f"{place}: {1e10 * integrator.wavelength:.5g} Å, {1e3 * integrator.dist:.5g} mm, "
        f"pixels of {1e6 * integrator.detector.pixel1:.4g} µm, detector {integrator.detector.name}"
    )
    return integrator


def fits_detector(shape: Sequence[int], detector: Detector, place: Place) -> None:
    """Raise a `ReadingError` where an image isn't the detector's."""
    wanted = detector.max_shape or detector.shape
    if wanted is None or tuple(shape) == tuple(wanted) or detector.name == "Detector":
        return
    hints = {
        tuple(reversed(wanted)): "It looks as if rows and columns were exchanged.",
        tuple(n // 2 for n in wanted): "It looks binned by two.",
    }
    hint = hints.get(tuple(shape), "Are image and geometry of the same detector?")
    raise ReadingError(
        place, f"an image of {by(shape)} pixels", f"{by(wanted)}, as {detector.name} has", hint
    )


def named_detector(name: str) -> Detector:
    """Return a detector of pyFAI's list, or of a file.

    Raises
    ------
    ReadingError
        pyFAI knows none of that name.
    """
    place, wanted = Place(name, "", "DETECTOR"), "a name of pyFAI's list, or a NeXus detector file"
    if not isinstance(name, str):
        raise ReadingError(place, "no text", wanted)
    if name.lower() not in Detector.registry and not Path(name).is_file():
        near = get_close_matches(name.lower(), Detector.registry, 4)
        hint = f"Did you mean {any_of(near)}?" if near else ""
        raise ReadingError(place, "no such detector", wanted, hint)
    with refusing(Place(name, "", "DETECTOR"), wanted):
        return detector_factory(name)


def bad_pixels(
    counts: np.ndarray,
    detector: Detector,
    reading: Reading,
    *,
    mask: str | Path | None = None,
    marks: str | None = None,
) -> Pixels:
    """Return all pixels that are not used: (ny, nx) bool.

    These are the detector's own, those that hold a mark in place of a measurement, and the mask's.

    Parameters
    ----------
    counts : (ny, nx)
    detector : Detector
    reading : Reading
    mask : str or Path, optional
        An image, 0 where a pixel is good unless `marks` says otherwise.
    marks : str, optional
        ``bad`` or ``good``: what pixels of the mask other than 0 are.
    """
    # -1 and -2 are how detectors mark pixels; other negative numbers come from a subtraction.
    below = (counts < 0) & (counts != -1) & (counts != -2)
    subtracted = np.mean(below) > MANY_NEGATIVE
    if subtracted:
        reading.assumed(
            "negative pixels are measurements: a dark image was subtracted, and errors are no longer those of counts"
        )
    bad = unusable(counts, reading, "pixels", negative=not subtracted)
    own = detector.mask
    if own is not None and np.shape(own) == counts.shape and np.any(own):
        bad |= np.asarray(own) != 0
        reading.left_out(
            f"{np.mean(np.asarray(own) != 0):.1%} of the pixels: gaps that {detector.name} is known to have"
        )
    elif mask is None:
        reading.assumed("the detector has no gaps: neither its name nor a mask says so", "MASK")
    if mask is not None:
        values = read_image(mask, reading, parameter="MASK")
        bad |= mask_of(
            values, counts.shape, Place(mask, "", "MASK_MARKS"), reading, marks=marks, bad=bad
        )
    if bad.all():
        raise ReadingError(
            Place(mask or detector.name), "no pixel left", "at least some good pixels"
        )
    return bad


# ------------------------------------------------------------------------------------- stacks


def check_stack(
    file: h5py.File, name: str, shape: Sequence[int] | None, reading: Reading
) -> h5py.Dataset:
    """Return a data set of frames, (n, ny, nx), that all were written.

    Raises
    ------
    ReadingError
        There is none, it has other axes, or frames of another detector.
    """
    item, place = dataset(file, name, "FRAMES"), place_in(file, name, "FRAMES")
    numeric(item, place)
    complete(item, place, reading)
    if item.ndim != 3:
        advice = "Store one stack of frames in that form, or choose another data set."
        raise ReadingError(
            place, f"{item.ndim} axes, {by(item.shape)}", "3: frame, row, column", advice
        )
    if shape is not None and item.shape[1:] != tuple(shape):
        raise ReadingError(
            place,
            f"frames of {by(item.shape[1:])} pixels",
            f"{by(shape)}, as the geometry's detector has",
        )
    reading.took(f"{place}: {by(item.shape)} (frame, row, column), {item.dtype}", "FRAMES")
    return item


def read_monitor(file: h5py.File, name: str, frames: int, reading: Reading) -> np.ndarray:
    """Return a monitor, NaN where it can't be divided by: (n,)."""
    values = array(file, name, ("frame",), reading, "MONITOR").astype(float)
    place = place_in(file, name, "MONITOR")
    same_length({"frames": frames, "monitor readings": len(values)}, place)
    usable = np.isfinite(values) & (values > 0)
    if not usable.any():
        raise ReadingError(place, "no monitor above 0", "the incident flux of each frame")
    if not usable.all():
        reading.left_out(
            f"{np.sum(~usable)} of {frames} frames, whose monitor is 0, negative or no number",
            "MONITOR",
        )
    return np.where(usable, values, np.nan)


def read_along(
    file: h5py.File,
    name: str,
    wanted: str,
    frames: int,
    reading: Reading,
    *,
    unit: str | None,
    parameter: str,
) -> np.ndarray:
    """Return a number for each frame, such as its temperature, in the unit that is wanted: (n,)."""
    values = array(file, name, ("frame",), reading, parameter).astype(float)
    place = place_in(file, name, f"{parameter}_UNIT")
    same_length({"frames": frames, "values": len(values)}, place)
    return conversion(unit or unit_of(file[name]), wanted, place)(values)


# ------------------------------------------------------------------------------- small angles


def read_header(
    path: str | Path, header: dict[str, str], reading: Reading, *, unit: str | None = None
) -> tuple[float, float]:
    """Return the photons of an exposure and the part of them that went through.

    Parameters
    ----------
    path : str or Path
        The image, to name it.
    header : dict of str to str
        As FabIO reads it; capitals don't matter.
    reading : Reading
    unit : str, optional
        Of a transmission without one: ``%`` or ``1``.

    Raises
    ------
    QuestionError
        A transmission above 1 without a unit.
    ReadingError
        One is missing, or can't be.
    """
    small = {key.lower(): text for key, text in header.items()}
    where = Place(path, "header", "TRANSMISSION_UNIT")
    for key in ("photons", "transmission"):
        if key not in small:
            known = ", ".join(sorted(header)[:12])
            raise ReadingError(
                where,
                f"no {key.capitalize()}",
                f"{key.capitalize()} = a number",
                f"There are {known}.",
            )
    at = where.at("header Photons")
    count, per = split_unit(small["photons"])
    if per:
        raise ReadingError(
            at, f"'{small['photons']}'", "a number of photons without a unit, of the whole exposure"
        )
    photons = plausible(quantity(count, "1", "1", at), 1, 1e20, "", "photons", at)
    number, said = split_unit(small["transmission"])
    return photons, fraction(
        number,
        said or unit,
        "transmission",
        where.at("header Transmission", "TRANSMISSION_UNIT"),
        reading,
    )


def split_unit(text: str) -> tuple[str, str]:
    """Return a number and the unit behind it, each as text."""
    word = text.strip()
    number = word.rstrip("%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    return (number or word), word[len(number) :].strip() if number else ""


def in_order(transmission: dict[str, float], place: Place) -> None:
    """Raise a `ReadingError` where more goes through a full capillary than through the empty one."""
    for name in ("water", "sample"):
        if transmission[name] > 1.02 * transmission["empty"]:
            found = f"{transmission[name]:.1%} through {name}, {transmission['empty']:.1%} through the empty capillary"
            raise ReadingError(
                place, found, "less through the full one", "Are all in the same unit?"
            )
