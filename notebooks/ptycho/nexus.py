"""Numbers with units and groups with a class, in HDF5 files laid out as NeXus and CXI.

It stands beside the shelves, as the simulation writes with it too, which knows nothing of them.
"""

import h5py
import numpy as np


def put(parent: h5py.Group, name: str, value: np.ndarray | float, units: str) -> None:
    """Write a number, or an array of them, with its unit."""
    parent[name] = value
    parent[name].attrs["units"] = units


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: object) -> h5py.Group:
    """Return a new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs.update({"NX_class": nx_class, **attributes})
    return made
