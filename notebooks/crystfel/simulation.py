"""Snapshots of a crystal whose cell, orientations and intensities are known.

Everything is computed here with NumPy alone: no part of CrystFEL makes the data that these
tutorials give to CrystFEL. The two meet only in the definition of the laboratory's axes and of the
detector, that of crystfel_geometry(5): z runs along the beam, y upwards, and x completes a
right-handed system; positions on the detector count pixels from the corner of the first one.

Each frame is one still of one crystal in a random orientation. A reflection is as strong as the
Ewald sphere cuts its point of the reciprocal lattice: points have a size, from the size of the
crystal, and are widened by mosaicity, bandwidth and divergence. Spots have a width and fall between
pixels; crystal and pulse differ from frame to frame; there is polarised light, scattering by air
and water, photon noise, and a detector with gaps, dead pixels and a beam stop.

What is simpler than in an experiment:

- Intensities are random, with Wilson's distributions and a B factor. No structure is behind them,
  no solvent, no screw axis, no anomalous signal.
- Every frame is a hit with exactly one crystal, and all crystals have the same cell.
- The geometry is exact, and the photon energy of each frame is known exactly.
- Bandwidth, divergence and mosaicity change how much of a reflection is seen, not where, which
  would be some hundredths of a pixel. All spots are round and equally wide.
- No absorption, no parallax in the sensor, no saturation, no noise but that of photons.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

HC_EV_ANGSTROM = 12398.419843  # Planck constant times speed of light, CODATA 2018
MASKED = 2**16 - 1  # what the frames hold where nothing is measured
REACH = 4.0  # standard deviations: reflections further off the Ewald sphere are not drawn
PATCH = 13  # pixels along the edge of the square onto which a spot is drawn


# ---------------------------------------------------------------------------- experiment


@dataclass(frozen=True)
class Detector:
    """A flat detector, perpendicular to the beam.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx), pixels: slow scan, fast scan.
    pixel_m : float
        Edge of a square pixel, metres.
    distance_m : float
        From the sample, metres.
    beam_px : tuple of float
        Where the beam meets the detector: (fast, slow), pixels from the corner of the first pixel.
    roll_deg : float
        Seen along the beam, fast scan runs to the right and slow scan downwards, but for this
        rotation about the beam.
    module_shape, gap_shape : tuple of int
        Pixels of one module, and of the dead stripes between two modules.
    stop_px : float
        Radius of the beam stop's shadow, pixels.
    dead_share : float
        Of all pixels.
    """

    shape: tuple[int, int] = (1000, 1000)
    pixel_m: float = 100e-6
    distance_m: float = 72.8e-3
    beam_px: tuple[float, float] = (509.35, 487.72)
    roll_deg: float = 0.25
    module_shape: tuple[int, int] = (328, 496)
    gap_shape: tuple[int, int] = (8, 8)
    stop_px: float = 11.0
    dead_share: float = 3e-4

    @property
    def axes(self) -> np.ndarray:
        """Fast and slow scan in the laboratory: (2, 3), unit vectors."""
        c, s = np.cos(np.radians(self.roll_deg)), np.sin(np.radians(self.roll_deg))
        return np.array([[-c, -s, 0.0], [s, -c, 0.0]])

    @property
    def corner_px(self) -> np.ndarray:
        """Corner of the first pixel in the laboratory: (2,), x and y in pixels from the beam."""
        return -(self.beam_px @ self.axes)[:2]

    def meet(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where forward rays (n, 3) from the sample end: fast and slow scan, (n,) pixels."""
        across = rays[:, :2] / rays[:, 2:] * (self.distance_m / self.pixel_m)
        fast, slow = self.axes[:, :2] @ across.T
        return fast + self.beam_px[0], slow + self.beam_px[1]

    def rays(self) -> np.ndarray:
        """Return the unit vectors from the sample to the pixels' centres: (ny, nx, 3)."""
        slow, fast = (
            np.arange(n) + 0.5 - at for n, at in zip(self.shape, self.beam_px[::-1], strict=True)
        )
        rays = fast[None, :, None] * self.axes[0] + slow[:, None, None] * self.axes[1]
        rays[..., 2] = self.distance_m / self.pixel_m
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def mask(self, rng: np.random.Generator) -> np.ndarray:
        """Return where nothing is measured, with new dead pixels: (ny, nx) bool."""
        inside = [
            np.arange(n) % (module + gap) < module
            for n, module, gap in zip(self.shape, self.module_shape, self.gap_shape, strict=True)
        ]
        fast, slow = (
            np.arange(n) + 0.5 - at for n, at in zip(self.shape[::-1], self.beam_px, strict=True)
        )
        stop = np.hypot(*np.meshgrid(fast, slow)) < self.stop_px
        return ~np.logical_and.outer(*inside) | stop | (rng.random(self.shape) < self.dead_share)


@dataclass(frozen=True)
class Beam:
    """Pulses of X-rays. All widths are standard deviations of Gaussians.

    Parameters
    ----------
    energy_ev : float
        Mean photon energy.
    energy_jitter : float
        Of the mean energy of a pulse, from one to the next, relative.
    bandwidth : float
        Of the energies within a pulse, relative.
    divergence_rad : float
        Of the directions within a pulse, rad.
    pulse_jitter : float
        Of the photons in a pulse, from one to the next, relative.
    """

    energy_ev: float = 9500.0
    energy_jitter: float = 1e-3
    bandwidth: float = 5e-4
    divergence_rad: float = 2e-4
    pulse_jitter: float = 0.1


@dataclass(frozen=True)
class Crystal:
    """What diffracts: a primitive tetragonal lattice, unique axis c, Laue class 4/mmm.

    Parameters
    ----------
    a_angstrom, c_angstrom : float
        Lattice parameters. The default is close to hen egg-white lysozyme.
    b_angstrom2 : float
        Wilson's B: intensities fall as exp(-B / (2 d^2)).
    strength : float
        Photons of an average reflection at small angles, in the middle of its point, in a frame
        of scale 1.
    point_per_angstrom : float
        Standard deviation of a point of the reciprocal lattice, a round Gaussian; its inverse
        stands for the size of the crystal.
    mosaicity_rad : float
        Standard deviation of the directions of the crystal's blocks.
    size_spread : float
        Standard deviation of the logarithm of the diffracting volume, crystal to crystal.
    """

    a_angstrom: float = 79.1
    c_angstrom: float = 37.9
    b_angstrom2: float = 18.0
    strength: float = 4500.0
    point_per_angstrom: float = 1e-3
    mosaicity_rad: float = 5e-4
    size_spread: float = 0.3

    @property
    def lengths_angstrom(self) -> np.ndarray:
        """The three axes: (3,)."""
        return np.array([self.a_angstrom, self.a_angstrom, self.c_angstrom])


@dataclass(frozen=True)
class Experiment:
    """Everything that is the same in all frames.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    crystal : Crystal
    frames : int
    d_min_angstrom : float
        End of the resolution; the default lies just beyond the detector's corners.
    blur_px : float
        Standard deviation that the detector adds to a spot, pixels.
    """

    detector: Detector = Detector()
    beam: Beam = Beam()
    crystal: Crystal = Crystal()
    frames: int = 100
    d_min_angstrom: float = 1.7
    blur_px: float = 0.6

    @property
    def spot_px(self) -> float:
        """Standard deviation of a spot, pixels: the point's size seen from far, and the blur."""
        wavelength = HC_EV_ANGSTROM / self.beam.energy_ev
        pixel_rad = self.detector.pixel_m / self.detector.distance_m
        return math.hypot(self.crystal.point_per_angstrom * wavelength / pixel_rad, self.blur_px)


# ---------------------------------------------------------------------------- crystal


class Reflections(NamedTuple):
    """The reciprocal lattice up to a resolution, without its origin."""

    hkl: np.ndarray  # (n, 3) int64, all of it
    unique: np.ndarray  # (m, 3) int64, h >= k >= 0 and l >= 0: the asymmetric unit of 4/mmm
    member: np.ndarray  # (n,) int64, which row of `unique` each of `hkl` is equivalent to


def reflections(crystal: Crystal, d_min_angstrom: float) -> Reflections:
    """Return all reflections with d of at least `d_min_angstrom`."""
    top = (crystal.lengths_angstrom / d_min_angstrom).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in top), indexing="ij"), axis=-1)
    hkl = hkl.reshape(-1, 3)
    inverse_d = np.linalg.norm(hkl / crystal.lengths_angstrom, axis=1)
    hkl = hkl[(inverse_d > 0) & (inverse_d <= 1 / d_min_angstrom)]
    small, large = np.sort(np.abs(hkl[:, :2]), axis=1).T
    unique, member = np.unique(
        np.stack([large, small, np.abs(hkl[:, 2])], axis=1), axis=0, return_inverse=True
    )
    return Reflections(hkl, unique, member.ravel())


def intensities(rng: np.random.Generator, crystal: Crystal, unique: np.ndarray) -> np.ndarray:
    """Return random intensities, in photons: (m,) float64.

    Wilson (1949, doi:10.1107/S0365110X49000813): |E|^2 is exponential, and the square of a normal
    deviate in the centric zones, which in point group 422 are hk0, h0l and hhl.
    """
    in_zone = (unique[:, 1:] == 0).any(axis=1) | (unique[:, 0] == unique[:, 1])
    acentric = rng.exponential(size=len(unique))
    centric = rng.normal(size=len(unique)) ** 2
    squares = np.where(in_zone, centric, acentric)
    inverse_d2 = ((unique / crystal.lengths_angstrom) ** 2).sum(axis=1)
    return crystal.strength * np.exp(-crystal.b_angstrom2 / 2 * inverse_d2) * squares


def random_rotations(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return rotations drawn uniformly: (n, 3, 3).

    Four normal deviates, normalised, are a uniformly random unit quaternion.
    """
    q = rng.normal(size=(n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def reciprocal_axes(crystal: Crystal, rotations: np.ndarray) -> np.ndarray:
    """Return a*, b*, c* in the laboratory, one a row, in 1/angstrom: (n, 3, 3)."""
    return np.swapaxes(rotations, 1, 2) / crystal.lengths_angstrom[:, None]


# ---------------------------------------------------------------------------- diffraction


class Shot(NamedTuple):
    """What differs from frame to frame, each (n,) or one of its values."""

    axes: np.ndarray  # (n, 3, 3): a*, b*, c* in the laboratory, one a row, in 1/angstrom
    energy_ev: np.ndarray
    pulse: np.ndarray  # photons in the pulse over their mean
    scale: np.ndarray  # of the spots: pulse times diffracting volume, over the mean


def shots(rng: np.random.Generator, experiment: Experiment) -> Shot:
    """Return all frames' orientations, energies and scales."""
    n, beam, crystal = experiment.frames, experiment.beam, experiment.crystal
    pulse = np.clip(rng.normal(1, beam.pulse_jitter, n), 0.5, 1.5)
    volume = rng.lognormal(-(crystal.size_spread**2) / 2, crystal.size_spread, n)
    return Shot(
        axes=reciprocal_axes(crystal, random_rotations(rng, n)),
        energy_ev=beam.energy_ev * rng.normal(1, beam.energy_jitter, n),
        pulse=pulse,
        scale=pulse * volume,
    )


class Spots(NamedTuple):
    """The reflections that one frame shows, each (n,)."""

    row: np.ndarray  # of `Reflections.hkl`
    fs: np.ndarray  # centre, pixels from the corner of the first pixel, fast scan
    ss: np.ndarray  # the same, slow scan
    excitation: np.ndarray  # 1/angstrom: how far outside the Ewald sphere the point is
    partiality: np.ndarray  # of the intensity: 1 for a point cut in its middle, widened by nothing
    photons: np.ndarray  # expected in the whole spot


def polarisation(rays: np.ndarray) -> np.ndarray:
    """Return the fraction of scattered intensity that horizontal polarisation leaves.

    Thomson scattering: 1 minus the square of the ray's component along the electric field, x. This
    is also what CrystFEL's merging programs divide by unless told otherwise.

    Parameters
    ----------
    rays : (..., 3) float64
        Unit vectors from the sample.
    """
    return 1 - rays[..., 0] ** 2


def cut_width(experiment: Experiment, length: np.ndarray, k: float) -> np.ndarray:
    """Return the standard deviation of points' distance from the Ewald sphere, 1/angstrom: (n,).

    With k = 1 / wavelength and sin(theta) = g / (2 k), the sphere's surface moves along a scattered
    ray by (1 - cos 2theta) dk when k changes and by k sin(2theta) when the beam tilts by 1 rad, and
    the point by g cos(theta) when the crystal does. Independent Gaussians add in squares.

    Parameters
    ----------
    experiment : Experiment
        The widths.
    length : (n,) float64
        Distance g of the points from the origin, 1/angstrom.
    k : float
        Inverse wavelength, 1/angstrom.
    """
    beam, crystal = experiment.beam, experiment.crystal
    theta = np.arcsin(np.minimum(length / 2 / k, 1))
    return np.sqrt(
        crystal.point_per_angstrom**2
        + (crystal.mosaicity_rad * length * np.cos(theta)) ** 2
        + (beam.bandwidth * k * (1 - np.cos(2 * theta))) ** 2
        + (beam.divergence_rad * k * np.sin(2 * theta)) ** 2
    )


def near_sphere(experiment: Experiment, points: np.ndarray, k: float) -> np.ndarray:
    """Return which points may be cut by the Ewald sphere, and some more: (m,) int64.

    A quick look, which spares the square roots of all others: |k + g| differs from k by less than
    d if g^2 + 2 k g_z lies within d (2 k + d), where d is taken from the widest point that can be.
    """
    squares = np.einsum("ij,ij->i", points, points)
    lengths = np.linspace(0, math.sqrt(squares.max()), 200)
    widest = REACH * cut_width(experiment, lengths, k).max() * 1.01
    return np.flatnonzero(np.abs(squares + 2 * k * points[:, 2]) < widest * (2 * k + widest))


def diffract(experiment: Experiment, shot: Shot, hkl: np.ndarray, strength: np.ndarray) -> Spots:
    """Return what falls onto the detector in one frame.

    A Gaussian point at the distance e from the Ewald sphere, cut at a width w, is seen with the
    partiality (s / w) exp(-e^2 / (2 w^2)), where s is its own size: anything that widens the
    point lowers it as well, so that the integral over all e keeps its value. A still needs no
    Lorentz factor beyond that. The ray runs along k + g, the point's projection onto the sphere.

    Parameters
    ----------
    experiment : Experiment
    shot : Shot
        Of this frame.
    hkl : (n, 3) int64
        Reflections to try.
    strength : (n,) float64
        Their intensities, photons.
    """
    k = shot.energy_ev / HC_EV_ANGSTROM
    points = hkl @ shot.axes
    row = near_sphere(experiment, points, k)
    scattered = points[row] + [0, 0, k]
    length = np.linalg.norm(scattered, axis=1)
    width = cut_width(experiment, np.linalg.norm(points[row], axis=1), k)
    cut = np.abs(length - k) < REACH * width
    row, scattered, length, width = row[cut], scattered[cut], length[cut], width[cut]
    excitation = length - k
    rays = scattered / length[:, None]
    size = experiment.crystal.point_per_angstrom
    partiality = size / width * np.exp(-((excitation / width) ** 2) / 2)
    photons = shot.scale * strength[row] * partiality * polarisation(rays)
    fs, ss = experiment.detector.meet(rays)
    ny, nx = experiment.detector.shape
    on = (ss >= 0) & (ss < ny) & (fs >= 0) & (fs < nx)
    return Spots(*(column[on] for column in (row, fs, ss, excitation, partiality, photons)))


def background(experiment: Experiment) -> np.ndarray:
    """Return the photons that air and water scatter in a pulse of mean strength: (ny, nx) float64.

    Air falls with the angle; water has its broad ring at 3.3 angstrom. Far pixels cover less
    solid angle, as the cube of the cosine of the angle.
    """
    rays = experiment.detector.rays()
    k = experiment.beam.energy_ev / HC_EV_ANGSTROM
    inverse_d = k * np.sqrt(2 * (1 - rays[..., 2]))
    air = 1 + 9 * np.exp(-inverse_d / 0.06)
    water = 6 * np.exp(-(((inverse_d - 1 / 3.3) / 0.07) ** 2) / 2)
    return (air + water) * rays[..., 2] ** 3 * polarisation(rays)


# ---------------------------------------------------------------------------- frames


def gaussian_shares(centres: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of Gaussian spots falls into each of the `PATCH` pixels around them.

    Parameters
    ----------
    centres : (n,) float64
        Pixels.
    sigma : float
        Standard deviation, pixels.

    Returns
    -------
    tuple of ndarray
        The first pixel's index, (n,), and the shares, (n, PATCH).
    """
    first = np.floor(centres).astype(int) - PATCH // 2
    edges = first[:, None] + np.arange(PATCH + 1) - centres[:, None]
    grid = np.linspace(-PATCH, PATCH, 200 * PATCH + 1)
    table = [0.5 + 0.5 * math.erf(x / sigma / math.sqrt(2)) for x in grid]
    return first, np.diff(np.interp(edges, grid, table), axis=1)


def draw(shape: tuple[int, int], spots: Spots, sigma: float) -> np.ndarray:
    """Return the expected photons of all spots: (ny, nx) float64."""
    first_ss, share_ss = gaussian_shares(spots.ss, sigma)
    first_fs, share_fs = gaussian_shares(spots.fs, sigma)
    # A margin takes what falls off the detector.
    image = np.zeros([n + 2 * PATCH for n in shape])
    rows = (first_ss[:, None] + np.arange(PATCH) + PATCH)[:, :, None]
    columns = (first_fs[:, None] + np.arange(PATCH) + PATCH)[:, None, :]
    patches = spots.photons[:, None, None] * share_ss[:, :, None] * share_fs[:, None, :]
    np.add.at(image, (rows, columns), patches)
    return image[PATCH:-PATCH, PATCH:-PATCH]


def expose(rng: np.random.Generator, expected: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the frame that the detector writes: (ny, nx) uint16, photons."""
    counts = np.minimum(rng.poisson(expected), MASKED - 1).astype(np.uint16)
    counts[mask] = MASKED
    return counts


# ---------------------------------------------------------------------------- files


def snapshots(folder: Path, seed: int, frames: int = Experiment.frames) -> None:
    """Write a small data set of serial crystallography, ready for CrystFEL, and its truth.

    ======================  ======================================================================
    ``snapshots.h5``        frames, mask and photon energies, as a beamline would; `create_nexus`
    ``snapshots.lst``       list of the files of frames, relative to the folder
    ``detector.geom``       the detector, in CrystFEL's words
    ``crystal.cell``        the true cell
    ``wrong.cell``          a cell that no frame fits: what indexes with it indexes noise
    ``truth.hkl``           true intensities as CrystFEL's merging programs would write them
    ``truth.h5``            all that the frames do not tell; `write_truth`
    ======================  ======================================================================

    Parameters
    ----------
    folder : Path
        Exists; files of these names are replaced.
    seed : int
        Of all random numbers: intensities, orientations, pulses, dead pixels, photons.
    frames : int
        How many.
    """
    experiment = Experiment(frames=frames)
    rng = np.random.default_rng(seed)
    lattice = reflections(experiment.crystal, experiment.d_min_angstrom)
    strength = intensities(rng, experiment.crystal, lattice.unique)
    series = shots(rng, experiment)
    mask = experiment.detector.mask(rng)
    halo = background(experiment)
    found = []
    with h5py.File(folder / "snapshots.h5", "w") as file:
        written = create_nexus(file, experiment, series, mask)
        for i, shot in enumerate(map(Shot._make, zip(*series, strict=True))):
            spots = diffract(experiment, shot, lattice.hkl, strength[lattice.member])
            drawn = draw(experiment.detector.shape, spots, experiment.spot_px)
            written[i] = expose(rng, drawn + shot.pulse * halo, mask)
            found.append(spots)
    write_truth(folder / "truth.h5", experiment, series, lattice, strength, found)
    (folder / "truth.hkl").write_text(reflection_list(lattice.unique, strength))
    (folder / "detector.geom").write_text(geometry_file(experiment))
    (folder / "crystal.cell").write_text(cell_file(experiment.crystal.lengths_angstrom))
    (folder / "wrong.cell").write_text(cell_file(np.array([60.0, 60.0, 60.0])))
    (folder / "snapshots.lst").write_text("snapshots.h5\n")


def create_nexus(
    file: h5py.File, experiment: Experiment, series: Shot, mask: np.ndarray
) -> h5py.Dataset:
    """Write everything but the frames, and return the dataset that takes them.

    ``/entry/data/data`` (n, ny, nx) uint16, photons, one chunk a frame. Its compression, gzip, is
    the one that every HDF5 library reads without a plugin;
    ``/entry/instrument/detector/pixel_mask`` (ny, nx) uint8, not 0 where a pixel is bad;
    ``/entry/instrument/beam/incident_energy`` (n,), eV.
    """
    detector, shape = experiment.detector, experiment.detector.shape
    file.attrs["default"] = "entry"
    entry = group(file, "entry", "NXentry", default="data")
    entry["title"] = "Snapshots of a lysozyme-like crystal (simulated)"
    instrument = group(entry, "instrument", "NXinstrument")
    beam = group(instrument, "beam", "NXbeam")
    quantity(beam, "incident_energy", series.energy_ev, "eV")
    panel = group(instrument, "detector", "NXdetector")
    panel.create_dataset("pixel_mask", data=mask.astype(np.uint8), compression="gzip")
    for name, value in (
        ("distance", detector.distance_m),
        ("x_pixel_size", detector.pixel_m),
        ("y_pixel_size", detector.pixel_m),
    ):
        quantity(panel, name, value, "m")
    return group(entry, "data", "NXdata", signal="data").create_dataset(
        "data",
        (experiment.frames, *shape),
        np.uint16,
        chunks=(1, *shape),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )


def write_truth(
    path: Path,
    experiment: Experiment,
    series: Shot,
    lattice: Reflections,
    strength: np.ndarray,
    found: list[Spots],
) -> None:
    """Write what the frames do not tell.

    ``cell`` (6,): a, b, c in angstrom, alpha, beta, gamma in degrees;
    ``orientation`` (n, 3, 3): a*, b*, c* in the laboratory, one a row, in 1/angstrom. Any of the 8
    rotations of point group 422 describes the same crystal;
    ``photon_energy`` (n,) eV, ``pulse`` (n,) and ``scale`` (n,): see `Shot`;
    ``reflections/hkl`` (m, 3) and ``reflections/intensity`` (m,) photons: asymmetric unit of 4/mmm;
    ``spots/hkl`` (s, 3), ``spots/fs``, ``ss``, ``excitation``, ``partiality``, ``photons`` (s,):
    see `Spots`. Frame i has the rows from ``spots/offset[i]`` to ``spots/offset[i + 1]``, also
    those that the mask hides.
    """
    columns = Spots(*(np.concatenate(column) for column in zip(*found, strict=True)))
    with h5py.File(path, "w") as file:
        file["cell"] = [*experiment.crystal.lengths_angstrom, 90.0, 90.0, 90.0]
        quantity(file, "orientation", series.axes, "1/angstrom")
        quantity(file, "photon_energy", series.energy_ev, "eV")
        file["pulse"], file["scale"] = series.pulse, series.scale
        file["reflections/hkl"] = lattice.unique.astype(np.int16)
        quantity(file, "reflections/intensity", strength, "photons")
        spots = file.create_group("spots")
        spots["offset"] = np.cumsum([0, *(len(one.row) for one in found)])
        spots["hkl"] = lattice.hkl[columns.row].astype(np.int16)
        for name, unit in (
            ("fs", "px"),
            ("ss", "px"),
            ("excitation", "1/angstrom"),
            ("partiality", ""),
            ("photons", "photons"),
        ):
            quantity(spots, name, getattr(columns, name).astype(np.float32), unit)


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    """Return a new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs.update({"NX_class": nx_class, **attributes})
    return made


def quantity(parent: h5py.Group, name: str, value: float | np.ndarray, unit: str) -> None:
    """Write a number or an array with its unit."""
    parent[name] = value
    parent[name].attrs["units"] = unit


def geometry_file(experiment: Experiment) -> str:
    """Return the detector as CrystFEL reads it, see crystfel_geometry(5)."""
    detector = experiment.detector
    (ny, nx), (x, y) = detector.shape, detector.corner_px
    fast, slow = (f"{across:+.9f}x {up:+.9f}y" for across, up, _ in detector.axes)
    return f"""\
; Simulated detector: the geometry is exact.
photon_energy = /entry/instrument/beam/incident_energy eV
bandwidth = {experiment.beam.bandwidth:.1e}
clen = {detector.distance_m * 1e3:.6f} mm
res = {1 / detector.pixel_m:.6f} ; pixels per metre
adu_per_photon = 1

data = /entry/data/data
dim0 = %
dim1 = ss
dim2 = fs
mask0_data = /entry/instrument/detector/pixel_mask
mask0_goodbits = 0x0
mask0_badbits = 0x1

panel/min_fs = 0
panel/max_fs = {nx - 1}
panel/min_ss = 0
panel/max_ss = {ny - 1}
panel/fs = {fast}
panel/ss = {slow}
panel/corner_x = {x:.6f}
panel/corner_y = {y:.6f}
"""


def cell_file(lengths_angstrom: np.ndarray) -> str:
    """Return a primitive tetragonal cell as CrystFEL reads it."""
    lengths = (f"{n} = {x:.4f} A" for n, x in zip("abc", lengths_angstrom, strict=True))
    return "\n".join(
        [
            "CrystFEL unit cell file version 1.0",
            "",
            "lattice_type = tetragonal",
            "centering = P",
            "unique_axis = c",
            "",
            *lengths,
            "",
            *(f"{name} = 90.0 deg" for name in ("al", "be", "ga")),
            "",
        ]
    )


def reflection_list(hkl: np.ndarray, intensity: np.ndarray) -> str:
    """Return intensities as CrystFEL's merging programs write them; the truth has no sigma."""
    rows = (
        "{:4d} {:4d} {:4d} ".format(*indices) + f"{value:10.2f} {'-':>8} {0:10.2f} {1:7d}"
        for indices, value in zip(hkl.tolist(), intensity.tolist(), strict=True)
    )
    return "\n".join(
        [
            "CrystFEL reflection list version 2.0",
            "Symmetry: 4/mmm",
            "   h    k    l          I    phase   sigma(I)   nmeas",
            *rows,
            "End of reflections",
            "",
        ]
    )
