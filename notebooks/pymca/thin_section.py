"""A mapped thin section of a contaminated soil, whose truth is known in every pixel."""

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from fluorescence import RESIN, Setup, attenuation, continuum, escapes, lines, respond, scatter
from spectrum_files import COMPRESSED, get_all, get_setup, measurement, put, put_all, put_setup

SECTION_SETUP = Setup(energy_kev=17.4, flux_hz=2.0e10, time_s=0.1)
SECTION_MASS_G_CM2 = 0.0030  # 25 µm of resin and minerals: what the elements are embedded in
SECTION_GROUPS = ("K K", "Ca K", "Ti K", "Ba L", "Mn K", "Fe K", "Zn K", "As K", "Pb L")
PIXEL_UM = 4.0


def thin_lines(
    group: str, setup: Setup, mass_g_cm2: float = SECTION_MASS_G_CM2
) -> list[tuple[float, float]]:
    """Return energy and counts of a group's lines for 1 µg/cm² of its element in a thin section.

    The element is spread evenly over the section's depth; the section absorbs as resin does:
    ``A = (1 - exp(-X)) / X`` with ``X = m (mu(E0)/sin(in) + mu(E)/sin(out))`` (Sherman's primary
    fluorescence, Spectrochim. Acta 7 (1955) 283, integrated over a finite thickness).

    Returns
    -------
    list of (float, float)
        Energy in keV and counts.
    """
    sin_in, sin_out = np.sin(np.radians([setup.angle_in_deg, setup.angle_out_deg]))
    found = []
    for line in lines(group, setup.energy_kev):
        mu = attenuation(RESIN, [setup.energy_kev, line.energy_kev])
        depth = mass_g_cm2 * (mu[0] / sin_in + mu[1] / sin_out)
        made = setup.photons * 1e-6 / sin_in * line.cm2_per_g * -np.expm1(-depth) / depth
        counts = made * setup.solid_angle * setup.efficiency(line.energy_kev)
        found.append((line.energy_kev, float(counts)))
    return found


def main_peak_counts(group: str, setup: Setup) -> float:
    """Return the counts of a group's peaks, escape peaks aside, for 1 µg/cm² in a thin section."""
    kept = (n * (1 - sum(rate for _, rate in escapes(e))) for e, n in thin_lines(group, setup))
    return float(sum(kept))


def cloud(rng: np.random.Generator, shape: tuple[int, int], size_px: float) -> np.ndarray:
    """Return a smooth random field between 0 and 1 with structures of about `size_px`: (ny, nx)."""
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    low_pass = np.exp(-2 * (np.pi * size_px / 2) ** 2 * (ky**2 + kx**2))
    smooth = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * low_pass).real
    return (smooth - smooth.min()) / np.ptp(smooth)


def grains(
    rng: np.random.Generator, shape: tuple[int, int], count: int, radius_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return soft-edged elliptic grains, 1 inside and 0 outside, and the rims around them: two (ny, nx)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside, rim = np.zeros(shape), np.zeros(shape)
    for _ in range(count):
        cy, cx = rng.uniform(0.06, 0.94, 2) * shape
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.9)
        radius = radius_px * rng.uniform(0.7, 1.3)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        r = np.hypot(u / stretch, v) / radius  # 1 on the edge
        inside = np.maximum(inside, 1 / (1 + np.exp((r - 1) * 2.5 * radius)))
        rim = np.maximum(rim, np.exp(-(((r - 1.25) * radius / 1.4) ** 2)))
    return inside, rim * (1 - inside)


@dataclass(frozen=True)
class Section:
    """A simulated map and its truth.

    Parameters
    ----------
    setup : Setup
        The experiment.
    spectra : (ny, nx, channels) float32
        Counts.
    truth : dict of str to (ny, nx) float64
        Areal density of every element, µg/cm²; the key is the line group, as in ``"Fe K"``.
    """

    setup: Setup
    spectra: np.ndarray
    truth: dict[str, np.ndarray] = field(repr=False)


def section(seed: int, shape: tuple[int, int] = (60, 80)) -> Section:
    """Return a mapped thin section of a contaminated soil, with its truth.

    Iron oxide grains carry arsenic and wear manganese rims; barite and rutile grains lie apart;
    lead sits in hot spots; calcium and potassium fill the pores; zinc fades along one axis.

    Parameters
    ----------
    seed : int
        Seed of grains and noise.
    shape : (int, int)
        Rows and columns.
    """
    rng = np.random.default_rng(seed)
    iron, rim = grains(rng, shape, 7, 6.5)
    barite, _ = grains(rng, shape, 6, 3.2)
    rutile, _ = grains(rng, shape, 7, 2.8)
    lead, _ = grains(rng, shape, 9, 1.6)
    clay = cloud(rng, shape, 9) * (1 - 0.7 * iron)
    lime = cloud(rng, shape, 14) ** 2 * (1 - 0.8 * iron)
    front = 1 / (1 + np.exp((np.arange(shape[1]) - 0.45 * shape[1]) / (0.12 * shape[1])))
    truth = {
        "K K": 8 + 30 * clay,
        "Ca K": 4 + 60 * lime,
        "Ti K": 0.8 + 1.5 * clay + 16 * rutile,
        "Ba L": 1.0 + 45 * barite,
        "Mn K": 0.5 + 22 * rim * cloud(rng, shape, 8),
        "Fe K": 3 + 5 * clay + 32 * iron * (0.7 + 0.5 * cloud(rng, shape, 6)),
        "Zn K": 0.4 + 4.0 * front * (0.5 + cloud(rng, shape, 10)),
        "As K": 0.15 + 2.6 * iron * (0.3 + cloud(rng, shape, 12)),
        "Pb L": 0.5 + 18 * lead + 1.5 * rim,
    }
    setup = SECTION_SETUP
    templates = np.array([respond(setup, thin_lines(g, setup)) for g in SECTION_GROUPS])
    density = np.stack([truth[g] for g in SECTION_GROUPS], axis=-1)
    expected = density @ templates
    mass = 0.7 + 0.3 * density.sum(axis=-1, keepdims=True) / density.sum(axis=-1).mean()
    expected += mass * (1100 * continuum(setup) + scatter(setup, elastic=900, compton=4200))
    return Section(setup, rng.poisson(expected).astype(np.float32), truth)


def soil_section(folder: Path, seed: int) -> None:
    """Write the map of a soil's section, ``section.h5``, and its truth, ``truth.h5``.

    The map is a NeXus file with the counts of every pixel (rows, columns, channels) as the data set
    ``/entry/measurement/xrf``, beside it the places of rows and columns. The truth is the areal
    density of every line group's element, and the setup.
    """
    made = section(seed)
    with h5py.File(folder / "section.h5", "w") as file:
        measured = measurement(file, ["y", "x", "channel"])
        rows, columns, channels = made.spectra.shape
        put(measured, "y", PIXEL_UM * np.arange(rows), "um")
        put(measured, "x", PIXEL_UM * np.arange(columns), "um")
        put(measured, "channel", np.arange(channels))
        counts = made.spectra.astype(np.uint32)
        put(measured, "xrf", counts, "counts", chunks=(1, columns, channels), **COMPRESSED)
    with h5py.File(folder / "truth.h5", "w") as file:
        put_setup(file, made.setup)
        put_all(file, "areal_density", made.truth, "ug/cm2")


def read_section(data: Path, truth: Path) -> Section:
    """Return the section whose files `soil_section` wrote."""
    with h5py.File(data) as file:
        spectra = file["entry/measurement/xrf"][()].astype(np.float32)
    with h5py.File(truth) as file:
        return Section(get_setup(file), spectra, get_all(file, "areal_density"))
