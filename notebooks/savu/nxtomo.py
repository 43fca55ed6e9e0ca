"""Reads scans in the NXtomo layout: Diamond's, the ESRF's or your own.

It says what it took, what it assumed and what it left out, and refuses in a sentence what it can't
know. Everything is looked for where the NXtomo definition puts it; frames may be links to other files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import angles
import h5py
import numpy as np
from scan import Scan, ScanError, Truth
from simulation import DARK, FLAT, PROJECTION

from workbench.readings import (
    Place,
    Reading,
    ReadingError,
    hdf5,
    named,
    plausible,
    quantity,
    quantity_of_text,
)
from workbench.readings.arrays import by
from workbench.readings.units import number, text_of

MOST_BYTES = 2 * 2**30  # of projections, that are read when nobody says which rows
NXTOMO = "entry1/tomo_entry"  # where Savu's NxtomoLoader looks by default
DETECTOR = "instrument/detector"
KEY = f"{DETECTOR}/image_key"
KINDS = {PROJECTION: "projections", FLAT: "flats", DARK: "darks"}
UNUSED = -1  # in place of the image key of a frame that is not taken
PIXEL_MM = (1e-6, 0.99)  # between which a pixel in the sample lies
SQUARE = 0.01  # by which height and width of a square pixel may differ
DIM = 0.05  # of the usual light: less is a pixel that sees none
MOST_DEAD = 0.2  # of a camera's pixels
MOST_SATURATED = 0.01  # of the pixels of flats or projections


@dataclass(frozen=True)
class Stack:
    """Frames in a file, read run after run of neighbours.

    Parameters
    ----------
    dataset : h5py.Dataset
    single : int, optional
        An axis of length 1 that means nothing.
    """

    dataset: h5py.Dataset
    single: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns."""
        return tuple(n for axis, n in enumerate(self.dataset.shape) if axis != self.single)

    def read(self, which: np.ndarray, rows: range) -> np.ndarray:
        """Return some frames: (n, rows, columns)."""
        runs = np.split(which, np.flatnonzero(np.diff(which) != 1) + 1) if len(which) else []
        part: list[slice | int] = [slice(rows.start, rows.stop), slice(None)]
        if self.single is not None:
            part.insert(self.single - 1, 0)
        parts = [self.dataset[(slice(run[0], run[-1] + 1), *part)] for run in runs]
        empty = np.empty((0, len(rows), self.shape[2]), self.dataset.dtype)
        return np.concatenate(parts) if parts else empty


def nxtomo(
    path: Path,
    truth: Truth | None = None,
    *,
    rows: tuple[int, int] | None = None,
    beside: Path | None = None,
    entry: str | None = None,
    angle_unit: str | None = None,
    pixel: str | None = None,
) -> Scan:
    """Return the scan of an NXtomo file.

    Parameters
    ----------
    path : Path
    truth : Truth, optional
        Where it is known.
    rows : tuple of int, optional
        The camera's first row to read, and the first one no more; None for all, or for as many
        about the middle as fit into `MOST_BYTES`.
    beside : Path, optional
        A file of the same layout with the flats and darks, where the scan's own has none.
    entry : str, optional
        The group of the scan, where there are several.
    angle_unit : str, optional
        What the angles are in, where the file is silent or wrong.
    pixel : str, optional
        Edge of a pixel in the sample, ``3.25 um``; or its unit alone, where the file leaves that out.

    Raises
    ------
    ReadingError
        Something that a reconstruction needs is missing or can't be; the sentence says what.
    QuestionError
        It could be read in several ways.
    """
    reading = Reading("Your scan")
    with hdf5.opened(path, "SCAN") as file:
        base = entry_of(file, entry, reading)
        said = image_key(file, base, reading)
        stack = stack_of(file, base, len(said))
        key = written(stack, said, hdf5.place_in(file, stack.dataset.name), reading)
        taken = (
            chosen_rows(rows, stack.shape[1])
            if rows
            else middle_rows(int((key == PROJECTION).sum()), stack.shape)
        )
        frames = {k: np.flatnonzero(key == k) for k in KINDS}
        kinds = {k: stack.read(which, taken) for k, which in frames.items()}
        if not len(kinds[PROJECTION]):
            raise ReadingError(
                hdf5.place_in(file, f"{base}/{KEY}"),
                f"no projections, image key {PROJECTION}",
                "some",
            )
        stored, unchanged = stored_angles(file, base, (said, key), angle_unit, reading)
        pixel_mm = pixel_of(file, base, pixel, reading)
    if beside is not None:
        add(kinds, beside, taken, reading)
    measured = {k: has_contrast(part, k, reading) for k, part in kinds.items()}
    kinds = {k: part[measured[k]] for k, part in kinds.items()}
    complete(kinds, path, reading)
    floats = light(kinds, Place(path, "", "SCAN"), reading)
    order, turned = angles.usable(stored[measured[PROJECTION]], reading)
    if len(taken) < stack.shape[1]:
        reading.left_out(
            f"{stack.shape[1] - len(taken)} of the camera's {stack.shape[1]} rows: {len(taken)} from row {taken[0]} on were read"
        )
    reading.took(
        ", ".join(
            f"{len(order) if k == PROJECTION else len(floats[k])} {name}"
            for k, name in KINDS.items()
        )
    )
    reading.assumed(
        "the beam is parallel, and the sample turns in the sense of the angles: the other would mirror the slices"
    )
    as_stored = (
        unchanged and len(order) == len(frames[PROJECTION]) and bool(np.allclose(turned, stored))
    )
    return Scan(
        path,
        floats[PROJECTION]
        if (np.diff(order) == 1).all() and len(order) == len(floats[PROJECTION])
        else floats[PROJECTION][order],
        floats[FLAT],
        floats[DARK],
        angles_deg=turned,
        pixel_mm=pixel_mm,
        first=int(frames[PROJECTION][0]),
        rows=np.array(taken),
        reading=reading,
        as_stored=as_stored,
        truth=truth,
    )


# ---------------------------------------------------------------------------- which frames are what


def entries(file: h5py.File) -> list[str]:
    """Return the groups that hold a scan: those with an image key, each once."""
    found: dict[tuple[int, int], str] = {}

    def note(name: str) -> None:
        if name.endswith(KEY) and isinstance(file.get(name), h5py.Dataset):
            about = h5py.h5o.get_info(file[name].id)
            found.setdefault((about.fileno, about.addr), name.removesuffix(KEY).strip("/"))

    note(f"{NXTOMO}/{KEY}")
    file.visit(note)
    for name in file:  # links to other files aren't visited
        if file.get(name, getclass=True) is h5py.Group:
            note(f"{name}/{KEY}")
    return list(found.values())


def entry_of(file: h5py.File, wanted: str | None, reading: Reading) -> str:
    """Return the group that holds the scan."""
    place, found = hdf5.place_in(file, "", "ENTRY"), entries(file)
    if not found:
        there = ", ".join(sorted(file)) or "nothing"
        raise ReadingError(
            place,
            f"no {KEY}, so it isn't laid out as NXtomo: nothing says which frames are projections, flats and darks",
            advice=f"It has {there} at its top.",
        )
    shown = [name or "/" for name in found]
    asked = None if wanted is None else str(wanted).strip("/") or "/"
    base = found[named(shown, asked, "scan", place, reading)]
    reading.took(f"{Path(file.filename).name}, {base or '/'}", "ENTRY")
    return base


def image_key(file: h5py.File, base: str, reading: Reading) -> np.ndarray:
    """Return what every frame is: (frames,) int; `UNUSED` for what is none of the three kinds."""
    name = f"{base}/{KEY}"
    said = np.ravel(hdf5.dataset(file, name)[()]).astype(float)
    if not np.isfinite(said).all() or (said != np.rint(said)).any():
        raise ReadingError(
            hdf5.place_in(file, name), "keys that aren't whole numbers", "0, 1 and 2"
        )
    key = said.astype(int)
    control = file.get(
        f"{name}_control"
    )  # the ESRF's: below 0 for frames taken to see how far all moved
    if isinstance(control, h5py.Dataset) and control.size == key.size:
        moved = np.ravel(control[()]) < 0
        if moved.any():
            reading.left_out(
                f"{moved.sum()} frames taken for the alignment (image_key_control below 0)"
            )
        key[moved] = UNUSED
    for other in sorted({*key.tolist()} - {*KINDS, UNUSED}):
        reading.left_out(
            f"frames with the image key {other}, which isn't a projection, flat or dark: {(key == other).sum()}"
        )
        key[key == other] = UNUSED
    return key


def stack_of(file: h5py.File, base: str, count: int) -> Stack:
    """Return the frames, which are often a link to a file beside."""
    names = [f"{base}/{name}" for name in (f"{DETECTOR}/data", "data/data")]
    name = next((n for n in names if n in file), None) or next(
        (
            n
            for n in names
            if (n.rpartition("/")[0] in file) and file.get(n, getlink=True) is not None
        ),
        names[0],
    )
    found, place = hdf5.dataset(file, name), hdf5.place_in(file, name)
    hdf5.numeric(found, place)
    shape = found.shape
    single = next(
        (axis for axis in range(1, len(shape)) if len(shape) == 4 and shape[axis] == 1), None
    )
    if len(shape) != 3 and single is None:
        raise ReadingError(
            place, f"an array of {len(shape)} axes, {by(shape)}", "3: frames, rows, columns"
        )
    if shape[0] != count:
        there = next((axis for axis, n in enumerate(shape) if n == count), None)
        advice = (
            ""
            if there is None
            else (
                f"Axis {there} has as many, counted from 0: the stack seems to be in another order. Write it as frames, rows, columns."
            )
        )
        raise ReadingError(
            place,
            f"{by(shape)} pixels, {shape[0]} frames, for {count} image keys",
            "the same number of each",
            advice,
        )
    return Stack(found, single)


def written(stack: Stack, key: np.ndarray, place: Place, reading: Reading) -> np.ndarray:
    """Return the image keys without those of frames that nobody wrote."""
    hdf5.complete(stack.dataset, place, reading)
    key = key.copy()
    key[hdf5.unwritten(stack.dataset)] = UNUSED
    return key


def has_contrast(frames: np.ndarray, kind: int, reading: Reading) -> np.ndarray:
    """Return which frames are pictures: (frames,) bool. All pixels of others are the same, or no numbers."""
    if not frames.size:
        return np.ones(len(frames), bool)
    flat = frames.reshape(len(frames), -1)
    low, high = np.fmin.reduce(flat, axis=1), np.fmax.reduce(flat, axis=1)
    good = np.asarray(high > low)
    if kind == DARK:
        good |= high == 0  # a detector that counts photons sees nothing in the dark
    if not good.all():
        reading.left_out(
            f"{(~good).sum()} of {len(good)} {KINDS[kind]}, whose pixels are all the same: they were not measured"
        )
    return good


def add(kinds: dict[int, np.ndarray], beside: Path, rows: range, reading: Reading) -> None:
    """Take missing flats and darks from a file beside, in place."""
    with hdf5.opened(beside, "FLATS") as file:
        base = entry_of(file, None, reading)
        key = image_key(file, base, reading)
        stack = stack_of(file, base, len(key))
        place = hdf5.place_in(file, stack.dataset.name, "FLATS")
        key = written(stack, key, place, reading)
        columns = kinds[PROJECTION].shape[2]
        if stack.shape[2] != columns or stack.shape[1] < rows.stop:
            raise ReadingError(
                place,
                f"frames of {by(stack.shape[1:])} pixels",
                f"{columns} columns, and at least {rows.stop} rows, as the scan has",
            )
        for kind in (FLAT, DARK):
            there = np.flatnonzero(key == kind)
            if not len(kinds[kind]):
                kinds[kind] = stack.read(there, rows)
                reading.took(f"{place}: {len(there)} {KINDS[kind]}", "FLATS")
            elif len(there):
                reading.left_out(f"{place}: {len(there)} {KINDS[kind]}, as the scan has its own")


def complete(kinds: dict[int, np.ndarray], path: Path, reading: Reading) -> None:
    """Refuse a scan without projections or flats; darks that aren't there are zero, in place."""
    if not len(kinds[PROJECTION]):
        raise ReadingError(
            Place(path, "", "SCAN"), "no projection with a picture", "some that were measured"
        )
    if not len(kinds[FLAT]):
        raise ReadingError(
            Place(path, "", "FLATS"),
            f"no flats: no frame has the image key {FLAT}",
            advice="Without a picture of the beam, counts can't become transmissions. If flats and darks lie in a "
            "file of their own, set FLATS to it.",
        )
    if not len(kinds[DARK]):
        kinds[DARK] = np.zeros((1, *kinds[FLAT].shape[1:]), np.float32)
        reading.assumed(
            f"the camera's offset is 0, as there are no darks (image key {DARK}): right for a detector that counts "
            "photons; with any other, attenuations come out too small",
            "FLATS",
        )


# ---------------------------------------------------------------------------- counts


def light(kinds: Mapping[int, np.ndarray], place: Place, reading: Reading) -> dict[int, np.ndarray]:
    """Return frames as float32, with flats and darks of 0 where a pixel sees no light.

    Raises
    ------
    ReadingError
        They are saturated, or flats aren't brighter than darks.
    """
    marked = {k: at_the_end(part) for k, part in kinds.items()}
    always = (marked[FLAT].mean(axis=0) > 0.5) & (marked[PROJECTION].mean(axis=0) > 0.5)
    for kind in (PROJECTION, FLAT):
        share = float(marked[kind][:, ~always].mean()) if (~always).any() else 1.0
        if share > MOST_SATURATED:
            found = f"{KINDS[kind]} of which {share:.1%} of the pixels are saturated, at {kinds[kind].max()}"
            raise ReadingError(
                place,
                found,
                "counts below the detector's end",
                "Transmissions would be wrong. Measure with less light.",
            )
    floats = {k: part.astype(np.float32) for k, part in kinds.items()}
    dead = always | without_light(floats[FLAT], floats[DARK])
    if dead.mean() > MOST_DEAD:
        found = f"flats that are hardly brighter than the darks in {dead.mean():.0%} of the pixels"
        raise ReadingError(
            place,
            found,
            "flats with the beam, darks without",
            "Are the image keys 1 and 2 swapped?",
        )
    if dead.any():
        columns = np.flatnonzero(dead.any(axis=0))
        reading.left_out(
            f"{dead.sum()} pixels in {len(columns)} columns ({few(columns)}) that see no light: they are filled from their neighbours"
        )
    for kind in (FLAT, DARK):
        floats[kind][:, dead] = 0
    unknown = ~np.isfinite(floats[PROJECTION])
    if unknown.any():
        reading.left_out(
            f"{unknown.sum():,} of {unknown.size:,} pixels of projections that aren't numbers: they are filled from their neighbours"
        )
    return floats


def at_the_end(frames: np.ndarray) -> np.ndarray:
    """Return which pixels hold the largest number of their type, a mark or saturation: bool."""
    if frames.dtype.kind not in "iu":
        return np.zeros(frames.shape, bool)
    return np.asarray(frames >= np.iinfo(frames.dtype).max)


def without_light(flats: np.ndarray, darks: np.ndarray) -> np.ndarray:
    """Return the pixels whose flat is not brighter than their dark: (rows, columns) bool."""
    gain = flats.mean(axis=0) - darks.mean(axis=0)
    usual = np.nanmedian(gain) if np.isfinite(gain).any() else 0.0
    return ~(gain > DIM * max(usual, 0.0))


def few(numbers: np.ndarray, most: int = 6) -> str:
    """Return some numbers in words."""
    return ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")


# ---------------------------------------------------------------------------- angles and lengths


def stored_angles(
    file: h5py.File,
    base: str,
    keys: tuple[np.ndarray, np.ndarray],
    told: str | None,
    reading: Reading,
) -> tuple[np.ndarray, bool]:
    """Return the projections' angles, degrees, and whether the file has them so.

    They may be given for all frames or for these alone.

    Parameters
    ----------
    file : h5py.File
    base : str
    keys : tuple of array
        Image keys as the file has them, and with what was never written left out.
    told : str, optional
        The unit that a person names.
    reading : Reading
    """
    projections, kept = (key == PROJECTION for key in keys)
    name = f"{base}/sample/rotation_angle"
    found, place = hdf5.dataset(file, name), hdf5.place_in(file, name, "ANGLES")
    hdf5.numeric(found, place)
    values, count = np.ravel(found[()]).astype(float), int(projections.sum())
    if len(values) not in (len(kept), count):
        raise ReadingError(
            place,
            f"{len(values)} angles for {len(kept)} frames, {count} of them projections",
            "one for each",
        )
    values = values[kept] if len(values) == len(kept) else values[kept[projections]]
    converted = angles.in_degrees(values, hdf5.unit_of(found), told, place, reading)
    return converted, bool(np.array_equal(values, converted, equal_nan=True))


def pixel_of(file: h5py.File, base: str, told: object, reading: Reading) -> float:
    """Return the edge of a pixel in the sample, mm: 1 where nobody knows, and lengths are in pixels then."""
    place = hdf5.place_in(file, base, "PIXEL")
    told = None if told is None else str(told).strip() or None
    if told and any(letter.isdigit() for letter in told):
        value = quantity_of_text(told, "mm", Place("PIXEL", "", "PIXEL"))
        reading.took(f"a pixel of {told} in the sample, as PIXEL says")
        return plausible(value, *PIXEL_MM, "mm", "pixel", place)
    for group in ("sample", DETECTOR):
        if f"{base}/{group}/x_pixel_size" in file:
            return stored_pixel(file, base, group, told, reading)
    reading.assumed("lengths are in pixels, as the file doesn't say how large these are", "PIXEL")
    return 1.0


def stored_pixel(
    file: h5py.File, base: str, group: str, unit: str | None, reading: Reading
) -> float:
    """Return the edge of a pixel in the sample by what the sample's or the detector's group says, mm."""
    place = hdf5.place_in(file, f"{base}/{group}/x_pixel_size", "PIXEL")
    value = edge_of(file, place.within, unit)
    high = f"{base}/{group}/y_pixel_size"
    if high in file and abs(edge_of(file, high, unit) / value - 1) > SQUARE:
        reading.left_out(
            f"pixels are {1000 * edge_of(file, high, unit):g} µm high and {1000 * value:g} µm wide: "
            "slices are right, and what is seen along the axis has another scale"
        )
    if group == "sample":
        reading.took(f"{place}: {1000 * value:g} µm", "PIXEL")
        return value
    magnification = magnification_of(file, base)
    if magnification is None:
        reading.assumed(
            f"{place}: {1000 * value:g} µm of the detector are as large in the sample: no lens magnifies",
            "PIXEL",
        )
        return value
    reading.took(
        f"{place}: {1000 * value:g} µm of the detector, magnified {magnification:g} times", "PIXEL"
    )
    return plausible(value / magnification, *PIXEL_MM, "mm", "pixel", place, "Is the unit right?")


def edge_of(file: h5py.File, name: str, unit: str | None) -> float:
    """Return an edge of a pixel that the file states, mm."""
    stored, place = hdf5.dataset(file, name), hdf5.place_in(file, name, "PIXEL")
    value = quantity(stored[()], unit or hdf5.unit_of(stored), "mm", place)
    return plausible(value, *PIXEL_MM, "mm", "pixel", place, "Is the unit right?")


def magnification_of(file: h5py.File, base: str) -> float | None:
    """Return the magnification that the entry names, None for none.

    Raises
    ------
    ReadingError
        It isn't one number above 0, or several parts of the entry name different ones.
    """
    found: list[tuple[str, object]] = []

    def note(name: str, item: object) -> None:
        if name.rpartition("/")[2].endswith("magnification") and isinstance(item, h5py.Dataset):
            found.append((name, item[()]))

    file[base or "/"].visititems(note)
    values = []
    for name, value in found:
        place = hdf5.place_in(file, f"{base}/{name}", "PIXEL")
        one = number(text_of(value).strip().rstrip("xX×") if is_text(value) else value, place)
        values.append(plausible(one, 1e-3, 1e4, "", "a magnification of", place))
    if len(set(values)) > 1:
        raise ReadingError(
            hdf5.place_in(file, base, "PIXEL"),
            f"magnifications of {', '.join(f'{value:g}' for value in values)}",
            "one",
            "Say with PIXEL how large a pixel is in the sample, such as '3.25 um'.",
        )
    return values[0] if values else None


def is_text(value: object) -> bool:
    """Return whether a stored value is text."""
    return isinstance(value, str | bytes)


# ---------------------------------------------------------------------------- rows


def middle_rows(projections: int, shape: tuple[int, ...]) -> range:
    """Return as many rows about the middle as fit into the memory that a notebook should take."""
    count = int(min(shape[1], max(1, MOST_BYTES // (4 * max(1, projections) * shape[2]))))
    first = (shape[1] - count) // 2
    return range(first, first + count)


def chosen_rows(rows: tuple[int, int] | None, there: int, few: int = 8) -> range:
    """Return which of so many rows to take.

    Parameters
    ----------
    rows : tuple of int, optional
        The first, and the first one no more; None for a few about the middle.
    there : int
    few : int

    Raises
    ------
    ScanError
        They aren't there.
    """
    if rows is None:
        first = max(0, (there - few) // 2)
        return range(first, min(first + few, there))
    pair = tuple(rows) if isinstance(rows, tuple | list) else ()
    whole = len(pair) == 2 and all(isinstance(row, int) for row in pair)
    if not (whole and 0 <= pair[0] < pair[1] <= there):
        raise ScanError(
            f"ROWS: there are rows 0 to {there - 1}, so {rows} can't be taken. Give the first row and the first "
            f"one no more: (0, {there}) takes all."
        )
    return range(*pair)
