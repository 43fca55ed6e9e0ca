"""Frames as they arrive: what a worker makes of one file, and a thread that plays the beamline."""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import hdf5plugin
import numpy as np
import pyFAI

# A file that can't be read is told by the notebook, and needs no trace of a worker's.
logging.getLogger("distributed.worker").setLevel(logging.CRITICAL)

PATIENCE_S = 3.0  # how long a file that can't be read yet may take
AGAIN_S = 0.3


class Reduced(NamedTuple):
    """One frame's curve."""

    number: int
    intensity: np.ndarray  # (n,)
    sigma: np.ndarray  # (n,)


@cache
def integrator(poni: str) -> Any:
    """Return pyFAI's integrator, made once in each worker: it keeps its sparse matrix."""
    return pyFAI.load(poni)


def number_of(path: Path) -> int:
    """Return a frame's number, the last digits of its name: files needn't arrive in order.

    Raises
    ------
    ValueError
        The name has no digits.
    """
    digits = re.findall(r"\d+", path.stem)
    if not digits:
        raise ValueError("its name has no number, so nobody knows which frame it is")
    return int(digits[-1])


def read(path: Path, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return what a frame's file holds, waiting a little for one that is still being written.

    Parameters
    ----------
    path : Path
    names : mapping of str to str
        What is wanted, and its path within the file.

    Raises
    ------
    OSError, KeyError
        It can't be read after `PATIENCE_S` either: it is damaged, or lacks something.
    """
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with h5py.File(path) as file:
                return {key: file[name][()] for key, name in names.items()}
        except (OSError, KeyError):
            if time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)


def integrate(
    path: Path,
    *,
    poni: str,
    bins: int,
    names: Mapping[str, str],
    settings: Mapping[str, Any],
    mask: np.ndarray | None = None,
) -> Reduced:
    """Return the curve of one file's frame, divided by its monitor.

    Parameters
    ----------
    path : Path
        An HDF5 file with one frame.
    poni : str
        Path of the geometry.
    bins : int
    names : mapping of str to str
        Where the file has its ``frame``, ``mask`` and ``monitor``.
    settings : mapping
        What else ``integrate1d`` takes.
    mask : (ny, nx) bool, optional
        True where a pixel is bad, in place of what the file says.
    """
    found = read(path, names)
    curve = integrator(poni).integrate1d(
        np.squeeze(found["frame"]),
        bins,
        mask=found["mask"] != 0 if mask is None else mask,
        normalization_factor=float(np.squeeze(found["monitor"])),
        method=("no", "csr", "cython"),
        **settings,
    )
    return Reduced(number_of(path), curve.intensity, curve.sigma)


# ------------------------------------------------------------------------- a beamline, played


def whole(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, so that nobody sees a part of it."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.rename(path)


def slowly(path: Path, data: bytes) -> None:
    """Write a file in place, with a pause in the middle."""
    with path.open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        time.sleep(1.5)
        file.write(data[len(data) // 2 :])


def broken(path: Path, data: bytes) -> None:
    """Write the first half of a file, and never the rest."""
    path.write_bytes(data[: len(data) // 2])


def play(
    stack: Path,
    folder: Path,
    names: Mapping[str, str],
    order: list[int],
    ways: Mapping[int, Callable[[Path, bytes], None]],
    every_s: float,
    rows: Sequence[int] | None = None,
) -> threading.Thread:
    """Start to write a stack's frames into a folder, a file each, and return the thread.

    Parameters
    ----------
    stack, folder : Path
        Where the frames are, and where they go.
    names : mapping of str to str
        As for `integrate`.
    order : list of int
        The numbers of the frames, as they come.
    ways : mapping of int to callable
        How a frame's file is written, where not `whole`.
    every_s : float
        Pause between two frames.
    rows : sequence of int, optional
        Where in the stack each number is; None: at that index.
    """

    def write() -> None:
        with h5py.File(stack) as source:
            mask = source[names["mask"]][()]
            for number in order:
                scratch = folder / "frame.tmp"
                with h5py.File(scratch, "w") as file:
                    packed = hdf5plugin.Bitshuffle(cname="lz4")
                    row = number if rows is None else int(rows[number])
                    frame = source[names["frame"]][row : row + 1]
                    file.create_dataset(names["frame"], data=frame, chunks=frame.shape, **packed)
                    file.create_dataset(names["mask"], data=mask, compression="gzip")
                    file[names["monitor"]] = source[names["monitor"]][row]
                ways.get(number, whole)(folder / f"frame_{number:04d}.h5", scratch.read_bytes())
                time.sleep(every_s)
            scratch.unlink()

    thread = threading.Thread(target=write)
    thread.start()
    return thread
