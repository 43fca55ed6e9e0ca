"""Photon energy and distance as a geometry file gives them: as numbers, or as places in the files of frames.

CrystFEL takes a number without a unit as eV, m, or mm where it stands in a file. A unit that was
meant otherwise moves every spot, so what can't be is refused.
"""

import re
from dataclasses import dataclass

import h5py
import numpy as np
from geometry_file import NUMBER, GeometryFile

from workbench.readings import Place, Reading, ReadingError, hdf5, plausible

PLANCK_EV_M = 1.23984198433e-6
ENERGY_EV = (500.0, 200e3)
VOLTAGE_V = (20e3, 1e6)
DISTANCE_M = (0.01, 30.0)
PIXELS_PER_M = (500.0, 1e6)
UNITS = {
    "photon_energy": {"eV": 1.0, "keV": 1e3, "": 1.0},
    "electron_voltage": {"V": 1.0, "kV": 1e3},
    "wavelength": {"m": 1.0, "A": 1e-10},
    "clen": {"m": 1.0, "mm": 1e-3, "": 1.0},
}


@dataclass(frozen=True)
class Given:
    """A quantity of a geometry file: ``word = value unit``, the value a number or a place in a file."""

    word: str
    value: str
    factor: float
    place: Place

    @property
    def number(self) -> float | None:
        """The number in eV, V or m; None where it stands in the files of frames."""
        return float(self.value) * self.factor if re.fullmatch(NUMBER, self.value) else None

    def numbers(self, opened: h5py.File) -> tuple[np.ndarray, Place]:
        """Return the numbers, and where they were found."""
        if self.number is not None:
            return np.array([self.number]), self.place
        place = hdf5.place_in(opened, self.value, "GEOMETRY")
        dataset = hdf5.dataset(opened, self.value)
        hdf5.numeric(dataset, place)
        return np.atleast_1d(np.asarray(dataset[()], float)) * self.factor, place


def given(found: GeometryFile) -> dict[str, Given]:
    """Return what a geometry file says of beam and distance.

    Raises
    ------
    GeometryError
        A unit that CrystFEL doesn't know, or a number that can't be.
    """
    made = {}
    for word, units in UNITS.items():
        if word in found.whole:
            value, _, unit = found.whole[word].partition(" ")
            if unit not in units:
                named = f"'{unit}' as a unit" if unit else "no unit"
                found.refuse(
                    word, named, " or ".join(filter(None, units)), "CrystFEL knows no other."
                )
            in_file = not re.fullmatch(NUMBER, value)
            factor = 1e-3 if word == "clen" and not unit and in_file else units[unit]
            made[word] = Given(word, value, factor, Place(found.path, word, "GEOMETRY"))
            if not in_file and word != "clen":
                possible(made[word], np.array([made[word].number]), made[word].place)
    for name, said in found.panels.items():
        if "res" in said.words:
            density = found.number(f"panel {name}", "res", said.words["res"])
            place = Place(found.path, f"panel {name}", "GEOMETRY")
            plausible(
                density,
                *PIXELS_PER_M,
                "px/m",
                "res",
                place,
                "It is one over the size of a pixel in metres.",
            )
    return made


def possible(one: Given, numbers: np.ndarray, place: Place) -> None:
    """Refuse photon energies that no diffraction is measured with."""
    for number in (numbers.min(), numbers.max()):
        if one.word == "electron_voltage":
            plausible(number, *VOLTAGE_V, "V", one.word, place, "Look at its unit.")
        elif one.word == "wavelength":
            plausible(
                number and PLANCK_EV_M / number,
                *ENERGY_EV,
                "eV",
                "a photon energy, from the wavelength, of",
                place,
                "Look at its unit.",
            )
        else:
            plausible(
                number,
                *ENERGY_EV,
                "eV",
                one.word,
                place,
                "Look at its unit; without one it is in eV.",
            )


def examine(
    some: dict[str, Given], offsets_m: np.ndarray, opened: h5py.File, reading: Reading
) -> None:
    """Look at beam and distance as a file of frames gives them.

    Parameters
    ----------
    some : dict of str to Given
        See `given`.
    offsets_m : (panels,)
        What is added to the distance, ``coffset``.
    opened : h5py.File
    reading : Reading

    Raises
    ------
    ReadingError
        They are not there, or can't be.
    """
    for word, one in some.items():
        numbers, place = one.numbers(opened)
        finite = numbers[np.isfinite(numbers)]
        if not finite.size:
            raise ReadingError(place, f"no finite {word}", "one for all frames or for each")
        if finite.size < numbers.size:
            reading.left_out(
                f"{place}: {numbers.size - finite.size} of {numbers.size} frames have no finite {word}"
            )
        if word == "clen":
            for distance in (finite.min() + offsets_m.min(), finite.max() + offsets_m.max()):
                plausible(
                    distance,
                    *DISTANCE_M,
                    "m",
                    "clen with coffset",
                    place,
                    "Look at its unit; without one it is m, or mm where it stands in a file.",
                )
            reading.took(f"distance {spread(1e3 * (finite + offsets_m.mean()))} mm")
        else:
            possible(one, finite, place)
            shown = {"wavelength": (1e10, "Å"), "electron_voltage": (1e-3, "kV")}.get(
                word, (1e-3, "keV")
            )
            reading.took(f"{word.replace('_', ' ')} {spread(shown[0] * finite)} {shown[1]}")


def spread(numbers: np.ndarray) -> str:
    """Return one number, or from where to where they go."""
    low, high = numbers.min(), numbers.max()
    return f"{low:.5g}" if high - low <= 1e-5 * abs(high) else f"{low:.5g} to {high:.5g}"
