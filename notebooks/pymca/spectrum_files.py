"""Files of spectra: NeXus with units, and the text files of older stations."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from fluorescence import Setup
from own_spectra import read_spectrum

from workbench.readings import Place, Reading, ReadingError

UNITS = {
    "kev": "keV",
    "hz": "1/s",
    "s": "s",
    "deg": "deg",
    "cm2": "cm2",
    "cm": "cm",
}  # by a name's ending
COMPRESSED = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


def measurement(file: h5py.File, axes: list[str]) -> h5py.Group:
    """Return the group for what was measured, in a NeXus file that opens with its spectra."""
    file.attrs.update(NX_class="NXroot", default="entry")
    entry = file.create_group("entry")
    entry.attrs.update(NX_class="NXentry", default="measurement")
    group = entry.create_group("measurement")
    group.attrs.update(NX_class="NXdata", signal="xrf", axes=axes)
    return group


def put(group: h5py.Group, name: str, value: Any, unit: str = "", **how: Any) -> None:
    """Write one data set, with its unit as an attribute where it has one."""
    made = group.create_dataset(name, data=value, **how)
    if unit:
        made.attrs["units"] = unit


def put_all(file: h5py.File, name: str, values: Mapping, unit: str) -> None:
    """Write a dictionary as a group."""
    for key, value in values.items():
        put(file.require_group(name), key, value, unit)


def get_all(file: h5py.File, name: str) -> dict[str, np.ndarray]:
    """Return what `put_all` wrote."""
    return {key: dataset[()] for key, dataset in file[name].items()}


def put_setup(file: h5py.File, setup: Setup) -> None:
    """Write the experiment as the group ``setup``."""
    for part in fields(setup):
        unit = UNITS.get(part.name.rpartition("_")[2], "1")
        put(file.require_group("setup"), part.name, getattr(setup, part.name), unit)


def get_setup(file: h5py.File) -> Setup:
    """Return what `put_setup` wrote."""
    return Setup(**{name: dataset[()].item() for name, dataset in file["setup"].items()})


def write_mca(path: Path, spectrum: np.ndarray, title: str) -> None:
    """Write one spectrum, whole counts, as a SPEC file: text that nearly every XRF program reads."""
    last = len(spectrum) - 1
    head = f"#F {path.name}\n\n#S 1 {title}\n#N 1\n#@MCA %16C\n#@CHANN {last + 1} 0 {last} 1\n#L counts\n"
    rows = (" ".join(f"{n:.0f}" for n in spectrum[at : at + 16]) for at in range(0, last + 1, 16))
    path.write_text(head + "@A " + "\\\n".join(rows) + "\n", encoding="ascii")


def read_mca(path: Path) -> np.ndarray:
    """Return the one spectrum of a file, from channel 0 on: (channels,) float64.

    Channels before the file's first one hold no counts.

    Raises
    ------
    ReadingError
        It isn't one whole spectrum, or leaves channels out.
    """
    found = read_spectrum(path, Reading(path.name))
    if found.channels[-1] - found.channels[0] != len(found.channels) - 1:
        raise ReadingError(Place(path), "channels that leave others out", "one after the other")
    spectrum = np.zeros(int(found.channels[-1]) + 1)
    spectrum[found.channels.astype(int)] = found.counts
    return spectrum
