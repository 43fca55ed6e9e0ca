"""Unit cells, as CrystFEL's own files and PDB files tell them."""

import re
from pathlib import Path

import gemmi
import numpy as np
from geometry_file import NUMBER, text_of

from workbench.readings import Place, Reading, ReadingError, plausible

HEAD = "CrystFEL unit cell file version 1.0"
WORDS = ("a", "b", "c", "al", "be", "ga")
UNITS = {"A": 1.0, "nm": 10.0}, {"deg": 1.0, "rad": 180 / np.pi}
EQUAL = {
    "cubic": "abc",
    "rhombohedral": "abc",
    "tetragonal": "ab",
    "hexagonal": "ab",
}  # of unique axis c


def read_cell(path: Path, reading: Reading | None = None) -> np.ndarray:
    """Return a cell file's a, b, c in angstrom and angles in degrees: (6,).

    Parameters
    ----------
    path : Path
    reading : Reading, optional
        Notes what was taken.

    Raises
    ------
    ReadingError
        It doesn't say them all, with their units, or says what no cell is.
    """
    place, text = Place(path, "", "CELL"), text_of(path, "CELL")
    if text.splitlines()[:1] != [HEAD]:
        cell = cell_of_pdb(text, place)
    else:
        found = words_of(text)
        cell = np.array([value(found, word, place) for word in WORDS])
        fits(cell, {word: bits[2] for word, bits in found.items()}, place)
    for number, word in zip(cell, WORDS, strict=True):
        if word in "abc":
            plausible(number, 1, 1e5, "Å", word, place)
        else:
            plausible(
                number, 10, 170, "°", word, place, "Is its unit the other one of deg and rad?"
            )
    if reading is not None:
        told = [f"{number:.5g}" for number in cell]
        reading.took(
            f"{path.name}: a cell of {', '.join(told[:3])} Å and {', '.join(told[3:])}°", "CELL"
        )
    return cell


def words_of(text: str) -> dict[str, list[str]]:
    """Return each line's words by its first: the word, =, a value and a unit, with space between."""
    lines = [line.split() for line in text.splitlines()[1:]]
    return {bits[0]: bits for bits in lines if len(bits) > 2 and not bits[0].startswith(";")}


def value(found: dict[str, list[str]], word: str, place: Place) -> float:
    """Return a length in angstrom, or an angle in degrees."""
    units = UNITS[WORDS.index(word) // 3]
    expected = f"{word} = a number and {' or '.join(units)}, with spaces between"
    if word not in found:
        raise ReadingError(place, f"nothing of {word}", expected)
    _, equals, number, *unit = found[word]
    if equals != "=" or not re.fullmatch(NUMBER, number) or not unit or unit[0] not in units:
        raise ReadingError(place, f"'{' '.join(found[word])}'", expected)
    return float(number) * units[unit[0]]


def fits(cell: np.ndarray, said: dict[str, str], place: Place) -> None:
    """Refuse a cell that its lattice type can't have."""
    lattice, axis = said.get("lattice_type", "triclinic"), said.get("unique_axis", "?")
    if lattice in ("monoclinic", "tetragonal", "hexagonal") and axis not in "abc":
        raise ReadingError(
            place,
            f"a {lattice} lattice without unique_axis",
            "unique_axis = a, b or c",
            "CrystFEL refuses it.",
        )
    equal = EQUAL.get(lattice, "")
    if len(equal) == 2:
        equal = "abc".replace(axis, "")
    lengths = cell[["abc".index(name) for name in equal]]
    if len(lengths) and np.ptp(lengths) > 0.01 * lengths.max():
        raise ReadingError(
            place,
            f"a {lattice} lattice with {', '.join(f'{x:g}' for x in lengths)} Å",
            f"{' = '.join(equal)}",
        )


def cell_of_pdb(text: str, place: Place) -> np.ndarray:
    """Return the cell of a PDB file: what CrystFEL takes every other file for."""
    line = next((line for line in text.splitlines() if line.startswith("CRYST1")), None)
    if line is None:
        raise ReadingError(place, "another first line and no CRYST1", f"'{HEAD}', or a PDB file")
    numbers = [
        *(line[at : at + 9] for at in (6, 15, 24)),
        *(line[at : at + 7] for at in (33, 40, 47)),
    ]
    if not all(re.fullmatch(NUMBER, number.strip()) for number in numbers):
        raise ReadingError(place, f"'{line.strip()}'", "six numbers of a cell after CRYST1")
    return np.array(numbers, dtype=float)


def scaled_cell(text: str, factor: float) -> str:
    """Return the text of a cell file with all three lengths multiplied: a cell that nothing fits."""

    def columns(match: re.Match[str]) -> str:
        lengths = (float(match[2][at : at + 9]) * factor for at in (0, 9, 18))
        return match[1] + "".join(f"{length:9.3f}" for length in lengths)

    text = re.sub(
        rf"^(\s*[abc]\s*=\s*)({NUMBER})",
        lambda m: f"{m[1]}{float(m[2]) * factor:.4f}",
        text,
        flags=re.MULTILINE,
    )
    return re.sub(r"^(CRYST1)(.{27})", columns, text, flags=re.MULTILINE)


def lattice_allows(cell: np.ndarray, space_group: str) -> bool:
    """Return whether a cell may be one of a space group."""
    return gemmi.UnitCell(*cell).is_compatible_with_spacegroup(gemmi.SpaceGroup(space_group), 0.01)
