"""A stack of frames whose truth is known: aluminium powder, heated, as a NeXus file."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from exposure import average, losses, subpixels
from flat_detector import EIGER_500K, Geometry
from powder import ALUMINIUM, Crystal, Curve, lines, powder_curve, top_of, with_background
from truths import Ramp, write_poni, write_truth

BAD_PIXEL = 2**32 - 1  # what an Eiger writes where it measures nothing


def aluminium_ramp(folder: Path, seed: int, frames: int = 60) -> None:
    """Write a NeXus file of a heated powder as a beamline would, its geometry and its truth.

    ``/entry/data/data`` (n, ny, nx) uint32, counts, one chunk a frame, bitshuffle + LZ4;
    ``/entry/instrument/detector/pixel_mask`` (ny, nx) uint32, not 0 where a pixel is bad;
    ``/entry/instrument/monitor/data`` (n,) and ``/entry/sample/temperature`` (n,), K.

    Parameters
    ----------
    folder : Path
        Where the files go.
    seed : int
        Of all random numbers. It moves the expansion coefficient, too.
    frames : int
        Frames of the ramp from 300 K to 890 K.
    """
    rng = np.random.default_rng(seed)
    geometry = Geometry(0.15, 0.019, 0.0386, np.radians(20.0), 0.0, 0.0, 20.0)
    temperature = np.linspace(300, 890, frames)
    decay = np.exp(-np.arange(frames) / 120)
    monitor = np.where(np.arange(frames) < frames * 0.6, decay, decay / decay[int(frames * 0.6)])
    monitor = monitor * rng.normal(1, 0.003, frames)
    monitor /= monitor[0]
    wavelength, broadening, peak = geometry.wavelength_angstrom, 0.12, 400
    strongest = top_of(lines(ALUMINIUM, wavelength, 0.7), broadening)

    def curve_of(crystal: Crystal) -> Curve:
        rings = powder_curve(
            crystal, wavelength, 0.66, peak=peak, broadening_deg=broadening, strongest=strongest
        )
        return with_background(rings, wavelength, air=20, glass=0)

    ramp = Ramp(
        temperature,
        monitor,
        23.1e-6 * (1 + rng.uniform(-0.1, 0.1)),
        0.86 / 293,
        geometry,
        EIGER_500K,
        ALUMINIUM,
        curve_of(ALUMINIUM),
    )
    bad = rng.random(EIGER_500K.shape) < 5e-4
    points, kept = subpixels(geometry, EIGER_500K, 2), losses(geometry, EIGER_500K)
    with h5py.File(folder / "aluminium.h5", "w") as file:
        data = create_nexus(file, ramp, bad)
        for i, kelvin in enumerate(temperature):
            curve = curve_of(ramp.crystal_at(kelvin))
            frame = rng.poisson(average(curve, points) * kept * monitor[i]).astype(np.uint32)
            frame[bad] = BAD_PIXEL
            data[i] = frame
    write_poni(folder / "eiger.poni", geometry, EIGER_500K.name)
    write_truth(folder / "truth.h5", ramp)


def create_nexus(file: h5py.File, ramp: Ramp, bad: np.ndarray) -> h5py.Dataset:
    """Write everything but the frames, and return the dataset that takes them."""
    file.attrs["default"] = "entry"
    entry = group(file, "entry", "NXentry", default="data")
    data = group(entry, "data", "NXdata", signal="data")
    instrument = group(entry, "instrument", "NXinstrument")
    detector = group(instrument, "detector", "NXdetector")
    detector["pixel_mask"] = bad.astype(np.uint32)
    detector["x_pixel_size"] = detector["y_pixel_size"] = ramp.detector.pixel_m
    group(instrument, "monitor", "NXmonitor")["data"] = ramp.monitor
    sample = group(entry, "sample", "NXsample")
    sample["name"] = "aluminium powder (simulated)"
    sample["temperature"] = ramp.temperature_k
    sample["temperature"].attrs["units"] = "K"
    shape = ramp.detector.shape
    return data.create_dataset(
        "data",
        (len(ramp.temperature_k), *shape),
        "uint32",
        chunks=(1, *shape),
        **hdf5plugin.Bitshuffle(cname="lz4"),
    )


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    """Return a new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs.update({"NX_class": nx_class, **attributes})
    return made
