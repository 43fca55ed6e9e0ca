"""HDF5 and NeXus files: what is missing or of another form is told with what is there instead."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .arrays import by, with_axes
from .reading import Reading
from .refusals import Place, ReadingError, any_of, refusing
from .units import quantity, text_of

MOST_NAMES = 12


@contextmanager
def opened(path: str | Path, parameter: str = "") -> Iterator[h5py.File]:
    """Open a file to read.

    Raises
    ------
    ReadingError
        It isn't there, or no HDF5 file.
    """
    with refusing(Place(path, "", parameter), "an HDF5 file"):
        file = h5py.File(path)
    with file:
        yield file


def place_in(file: h5py.File, name: str, parameter: str = "") -> Place:
    """Return the place of a path in an open file."""
    return Place(file.filename, name, parameter)


def dataset(file: h5py.File, name: str, parameter: str = "") -> h5py.Dataset:
    """Return a data set.

    Raises
    ------
    ReadingError
        There is none of that name, its link leads nowhere, or it is a group.
    """
    if not isinstance(name, str) or not name:
        place = place_in(file, "", parameter)
        raise ReadingError(place, f"{name!r} for a path", "the path of a data set", there_are(file))
    place = place_in(file, name, parameter)
    try:
        item = file[name]
    except (KeyError, OSError):
        link = file.get(name, getlink=True) if parent_is_there(file, name) else None
        if isinstance(link, h5py.ExternalLink):
            found = f"a link to {link.filename}, {link.path}, which is not there"
            raise ReadingError(place, found, "that file beside this one") from None
        raise ReadingError(place, "nothing", "a data set", there_are(file)) from None
    if not isinstance(item, h5py.Dataset):
        raise ReadingError(place, "a group", "a data set", there_are(item))
    return item


def parent_is_there(file: h5py.File, name: str) -> bool:
    """Return whether the group that a name lies in exists."""
    return (name.rstrip("/").rpartition("/")[0] or "/") in file


def there_are(group: h5py.Group) -> str:
    """Return which data sets with more than one number a group holds, as a sentence."""
    found: list[str] = []

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.size and item.size > 1:
            found.append(f"{name} ({by(item.shape)})")

    group.visititems(note)
    if not found:
        return "It holds no data set with more than one number."
    return f"There are {any_of(found, MOST_NAMES).replace(' or ', ' and ')}."


def array(
    file: h5py.File,
    name: str,
    axes: Sequence[str],
    reading: Reading,
    parameter: str = "",
) -> NDArray:
    """Return a whole data set with exactly these axes, and note it.

    Parameters
    ----------
    file : h5py.File
    name : str
        Its path.
    axes : sequence of str
        What its axes are.
    reading : Reading
    parameter : str
        The parameter that gives the name.
    """
    item, place = dataset(file, name, parameter), place_in(file, name, parameter)
    numeric(item, place)
    complete(item, place, reading)
    with refusing(place, "numbers that can be read"):
        values = item[()]
    values = with_axes(np.asarray(values), axes, place, reading)
    reading.took(f"{place}: {by(values.shape)} ({', '.join(axes)}), {values.dtype}", parameter)
    return values


def numeric(item: h5py.Dataset, place: Place) -> None:
    """Raise a `ReadingError` where a data set holds no numbers."""
    if item.dtype.kind not in "biuf" or item.size == 0:
        found = "text" if item.dtype.kind in "OSU" else f"the type {item.dtype}"
        raise ReadingError(place, "no numbers at all" if item.size == 0 else found, "numbers")


def complete(item: h5py.Dataset, place: Place, reading: Reading) -> None:
    """Note frames that nobody wrote, and refuse a virtual data set whose sources are missing."""
    missing = missing_sources(item)
    if missing:
        found = f"a virtual data set whose sources are missing: {any_of(missing, 3)}"
        raise ReadingError(place, found, "these files beside this one")
    empty = unwritten(item)
    if empty:
        reading.left_out(f"{place}: {len(empty)} of {item.shape[0]} frames were never written")


def unwritten(item: h5py.Dataset) -> list[int]:
    """Return the indices along the first axis of which no chunk was written.

    A reader gets the fill value of them, which looks like a measured zero.
    """
    if item.chunks is None or item.is_virtual or item.ndim < 2:
        return []
    step = item.chunks[0]
    written: set[int] = set()

    def note(chunk: Any) -> None:
        written.update(range(chunk.chunk_offset[0], chunk.chunk_offset[0] + step))

    item.id.chunk_iter(note)  # by their index they would be looked up one by one, from the first
    return [i for i in range(item.shape[0]) if i not in written]


def missing_sources(item: h5py.Dataset) -> list[str]:
    """Return what a virtual data set is made of and isn't there; HDF5 reads fill values instead.

    Files, data sets in them, and those that are virtual in their turn. A name with a ``%b`` stands
    for any number of files, of which one must be there.
    """
    if not item.is_virtual:
        return []
    folder = Path(item.file.filename).parent
    missing = set()
    for source in set(map(source_of, item.virtual_sources())):
        missing.update(missing_source(item, folder, *source))
    return sorted(missing)


def source_of(source: Any) -> tuple[str, str]:
    """Return the file and the path in it of one part of a virtual data set."""
    return source.file_name, source.dset_name


def missing_source(item: h5py.Dataset, folder: Path, name: str, within: str) -> list[str]:
    """Return what is missing of one source, empty if nothing is."""
    if "%b" in name or "%b" in within:
        path = folder / name
        there = name == "." or any(path.parent.glob(path.name.replace("%b", "*")))
        return [] if there else [name]
    if name == ".":
        return [] if within in item.file else [within]
    if not (folder / name).exists():
        return [name]
    try:
        with h5py.File(folder / name) as file:
            if within not in file:
                return [f"{name}, {within}"]
            return missing_sources(file[within])
    except OSError:
        return [name]


def unit_of(item: h5py.Dataset) -> str:
    """Return the unit that a data set names, empty if none."""
    for name in ("units", "unit", "Units"):
        if name in item.attrs:
            return text_of(item.attrs[name])
    return ""


def number_with_unit(file: h5py.File, name: str, wanted: str, parameter: str = "") -> float:
    """Return one number in the unit that is wanted; see `workbench.readings.quantity`."""
    item, place = dataset(file, name, parameter), place_in(file, name, parameter)
    with refusing(place, "a number"):
        value = item[()]
    return quantity(value, unit_of(item), wanted, place)
