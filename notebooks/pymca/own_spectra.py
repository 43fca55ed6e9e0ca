"""One spectrum of your own: which of the file's, from which channel on, and whether it is whole."""

import tempfile
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fluorescence import lines
from PyMca5.PyMcaIO import specfilewrapper

from workbench.readings import (
    Place,
    QuestionError,
    Reading,
    ReadingError,
    chosen,
    named,
    plausible,
    refusing,
)
from workbench.readings.arrays import invalid

EXPECTED = "spectra in a format that PyMca reads"
PARTS = ("fit", "detector", "peaks", "attenuators", "materials", "concentrations")


@dataclass(frozen=True)
class Spectrum:
    """A spectrum as its file has it.

    Parameters
    ----------
    channels : (n,) float64
        Their numbers: a file needn't begin with channel 0.
    counts : (n,) float64
    calibration : (float, float), optional
        Zero and gain, keV, that the file states.
    """

    channels: np.ndarray
    counts: np.ndarray
    calibration: tuple[float, float] | None = None


@contextmanager
def with_plain_line_ends(path: Path) -> Iterator[Path]:
    """Yield a file as the readers expect one: a copy, where Windows or a Mac wrote it.

    PyMca's reader of SPEC files takes the first line of a spectrum for all of it otherwise, and with
    a byte order mark each line for a spectrum.
    """
    data = path.read_bytes()
    plain = data.removeprefix(BOM_UTF8)
    if plain == data and b"\r" not in data:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(plain.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        yield copy


def read_spectrum(
    path: str | Path,
    reading: Reading,
    *,
    scan: object = None,
    mca: int | None = None,
    first_channel: int | None = None,
) -> Spectrum:
    """Return a spectrum with its channels.

    Parameters
    ----------
    path : str or Path
    reading : Reading
    scan : int or str, optional
        The scan's number, as ``#S`` says it; asked for where several have spectra.
    mca : int, optional
        Which of its spectra, counted from 1; asked for where there are several.
    first_channel : int, optional
        The first channel's number, in place of what the file says.

    Raises
    ------
    ReadingError
        It can't be read, is cut off, or holds numbers that aren't counts.
    """
    path = Path(path)
    place = Place(path, "", "SPECTRUM")
    if first_channel is not None and not isinstance(first_channel, int):
        raise ReadingError(
            place.at("", "FIRST_CHANNEL"), f"FIRST_CHANNEL = {first_channel!r}", "a whole number"
        )
    with refusing(place, EXPECTED), with_plain_line_ends(path) as readable:
        file = specfilewrapper.Specfile(str(readable))
        scans = {label: s for label, s in labelled(file).items() if spectra_in(s)}
        if not scans:
            raise ReadingError(place, f"{len(file)} scans without a spectrum", EXPECTED)
        label = list(scans)[named(list(scans), scan, "scan", place.at("", "SCAN"), reading)]
        where = place.at(f"scan {label}" if len(scans) > 1 else "", "MCA")
        found = scans[label]
        columns = [np.array(found.mca(i + 1), float) for i in range(spectra_in(found))]
        axis, spectra = without_axis(columns, where, reading)
        index = chosen(len(spectra), mca, "spectrum", where, reading, first=1)
        lines_of = [] if first_channel is not None else header(found, "@CHANN")
        stated = channels_of(lines_of, index, spectra[index].size, where)
        calibration = calibration_of(header(found, "@CALIB"))
    counts = counted(spectra[index], where)
    channels = numbered(
        stated if axis is None else axis, counts.size, first_channel, where, reading
    )
    reading.took(
        f"{path.name}: {counts.sum():,.0f} counts in {counts.size} channels, "
        f"{channels[0]:.0f} to {channels[-1]:.0f}"
    )
    return Spectrum(channels, counts, calibration)


def labelled(file: Any) -> dict[str, Any]:
    """Return the scans by number, with their order where a number occurs twice."""
    scans = [file[i] for i in range(len(file))]
    numbers = [scan.number() for scan in scans]
    return {
        f"{n}" if numbers.count(n) == 1 else f"{n}.{scan.order()}": scan
        for n, scan in zip(numbers, scans, strict=True)
    }


def spectra_in(scan: Any) -> int:
    """Return how many spectra a scan has."""
    return int(scan.nbmca())


def header(scan: Any, key: str) -> list[str]:
    """Return the lines of a scan's header with this key, without it; empty where there is none."""
    try:
        lines = scan.header(key)
    except Exception:  # noqa: BLE001 - some of PyMca's readers know no keys
        return []
    return [line.partition(key)[2].strip() for line in lines or [] if key in line]


def without_axis(
    columns: list[np.ndarray], place: Place, reading: Reading
) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Return the column that numbers the channels, if there is one, and those with counts.

    A text file may hold channel or energy beside the counts; a reader sees columns.
    """
    ramps = [i for i, column in enumerate(columns) if is_ramp(column)]
    if not ramps:
        return None, columns
    if len(ramps) == len(columns):
        raise ReadingError(place, "columns that only count up or down", EXPECTED)
    if columns[ramps[0]][1] < columns[ramps[0]][0]:
        reading.took(f"{place}: lines from the last to the first, as a column falls")
        columns = [column[::-1] for column in columns]
    spectra = [column for i, column in enumerate(columns) if i not in ramps]
    whole = [columns[i] for i in ramps if (columns[i] == np.round(columns[i])).all()]
    if whole:
        reading.took(f"{place}: a column that numbers the channels from {whole[0][0]:.0f}")
        return whole[0], spectra
    first = columns[ramps[0]]
    reading.left_out(
        f"{place}: a column that rises evenly from {first[0]:g} to {first[-1]:g}, an energy perhaps"
    )
    return None, spectra


def is_ramp(column: np.ndarray) -> bool:
    """Return whether a column rises or falls by the same step all along."""
    steps = np.diff(column)
    return column.size > 8 and steps[0] != 0 and bool(np.allclose(steps, steps[0], rtol=1e-3))


def channels_of(lines: list[str], index: int, size: int, place: Place) -> np.ndarray | None:
    """Return the channels that ``#@CHANN count first last step`` states, None where nothing does.

    Several lines are of several detectors, in the order in which these are written at each point.
    """
    if not lines:
        return None
    line = lines[0] if len(set(lines)) == 1 else lines[index % len(lines)]
    numbers = [int(float(word)) for word in line.split()[:4]]
    if len(numbers) < 3:
        raise ReadingError(place, f"'#@CHANN {line}'", "count, first and last channel, and step")
    count, first, last = numbers[:3]
    step = numbers[3] if len(numbers) > 3 and numbers[3] > 0 else 1
    if count != size:
        raise ReadingError(
            place, f"{size} numbers", f"{count}, as its #@CHANN line says",
            "The file is cut off, or was changed by an editor.",
        )  # fmt: skip
    if first + (count - 1) * step != last:
        raise ReadingError(
            place, f"'#@CHANN {line}'", "count, first, last and step that agree with each other",
            "Correct the line, or say with FIRST_CHANNEL where the spectrum begins.",
        )  # fmt: skip
    return first + step * np.arange(count, dtype=float)


def calibration_of(lines: list[str]) -> tuple[float, float] | None:
    """Return zero and gain, keV, of ``#@CALIB zero gain square``."""
    try:
        zero, gain = (float(word) for word in lines[0].split()[:2])
    except (IndexError, ValueError):
        return None
    return (zero, gain) if gain > 0 else None


def counted(counts: np.ndarray, place: Place) -> np.ndarray:
    """Return counts, if they are some."""
    wrong = {why: pixels.sum() for why, pixels in invalid(counts).items()}
    if wrong:
        found = ", ".join(f"{n} channels with: {why}" for why, n in wrong.items())
        raise ReadingError(place, found, "counts in every channel")
    if counts.size < 16 or counts.sum() < 100:
        found = f"{counts.sum():,.0f} counts in {counts.size} channels"
        raise ReadingError(place, found, "a spectrum")
    return counts


def numbered(
    stated: np.ndarray | None, size: int, first: int | None, place: Place, reading: Reading
) -> np.ndarray:
    """Return the channels' numbers, as the parameter or the file says them, or from 0."""
    if first is not None:
        reading.took(f"the first channel is {first}, as FIRST_CHANNEL says")
        return first + np.arange(size, dtype=float)
    if stated is not None:
        return stated
    reading.assumed(f"{place}: the first channel is 0, as nothing says otherwise", "FIRST_CHANNEL")
    return np.arange(size, dtype=float)


def read_configuration(path: str | Path | None, read: Any, reading: Reading, of: Place) -> dict:
    """Return a fit configuration that PyMca saved.

    Parameters
    ----------
    path : str, Path or None
        None if nobody named one.
    read : callable
        Reads it.
    reading : Reading
    of : Place
        The spectra that it shall be of.

    Raises
    ------
    QuestionError
        Nobody named one: a file of spectra says neither which elements nor which beam.
    ReadingError
        It is none, or lacks a part.
    """
    if path is None:
        raise QuestionError(
            of.at("", "CONFIGURATION"),
            "spectra, and nothing that says of which elements, beam and detector",
            ["'/path/to/your.cfg'"],
            "the fit configuration that you saved in PyMca's window, after it fitted them",
        )
    place = Place(path, "", "CONFIGURATION")
    with refusing(place, "a fit configuration that PyMca saved (.cfg)"):
        Path(path).read_bytes()
        configuration = read(Path(path))
    missing = [part for part in PARTS if part not in configuration]
    if missing:
        expected = f"the parts {', '.join(PARTS)}"
        raise ReadingError(
            place, f"no part {', '.join(missing)}", expected, "Save it in PyMca's fit window."
        )
    with refusing(place, "an energy, a detector with zero and gain, and a sample"):
        energy = plausible(beam_kev(configuration), 1, 500, "keV", "the beam's energy", place)
        plausible(configuration["detector"]["gain"], 1e-4, 1, "keV per channel", "a gain of", place)
        sample = configuration["attenuators"]["Matrix"]
    if not int(float(sample[0])):
        raise ReadingError(
            place, "no sample: 'Matrix' is switched off among the attenuators", "the sample's matrix",
            "Mass fractions need it. Switch it on in PyMca's fit window.",
        )  # fmt: skip
    reading.took(
        f"{place}: a beam of {energy:g} keV, {len(configuration['peaks'])} elements, the matrix {sample[1]}"
    )
    return configuration


def fits(configuration: Mapping, spectrum: Spectrum, place: Place) -> None:
    """Raise a `ReadingError` where the fit's range isn't within the spectrum."""
    fit = configuration["fit"]
    if not fit.get("use_limit"):
        return
    low, high = spectrum.channels[0], spectrum.channels[-1]
    if fit["xmin"] < low or fit["xmax"] > high:
        raise ReadingError(
            place, f"a fit from channel {fit['xmin']} to {fit['xmax']}",
            f"a range within the spectrum, {low:.0f} to {high:.0f}",
            "Is the configuration of this detector, and does FIRST_CHANNEL count from where it begins?",
        )  # fmt: skip


def has_groups(groups: Mapping[str, str], configuration: Mapping, place: Place) -> None:
    """Raise a `ReadingError` where something is to be quantified that the fit doesn't have."""
    fitted = [
        f"{e} {s}" for e, shells in configuration["peaks"].items() for s in np.atleast_1d(shells)
    ]
    missing = [group for group in groups.values() if group not in fitted]
    if missing:
        raise ReadingError(
            place,
            f"no line group {', '.join(missing)}",
            ", ".join(fitted),
            "Change QUANTIFY at the top.",
        )


def beam_kev(configuration: Mapping) -> float:
    """Return the energy of a configuration's beam, keV."""
    return float(np.atleast_1d(configuration["fit"]["energy"])[0])


def has_counts(counts: np.ndarray, near: float, place: Place) -> None:
    """Raise a `ReadingError` where a spectrum has nothing at the place of a peak."""
    if counts.size == 0 or counts.sum() <= 0:
        raise ReadingError(
            place, f"no counts near channel {near:.0f}", "a Kα peak of each element of CALIBRATION",
            "Are zero and gain of the configuration those of this detector?",
        )  # fmt: skip


def has_k_lines(elements: Sequence[str], energy_kev: float, place: Place) -> None:
    """Raise a `ReadingError` where an element has no K lines that the beam excites."""
    for element in elements:
        with refusing(place, "the symbols of three elements"):
            family = lines(f"{element} K", energy_kev)
        if not family:
            raise ReadingError(
                place, f"{element}, whose K shell {energy_kev:g} keV don't excite", "others"
            )
