"""Where pixels are, as a geometry file of CrystFEL tells it; and frames, read and drawn by it.

Which pixels are bad is what CrystFEL itself would call bad: whole panels, borders, rectangles, values
and masks. Detectors are read whose panels lie in one two-dimensional array a frame, as nearly all
converters write them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import beam
import h5py
import hdf5plugin  # noqa: F401 - reads frames compressed as Eiger detectors do
import numpy as np
from geometry_file import (
    GeometryError,
    Mask,
    Panel,
    Region,
    layout_of,
    offsets,
    panels_of,
    pixels_per_m,
    read_words,
    regions_of,
    tell,
    text_of,
)

from workbench.readings import Place, Reading, ReadingError, hdf5, refusing

FLAGS: dict[str, Callable[[Any, Any], Any]] = {
    "lessthan": np.less,
    "morethan": np.greater,
    "equal": lambda counts, value: np.rint(counts) == value,
}


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
    regions : list of Region
        Rectangles of bad pixels.
    pixels_per_m : float or None
        None where panels differ, or the file doesn't say.
    given : dict of str to beam.Given
        Photon energy and distance.
    offsets_m : (panels,) float64
        Of each panel along the beam.
    """

    panels: list[Panel]
    dataset: str
    dims: list[str]
    regions: list[Region] = field(default_factory=list)
    pixels_per_m: float | None = None
    given: dict[str, beam.Given] = field(default_factory=dict)
    offsets_m: np.ndarray = field(default_factory=lambda: np.zeros(1))

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
            ss, fs = np.mgrid[
                : panel.rows.stop - panel.rows.start, : panel.columns.stop - panel.columns.start
            ]
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
        """Which pixels are bad in every frame, whatever they hold: (ny, nx) bool.

        Those on no panel, on a bad one, along a panel's border, or in a rectangle of bad ones.
        """
        bad = np.isnan(self.corners[0])
        for panel in self.panels:
            part = bad[panel.rows, panel.columns]
            part[border(part.shape, panel.edge) | panel.bad] = True
        x, y = self.corners
        for region in self.regions:
            (left, bottom), (right, top) = region.low, region.high
            if region.panel is None:
                bad |= (x > left) & (x < right) & (y > bottom) & (y < top)
            else:
                bad[int(bottom) : int(top) + 1, int(left) : int(right) + 1] = True
        return bad

    def read(self, file: Path, number: int | None) -> np.ma.MaskedArray:
        """Return a frame, bad pixels masked: (ny, nx) as stored.

        Raises
        ------
        ReadingError
            The file is not as the geometry says.
        """
        with hdf5.opened(file, "FRAMES") as opened:
            counts = self.part(opened, self.dataset, number)
            bad = self.outside | ~np.isfinite(counts)
            for mask in {mask for panel in self.panels for mask in panel.masks}:
                marked = self.masked(opened, mask, number)
                for panel in self.panels:
                    if mask in panel.masks:
                        bad[panel.rows, panel.columns] |= marked[panel.rows, panel.columns]
        single = counts.astype(np.float32)  # as CrystFEL compares them
        for panel in self.panels:
            for kind, value in panel.flags:
                part = single[panel.rows, panel.columns]
                bad[panel.rows, panel.columns] |= FLAGS[kind](part, np.float32(value))
        return np.ma.MaskedArray(counts, bad)

    def part(
        self, opened: h5py.File, name: str, number: int | None, *, is_mask: bool = False
    ) -> np.ndarray:
        """Return what a dataset says of one frame: (ny, nx)."""
        dataset, place = hdf5.dataset(opened, name), hdf5.place_in(opened, name, "GEOMETRY")
        dims = self.dims_of(dataset, place, is_mask=is_mask)
        index: dict[str, Any] = {
            "%": number or 0,
            "ss": slice(self.shape[0]),
            "fs": slice(self.shape[1]),
        }
        wanted = [index[d] if d in index else int(d) for d in dims]
        for size, at, dim in zip(dataset.shape, wanted, dims, strict=False):
            if not isinstance(at, slice) and at >= size:
                refuse_number(place, size, at, dim, is_mask=is_mask)
        with refusing(place, "numbers that can be read"):
            found = dataset[tuple(wanted)]
        if found.shape != self.shape:
            raise GeometryError(
                place, f"frames of {found.shape} pixels, and the panels cover {self.shape}"
            )
        return found

    def dims_of(self, dataset: h5py.Dataset, place: Place, *, is_mask: bool) -> list[str]:
        """Return what a dataset's dimensions are; a mask may do without the frame's."""
        hdf5.numeric(dataset, place)
        fixed = [dim for dim in self.dims if dim != "%"]
        if dataset.ndim == len(self.dims):
            return self.dims
        if is_mask and dataset.ndim == len(fixed):
            return fixed
        told = f"{len(self.dims)}, as the geometry file tells: {', '.join(self.dims)}"
        if is_mask and fixed != self.dims:
            told += f"; or {len(fixed)}, for all frames"
        raise GeometryError(place, f"{dataset.ndim} dimensions, {dataset.shape}", told)

    def masked(self, opened: h5py.File, mask: Mask, number: int | None) -> np.ndarray:
        """Return which pixels a mask calls bad: (ny, nx) bool."""
        if mask.file is None:
            found = self.part(opened, mask.dataset, number, is_mask=True)
        else:
            with hdf5.opened(mask.file, "GEOMETRY") as beside:
                found = self.part(beside, mask.dataset, number, is_mask=True)
        whole = np.iinfo(
            np.int32
        )  # CrystFEL reads whole numbers of 32 bits, larger ones cut to the largest
        bits = np.clip(np.nan_to_num(found), whole.min, whole.max).astype(np.int64)
        return (bits & mask.bad != 0) | (bits & mask.good != mask.good)

    def examine(self, some: Iterable[tuple[Path, int | None]], reading: Reading) -> None:
        """Look into every file once, before anything is computed from it; note what was found.

        Raises
        ------
        ReadingError
            A file is missing or other than the geometry says, or frames come from files that are missing.
        """
        wanted: dict[Path, set[int]] = {}
        for file, number in some:
            wanted.setdefault(file, set()).add(number or 0)
        for file, numbers in wanted.items():
            with hdf5.opened(file, "FRAMES") as opened:
                dataset, place = (
                    hdf5.dataset(opened, self.dataset),
                    hdf5.place_in(opened, self.dataset),
                )
                hdf5.complete(dataset, place, reading)
                self.part(opened, self.dataset, max(numbers))
                beam.examine(self.given, self.offsets_m, opened, reading)
                for mask in {
                    mask for panel in self.panels for mask in panel.masks if not panel.bad
                }:
                    self.masked(opened, mask, max(numbers))
                    if mask.file is None:
                        hdf5.complete(opened[mask.dataset], place.at(mask.dataset), reading)
                told = (
                    f"{len(numbers)} of {dataset.shape[self.dims.index('%')]} frames"
                    if "%" in self.dims
                    else "one frame"
                )
                if len(wanted) == 1:
                    reading.took(f"{place}: {told}, {dataset.dtype}")
        if len(wanted) > 1:
            reading.took(
                f"{sum(map(len, wanted.values()))} frames from {len(wanted)} files, {self.dataset} in each, {dataset.dtype}"
            )


def border(shape: tuple[int, int], width: int) -> np.ndarray:
    """Return which pixels of a panel lie less than a width from its border: (ny, nx) bool."""
    ss, fs = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in shape)
    return np.minimum(ss[:, None], fs[None, :]) < width


def refuse_number(place: Place, size: int, at: int, dim: str, *, is_mask: bool) -> None:
    """Say that there is no frame, or no mask of it."""
    if is_mask and dim == "%":
        raise GeometryError(
            place, f"a mask of {size} frame{'s' * (size > 1)} and none for frame {at}", "one for each frame, or one of two dimensions for all",
            "CrystFEL looks for it frame by frame too. Store the mask without its first dimension, and it counts for all.",
        )  # fmt: skip
    raise GeometryError(
        place,
        f"{size} along {dim}, and none with number {at}",
        f"at most {size - 1}, counted from 0",
    )


# ---------------------------------------------------------------------------- files


def read_geometry(path: Path, reading: Reading | None = None) -> Geometry:
    """Return the detector that a geometry file describes.

    Parameters
    ----------
    path : Path
    reading : Reading, optional
        Notes what was taken and what was left out.

    Raises
    ------
    GeometryError
        CrystFEL would refuse it, a word counts for nothing, or its panels don't lie in one
        two-dimensional array a frame.
    """
    found = read_words(path)
    dataset, dims = layout_of(found)
    panels = panels_of(found)
    geometry = Geometry(
        panels,
        dataset,
        dims,
        regions_of(found, panels),
        pixels_per_m(found),
        beam.given(found),
        offsets(found),
    )
    refuse_overlap(path, geometry)
    if reading is not None:
        reading.took(f"{path.name}: {', '.join(sentences(geometry))}")
        tell(found, reading)
    return geometry


def sentences(geometry: Geometry) -> Iterator[str]:
    """Yield what a geometry says of pixels, in words."""
    panels = geometry.panels
    yield f"{len(panels)} panel{'s' * (len(panels) > 1)} in {geometry.dataset} ({', '.join(geometry.dims)})"
    if bad := [panel.name for panel in panels if panel.bad]:
        yield f"panels that don't count: {', '.join(bad)}"
    if edges := sorted({panel.edge for panel in panels} - {0}):
        yield f"borders of {' or '.join(map(str, edges))} px masked"
    for kind, value in sorted({flag for panel in panels for flag in panel.flags}):
        number = sum((kind, value) in panel.flags for panel in panels)
        yield f"pixels {kind.replace('than', ' than')} {value} masked" + (
            f" on {number} panels" if number < len(panels) else ""
        )
    for mask in sorted({mask for panel in panels for mask in panel.masks}, key=str):
        number = sum(mask in panel.masks for panel in panels)
        where = f"of {mask.file.name}, beside it" if mask.file else "of each file"
        yield f"mask {mask.dataset} {where}, good bits {mask.good:#x}, bad bits {mask.bad:#x}" + (
            f", on {number} panels" if number < len(panels) else ""
        )
    if geometry.regions:
        yield f"{len(geometry.regions)} bad region{'s' * (len(geometry.regions) > 1)}"


def refuse_overlap(path: Path, geometry: Geometry) -> None:
    """Refuse panels that share pixels of the array: they'd be in two places."""
    taken = np.full(geometry.shape, -1)
    for number, panel in enumerate(geometry.panels):
        part = taken[panel.rows, panel.columns]
        if (part >= 0).any():
            other = geometry.panels[part.max()]
            raise GeometryError(
                Place(path, f"panel {panel.name}", "GEOMETRY"),
                f"pixels that panel {other.name} has too",
                "each pixel on one panel",
            )
        part[...] = number


def shots(frames: Path, geometry: Geometry) -> list[tuple[Path, int | None]]:
    """Return every frame's file and its number in it, None where a file holds one frame.

    Parameters
    ----------
    frames : Path
        An HDF5 file, or a list with one file a line; after a name may follow ``//7``, one frame.
    geometry : Geometry

    Raises
    ------
    ReadingError
        There are none, a line can't be read, or one is named twice.
    """
    text = text_of(frames, "FRAMES") if frames.suffix == ".lst" else str(frames)
    found: list[tuple[Path, int | None]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            name, event = split_event(line.strip(), Place(frames, f"line {number}", "FRAMES"))
            file = frames.parent / name
            found += [(file, event)] if event is not None else of_file(file, geometry)
    if not found:
        raise ReadingError(Place(frames, "", "FRAMES"), "no frames", "at least one")
    if again := len(found) - len(set(found)):
        raise ReadingError(
            Place(frames, "", "FRAMES"),
            f"{again} of {len(found)} frames named twice",
            "each once",
            "What is counted twice agrees with itself: halves of the crystals would look too good.",
        )
    return found


def split_event(line: str, place: Place) -> tuple[str, int | None]:
    """Return a line's file, and which frame of it, None for all."""
    match = re.fullmatch(r"(.*?)(?:\s+(\S*//\S*))?", line)
    name, event = match.groups() if match else (line, None)
    if event in (None, "//"):
        return name, None
    if not re.fullmatch(r"//\d+", event):
        raise ReadingError(place, f"the frame {event}", "// and one number, such as //7")
    return name, int(event[2:])


def of_file(file: Path, geometry: Geometry) -> list[tuple[Path, int | None]]:
    """Return every frame of a file."""
    if "%" not in geometry.dims:
        return [(file, None)]
    with hdf5.opened(file, "FRAMES") as opened:
        dataset = hdf5.dataset(opened, geometry.dataset, "GEOMETRY")
        dims = geometry.dims_of(
            dataset, hdf5.place_in(opened, geometry.dataset, "GEOMETRY"), is_mask=False
        )
        return [(file, i) for i in range(dataset.shape[dims.index("%")])]


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
            self.beam = tuple(
                np.linalg.solve(np.column_stack([panel.fast, panel.slow]), -panel.corner)
            )
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
