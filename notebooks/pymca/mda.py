"""Read a fluorescence map from an MDA file, the form that EPICS' saveData writes at the APS.

An MDA file is a tree of scans in XDR (big-endian, all in units of 4 bytes): the outermost scan
holds, for each of its points, the place of an inner scan in the file. For a map these are the rows,
then the pixels, then the channels of the spectra. The format is described with synApps
(https://github.com/epics-modules/sscan, saveData). Only what a map needs is read here: positioners,
detectors and their values, but neither triggers nor the list of other process variables at the end.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Signal:
    """What was recorded along one scan.

    Parameters
    ----------
    name : str
        The process variable.
    description, unit : str
        As the beamline wrote them; often empty.
    values : (points,) float
        One for each point.
    """

    name: str
    description: str
    unit: str
    values: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Scan:
    """One scan: what was moved, what was counted, and the scans at its points.

    Parameters
    ----------
    name, time : str
        The scan record, and when the scan began.
    moved, counted : list of Signal
        Positioners and detectors.
    inner : list of Scan
        One for each point that was reached; empty for the innermost.
    """

    name: str
    time: str
    moved: list[Signal]
    counted: list[Signal]
    inner: list["Scan"] = field(repr=False)


@dataclass(frozen=True)
class Map:
    """A map with a spectrum of every detector in every pixel.

    Parameters
    ----------
    spectra : (rows, columns, detectors, channels) float32
        Counts.
    y, x : Signal
        Where the rows and the columns lie.
    scalars : dict of str to (rows, columns) float64
        What else was counted in every pixel, by process variable.
    time : str
        When the map was begun.
    """

    spectra: np.ndarray = field(repr=False)
    y: Signal
    x: Signal
    scalars: dict[str, np.ndarray] = field(repr=False)
    time: str

    @property
    def pixel_um(self) -> float:
        """Distance of two columns, µm."""
        to_um = {"mm": 1000.0, "um": 1.0, "micron": 1.0, "microns": 1.0}[self.x.unit]
        return float(abs(np.diff(self.x.values)).mean() * to_um)


def read_map(path: Path) -> Map:
    """Return the map that an MDA file holds.

    Raises
    ------
    ValueError
        It isn't an MDA file, or holds no complete map of spectra.
    """
    outer = read(path)
    rows = outer.inner
    if not rows or not all(row.inner and len(row.inner) == len(rows[0].inner) for row in rows):
        raise ValueError(f"{path.name} holds no complete map of spectra")
    spectra = [[[d.values for d in pixel.counted] for pixel in row.inner] for row in rows]
    columns = len(rows[0].inner)
    scalars = {s.name: np.zeros((len(rows), columns)) for s in rows[0].counted}
    for i, row in enumerate(rows):
        for signal in row.counted:
            scalars[signal.name][i] = signal.values[:columns]
    return Map(np.array(spectra, np.float32), outer.moved[0], rows[0].moved[0], scalars, outer.time)


def read(path: Path) -> Scan:
    """Return the outermost scan of an MDA file, all others inside it.

    Raises
    ------
    ValueError
        It isn't an MDA file, or is cut off.
    """
    try:
        data = _Xdr(path.read_bytes())
        version, _, rank = data.numbers(">fii")
        if not 1.2 < version < 2 or not 1 <= rank <= 4:
            raise ValueError
        data.numbers(f">{rank + 2}i")  # dimensions, whether it is regular, where the extra list is
        return _scan(data)
    except (ValueError, struct.error):
        raise ValueError(f"{path.name} is not an MDA file that can be read") from None


class _Xdr:
    """Bytes with a place to read on from."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def numbers(self, form: str) -> tuple:
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self) -> str:
        """Return a string: its length, and where that isn't 0, the length again and the letters."""
        if not self.numbers(">i")[0]:
            return ""
        (length,) = self.numbers(">i")
        begin, self.at = self.at, self.at + (length + 3) // 4 * 4
        return self.data[begin : begin + length].decode("latin-1")

    def array(self, kind: str, rows: int, columns: int) -> np.ndarray:
        found = np.frombuffer(self.data, kind, rows * columns, self.at).reshape(rows, columns)
        self.at += found.nbytes
        return found.astype(kind[1:])


def _scan(data: _Xdr) -> Scan:
    rank, points, done = data.numbers(">iii")
    places = data.numbers(f">{points}i")[:done] if rank > 1 else ()
    name, time = data.text(), data.text()
    n_moved, n_counted, n_triggers = data.numbers(">iii")
    moved = [_moved(data) for _ in range(n_moved)]
    counted = [
        (data.numbers(">i"), data.text(), data.text(), data.text())[1:] for _ in range(n_counted)
    ]
    for _ in range(n_triggers):
        data.numbers(">i")
        data.text()
        data.numbers(">f")
    where, what = data.array(">f8", n_moved, points), data.array(">f4", n_counted, points)
    inner = []
    for place in places:
        data.at = place
        inner.append(_scan(data))
    return Scan(
        name, time,
        [Signal(*words, values[:done]) for words, values in zip(moved, where, strict=True)],
        [Signal(*words, values[:done]) for words, values in zip(counted, what, strict=True)],
        inner,
    )  # fmt: skip


def _moved(data: _Xdr) -> tuple[str, str, str]:
    """Return name, description and unit of a positioner: its readback's, where it has one."""
    data.numbers(">i")
    name, description, _, unit, *readback = (data.text() for _ in range(7))
    return (
        (readback[0], readback[1] or description, readback[2] or unit)
        if readback[0]
        else (name, description, unit)
    )
