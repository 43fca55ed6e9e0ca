"""A tomography scan whose truth is known: ellipsoids that turn in a parallel beam.

Everything is computed here with NumPy alone. A projection is not summed over voxels: the line
integral through an ellipse has a closed form, so that the scan owes nothing to the grid on which it
will be reconstructed, nor to any reconstruction program's projector.

The scan has what a real one has: an axis of rotation beside the middle of the camera, a beam that
is neither even nor constant, a camera with an offset, photon and read noise, dust on the
scintillator, columns whose gain changed after the flats were taken (they become rings), and
zingers. It lacks refraction and phase contrast, beam hardening, scatter, blur of the optics,
zingers in the flats, and any tilt or wobble of the axis. Every random number comes from the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

PROJECTION, FLAT, DARK = 0, 1, 2  # image keys of NXtomo
SATURATED = 2**16 - 1  # counts


@dataclass(frozen=True)
class Setup:
    """The experiment, in the numbers that its log book would have.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx), pixels of the camera: row 0 at the top, the axis of rotation upright.
    pixel_mm : float
        Edge of a square pixel in the sample, millimetres.
    distance_mm : float
        From the sample to the scintillator.
    energy_kev : float
        Of the monochromatic beam.
    projections : int
        From 0 to 180 degrees, both included: the last is the first one's mirror image.
    flats, darks : int
        Flats before and again after the scan, darks before it.
    photons : float
        In a pixel of a flat at the middle of the beam.
    gain, offset, read_noise : float
        Counts per photon, counts without light, and their standard deviation.
    """

    shape: tuple[int, int] = (24, 288)
    pixel_mm: float = 3.25e-3
    distance_mm: float = 50.0
    energy_kev: float = 20.0
    projections: int = 361
    flats: int = 20
    darks: int = 20
    photons: float = 20_000.0
    gain: float = 1.5
    offset: float = 100.0
    read_noise: float = 3.0

    @property
    def image_key(self) -> np.ndarray:
        """What every frame is: (frames,) uint8; darks, flats, projections, flats."""
        counts = (self.darks, self.flats, self.projections, self.flats)
        return np.repeat(np.array([DARK, FLAT, PROJECTION, FLAT], np.uint8), counts)

    @property
    def angles_deg(self) -> np.ndarray:
        """Where the sample stands in every projection: (projections,) float64."""
        return np.linspace(0, 180, self.projections)

    @property
    def heights_mm(self) -> np.ndarray:
        """Height of every row's middle over that of the camera: (ny,) float64, falling."""
        rows = self.shape[0]
        return ((rows - 1) / 2 - np.arange(rows)) * self.pixel_mm


# ---------------------------------------------------------------------------- sample


@dataclass(frozen=True)
class Ellipsoid:
    """A body whose third axis is upright.

    Parameters
    ----------
    x_mm, y_mm, z_mm : float
        Its centre from the axis of rotation and from the camera's middle height.
    a_mm, b_mm, c_mm : float
        Its half axes; the third is parallel to the axis of rotation.
    turn_deg : float
        Of the first half axis from x towards y.
    mu_per_mm : float
        What it adds to the attenuation coefficient of where it is: below 0 for a hole.
    """

    x_mm: float
    y_mm: float
    z_mm: float
    a_mm: float
    b_mm: float
    c_mm: float
    turn_deg: float
    mu_per_mm: float

    def half_axes_at(self, height_mm: float) -> tuple[float, float]:
        """Return the half axes of the ellipse at a height, mm: (0, 0) beyond its ends."""
        shrink = np.sqrt(max(0.0, 1 - ((height_mm - self.z_mm) / self.c_mm) ** 2))
        return self.a_mm * shrink, self.b_mm * shrink


def line_integrals(
    bodies: Sequence[Ellipsoid], height_mm: float, angles_deg: np.ndarray, t_mm: np.ndarray
) -> np.ndarray:
    """Return the attenuation along horizontal rays: (angles, t) float64, no unit.

    A ray is the line x cos(angle) + y sin(angle) = t. Its chord in an ellipse with the half axes
    a and b, u from its centre, is 2 a b sqrt(s^2 - u^2) / s^2, where s^2 = a^2 cos^2 + b^2 sin^2
    of the angle to the first half axis (Kak & Slaney, Principles of Computerized Tomographic
    Imaging, section 3.1).

    Parameters
    ----------
    bodies : sequence of Ellipsoid
        Their attenuations add.
    height_mm : float
        Of the rays.
    angles_deg : (angles,) float64
        By which the sample is turned.
    t_mm : (t,) float64
        Signed distances of the rays from the axis.
    """
    total = np.zeros((len(angles_deg), len(t_mm)))
    theta = np.radians(angles_deg)[:, None]
    for body in bodies:
        a, b = body.half_axes_at(height_mm)
        if a * b == 0:
            continue
        turned = theta - np.radians(body.turn_deg)
        s2 = (a * np.cos(turned)) ** 2 + (b * np.sin(turned)) ** 2
        u = t_mm - (body.x_mm * np.cos(theta) + body.y_mm * np.sin(theta))
        total += body.mu_per_mm * 2 * a * b / s2 * np.sqrt(np.maximum(s2 - u**2, 0))
    return total


def slice_at(
    bodies: Sequence[Ellipsoid], height_mm: float, side: int, pixel_mm: float, per_side: int = 4
) -> np.ndarray:
    """Return a slice of the sample on the grid of a reconstruction: (side, side) float64, 1/mm.

    The axis of rotation is the grid's middle, x grows with the column, y falls with the row. Every
    pixel is the mean over per_side x per_side points in it.
    """
    fine = side * per_side
    axis = (np.arange(fine) - (fine - 1) / 2) * pixel_mm / per_side
    total = np.zeros((fine, fine), np.float32)
    for body in bodies:
        a, b = body.half_axes_at(height_mm)
        if a * b == 0:
            continue
        reach = max(a, b)
        columns = slice(*np.searchsorted(axis, (body.x_mm - reach, body.x_mm + reach)))
        rows = slice(*np.searchsorted(axis, (-body.y_mm - reach, -body.y_mm + reach)))
        x = axis[None, columns] - body.x_mm
        y = -axis[rows, None] - body.y_mm
        cos, sin = np.cos(np.radians(body.turn_deg)), np.sin(np.radians(body.turn_deg))
        inside = ((x * cos + y * sin) / a) ** 2 + ((y * cos - x * sin) / b) ** 2 <= 1
        total[rows, columns] += np.float32(body.mu_per_mm) * inside
    return total.reshape(side, per_side, side, per_side).mean(axis=(1, 3), dtype=np.float64)


def make_sample(rng: np.random.Generator, setup: Setup) -> list[Ellipsoid]:
    """Return a plug of a porous rock: an upright body with grains, heavy grains and holes in it.

    The body fills 80 % of the camera's width and is a little off the axis. What is in it does not
    touch each other, and is so small that no two slices are alike.
    """
    half_width = setup.shape[1] / 2 * setup.pixel_mm
    body = Ellipsoid(
        x_mm=0.02 * half_width * rng.uniform(-1, 1),
        y_mm=0.02 * half_width * rng.uniform(-1, 1),
        z_mm=0.0,
        a_mm=0.82 * half_width,
        b_mm=0.70 * half_width,
        c_mm=2.0 * setup.heights_mm[0],
        turn_deg=rng.uniform(0, 180),
        mu_per_mm=1.5,
    )
    bodies = [body]
    kinds = ((25, 0.10, 0.9), (25, 0.07, -1.5), (15, 0.03, 4.0))  # how many, half axis, 1/mm
    for count, largest, mu in kinds:
        for _ in range(count):
            bodies.append(place(rng, setup, bodies, largest * half_width, mu))
    return bodies


def place(
    rng: np.random.Generator,
    setup: Setup,
    bodies: Sequence[Ellipsoid],
    largest_mm: float,
    mu_per_mm: float,
) -> Ellipsoid:
    """Return an ellipsoid within the first body that touches none of the others.

    Raises
    ------
    RuntimeError
        After 10,000 attempts.
    """
    outer, *others = bodies
    room = 0.75 * min(outer.a_mm, outer.b_mm)
    for _ in range(10_000):
        a, b, c = largest_mm * rng.uniform(0.4, 1, 3)
        radius, turn = room * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        x, y = outer.x_mm + radius * np.cos(turn), outer.y_mm + radius * np.sin(turn)
        z = rng.uniform(-1, 1) * (setup.heights_mm[0] + 0.5 * c)
        new = Ellipsoid(x, y, z, a, b, c, rng.uniform(0, 180), mu_per_mm)
        if not any(near(new, other) for other in others):
            return new
    raise RuntimeError(f"no room for an ellipsoid of {largest_mm} mm among {len(bodies)} others")


def near(one: Ellipsoid, other: Ellipsoid) -> bool:
    """Return whether the upright cylinders around two ellipsoids touch."""
    apart = np.hypot(one.x_mm - other.x_mm, one.y_mm - other.y_mm)
    across = max(one.a_mm, one.b_mm) + max(other.a_mm, other.b_mm)
    return apart < across and abs(one.z_mm - other.z_mm) < one.c_mm + other.c_mm


# ---------------------------------------------------------------------------- camera


class Ring(NamedTuple):
    """Neighbouring columns whose gain changed after the flats: one ring in every slice."""

    first_column: int
    columns: int
    gain: float  # over that in the flats


class Zinger(NamedTuple):
    """A pixel that something hit which wasn't a photon of the beam."""

    frame: int  # in scan.nxs, darks and flats included
    row: int
    column: int


def make_centre(rng: np.random.Generator, setup: Setup) -> float:
    """Return the column of the axis, px: 4.7 to 12.3 left or right of the middle, never near whole.

    Pixel centres are at whole numbers from 0, so that the middle of nx columns is (nx - 1) / 2. The
    column is 0.2 or more from a whole number.
    """
    off_px = rng.integers(5, 12) + rng.uniform(0.2, 0.8)
    return float(setup.shape[1] // 2 + rng.choice((-1, 1)) * off_px)


def make_rings(rng: np.random.Generator, setup: Setup, centre_px: float) -> list[Ring]:
    """Return six weak, one weak but wide, and three strong rings, 10 to 100 px from the axis."""
    gains = [*(1 + rng.choice((-1, 1), 7) * rng.uniform(0.008, 0.02, 7)), 0.80, 0.90, 1.12]
    radii = rng.choice(np.arange(10, 100, 8), len(gains), replace=False)
    columns = np.rint(centre_px + rng.choice((-1, 1), len(gains)) * radii).astype(int)
    widths = [1] * 6 + [4] + [1] * 3
    each = zip(columns, widths, gains, strict=True)
    return sorted(Ring(int(column), width, float(gain)) for column, width, gain in each)


def ring_gains(rings: Sequence[Ring], columns: int) -> np.ndarray:
    """Return every column's gain over that in the flats: (columns,) float64."""
    gains = np.ones(columns)
    for ring in rings:
        gains[ring.first_column : ring.first_column + ring.columns] = ring.gain
    return gains


def make_beam(rng: np.random.Generator, setup: Setup) -> np.ndarray:
    """Return the beam as the camera sees it: (ny, nx) float64, 1 at most.

    A broad hump, the horizontal stripes of a multilayer's mirror, dust on the scintillator and
    pixels that differ by 2 %.
    """
    rows, columns = setup.shape
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    hump = np.exp(-0.5 * ((x - columns * rng.uniform(0.4, 0.6)) / (0.7 * columns)) ** 2)
    phases, periods = rng.uniform(0, 2 * np.pi, 3), np.array([3.1, 5.7, 11.0])
    waves = np.sin(2 * np.pi * (y[..., None] + 0.02 * x[..., None]) / periods + phases)
    stripes = 1 + 0.04 * waves.sum(axis=-1)
    dust = np.ones(setup.shape)
    for _ in range(12):
        far2 = (y - rng.uniform(0, rows)) ** 2 + (x - rng.uniform(0, columns)) ** 2
        dust *= 1 - rng.uniform(0.1, 0.4) * np.exp(-far2 / (2 * rng.uniform(0.8, 3) ** 2))
    beam = hump * stripes * dust * rng.normal(1, 0.02, setup.shape)
    return beam / beam.max()


def make_flux(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Return the beam's strength in every frame over the nominal one: (frames,) float64.

    The storage ring loses 0.5 % of its current until it is topped up every 90 frames.
    """
    return 1 - 0.005 * (np.arange(frames) % 90) / 90 + rng.normal(0, 5e-4, frames)


def transmission(bodies: Sequence[Ellipsoid], setup: Setup, centre_px: float) -> np.ndarray:
    """Return the share of photons that reach a pixel: (projections, ny, nx) float64.

    Rays that fall onto the same pixel are added as light, not as attenuation: three a pixel, at
    the middles of its thirds.
    """
    rows, columns = setup.shape
    t_mm = (np.arange(columns * 3) / 3 - 1 / 3 - centre_px) * setup.pixel_mm
    passed = np.empty((setup.projections, rows, columns))
    for row, height in enumerate(setup.heights_mm):
        through = np.exp(-line_integrals(bodies, height, setup.angles_deg, t_mm))
        passed[:, row] = through.reshape(-1, columns, 3).mean(axis=-1)
    return passed


def expose(
    rng: np.random.Generator,
    setup: Setup,
    passed: np.ndarray,
    flux: np.ndarray,
    rings: Sequence[Ring],
) -> np.ndarray:
    """Return what the camera counts, zingers apart: (frames, ny, nx) float64.

    Parameters
    ----------
    rng : numpy.random.Generator
    setup : Setup
    passed : (projections, ny, nx) float64
        Share of the photons that the sample lets through.
    flux : (frames,) float64
        Strength of the beam.
    rings : sequence of Ring
        They change the projections, not the flats.
    """
    key = setup.image_key
    light = np.zeros((len(key), *setup.shape))
    light[key == FLAT] = 1
    light[key == PROJECTION] = passed
    light *= setup.photons * make_beam(rng, setup) * flux[:, None, None]
    counts = setup.gain * rng.poisson(light)
    counts[key == PROJECTION] *= ring_gains(rings, setup.shape[1])
    offset = setup.offset + rng.normal(0, 2, setup.shape)  # a pattern of its own
    return counts + offset + rng.normal(0, setup.read_noise, counts.shape)


def add_zingers(
    rng: np.random.Generator, setup: Setup, counts: np.ndarray, share: float = 1e-4
) -> list[Zinger]:
    """Brighten a share of the projections' pixels in place, and return which."""
    frames = np.flatnonzero(setup.image_key == PROJECTION)
    shape = (len(frames), *setup.shape)
    hit = np.sort(rng.choice(np.prod(shape), int(share * np.prod(shape)), replace=False))
    frame, row, column = np.unravel_index(hit, shape)
    counts[frames[frame], row, column] += rng.uniform(10_000, 80_000, len(hit))
    places = zip(frames[frame], row, column, strict=True)
    return [Zinger(*(int(i) for i in place)) for place in places]


# ---------------------------------------------------------------------------- files


def tomography(folder: Path, seed: int) -> None:
    """Write a scan, ``scan.nxs``, and what it does not tell, ``truth.h5``.

    Parameters
    ----------
    folder : Path
        Where to; it exists.
    seed : int
        Of all random numbers. It moves the axis, the sample, the beam and the camera's faults.
    """
    rng = np.random.default_rng(seed)
    setup = Setup()
    centre_px = make_centre(rng, setup)
    bodies = make_sample(rng, setup)
    rings = make_rings(rng, setup, centre_px)
    flux = make_flux(rng, len(setup.image_key))
    passed = transmission(bodies, setup, centre_px)
    counts = expose(rng, setup, passed, flux, rings)
    zingers = add_zingers(rng, setup, counts)
    frames = np.clip(np.rint(counts), 0, SATURATED).astype(np.uint16)
    with h5py.File(folder / "scan.nxs", "w") as file:
        write_scan(file, setup, frames, flux)
    with h5py.File(folder / "truth.h5", "w") as file:
        write_truth(file, setup, centre_px, bodies, passed)
        file["rings"] = as_table(rings)
        file["zingers"] = as_table(zingers)


def write_scan(file: h5py.File, setup: Setup, frames: np.ndarray, flux: np.ndarray) -> None:
    """Write an NXtomo file, with everything where Savu's NxtomoLoader looks by default.

    The optional ``x_rotation_axis_pixel_position`` is left out: it is what the tutorial looks for.

    Parameters
    ----------
    file : h5py.File
        Empty.
    setup : Setup
    frames : (frames, ny, nx) uint16
        Counts.
    flux : (frames,) float64
        Strength of the beam; the monitor before the shutter counts it without noise.
    """
    file.attrs["default"] = "entry1"
    whole = group(file, "entry1", "NXentry", default="tomo_entry")
    entry = group(whole, "tomo_entry", "NXsubentry", default="data")
    entry["definition"] = "NXtomo"
    entry["title"] = "A plug of porous rock, simulated"
    instrument = group(entry, "instrument", "NXinstrument")
    source = group(instrument, "source", "NXsource")
    source["name"], source["type"], source["probe"] = "none", "Synchrotron X-ray Source", "x-ray"
    put(group(instrument, "beam", "NXbeam"), "incident_energy", setup.energy_kev, "keV")
    detector = write_detector(instrument, setup, frames)
    sample = group(entry, "sample", "NXsample")
    sample["name"] = "ellipsoids (simulated)"
    put(sample, "rotation_angle", angle_of_frames(setup), "deg")
    put(group(entry, "control", "NXmonitor"), "data", 1e6 * flux, "counts")
    data = group(entry, "data", "NXdata", signal="data")
    data.attrs["axes"] = ["rotation_angle", ".", "."]
    data["data"], data["image_key"] = detector["data"], detector["image_key"]
    data["rotation_angle"] = sample["rotation_angle"]


def write_detector(instrument: h5py.Group, setup: Setup, frames: np.ndarray) -> h5py.Group:
    """Write the camera and its frames, and return its group."""
    detector = group(instrument, "detector", "NXdetector")
    put(detector, "data", frames, "counts")
    detector["image_key"] = setup.image_key
    put(detector, "x_pixel_size", setup.pixel_mm, "mm")
    put(detector, "y_pixel_size", setup.pixel_mm, "mm")
    put(detector, "distance", setup.distance_mm, "mm")
    return detector


def angle_of_frames(setup: Setup) -> np.ndarray:
    """Return where the sample stands in every frame: (frames,) float64, degrees.

    Darks and flats are taken where the scan starts and ends.
    """
    before, after = np.zeros(setup.darks + setup.flats), np.full(setup.flats, 180.0)
    return np.concatenate([before, setup.angles_deg, after])


def write_truth(
    file: h5py.File,
    setup: Setup,
    centre_px: float,
    bodies: Sequence[Ellipsoid],
    passed: np.ndarray,
) -> None:
    """Write the axis, the sample and the scan that a perfect camera would have seen.

    ``/centre_of_rotation`` px; ``/phantom`` (ny, nx, nx) float32, 1/mm, on the grid of a
    reconstruction; ``/attenuation`` (projections, ny, nx) float32, no unit; ``/angle`` degrees;
    ``/ellipsoids``, one a row.
    """
    file.attrs["geometry"] = (
        "column = centre_of_rotation + (x cos(angle) + y sin(angle)) / pixel; pixel centres are at "
        "whole numbers from 0. In /phantom[row, i, j], x = (j - (nx - 1) / 2) pixels and "
        "y = ((nx - 1) / 2 - i) pixels from the axis: ASTRA's convention for parallel beams."
    )
    put(file, "centre_of_rotation", centre_px, "px")
    put(file, "pixel_size", setup.pixel_mm, "mm")
    put(file, "angle", setup.angles_deg, "deg")
    side = setup.shape[1]
    slices = [slice_at(bodies, height, side, setup.pixel_mm) for height in setup.heights_mm]
    compress = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    file.create_dataset("phantom", data=np.float32(slices), **compress).attrs["units"] = "1/mm"
    file.create_dataset("attenuation", data=-np.log(passed).astype(np.float32), **compress)
    names = [field.name for field in fields(Ellipsoid)]
    rows = [tuple(getattr(body, name) for name in names) for body in bodies]
    file["ellipsoids"] = np.array(rows, [(name, np.float64) for name in names])


def as_table(rows: Sequence[NamedTuple]) -> np.ndarray:
    """Return named tuples as one record a row: (rows,), named and typed like the first one."""
    kinds = {int: np.int32, float: np.float64}
    columns = [(name, kinds[type(value)]) for name, value in rows[0]._asdict().items()]
    return np.array([tuple(row) for row in rows], columns)


def put(parent: h5py.Group, name: str, value: np.ndarray | float, units: str) -> None:
    """Write a number, or an array of them, with its unit."""
    parent[name] = value
    parent[name].attrs["units"] = units


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    """Return a new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs.update({"NX_class": nx_class, **attributes})
    return made
