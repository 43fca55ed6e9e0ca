"""Units as files write them: missing, misspelt, in arrays, and what they are worth.

A unit that is missing is asked for and never guessed. The table is short on purpose: ``A`` is an
ångström here, as in every file of a beamline, and no ampere.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .refusals import Place, QuestionError, ReadingError, any_of

KINDS: Mapping[str, Mapping[str, float]] = {
    "length": {"km": 1e3, "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
    | {"angstrom": 1e-10, "pm": 1e-12},
    "angle": {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "deg": math.pi / 180}
    | {"arcmin": math.pi / 10800, "arcsec": math.pi / 648000, "rev": 2 * math.pi},
    "energy": {
        "eV": 1.0,
        "keV": 1e3,
        "MeV": 1e6,
        "GeV": 1e9,
        "meV": 1e-3,
        "J": 6.241509074e18,
    },
    "time": {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "fraction": {"1": 1.0, "%": 1e-2, "ppm": 1e-6},
    "temperature": {"K": 1.0, "degC": 1.0},
    "rate": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6},
    "reciprocal length": {"1/angstrom": 1e10, "1/nm": 1e9, "1/um": 1e6, "1/mm": 1e3}
    | {"1/cm": 1e2, "1/m": 1.0},
    "areal density": {"g/cm2": 1.0, "mg/cm2": 1e-3, "ug/cm2": 1e-6, "ng/cm2": 1e-9, "ng/mm2": 1e-7},
}
"""What can be converted into each other: each unit in that of its kind whose factor is 1."""

SPELLINGS: Mapping[str, Iterable[str]] = {
    "m": ("meter", "metre", "meters", "metres"),
    "cm": ("centimeter", "centimetre", "centimeters", "centimetres"),
    "mm": ("millimeter", "millimetre", "millimeters", "millimetres"),
    "um": ("micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres", "mum"),
    "nm": ("nanometer", "nanometre", "nanometers", "nanometres"),
    "angstrom": ("A", "Å", "angstroms", "ångström", "ångstrom", "angstroem", "ang", "angs"),
    "rad": ("radian", "radians", "rads"),
    "urad": ("microradian", "microradians"),
    "mrad": ("milliradian", "milliradians", "mrads"),
    "deg": ("degree", "degrees", "°", "degs"),
    "rev": ("revolution", "revolutions", "turn", "turns", "cycle", "cycles"),
    "arcmin": ("arcminute", "arcminutes"),
    "arcsec": ("arcsecond", "arcseconds"),
    "eV": ("electronvolt", "electronvolts", "electron volt", "ev"),
    "keV": ("kev", "KeV", "KEV", "kiloelectronvolt", "kiloelectronvolts"),
    "J": ("joule", "joules"),
    "s": ("sec", "secs", "second", "seconds"),
    "ms": ("msec", "millisecond", "milliseconds"),
    "us": ("usec", "microsecond", "microseconds"),
    "ns": ("nsec", "nanosecond", "nanoseconds"),
    "min": ("minute", "minutes", "mins"),
    "h": ("hour", "hours", "hr", "hrs"),
    "1": ("dimensionless", "unitless", "none", "fraction", "ratio", "a.u.", "au", "arb. units"),
    "%": ("percent", "per cent", "percents", "pct", "prozent"),
    "K": ("kelvin", "kelvins"),
    "degC": ("C", "°C", "celsius", "degree celsius", "degrees celsius", "deg C"),
    "Hz": ("hertz", "1/s", "s-1", "counts/s", "cps", "photons/s", "ph/s"),
    "1/angstrom": ("A-1", "Å-1", "angstrom-1", "1/A", "1/Å", "invang"),
    "1/nm": ("nm-1",),
    "1/um": ("um-1",),
    "1/mm": ("mm-1",),
    "1/cm": ("cm-1",),
    "1/m": ("m-1",),
    "ug/cm2": ("ug/cm**2", "microgram/cm2"),
}
OFFSETS = {"degC": 273.15}
KIND_OF = {unit: kind for kind, units in KINDS.items() for unit in units}
EXACT = {unit: unit for unit in KIND_OF} | {w: u for u, words in SPELLINGS.items() for w in words}
PLANCK_EV_M = 1.23984198433e-6
"""Planck constant times speed of light: photon energy times wavelength."""


def folded() -> dict[str, str]:
    """Return spellings in small letters, without those that capitals tell apart (meV, MeV)."""
    found: dict[str, set[str]] = {}
    for word, unit in EXACT.items():
        found.setdefault(word.lower(), set()).add(unit)
    return {word: units.pop() for word, units in found.items() if len(units) == 1}


FOLDED = folded()


@dataclass(frozen=True)
class Conversion:
    """From a file's unit to the one that is wanted; call it with a number or an array."""

    unit: str
    wanted: str
    factor: float
    offset: float = 0.0

    def __call__(self, value: Any) -> Any:
        """Return the value in the unit that is wanted."""
        return value * self.factor + self.offset


def name_of(unit: object) -> str | None:
    """Return the table's name of a unit; None of one that it hasn't, empty where none is said."""
    word = text_of(unit)
    plain = word.replace("µ", "u").replace("μ", "u").replace("⁻¹", "-1").replace("²", "2")
    plain = plain.replace("^", "").strip(" []()")
    if not plain:
        return None if word else ""
    spellings = (plain, plain.strip("."))
    known = (EXACT.get(w) or FOLDED.get(w.lower()) for w in spellings)
    return next(filter(None, known), None)


def text_of(value: Any) -> str:
    """Return the text of an attribute, which files hold as text, bytes, or an array of one."""
    while hasattr(value, "tolist") or isinstance(value, list | tuple):
        value = value.tolist() if hasattr(value, "tolist") else (value[0] if value else None)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return "" if value is None else str(value).strip().strip("\0")


def conversion(unit: object, wanted: str, place: Place) -> Conversion:
    """Return how to get from the unit that a file writes to the one that is wanted.

    Parameters
    ----------
    unit : object
        As the file holds it: text, bytes, an array of one, None.
    wanted : str
        A unit of `KINDS`.
    place : Place
        Where it was found; its parameter gives the unit where the file doesn't.

    Raises
    ------
    QuestionError
        No unit, or one that nobody knows.
    ReadingError
        A unit of something else.
    """
    kind = KIND_OF[wanted]
    possible = [repr(name) for name in KINDS[kind]]
    found = name_of(unit)
    if found == "":
        raise QuestionError(place, f"a number without a unit where {a(kind)} is meant", possible)
    if found is None:
        word = text_of(unit)
        near = difflib.get_close_matches(word.lower(), FOLDED, 1)
        meant = f"did you mean {FOLDED[near[0]]}?" if near else ""
        raise QuestionError(place, f"the unit '{word}', which is not known", possible, meant)
    if KIND_OF[found] != kind:
        expected = f"{a(kind)} in {any_of(list(KINDS[kind]))}"
        raise ReadingError(place, f"the unit '{text_of(unit)}', of {a(KIND_OF[found])}", expected)
    scale = KINDS[kind]
    offset = OFFSETS.get(found, 0.0) - OFFSETS.get(wanted, 0.0)
    return Conversion(found, wanted, scale[found] / scale[wanted], offset)


def a(kind: str) -> str:
    """Return a kind with its article."""
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def number(value: object, place: Place) -> float:
    """Return the one number of a value, which may be text, an array of one, or of equal ones.

    Raises
    ------
    ReadingError
        No number, several different ones, or none that is finite.
    """
    flat = list(flattened(value))
    if not flat:
        raise ReadingError(place, "nothing", "a number")
    try:
        numbers = [float(text_of(v)) for v in flat]
    except ValueError:
        raise ReadingError(place, f"'{text_of(flat[0])[:60]}'", "a number") from None
    if not all(map(math.isfinite, numbers)):
        raise ReadingError(place, "a number that is not finite (NaN or infinite)", "a number")
    spread = max(numbers) - min(numbers)
    if spread > 1e-6 * max(map(abs, numbers)):
        found = f"{len(numbers)} numbers from {min(numbers):g} to {max(numbers):g}"
        raise ReadingError(place, found, "one number")
    return numbers[0]


def flattened(value: object) -> Iterable[object]:
    """Yield what is in an array or in lists within lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        for part in value:
            yield from flattened(part)
    elif value is not None:
        yield value


def quantity(value: object, unit: object, wanted: str, place: Place) -> float:
    """Return one number in the unit that is wanted; a wavelength becomes a photon energy.

    Parameters
    ----------
    value, unit : object
        As the file holds them.
    wanted : str
        A unit of `KINDS`.
    place : Place
        Where they were found; its parameter gives the unit where the file doesn't.

    Raises
    ------
    QuestionError, ReadingError
        As `conversion` and `number` do.
    """
    one = number(value, place)
    if KIND_OF[wanted] == "energy" and KIND_OF.get(name_of(unit) or "") == "length":
        metres = float(conversion(unit, "m", place)(one))
        if metres <= 0:
            raise ReadingError(place, f"a wavelength of {one:g}", "one above 0")
        return float(conversion("eV", wanted, place)(PLANCK_EV_M / metres))
    return float(conversion(unit, wanted, place)(one))


def quantity_of_text(text: object, wanted: str, place: Place) -> float:
    """Return a number in the unit that is wanted from text such as ``12.4 keV`` or ``81.65%``."""
    word = text_of(text)
    match = re.match(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*)$", word)
    if not match:
        raise ReadingError(place, f"'{word[:60]}'" if word else "nothing", f"a number, in {wanted}")
    return quantity(match[1], match[2], wanted, place)


def table() -> list[tuple[str, str, str]]:
    """Return kind, unit and its other spellings, for the documentation."""
    return [(KIND_OF[u], u, ", ".join(SPELLINGS.get(u, ()))) for u in KIND_OF]
