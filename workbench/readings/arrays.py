"""Which pixels hold no measurement, what a mask means, and which axes an array has."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .gaps import MARKS
from .reading import Reading
from .refusals import Place, QuestionError, ReadingError

Pixels: TypeAlias = NDArray[np.bool_]
LARGEST_SHARE = 0.5
"""More than this part of a detector is not masked by anybody who wants to measure."""

LEAST_PLATEAU = 5
"""Fewer pixels with the same high number may be chance."""


def invalid(values: NDArray) -> dict[str, Pixels]:
    """Return the pixels that hold a mark in place of a measurement, by the reason why.

    Parameters
    ----------
    values : array
        Counts of any type. Floating-point ones may hold the marks of the integers that they were.

    Returns
    -------
    dict of str to array of bool
        Only reasons that there are.
    """
    found: dict[str, Pixels] = {}
    if values.dtype.kind == "f":
        found["not a number"] = ~np.isfinite(values)
        marks = {m: why for part in MARKS.values() for m, why in part.items() if m > 2**16}
    else:
        marks = dict(MARKS.get(values.dtype.name, {}))
    for mark, why in marks.items():
        found[f"{why} ({mark})"] = values == mark
    if values.dtype.kind in "if":
        known = np.zeros(values.shape, bool)
        for pixels in found.values():
            known |= pixels
        with np.errstate(invalid="ignore"):
            found["negative"] = (values < 0) & ~known
    found["the same far too high number"] = plateau(values, found)
    return {why: pixels for why, pixels in found.items() if pixels.any()}


def plateau(values: NDArray, known: Mapping[str, Pixels]) -> Pixels:
    """Return the pixels that share one number, more than twice as high as any other.

    Counting never makes that: it is a mark whose type was changed since, such as 65535 as a float.
    """
    good = np.ones(values.shape, bool)
    for pixels in known.values():
        good &= ~pixels
    left = values[good]
    if left.size == 0:
        return np.zeros(values.shape, bool)
    highest = left.max()
    below = left[left < highest]
    alone = below.size > 0 and highest > 1000 and highest > 2 * below.max()
    if not alone or left.size - below.size < LEAST_PLATEAU:
        return np.zeros(values.shape, bool)
    return (values == highest) & good


def unusable(values: NDArray, reading: Reading, what: str, *, negative: bool = True) -> Pixels:
    """Return all pixels that `invalid` finds, each reason noted with how many.

    Parameters
    ----------
    values : array
    reading : Reading
    what : str
        What the pixels are, in the plural: ``pixels``, ``channels``.
    negative : bool
        Whether negative numbers aren't a measurement; after a dark frame was subtracted they are.
    """
    bad = np.zeros(values.shape, bool)
    for why, pixels in invalid(values).items():
        if why == "negative" and not negative:
            continue
        bad |= pixels
        reading.left_out(f"{pixels.sum():,} of {pixels.size:,} {what}: {why}")
    return bad


def mask_of(
    mask: NDArray,
    shape: Sequence[int],
    place: Place,
    reading: Reading,
    *,
    marks: str | None = None,
    bad: Pixels | None = None,
) -> Pixels:
    """Return a mask as True where a pixel is bad.

    Parameters
    ----------
    mask : array
        As the file holds it, of the image's shape or with leading axes of length 1.
    shape : sequence of int
        Of the image.
    place : Place
        Where it was found; its parameter says what the marked pixels are.
    reading : Reading
    marks : str, optional
        What a pixel other than 0 is: ``bad`` or ``good``. None: bad, if that is possible.
    bad : array of bool, optional
        Pixels that are known to be bad: a right mask covers nearly all of them.

    Raises
    ------
    QuestionError
        It marks more than half of the detector, or the wrong half, and nobody said what it means.
    ReadingError
        Another shape, or `marks` is something else.
    """
    if marks not in (None, "bad", "good"):
        raise ReadingError(place, f"{place.parameter} = {marks!r}", "'bad' or 'good'")
    while mask.ndim > len(shape) and mask.shape[0] == 1:
        mask = mask[0]
    if mask.shape != tuple(shape):
        raise ReadingError(
            place, f"a mask of {by(mask.shape)} pixels", f"{by(shape)}, as the image has"
        )
    marked = ~(mask == 0)  # NaN marks a pixel as well
    share = marked.mean()
    if marks is None:
        why = doubt(marked, bad)
        if why:
            raise QuestionError(place, why, ["'bad'", "'good'"], "what pixels other than 0 are")
        reading.assumed("a pixel of the mask other than 0 is bad", place.parameter)
    masked = ~marked if marks == "good" else marked
    if masked.all():
        raise ReadingError(place, "a mask that leaves no pixel", "at least one good pixel")
    said = "good" if marks == "good" else "bad"
    reading.took(f"{place}: {share:.2%} of the pixels are marked as {said}")
    return masked


def doubt(marked: Pixels, bad: Pixels | None) -> str:
    """Return why marked pixels may be the good ones, empty if nothing speaks for it."""
    if marked.mean() > LARGEST_SHARE:
        return f"a mask that marks {marked.mean():.1%} of the pixels"
    if bad is not None and bad.sum() > 20 and marked.any():
        covered, elsewhere = marked[bad].mean(), marked[~bad].mean()
        if covered < elsewhere:
            return (
                f"a mask that marks {covered:.1%} of the bad "
                f"and {elsewhere:.1%} of the other pixels"
            )
    return ""


def with_axes(values: NDArray, axes: Sequence[str], place: Place, reading: Reading) -> NDArray:
    """Return an array with exactly the named axes; leading axes of length 1 are taken away.

    Raises
    ------
    ReadingError
        It has others; the sentence says what a parameter could choose.
    """
    shape = values.shape
    while values.ndim > len(axes) and values.shape[0] == 1:
        values = values[0]
    if values.ndim != len(axes):
        expected = f"{len(axes)}: {', '.join(axes)}"
        advice = f"Look at {place.parameter} at the top." if place.parameter else ""
        raise ReadingError(place, f"an array of {len(shape)} axes, {by(shape)}", expected, advice)
    if values.shape != shape:
        reading.assumed(f"{place}: leading axes of length 1 of {by(shape)} mean nothing")
    return values


def same_length(parts: Mapping[str, int], place: Place) -> None:
    """Raise a `ReadingError` where things that belong together differ in number."""
    if len(set(parts.values())) > 1:
        found = ", ".join(f"{count} {what}" for what, count in parts.items())
        raise ReadingError(place, found, "the same number of each")


def by(shape: Sequence[int]) -> str:
    """Return a shape as a person reads it: ``60 x 80``."""
    return " x ".join(map(str, shape)) or "one number"
