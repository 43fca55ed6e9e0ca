"""The files of a simulated scan: CXI as beamlines write it, and the truth beside it."""

import h5py
import numpy as np
from beam import dose, probe_image, probe_modes
from experiment import Optics, Setup
from nexus import group, put
from sample import band_limited


def write_scan(
    file: h5py.File, setup: Setup, frames: np.ndarray, mask: np.ndarray, translation_m: np.ndarray
) -> None:
    """Write a CXI file, version 1.6, in SI units (Maia 2012, doi:10.1038/nmeth.2110).

    Parameters
    ----------
    file : h5py.File
        Empty.
    setup : Setup
    frames : (positions, frame_px, frame_px) int32
        Counts.
    mask : (frame_px, frame_px) uint32
        0 where a pixel is good.
    translation_m : (positions, 3) float64
        Of the sample.
    """
    file["cxi_version"], file["number_of_entries"] = 160, 1
    entry = group(file, "entry_1", "NXentry")
    entry["title"] = "A ptychographic scan, simulated"
    instrument = group(entry, "instrument_1", "NXinstrument")
    source = group(instrument, "source_1", "NXsource")
    put(source, "energy", setup.energy_j, "J")
    put(source, "wavelength", setup.wavelength_m, "m")
    zone_plate = group(instrument, "zone_plate_1", "NXfresnel_zone_plate")
    put(zone_plate, "outer_diameter", setup.zone_plate_m, "m")
    put(zone_plate, "outermost_zone_width", setup.outermost_zone_m, "m")
    put(zone_plate, "central_stop_diameter", setup.central_stop_m, "m")
    detector = write_detector(instrument, setup, frames, mask)
    sample = group(entry, "sample_1", "NXsample")
    sample["name"] = "a Siemens star with trees (simulated)"
    put(group(sample, "geometry_1", "NXcollection"), "translation", translation_m, "m")
    data = group(entry, "data_1", "NXdata", signal="data")
    data["data"] = h5py.SoftLink(detector["data"].name)
    for place in (data, detector):
        place["translation"] = h5py.SoftLink(sample["geometry_1/translation"].name)


def write_detector(
    instrument: h5py.Group, setup: Setup, frames: np.ndarray, mask: np.ndarray
) -> h5py.Group:
    """Write the detector, where it stands and what it counted, and return its group.

    The basis vectors say how far one row, then one column, is from the last: (2, 3), metres. The
    corner is that of pixel [0, 0], so that the beam's axis meets the middle of pixel [n/2, n/2].
    """
    detector = group(instrument, "detector_1", "NXdetector")
    pixel, corner = setup.pixel_m, (setup.frame_px // 2 + 0.5) * setup.pixel_m
    put(detector, "distance", setup.distance_m, "m")
    put(detector, "x_pixel_size", pixel, "m")
    put(detector, "y_pixel_size", pixel, "m")
    put(detector, "basis_vectors", [[0, -pixel, 0], [-pixel, 0, 0]], "m")
    put(detector, "corner_position", [corner, corner, setup.distance_m], "m")
    detector["mask"] = mask
    chunks = (1, *frames.shape[1:])
    compress = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    detector.create_dataset("data", data=frames, chunks=chunks, **compress)
    detector["data"].attrs.update({"units": "counts", "axes": "translation:y:x"})
    return detector


def write_truth(
    file: h5py.File, setup: Setup, optics: Optics, sample: np.ndarray, positions_px: np.ndarray
) -> None:
    """Write the object, the probe and the positions, and a probe to start from that is wrong.

    ``/object`` (object_px, object_px) and ``/probe`` (frame_px, frame_px) complex64, the latter's
    square in photons a pixel, and that of a point source; ``/probe_modes`` (modes, frame_px,
    frame_px), the same of the source as it is; ``/dose`` (object_px, object_px) float32, photons
    that fell on a pixel in all; ``/positions_px`` (positions, 2), row and column of the probe's
    middle in the object; ``/positions_m`` (positions, 2), the same from the object's middle;
    ``/initial_probe``, like the probe, but without aberrations and with half the defocus.
    """
    pixel_m, start = setup.object_pixel_m, Optics(0.5 * optics.defocus_m)
    probe = probe_image(setup, optics)
    file.attrs["conventions"] = (
        "Waves go as exp(+ikz): matter has negative phases, and a pattern's amplitude is "
        "fftshift(fft2(probe * patch, norm='ortho')). For whole positions_px, n the frame's edge, "
        "patch = object[row - n/2 : row + n/2, column - n/2 : column + n/2]; pixel centres are at "
        "whole numbers. Rows count downwards, columns to the right, looking along the beam. The "
        "defocus is positive downstream of the focus."
    )
    for name, image in (
        ("object", band_limited(sample, setup.object_px)),
        ("probe", probe),
        ("probe_modes", probe_modes(setup, optics)),
        ("initial_probe", probe_image(setup, start)),
    ):
        file[name] = image.astype(np.complex64)
        file[name].attrs.update({"pixel_size": pixel_m, "pixel_size_units": "m"})
    for name, value in vars(optics).items():
        file["probe"].attrs[name] = value
    file["initial_probe"].attrs["defocus_m"] = start.defocus_m
    put(file, "dose", dose(setup, probe, positions_px), "photons")
    put(file, "positions_px", positions_px, "px")
    put(file, "positions_m", (positions_px - setup.object_px // 2) * pixel_m, "m")
    put(file, "photons_per_frame", setup.photons, "photons")
    put(file, "object_pixel_size", pixel_m, "m")
    put(file, "focal_length", setup.focal_length_m, "m")
