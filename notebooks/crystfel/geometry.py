"""Where pixels are, as a geometry file of CrystFEL tells it; and frames, read and drawn by it.

Only what is needed to look at frames: see crystfel_geometry(5) for the whole language. Detectors are
read whose panels lie in one two-dimensional array a frame, as nearly all converters write them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - reads frames compressed as Eiger detectors do
import numpy as np

from told import ToldError

NUMBER = r"[-+]?[\d.]+(?:e[-+]?\d+)?"
FLAGS: dict[str, Callable[[Any, Any], Any]] = {"lessthan": np.less, "morethan": np.greater, "equal": np.equal}


class GeometryError(ToldError):
    """A geometry file says something that these notebooks can't use; the text is for a person."""


@dataclass(frozen=True)
class Panel:
    """A flat part of the detector.

    Parameters
    ----------
    rows, columns : slice
        Where it lies in the array: slow and fast scan.
    corner, fast, slow : (2,) float64
        Of its first pixel's corner from the beam, and of a step along fast and slow scan, in the
        laboratory's x and y; pixels.
    """

    rows: slice
    columns: slice
    corner: np.ndarray
    fast: np.ndarray
    slow: np.ndarray


@dataclass(frozen=True)
class Mask:
    """Where it is written which pixels are bad: any of the bad bits set, or a good one not set."""

    dataset: str
    file: Path | None = None
    good: int = 0
    bad: int = 1


@dataclass(frozen=True)
class Geometry:
    """A detector.

    Parameters
    ----------
    panels : list of Panel
    dataset : str
        Where a file holds the frames.
    dims : list of str
        What each of the dataset's dimensions is: ``%`` the frame, ``ss``, ``fs``, or a fixed number.
    masks : list of Mask
    flags : list of (str, float)
        Which values of pixels say that they are bad, such as ("morethan", 65534).
    regions : list of dict
        Rectangles of bad pixels, of the array or of the laboratory.
    """

    panels: list[Panel]
    dataset: str
    dims: list[str]
    masks: list[Mask] = field(default_factory=list)
    flags: list[tuple[str, float]] = field(default_factory=list)
    regions: list[dict[str, str]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a frame: (ny, nx)."""
        return max(p.rows.stop for p in self.panels), max(p.columns.stop for p in self.panels)

    @cached_property
    def corners(self) -> np.ndarray:
        """Where pixels' first corners are from the beam: (2, ny, nx) float32, x and y in pixels.

        NaN where no panel is.
        """
        where = np.full((2, *self.shape), np.nan, np.float32)
        for panel in self.panels:
            ss, fs = np.mgrid[: panel.rows.stop - panel.rows.start, : panel.columns.stop - panel.columns.start]
            vectors = (v[:, None, None] for v in (panel.corner, panel.fast, panel.slow))
            corner, fast, slow = vectors
            where[:, panel.rows, panel.columns] = corner + fast * fs + slow * ss
        return where

    @cached_property
    def radius(self) -> np.ndarray:
        """Every pixel's distance from the beam: (ny, nx) int64; far away where no panel is.

        As peakfinder8 counts it, from the pixel's first corner.
        """
        away = np.hypot(*self.corners)
        return np.rint(np.where(np.isnan(away), 2 * np.nanmax(away), away)).astype(int)

    @cached_property
    def outside(self) -> np.ndarray:
        """Which pixels are on no panel, or in a rectangle of bad ones: (ny, nx) bool."""
        bad = np.isnan(self.corners[0])
        ss, fs = np.indices(self.shape)
        x, y = self.corners
        for region in self.regions:
            axes = ((fs, "fs"), (ss, "ss")) if "min_fs" in region else ((x, "x"), (y, "y"))
            inside = [(float(region[f"min_{n}"]) <= a) & (a <= float(region[f"max_{n}"])) for a, n in axes]
            bad |= inside[0] & inside[1]
        return bad

    def read(self, file: Path, number: int | None) -> np.ma.MaskedArray:
        """Return a frame, bad pixels masked: (ny, nx) as stored.

        Raises
        ------
        GeometryError
            The file is not as the geometry says.
        """
        with opened_file(file) as opened:
            counts = self.part(opened, self.dataset, number, file)
            bad = self.outside | ~np.isfinite(counts)
            for mask in self.masks:
                bad |= self.masked(opened, mask, number, file)
        for kind, value in self.flags:
            bad |= FLAGS[kind](counts, value)
        return np.ma.MaskedArray(counts, bad)

    def part(self, opened: h5py.File, name: str, number: int | None, file: Path) -> np.ndarray:
        """Return what a dataset says of one frame: (ny, nx)."""
        if name not in opened:
            raise GeometryError(f"{file} has no {name}, where the geometry file looks for frames or a mask.")
        dataset = opened[name]
        dims = self.dims if dataset.ndim == len(self.dims) else ["ss", "fs"]
        if dataset.ndim != len(dims):
            raise GeometryError(
                f"{name} of {file} has {dataset.ndim} dimensions, and the geometry file tells of {len(self.dims)}."
            )
        index = {"%": number or 0, "ss": slice(self.shape[0]), "fs": slice(self.shape[1])}
        found = dataset[tuple(index[d] if d in index else int(d) for d in dims)]
        found = found.T if dims.index("fs") < dims.index("ss") else found
        if found.shape != self.shape:
            raise GeometryError(f"Frames of {file} have {found.shape} pixels, and the panels cover {self.shape}.")
        return found

    def masked(self, opened: h5py.File, mask: Mask, number: int | None, file: Path) -> np.ndarray:
        """Return which pixels a mask calls bad: (ny, nx) bool."""
        if mask.file is None:
            bits = self.part(opened, mask.dataset, number, file)
        else:
            with opened_file(mask.file) as beside:
                bits = self.part(beside, mask.dataset, number, mask.file)
        bits = bits.astype(np.int64)
        return (bits & mask.bad != 0) | (bits & mask.good != mask.good)


# ---------------------------------------------------------------------------- files


def opened_file(path: Path) -> h5py.File:
    """Return an HDF5 file, opened for reading.

    Raises
    ------
    GeometryError
        It is not there, or of another kind.
    """
    try:
        return h5py.File(path)
    except OSError as error:
        raise GeometryError(f"{path} can't be read as an HDF5 file: {error}.") from None


def read_geometry(path: Path) -> Geometry:
    """Return the detector that a geometry file describes.

    Raises
    ------
    GeometryError
        Its panels don't lie in one two-dimensional array a frame.
    """
    panels, regions = sections(path.read_text(encoding="utf-8"))
    layouts = {(s.get("data", "/data/data"), *layout(s)) for s in panels}
    if not panels:
        raise GeometryError(f"{path.name} describes no panel, so it is no geometry file of CrystFEL.")
    if len(layouts) != 1:
        raise GeometryError(
            f"{path.name}: its panels lie in different datasets or along a third dimension. This notebook "
            "can't draw them. CrystFEL's own window and programs can read them."
        )
    dataset, *dims = layouts.pop()
    one = panels[0]
    flags = [(kind, float(one[f"flag_{kind}"])) for kind in FLAGS if f"flag_{kind}" in one]
    return Geometry(
        [panel(s) for s in panels], dataset, dims, list(masks(one, path.parent)), flags, regions
    )


def sections(text: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return what a file says of each panel, and of each bad region.

    A setting without a panel's name counts for the panels that come after it.
    """
    common: dict[str, str] = {}
    panels: dict[str, dict[str, str]] = {}
    bad: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.partition(";")[0].partition("="))
        name, slash, setting = key.partition("/")
        if not equals or key.startswith(("group", "rigid_group")):
            continue
        if not slash:
            common[key] = value
        elif name.startswith("bad"):
            bad.setdefault(name, {})[setting] = value
        else:
            panels.setdefault(name, dict(common))[setting] = value
    return list(panels.values()), list(bad.values())


def layout(settings: dict[str, str]) -> list[str]:
    """Return what a panel's dimensions are."""
    found = [settings[f"dim{i}"] for i in range(6) if f"dim{i}" in settings]
    return found or ["ss", "fs"]


def panel(settings: dict[str, str]) -> Panel:
    """Return a panel from its settings."""
    low_fs, high_fs, low_ss, high_ss = (
        round(float(settings[f"{end}_{axis}"])) for axis in ("fs", "ss") for end in ("min", "max")
    )
    corner = [float(settings[f"corner_{axis}"]) for axis in "xy"]
    fast, slow = (direction(settings.get(axis, plain)) for axis, plain in (("fs", "1x"), ("ss", "1y")))
    return Panel(slice(low_ss, high_ss + 1), slice(low_fs, high_fs + 1), np.array(corner), fast, slow)


def direction(words: str) -> np.ndarray:
    """Return x and y of a vector such as ``-0.9999x +0.0043y``: (2,)."""
    found = dict.fromkeys("xyz", 0.0)
    for sign, number, axis in re.findall(rf"([-+]?)\s*({NUMBER})?\s*([xyz])", words):
        found[axis] += float(f"{sign}{number or 1}" if not (number or "").startswith(("-", "+")) else number)
    return np.array([found["x"], found["y"]])


def masks(settings: dict[str, str], folder: Path) -> Iterator[Mask]:
    """Yield the masks of a panel, in the older words and in the newer ones."""
    for data, file, good, bad in (
        ("mask", "mask_file", "mask_good", "mask_bad"),
        *((f"mask{i}_data", f"mask{i}_file", f"mask{i}_goodbits", f"mask{i}_badbits") for i in range(8)),
    ):
        if settings.get(data):
            beside = folder / settings[file] if settings.get(file) else None
            yield Mask(settings[data], beside, *(int(settings.get(bits, "0"), 0) for bits in (good, bad)))


def shots(frames: Path, geometry: Geometry) -> list[tuple[Path, int | None]]:
    """Return every frame's file and its number in it, None where a file holds one frame.

    Parameters
    ----------
    frames : Path
        An HDF5 file, or a list with one file a line; after a name may follow ``//7``, one frame.
    geometry : Geometry
    """
    text = frames.read_text() if frames.suffix == ".lst" else str(frames)
    found: list[tuple[Path, int | None]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, event = line.partition(" //")
        file = frames.parent / name
        if event.strip():
            found.append((file, int(event)))
        elif "%" not in geometry.dims:
            found.append((file, None))
        else:
            with opened_file(file) as opened:
                if geometry.dataset not in opened:
                    raise GeometryError(f"{file} has no {geometry.dataset}, where the geometry file looks for frames.")
                count = opened[geometry.dataset].shape[geometry.dims.index("%")]
            found += [(file, i) for i in range(count)]
    return found


# ---------------------------------------------------------------------------- pictures


class View:
    """How frames are drawn: a single panel as it is stored, several where they stand.

    Parameters
    ----------
    geometry : Geometry

    Attributes
    ----------
    beam : tuple of float
        Where the beam meets the picture.
    extent : tuple of float
        Of the picture, as `imshow` takes it.
    labels : tuple of str
        Of its axes.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        if len(geometry.panels) == 1:
            panel = geometry.panels[0]
            self.beam = tuple(np.linalg.solve(np.column_stack([panel.fast, panel.slow]), -panel.corner))
            self.extent = (0, geometry.shape[1], 0, geometry.shape[0])
            self.labels = ("fast scan / pixel", "slow scan / pixel")
            return
        self._x, self._y = geometry.corners
        low, high = np.nanmin([self._x, self._y]), np.nanmax([self._x, self._y])
        self._low = int(np.floor(low))
        self._side = int(np.ceil(high)) - self._low + 1
        self.beam = (0.0, 0.0)
        self.extent = (self._low, self._low + self._side) * 2
        self.labels = ("x / pixel", "y / pixel")

    def image(self, frame: np.ma.MaskedArray) -> np.ma.MaskedArray:
        """Return the picture of a frame, masked where nothing was measured."""
        if len(self.geometry.panels) == 1:
            return frame
        there = ~np.isnan(self._x)
        x, y = (np.floor(axis[there]).astype(int) - self._low for axis in (self._x, self._y))
        picture = np.ma.masked_all((self._side, self._side), frame.dtype)
        picture[y, x] = frame[there]
        return picture

    def place(self, fs: np.ndarray, ss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where points of the array lie in the picture, (n,) each."""
        if len(self.geometry.panels) == 1:
            return fs, ss
        ny, nx = self.geometry.shape
        row, column = np.clip(ss.astype(int), 0, ny - 1), np.clip(fs.astype(int), 0, nx - 1)
        return self._x[row, column], self._y[row, column]
