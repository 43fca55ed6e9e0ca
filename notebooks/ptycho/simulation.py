"""A ptychographic scan whose truth is known: a coherent beam steps over a structured film.

Everything is computed here with NumPy alone: no part of a reconstruction program makes the data.
The light is computed on a grid twice as fine as the one that the detector resolves, and what
scatters beyond the detector is lost, as in an experiment; so the model that programs fit is close
to the data, but not the one that made them.

The scan has what a real one has: positions that no grid fits, a probe with a central stop,
astigmatism and an uneven beam, photon noise, dead and hot pixels, and, where wanted, a source that
is not a point. It lacks background, blur of the detector, errors of the positions, a thick sample,
and a beam or sample that changes. Every random number comes from the seed.

Conventions: waves go as exp(+ikz) along z, so that matter retards to negative phases and a
diffraction pattern is the forward Fourier transform of the exit wave. As one looks along the beam,
rows count downwards and columns to the right; the laboratory's y points up and its x to the left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

HC_J_M = 1.98644586e-25  # Planck constant times speed of light, CODATA 2018
KEV_J = 1.602176634e-16
FINE = 2  # steps of the simulation's grid in a pixel of the object
HOT, DEAD = 4, 8  # bits of a CXI mask; 0 is a good pixel


@dataclass(frozen=True)
class Setup:
    """The experiment: photon energy and detector as at cSAXS, Swiss Light Source, the rest to fit.

    Parameters
    ----------
    energy_kev : float
        Of the monochromatic beam.
    distance_m : float
        From the sample to the detector.
    pixel_m : float
        Edge of a detector pixel, that of a Pilatus.
    frame_px, object_px : int
        Edges of a cut-out frame and of the object, pixels.
    zone_plate_m, outermost_zone_m, central_stop_m : float
        The Fresnel zone plate's diameter, the width of its outermost zone, and the diameter of the
        stop in its middle.
    positions : int
        Of the scan.
    step_px : float
        Edge of a square as large as the area a position, pixels of the object.
    photons : float
        That fall on the sample for every frame.
    source_px : float
        Standard deviation, along rows, of the source's image on the sample, pixels of the object:
        0 for a point. Storage rings' sources are wide and low.
    """

    energy_kev: float = 6.2
    distance_m: float = 2.2
    pixel_m: float = 172e-6
    frame_px: int = 64
    object_px: int = 140
    zone_plate_m: float = 170e-6
    outermost_zone_m: float = 100e-9
    central_stop_m: float = 50e-6
    positions: int = 120
    step_px: float = 5.0
    photons: float = 4e4
    source_px: float = 0.0

    @property
    def energy_j(self) -> float:
        return self.energy_kev * KEV_J

    @property
    def wavelength_m(self) -> float:
        return HC_J_M / self.energy_j

    @property
    def object_pixel_m(self) -> float:
        """Edge of the object's pixels, wavelength times distance over the frame's edge, metres."""
        return self.wavelength_m * self.distance_m / (self.frame_px * self.pixel_m)

    @property
    def numerical_aperture(self) -> float:
        """Sine of the angle at the cone's edge: wavelength / (2 outermost zone) in first order."""
        return self.wavelength_m / (2 * self.outermost_zone_m)

    @property
    def focal_length_m(self) -> float:
        """Diameter times outermost zone over the wavelength, metres."""
        return self.zone_plate_m * self.outermost_zone_m / self.wavelength_m


@dataclass(frozen=True)
class Optics:
    """How the beam arrives.

    Parameters
    ----------
    defocus_m : float
        How far the sample stands downstream of the focus.
    astigmatism_rad : float
        Phase at the zone plate's edge on the x axis; on the y axis it is the opposite.
    tilt : float, optional
        By how much the beam is stronger at the zone plate's right edge than at its middle, as a
        share.
    """

    defocus_m: float
    astigmatism_rad: float = 0.0
    tilt: float = 0.0


# ---------------------------------------------------------------------------- probe


def probe_spectrum(setup: Setup, optics: Optics) -> np.ndarray:
    """Return the beam's angular spectrum: (frame_px, frame_px) complex128, 0 frequency at [0, 0].

    In the focal plane it is an image of the zone plate, as far away as the detector: an annulus.
    Over the distance z a paraxial wave's component of the spatial frequency q is multiplied by
    exp(-i pi wavelength z q^2) (Goodman, Introduction to Fourier Optics, section 4.2).
    """
    q = np.fft.fftfreq(setup.frame_px, setup.object_pixel_m)
    y, x = np.meshgrid(q, q, indexing="ij")
    q_edge = setup.numerical_aperture / setup.wavelength_m
    soft = 1 / (setup.frame_px * setup.object_pixel_m)  # one pixel of the detector
    radius = np.hypot(x, y)
    stop = setup.central_stop_m / setup.zone_plate_m * q_edge
    amplitude = step((q_edge - radius) / soft) * step((radius - stop) / soft)
    amplitude = amplitude * np.sqrt(np.maximum(1 + optics.tilt * x / q_edge, 0))
    phase = optics.astigmatism_rad * (x**2 - y**2) / q_edge**2
    phase = phase - np.pi * setup.wavelength_m * optics.defocus_m * radius**2
    spectrum = amplitude * np.exp(1j * phase)
    return spectrum * np.sqrt(setup.photons / np.sum(amplitude**2))


def step(x: np.ndarray) -> np.ndarray:
    """Return a smooth step from 0 to 1 around x = 0, from 12 to 88 % within -0.5 to 0.5."""
    return 1 / (1 + np.exp(-4 * np.clip(x, -10, 10)))


def probe_image(setup: Setup, optics: Optics) -> np.ndarray:
    """Return the probe in the sample's plane: (frame_px, frame_px) complex128, its middle centred.

    Its square is photons a pixel.
    """
    return np.fft.fftshift(np.fft.ifft2(probe_spectrum(setup, optics), norm="ortho"))


def embed(spectrum: np.ndarray, edge: int) -> np.ndarray:
    """Return a centred square spectrum amid zeros: (edge, edge)."""
    start = edge // 2 - len(spectrum) // 2
    wide = np.zeros((edge, edge), spectrum.dtype)
    wide[start : start + len(spectrum), start : start + len(spectrum)] = spectrum
    return wide


def crop(image: np.ndarray, edge: int) -> np.ndarray:
    """Return the middle of a square image: (edge, edge)."""
    start = len(image) // 2 - edge // 2
    return image[start : start + edge, start : start + edge]


def source_points(setup: Setup) -> list[tuple[float, float]]:
    """Return where points of the source are imaged to, pixels along a row, and their weights.

    Gauss-Hermite quadrature: the weighted sum over seven points stands for the Gaussian. Light from
    two points doesn't interfere.
    """
    if not setup.source_px:
        return [(0.0, 1.0)]
    at, weight = np.polynomial.hermite_e.hermegauss(7)
    return list(zip(setup.source_px * at, weight / weight.sum(), strict=True))


def probe_modes(setup: Setup, optics: Optics) -> np.ndarray:
    """Return the mutually incoherent, orthogonal modes: (modes, frame_px, frame_px) complex128.

    The strongest first, as many as the source has points; squares are photons a pixel. They are
    the singular vectors of the probes of all points.
    """
    q = np.fft.fftfreq(setup.frame_px)
    spectrum = probe_spectrum(setup, optics)
    probes = [
        np.sqrt(weight) * np.fft.ifft2(spectrum * np.exp(-2j * np.pi * q * shift), norm="ortho")
        for shift, weight in source_points(setup)
    ]
    _, sizes, modes = np.linalg.svd(np.reshape(probes, (len(probes), -1)), full_matrices=False)
    shape = (-1, setup.frame_px, setup.frame_px)
    return np.fft.fftshift((sizes[:, None] * modes).reshape(shape), axes=(1, 2))


# ---------------------------------------------------------------------------- object


@dataclass(frozen=True)
class Branch:
    """A straight bar with round ends, in pixels of the object from its middle.

    Parameters
    ----------
    start, end : complex
        Column + 1j row.
    width : float
    """

    start: complex
    end: complex
    width: float


def grow(rng: np.random.Generator, root: Branch, generations: int) -> Iterator[Branch]:
    """Yield a branch and all that grow out of its end, two out of each, thinner and shorter."""
    yield root
    if generations == 0:
        return
    for side in (-1, 1):
        turn = np.exp(1j * side * rng.uniform(0.35, 0.75))
        reach = (root.end - root.start) * turn * rng.uniform(0.68, 0.85)
        yield from grow(rng, Branch(root.end, root.end + reach, root.width * 0.75), generations - 1)


def draw_branch(image: np.ndarray, branch: Branch, pixel: float) -> None:
    """Raise an image to 1 in place where a branch is; its edges are one pixel of the object soft.

    Parameters
    ----------
    image : (n, n) float64
    branch : Branch
    pixel : float
        Of the image, in pixels of the object.
    """
    middle, reach = len(image) // 2, abs(branch.end - branch.start) + 2 * branch.width + 5
    corner = np.array([branch.start.imag, branch.start.real]) / pixel + middle
    low = np.clip(np.floor(corner - reach / pixel), 0, len(image)).astype(int)
    high = np.clip(np.ceil(corner + reach / pixel), 0, len(image)).astype(int)
    rows, columns = np.arange(low[0], high[0]), np.arange(low[1], high[1])
    at = ((columns - middle)[None, :] + 1j * (rows - middle)[:, None]) * pixel
    along = branch.end - branch.start
    share = np.clip(((at - branch.start) * along.conjugate()).real / abs(along) ** 2, 0, 1)
    distance = np.abs(at - branch.start - share * along)
    part = image[low[0] : high[0], low[1] : high[1]]
    np.maximum(part, step(branch.width / 2 - distance), out=part)


def siemens_star(edge: int, pixel: float, radius: float, spokes: int, turn: float) -> np.ndarray:
    """Return a star whose spokes narrow towards its middle: (edge, edge) float64, 0 to 1.

    Parameters
    ----------
    edge : int
        Of the image.
    pixel, radius : float
        Of the image and of the star, in pixels of the object.
    spokes : int
    turn : float
        Of the first spoke, rad.
    """
    axis = (np.arange(edge) - edge // 2) * pixel
    far, angle = np.hypot(axis[:, None], axis), np.arctan2(axis[:, None], axis) - turn
    to_edge = np.arcsin(np.sin(spokes * angle)) / spokes * far  # along the arc
    return step(to_edge) * step(radius - far)


def clouds(rng: np.random.Generator, edge: int, pixel: float) -> np.ndarray:
    """Return a smooth random relief without a scale of its own: (edge, edge) float64, 0 to 1.

    White noise whose Fourier amplitudes fall as q^-2, and faster beyond one period in four pixels.
    """
    q = np.hypot(*np.meshgrid(np.fft.fftfreq(edge, pixel), np.fft.fftfreq(edge, pixel)))
    falling = np.where(q > 0, 1 / np.maximum(q, 1 / (edge * pixel)) ** 2, 0)
    falling = falling * np.exp(-((q / 0.25) ** 2))
    relief = np.fft.ifft2(np.fft.fft2(rng.normal(size=(edge, edge))) * falling).real
    return (relief - relief.min()) / np.ptp(relief)


def make_object(rng: np.random.Generator, setup: Setup) -> np.ndarray:
    """Return the sample's transmission: (FINE object_px, FINE object_px) complex128.

    A Siemens star with trees that grow out of it, as of some 0.4 micrometres of gold (1 rad and
    about 14 % of the amplitude), on an uneven film that hardly absorbs. The smallest parts are two
    pixels of the object wide, the largest as wide as the scan.
    """
    edge, pixel = FINE * setup.object_px, 1 / FINE
    radius = 0.13 * setup.object_px
    metal = siemens_star(edge, pixel, radius, spokes=24, turn=rng.uniform(0, 2 * np.pi))
    trunks, turn = 7, rng.uniform(0, 2 * np.pi)
    for k in range(trunks):
        outwards = np.exp(1j * (turn + (k + rng.uniform(-0.15, 0.15)) * 2 * np.pi / trunks))
        root = Branch(radius * outwards, (radius + rng.uniform(12, 15)) * outwards, 6.0)
        for branch in grow(rng, root, generations=4):
            draw_branch(metal, branch, pixel)
    film = clouds(rng, edge, pixel)
    return np.exp(-(1j + 0.15) * metal - (0.8j + 0.02) * film)


def band_limited(image: np.ndarray, edge: int) -> np.ndarray:
    """Return an image as a coarser grid can hold it: (edge, edge) complex128.

    Fourier components that the grid cannot hold are left out; the rest keep their values, and pixel
    [0, 0] its place.
    """
    spectrum = crop(np.fft.fftshift(np.fft.fft2(image)), edge)
    return np.fft.ifft2(np.fft.ifftshift(spectrum)) * (edge / len(image)) ** 2


# ---------------------------------------------------------------------------- scan


def make_positions(rng: np.random.Generator, setup: Setup) -> np.ndarray:
    """Return the row and column of the probe's middle on the object: (positions, 2) float64, px.

    A Fermat spiral covers a disc evenly and without a lattice, which would leave its own pattern
    in the reconstruction (Huang et al. 2014, doi:10.1364/OE.22.012634). The stage misses its
    targets by 0.3 pixels each way, which an interferometer measures. Pixel centres are at whole
    numbers.
    """
    k = np.arange(setup.positions)
    radius = setup.step_px * np.sqrt((k + 0.5) / np.pi)
    turn = rng.uniform(0, 2 * np.pi) + k * np.pi * (3 - np.sqrt(5))
    spiral = np.stack([radius * np.sin(turn), radius * np.cos(turn)], axis=1)
    return spiral + rng.normal(0, 0.3, spiral.shape) + setup.object_px // 2


def diffract(
    setup: Setup, spectrum: np.ndarray, sample: np.ndarray, at_px: np.ndarray
) -> np.ndarray:
    """Return a diffraction pattern without noise: (frame_px, frame_px) float64, photons.

    Far from the sample, the light is the Fourier transform of the exit wave, probe times object
    (Fraunhofer diffraction). The direct beam falls on pixel [frame_px // 2, frame_px // 2].

    Parameters
    ----------
    setup : Setup
    spectrum : (frame_px, frame_px) complex128
        Of the probe, 0 frequency first.
    sample : (FINE object_px, FINE object_px) complex128
        Transmission on the fine grid.
    at_px : (2,) float64
        Row and column of the probe's middle, pixels of the object.
    """
    edge = FINE * setup.frame_px
    whole = np.floor(at_px * FINE).astype(int)
    rest_y, rest_x = at_px - whole / FINE  # less than a step of the fine grid
    q = np.fft.fftfreq(setup.frame_px)
    moved = spectrum * np.exp(-2j * np.pi * (q[:, None] * rest_y + q[None, :] * rest_x))
    wide = np.fft.ifftshift(embed(np.fft.fftshift(moved), edge))
    probe = np.fft.fftshift(np.fft.ifft2(wide, norm="ortho"))
    top, left = whole - edge // 2
    exit_wave = probe * sample[top : top + edge, left : left + edge]
    light = np.fft.fftshift(np.fft.fft2(exit_wave, norm="ortho"))
    return np.abs(crop(light, setup.frame_px)) ** 2


def make_mask(rng: np.random.Generator, setup: Setup) -> np.ndarray:
    """Return which pixels are bad: (frame_px, frame_px) uint32; 20 are dead, 6 hot."""
    mask = np.zeros((setup.frame_px, setup.frame_px), np.uint32)
    bad = rng.choice(mask.size, 26, replace=False)
    mask.flat[bad[:20]], mask.flat[bad[20:]] = DEAD, HOT
    return mask


def count(
    rng: np.random.Generator,
    setup: Setup,
    spectrum: np.ndarray,
    sample: np.ndarray,
    positions_px: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Return all frames with photon noise: (positions, frame_px, frame_px) int32.

    Dead pixels count nothing, hot ones about as much as the brightest.
    """
    frames = np.empty((len(positions_px), setup.frame_px, setup.frame_px), np.int32)
    points = source_points(setup)
    for frame, at_px in zip(frames, positions_px, strict=True):
        light = (w * diffract(setup, spectrum, sample, at_px + [0, x]) for x, w in points)
        frame[:] = rng.poisson(sum(light))
    frames[:, mask == DEAD] = 0
    frames[:, mask == HOT] = rng.poisson(5000, (len(frames), int(np.sum(mask == HOT))))
    return frames


# ---------------------------------------------------------------------------- files


def partly_coherent_scan(folder: Path, seed: int) -> None:
    """Write the scan of a seed when the source is not a point, with more photons."""
    scan(folder, seed, Setup(source_px=1.5, photons=2e5))


def scan(folder: Path, seed: int, setup: Setup | None = None) -> None:
    """Write a scan, ``scan.cxi``, and what it does not tell, ``truth.h5``.

    Parameters
    ----------
    folder : Path
        Where to; it exists.
    seed : int
        Of all random numbers. It changes the sample, the positions, the focus and the bad pixels.
    setup : Setup, optional
        Another experiment.
    """
    rng = np.random.default_rng(seed)
    setup = setup or Setup()
    optics = Optics(
        defocus_m=rng.uniform(0.33e-3, 0.39e-3),
        astigmatism_rad=rng.uniform(0.3, 0.8),
        tilt=rng.uniform(-0.3, 0.3),
    )
    sample = make_object(rng, setup)
    positions_px = make_positions(rng, setup)
    mask = make_mask(rng, setup)
    frames = count(rng, setup, probe_spectrum(setup, optics), sample, positions_px, mask)
    with h5py.File(folder / "scan.cxi", "w") as file:
        write_scan(file, setup, frames, mask, translations_m(setup, positions_px))
    with h5py.File(folder / "truth.h5", "w") as file:
        write_truth(file, setup, optics, sample, positions_px)


def translations_m(setup: Setup, positions_px: np.ndarray) -> np.ndarray:
    """Return how far the sample is moved in the laboratory: (positions, 3) float64, metres.

    Columns are x, y and z. To bring a point right of and below the object's middle into the
    beam, the sample moves left and up: along +x and +y.
    """
    row, column = (positions_px - setup.object_px // 2).T * setup.object_pixel_m
    return np.stack([column, row, np.zeros_like(row)], axis=1)


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


def dose(setup: Setup, probe: np.ndarray, positions_px: np.ndarray) -> np.ndarray:
    """Return the photons that fell on every pixel of the object: (object_px, object_px) float32."""
    total = np.zeros((setup.object_px, setup.object_px), np.float32)
    for top, left in np.rint(positions_px).astype(int) - setup.frame_px // 2:
        total[top : top + setup.frame_px, left : left + setup.frame_px] += np.abs(probe) ** 2
    return total


def put(parent: h5py.Group, name: str, value: np.ndarray | float, units: str) -> None:
    """Write a number, or an array of them, with its unit."""
    parent[name] = value
    parent[name].attrs["units"] = units


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    """Return a new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs.update({"NX_class": nx_class, **attributes})
    return made
