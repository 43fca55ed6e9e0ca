"""Which one of several, and whether a number can be what it claims to be."""

import math
from collections.abc import Sequence
from numbers import Real

from .reading import Reading
from .refusals import Place, QuestionError, ReadingError, any_of
from .units import number, quantity, text_of

PLURALS = {"spectrum": "spectra", "entry": "entries"}


def several(count: int, what: str) -> str:
    """Return how many there are: ``1 scan``, ``3 spectra``."""
    return f"{count} {what if count == 1 else PLURALS.get(what, f'{what}s')}"


def chosen(
    count: int, wanted: int | None, what: str, place: Place, reading: Reading, *, first: int = 0
) -> int:
    """Return the index of the one to take, counted from 0.

    Parameters
    ----------
    count : int
        How many there are.
    wanted : int or None
        The one that was asked for by the place's parameter; None if nobody asked.
    what : str
        What they are, in the singular: ``scan``, ``frame``, ``entry``.
    place : Place
        Where they are.
    reading : Reading
        Notes which one was taken, of how many.
    first : int
        How the parameter counts: from 0 or from 1.

    Raises
    ------
    QuestionError
        There are several, and nobody said which.
    ReadingError
        There is none, or not the one that was asked for.
    """
    if count < 1:
        raise ReadingError(place, f"no {what}", f"at least one {what}")
    numbers = range(first, first + count)
    if wanted is None:
        if count > 1:
            raise QuestionError(place, several(count, what), [str(n) for n in numbers])
        return 0
    if wanted not in numbers:
        expected = f"{place.parameter} from {numbers[0]} to {numbers[-1]}"
        raise ReadingError(
            place, f"{several(count, what)}, but none with the number {wanted}", expected
        )
    if count > 1:
        reading.took(f"{what} {wanted} of {count}, counted from {first}", place.parameter)
        reading.left_out(f"the other {several(count - 1, what)}", place.parameter)
    return wanted - first


def plausible(
    value: object, least: float, most: float, unit: str, what: str, place: Place, hint: str = ""
) -> float:
    """Return a number that lies where such numbers lie.

    Parameters
    ----------
    value : object
        The number, in `unit`, as a file holds it or a person typed it.
    least, most : float
        The range of what is possible.
    what : str
        What it is, such as ``photon energy``.
    place : Place
        Where it was found.
    hint : str
        What is probably wrong, a whole sentence.

    Raises
    ------
    ReadingError
        It lies outside, or isn't a finite number.
    """
    expected = f"{least:g} to {most:g} {unit}".strip()
    if not isinstance(value, Real):
        raise ReadingError(place, f"{what} {value!r}", f"a number, {expected}", hint)
    one = float(value)
    if not (math.isfinite(one) and least <= one <= most):
        raise ReadingError(place, f"{what} {one:g} {unit}".strip(), expected, hint)
    return one


def fraction(value: object, unit: object, what: str, place: Place, reading: Reading) -> float:
    """Return a part of one, such as a transmission, above 0 and at most 1.

    Without a unit a number up to 1 is taken as it is, which is noted; a larger one may be meant in
    per cent, and is asked for.

    Raises
    ------
    QuestionError, ReadingError
        Above 1 without a unit; not in the range; no number.
    """
    if text_of(unit):
        part = quantity(value, unit, "1", place)
    else:
        part = number(value, place)
        if part > 1:
            raise QuestionError(place, f"{what} {part:g} without a unit", ["'%'", "'1'"])
        reading.assumed(f"{place}: {what} {part:g} is a part of 1, as it has no unit")
    if not 0 < part <= 1:
        raise ReadingError(place, f"{what} {part:g}", "more than 0 and at most 1 (100 %)")
    return part


def named(names: Sequence[str], wanted: object, what: str, place: Place, reading: Reading) -> int:
    """Return the index of the one to take of several with names of their own.

    Parameters
    ----------
    names : sequence of str
        All there are.
    wanted : str, int or None
        The name that was asked for by the place's parameter; None if nobody asked.
    what, place, reading
        As for `chosen`.

    Raises
    ------
    QuestionError, ReadingError
        As `chosen` does.
    """
    if not names:
        raise ReadingError(place, f"no {what}", f"at least one {what}")
    if wanted is None:
        if len(names) > 1:
            raise QuestionError(place, several(len(names), what), [repr(name) for name in names])
        return 0
    if str(wanted) not in names:
        expected = f"{place.parameter} = {any_of([repr(name) for name in names])}"
        raise ReadingError(place, f"no {what} {wanted}", expected)
    if len(names) > 1:
        reading.took(f"{what} {wanted}, one of {len(names)}", place.parameter)
        reading.left_out(f"the other {several(len(names) - 1, what)}", place.parameter)
    return list(names).index(str(wanted))
