"""Maps and spectra of one's own: what they are is said, asked for, or refused."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from grid import place_pixels
from Orange.data import Domain, Table
from orangecontrib.spectroscopy.data import getx

from workbench.readings import Place, QuestionError, Reading, ReadingError, plausible, refusing

QUANTITIES = ("absorbance", "transmittance", "% transmittance")
WAVENUMBERS_CM1 = (100, 15000)
MOST_ABSORBANCE = 8.0  # more than any detector sees
MARK = 100.0  # beyond which a number stands for something else
FAINT = 0.02  # of the light: less through the clearest part of most spectra is another unit


@dataclass(frozen=True)
class Map:
    """A map in Orange's form, with its shape.

    Parameters
    ----------
    table : Table
        A row a pixel, a column a wavenumber; ``map_x`` and ``map_y`` beside them.
    shape : tuple of int
        Rows and columns of pixels.
    row, column : (pixels,) int64
        Where each spectrum belongs.
    step : float or None
        How far apart columns are in the file's own unit; None where it only counts them.
    """

    table: Table
    shape: tuple[int, int]
    row: np.ndarray
    column: np.ndarray
    step: float | None = None

    def image(self, values) -> np.ndarray:
        """Return a number a pixel as an image, NaN where there is no spectrum: (rows, columns)."""
        image = np.full(self.shape, np.nan)
        image[self.row, self.column] = np.ravel(values)
        return image

    def pixels(self, image) -> np.ndarray:
        """Return an image as a number a pixel, in the order of the table."""
        return np.asarray(image)[self.row, self.column]


def read_map(path: str | Path, reading: Reading, quantity: str | None = None) -> Map:
    """Return the map of a file that Quasar reads, such as ``.hdr`` of ENVI, ``.map``, ``.dmt``.

    Parameters
    ----------
    path : path
    reading : Reading
        Notes what was taken, assumed and left out.
    quantity : str, optional
        What the numbers are, one of `QUANTITIES`; None: absorbance, if that is possible.

    Raises
    ------
    ReadingError, QuestionError
        It isn't a map in wavenumbers, its pixels lie on no grid, or its numbers can't be absorbances.
    """
    place = Place(path, "", "MAP")
    table = read_table(path, place)
    if not {"map_x", "map_y"} <= {meta.name for meta in table.domain.metas}:
        raise ReadingError(
            place, f"{len(table)} spectra without positions", "a map, with map_x and map_y"
        )
    x = wavenumbers(table, place)
    reading.took(
        f"{place}: {len(table)} spectra of {x.size} points from {x.min():g} to {x.max():g} cm⁻¹"
    )
    table = in_absorbance(table, quantity, Place(path, "", "QUANTITY"), reading)
    good = np.isfinite(table.X).all(axis=1) & (np.ptp(np.nan_to_num(table.X), axis=1) > 0)
    marked = good & (abs(np.nan_to_num(table.X)).max(axis=1) > MARK)
    if marked.any():
        reading.left_out(
            f"{marked.sum()} of {len(good)} spectra, with numbers beyond {MARK:g}: marks, and no absorbances"
        )
    unmeasured, good = ~good, good & ~marked
    if not good.any():
        raise ReadingError(place, "no spectrum with finite, different numbers", "at least one")
    x, y = (np.asarray(table.get_column(name), float) for name in ("map_x", "map_y"))
    if not np.isfinite([x, y]).all():
        raise ReadingError(
            place, "positions that are not finite", "map_x and map_y of every spectrum"
        )
    down, across = place_pixels(x, y, place, reading)
    if unmeasured.any():
        reading.left_out(
            f"{unmeasured.sum()} of {len(good)} spectra: not a number, or one number throughout"
        )
    step = across.step
    if step and down.step and abs(down.step / step - 1) > 0.05:
        reading.left_out(
            f"rows are {down.step:g} apart and columns {step:g}: maps are drawn with square pixels"
        )
    if step is not None and abs(step - 1) < 1e-9 and across.jitter < 1e-9:
        step = None  # it only counts them
    return Map(
        table[good],
        (down.count, across.count),
        down.index[good],
        across.index[good],
        step,
    )


def pixel_size(section: Map, given: float | None, reading: Reading) -> float | None:
    """Return how far a map's columns are apart in micrometres, None where nobody knows."""
    if given is not None:
        given = plausible(given, 1e-3, 1e5, "µm", "a distance of columns of", Place("PIXEL_UM"))
        if section.step and abs(section.step / given - 1) > 0.05:
            reading.assumed(
                f"columns are {given:g} µm apart, though the file has {section.step:g}", "PIXEL_UM"
            )
        return given
    if section.step:
        reading.assumed(
            f"columns are {section.step:g} µm apart, as the file's positions are in micrometres",
            "PIXEL_UM",
        )
    else:
        reading.left_out("the pixels' size: the file only counts them", "PIXEL_UM")
    return section.step


def read_table(path: str | Path, place: Place) -> Table:
    """Return a file's spectra in Orange's form."""
    with refusing(place, "spectra in a format that Quasar reads"):
        table = Table(str(path))
    if not len(table) or not len(table.domain.attributes):
        raise ReadingError(place, "no spectra", "at least one")
    return table


def wavenumbers(table: Table, place: Place) -> np.ndarray:
    """Return a table's wavenumbers, and refuse what are none.

    Raises
    ------
    ReadingError
        Positions of pixels, wavelengths, or the same point twice.
    """
    with refusing(place, "numbers as the names of columns"):
        x = np.asarray(getx(table), float)
    named = unit_of_header(Path(place.file))
    if named and not re.search(r"cm\s*\^?\s*-?\s*1|wavenumber|1/cm|unknown", named, re.IGNORECASE):
        raise ReadingError(
            place,
            f"wavelength units = {named}",
            "wavenumbers in cm-1",
            "Convert them, 10 000 over micrometres.",
        )
    if x.size > 1 and (
        np.array_equal(x, np.arange(x.size)) or np.array_equal(x, np.arange(1, x.size + 1))
    ):
        raise ReadingError(
            place, f"points counted to {x.size} and no wavenumbers", "wavenumbers in cm-1"
        )
    low, high = WAVENUMBERS_CM1
    if not np.isfinite(x).all() or x.min() < low or x.max() > high:
        hint = "They may be wavelengths in µm." if x.max() < low else ""
        raise ReadingError(
            place,
            f"an axis from {x.min():g} to {x.max():g}",
            f"wavenumbers from {low} to {high} cm⁻¹",
            hint,
        )
    if len(np.unique(x)) < x.size:
        raise ReadingError(place, "the same wavenumber twice", "each once")
    return x


def unit_of_header(path: Path) -> str:
    """Return the unit of the wavelengths that an ENVI header names, empty if none."""
    if path.suffix.lower() != ".hdr":
        return ""
    match = re.search(
        r"^\s*wavelength units\s*=\s*(.*)$",
        path.read_text(errors="replace"),
        re.MULTILINE | re.IGNORECASE,
    )
    return match[1].strip() if match else ""


def in_absorbance(table: Table, quantity: str | None, place: Place, reading: Reading) -> Table:
    """Return spectra as absorbances.

    Raises
    ------
    QuestionError
        They can't be absorbances, or may be transmittances, and nobody said what they are.
    """
    if quantity is None:
        if why := doubt(table.X):
            raise QuestionError(
                place, why, [repr(one) for one in QUANTITIES], "what the numbers are"
            )
        reading.assumed("numbers are absorbances", place.parameter)
        return table
    if quantity not in QUANTITIES:
        raise ReadingError(
            place, f"{place.parameter} = {quantity!r}", " or ".join(map(repr, QUANTITIES))
        )
    if quantity == "absorbance":
        if (highest := middle(table.X.max(axis=1))) > MOST_ABSORBANCE:
            raise ReadingError(
                place, f"absorbances of {highest:.3g}", f"at most {MOST_ABSORBANCE:g}"
            )
        return table
    part = table.X / (100 if quantity.startswith("%") else 1)
    if not FAINT <= middle(part.max(axis=1)) <= 2:
        raise ReadingError(
            place, f"{quantity} up to {middle(table.X.max(axis=1)):.3g}", "0 to 1, or 0 to 100 %"
        )
    reading.took(f"{quantity}, turned into absorbances", place.parameter)
    with np.errstate(divide="ignore", invalid="ignore"):
        return with_values(table, np.where(part > 0, -np.log10(part), np.nan))


def doubt(values: np.ndarray) -> str:
    """Return why numbers may be no absorbances, empty if nothing speaks for it.

    Bands stand up from the baseline of an absorbance, and hang down from that of a transmittance.
    """
    highest, lowest = (middle(edge(values, axis=1)) for edge in (np.nanmax, np.nanmin))
    if highest > MOST_ABSORBANCE:
        return f"numbers up to {highest:.3g}, which no absorbance reaches"
    typical = np.nanmedian(values, axis=1)
    hang = middle(typical) - lowest > 1.5 * (highest - middle(typical))
    if hang and middle(typical) > 0.3 and lowest >= 0 and highest <= 1.2:
        return f"numbers from {lowest:.2g} to {highest:.2g} whose bands point down, as those of a transmittance do"
    return ""


def middle(values: np.ndarray) -> float:
    """Return the median of what is finite."""
    return float(np.nanmedian(values))


def with_values(table: Table, values: np.ndarray) -> Table:
    """Return a table with other numbers in it."""
    made = table.copy()
    with made.unlocked(made.X):
        made.X = values
    return made


def read_spectra(
    path: str | Path,
    parameter: str,
    target: Table,
    cover: tuple[float, float] | None,
    reading: Reading,
) -> Table:
    """Return measured absorbances at a map's own wavenumbers; NaN where the file has none.

    Parameters
    ----------
    path : path
    parameter : str
        The notebook's parameter that names the file.
    target : Table
        The map.
    cover : tuple of float or None
        From where to where they are needed, cm-1, as far as the map itself goes.
    reading : Reading

    Raises
    ------
    ReadingError
        They don't reach over that range, or can't be absorbances.
    """
    place = Place(path, "", parameter)
    table = read_table(path, place)
    x, at = wavenumbers(table, place), np.asarray(getx(target), float)
    if ((why := doubt(table.X)) and "bands" not in why) or not np.isfinite(table.X).all():
        raise ReadingError(place, why or "numbers that are not finite", "absorbances")
    order = np.argsort(x)
    spacing = np.median(np.diff(x[order])) if x.size > 1 else 0.0
    inside = (at >= x.min() - spacing / 2) & (at <= x.max() + spacing / 2)
    if cover is not None:
        needed = (at >= cover[0]) & (at <= cover[1])
        if (needed & ~inside).any():
            raise ReadingError(
                place,
                f"points from {x.min():g} to {x.max():g} cm⁻¹",
                f"{at[needed].min():g} to {at[needed].max():g}, as far as they are needed",
            )
    values = np.where(
        inside, [np.interp(at, x[order], spectrum[order]) for spectrum in table.X], np.nan
    )
    reading.took(
        f"{place}: {len(table)} spectra from {x.min():g} to {x.max():g} cm⁻¹, at the map's own points",
        parameter,
    )
    return Table.from_numpy(Domain(target.domain.attributes), np.atleast_2d(values))
