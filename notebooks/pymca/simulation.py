"""X-ray fluorescence spectra whose truth is known: an alloy, a map, and a time series.

Atomic data (cross sections, fluorescence yields, line energies and ratios, escape peaks) come from
the fisx library that PyMca itself uses. Everything else is written out here and shares no code with
PyMca: excitation, enhancement, absorption, detector and noise. So the truth tests PyMca's fit and
its quantification, but not the atomic data, which are the same on both sides.

Left out: peak tails and steps, pile-up and dead time, L and M lines below 2 keV, the beam's
polarisation. Every random number comes from one seeded generator: the same seed, the same data.

The notebooks get them as files, by ``data.fetch``: what a beamline would hand out in one, and the
truth in ``truth.h5``, which only figures and checks read. `alloy_spectrum`, `soil_section` and
`leaching_series` write them; `read_alloy`, `read_section` and `read_series` read them back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from PyMca5.PyMcaIO import specfilewrapper
from PyMca5.PyMcaPhysics.xrf import FisxHelper

ELECTRON_REST_KEV = 510.999
SI_PAIR_KEV = 0.00385  # energy per electron-hole pair in silicon, PyMca's value
MIN_LINE_KEV = 2.0
AIR = {"N": 0.755267, "O": 0.231780, "Ar": 0.012827, "C": 0.000124}
RESIN = {"C": 0.70, "H": 0.08, "O": 0.22}  # an embedding resin, mass fractions
UNITS = {"kev": "keV", "hz": "1/s", "s": "s", "deg": "deg", "cm2": "cm2", "cm": "cm"}  # by a name's ending


@dataclass(frozen=True)
class Setup:
    """A beamline experiment: beam, geometry and detector.

    Parameters
    ----------
    energy_kev, flux_hz, time_s : float
        Photon energy, photons per second on the sample, live time of a spectrum.
    angle_in_deg, angle_out_deg : float
        Angles of the beam and of the detector to the sample's surface.
    area_cm2, distance_cm : float
        Active area of the detector and its distance from the sample, which is all air.
    window_cm, silicon_cm : float
        Thickness of the detector's beryllium window and of its silicon.
    channels : int
        Number of channels of a spectrum.
    zero_kev, gain_kev : float
        Energy of channel 0 and width of a channel.
    noise_kev, fano : float
        Electronic noise (a full width at half maximum) and Fano factor.
    """

    energy_kev: float
    flux_hz: float
    time_s: float
    angle_in_deg: float = 45.0
    angle_out_deg: float = 45.0
    area_cm2: float = 0.5
    distance_cm: float = 3.0
    window_cm: float = 0.0025
    silicon_cm: float = 0.045
    channels: int = 1024
    zero_kev: float = -0.012
    gain_kev: float = 0.0195
    noise_kev: float = 0.085
    fano: float = 0.115

    @property
    def photons(self) -> float:
        """Number of photons that hit the sample during one spectrum."""
        return self.flux_hz * self.time_s

    @property
    def solid_angle(self) -> float:
        """Part of the full sphere that a round detector of this area covers."""
        radius_squared = self.area_cm2 / np.pi
        return 0.5 * (1 - self.distance_cm / np.sqrt(self.distance_cm**2 + radius_squared))

    @property
    def axis_kev(self) -> np.ndarray:
        """Energy of every channel: (channels,) float64, keV."""
        return self.zero_kev + self.gain_kev * np.arange(self.channels)

    @property
    def compton_kev(self) -> float:
        """Energy after Compton scattering in the detector's direction."""
        angle = np.radians(self.angle_in_deg + self.angle_out_deg)
        return self.energy_kev / (1 + self.energy_kev / ELECTRON_REST_KEV * (1 - np.cos(angle)))

    def fwhm_kev(self, energy_kev):
        """Full width at half maximum of a line: noise and charge statistics in quadrature."""
        return np.sqrt(self.noise_kev**2 + 8 * np.log(2) * SI_PAIR_KEV * self.fano * energy_kev)

    def efficiency(self, energy_kev):
        """Part of the photons towards the detector that it counts: air, window, silicon."""
        air = attenuation(AIR, energy_kev) * 0.00120479 * self.distance_cm
        window = attenuation({"Be": 1.0}, energy_kev) * 1.848 * self.window_cm
        silicon = attenuation({"Si": 1.0}, energy_kev) * 2.33 * self.silicon_cm
        return np.exp(-air - window) * (1 - np.exp(-silicon))


@dataclass(frozen=True)
class Line:
    """One emission line: its energy, and photons made per photon and per g/cm² of its element."""

    name: str
    energy_kev: float
    cm2_per_g: float


@cache
def library():
    """Return fisx's tables, set up as PyMca uses them."""
    return FisxHelper.getElementsInstance()


def attenuation(composition: Mapping[str, float], energy_kev):
    """Return the total mass attenuation coefficient, cm²/g, at one or many energies.

    Parameters
    ----------
    composition : mapping of str to float
        Mass fraction of every element; the fractions are scaled to a sum of one.
    energy_kev : float or (n,) array_like
        Photon energies.
    """
    energies = np.atleast_1d(np.asarray(energy_kev, float)).tolist()
    parts = [
        fraction * np.asarray(library().getMassAttenuationCoefficients(element, energies)["total"])
        for element, fraction in composition.items()
    ]
    values = sum(parts) / sum(composition.values())
    return values if np.ndim(energy_kev) else float(values[0])


@cache
def lines(group: str, energy_kev: float) -> tuple[Line, ...]:
    """Return the lines of a group such as ``"Fe K"`` that photons of this energy excite.

    A line's strength is the excitation factor of de Boer, X-Ray Spectrom. 19 (1990) 145: the
    photoelectric cross section of the shell, times fluorescence yield, times radiative rate,
    vacancies that other shells hand down included.
    """
    element, shell = group.split()
    made = library().getExcitationFactors(element, energy_kev)[0]
    found = (
        Line(name, line["energy"], line["rate"])
        for name, line in made.items()
        if name.startswith(shell) and line["energy"] > MIN_LINE_KEV and line["rate"] > 0
    )
    return tuple(found)


@cache
def escapes(energy_kev: float) -> tuple[tuple[float, float], ...]:
    """Return energy (keV) and relative rate of the escape peaks of a line in silicon."""
    peaks = library().getEscape({"Si": 1.0}, energy_kev).values()
    return tuple((peak["energy"], peak["rate"]) for peak in peaks if peak["energy"] > 0)


def respond(setup: Setup, peaks, *, fwhm_kev: float | None = None) -> np.ndarray:
    """Return what the detector makes of photons of some energies.

    Parameters
    ----------
    setup : Setup
        Gives axis and resolution.
    peaks : iterable of (float, float)
        Energy in keV and photons that reach the silicon and are stopped in it.
    fwhm_kev : float, optional
        The width of all peaks; None means the detector's own.

    Returns
    -------
    spectrum : (channels,) float64
        Expected counts, the Gaussian taken at the middle of each channel, escape peaks included.
    """
    spectrum = np.zeros(setup.channels)
    for energy, counts in peaks:
        lost = escapes(energy)
        parts = [(energy, 1 - sum(rate for _, rate in lost)), *lost]
        for at, part in parts:
            sigma = (fwhm_kev or setup.fwhm_kev(at)) / np.sqrt(8 * np.log(2))
            shape = np.exp(-0.5 * ((setup.axis_kev - at) / sigma) ** 2)
            spectrum += counts * part * setup.gain_kev / (sigma * np.sqrt(2 * np.pi)) * shape
    return spectrum


def continuum(setup: Setup) -> np.ndarray:
    """Return a smooth continuum of unit sum: (channels,) float64."""
    energy = np.clip(setup.axis_kev, 0.3, None)
    shape = np.exp(-energy / 3.0) + 0.12 + 0.10 * (energy / setup.energy_kev) ** 3
    shape *= setup.axis_kev < setup.compton_kev
    return shape / shape.sum()


def scatter(setup: Setup, *, elastic: float, compton: float) -> np.ndarray:
    """Return the two scatter peaks, the Compton peak broader than the detector makes it."""
    broad = np.hypot(setup.fwhm_kev(setup.compton_kev), 0.28)
    return respond(setup, [(setup.energy_kev, elastic)]) + respond(
        setup, [(setup.compton_kev, compton)], fwhm_kev=broad
    )


# ------------------------------------------------------------------------------ a thin section

SECTION_SETUP = Setup(energy_kev=17.4, flux_hz=2.0e10, time_s=0.1)
SECTION_MASS_G_CM2 = 0.0030  # 25 µm of resin and minerals: what the elements are embedded in
SECTION_GROUPS = ("K K", "Ca K", "Ti K", "Ba L", "Mn K", "Fe K", "Zn K", "As K", "Pb L")
PIXEL_UM = 4.0


def thin_lines(group: str, setup: Setup, mass_g_cm2: float = SECTION_MASS_G_CM2):
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


def grains(rng: np.random.Generator, shape: tuple[int, int], count: int, radius_px: float):
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


# ------------------------------------------------------------------------------ a thick alloy

ALLOY_SETUP = Setup(
    energy_kev=16.0,
    flux_hz=4.0e8,
    time_s=100.0,
    channels=2048,
    gain_kev=0.0098,
    noise_kev=0.095,
)


@dataclass(frozen=True)
class Alloy:
    """A simulated spectrum of a thick alloy and its truth.

    Parameters
    ----------
    setup : Setup
        The experiment.
    spectrum : (channels,) float64
        Counts.
    truth : dict of str to float
        Mass fraction of every element.
    generations : dict of str to (n,) float64
        Photons of each element's K lines that leave towards the detector, relative to those that
        the beam itself excites: [1, secondary, tertiary, ...].
    """

    setup: Setup
    spectrum: np.ndarray
    truth: dict[str, float] = field(repr=False)
    generations: dict[str, np.ndarray] = field(repr=False)


def alloy(seed: int, generations: int = 4) -> Alloy:
    """Return the spectrum of a thick, flat steel whose composition the seed draws."""
    rng = np.random.default_rng(seed)
    truth = {
        "Cr": rng.uniform(0.12, 0.24),
        "Mn": rng.uniform(0.01, 0.04),
        "Ni": rng.uniform(0.06, 0.16),
        "Cu": rng.uniform(0.01, 0.04),
    }
    truth["Fe"] = 1 - sum(truth.values())
    setup = ALLOY_SETUP
    leaving = thick_emission(truth, setup, generations)
    peaks = []
    for (_, energy), by_generation in leaving.items():
        through = setup.photons * setup.solid_angle * setup.efficiency(energy)
        peaks.append((energy, float(by_generation.sum() * through)))
    expected = respond(setup, peaks) + scatter(setup, elastic=9e3, compton=5e3)
    expected += 0.02 * sum(counts for _, counts in peaks) * continuum(setup)
    relative = {}
    for element in truth:
        total = sum(made for (of, _), made in leaving.items() if of == element)
        relative[element] = total / total[0]
    return Alloy(setup, rng.poisson(expected).astype(float), truth, relative)


def alloy_spectrum(folder: Path, seed: int) -> None:
    """Write the spectrum of an alloy, ``alloy.mca``, and its truth, ``truth.h5``.

    The truth is the mass fraction of every element, how much of its fluorescence is excited by
    which generation of light, and the setup.
    """
    made = alloy(seed)
    write_mca(folder / "alloy.mca", made.spectrum, "alloy")
    with h5py.File(folder / "truth.h5", "w") as file:
        put_setup(file, made.setup)
        put_all(file, "mass_fraction", made.truth, "1")
        put_all(file, "generations", made.generations, "1")


def read_alloy(data: Path, truth: Path) -> Alloy:
    """Return the alloy whose files `alloy_spectrum` wrote."""
    with h5py.File(truth) as file:
        fractions = {element: float(part) for element, part in get_all(file, "mass_fraction").items()}
        return Alloy(get_setup(file), read_mca(data), fractions, get_all(file, "generations"))


def thick_emission(
    fractions: Mapping[str, float], setup: Setup, generations: int, cells: int = 500
) -> dict[tuple[str, float], np.ndarray]:
    """Return the K photons that leave a thick, flat sample, by generation.

    Generation 0 is excited by the beam, generation n + 1 by the lines of generation n. Photons
    spread in all directions from a depth z' and reach a depth z (both in g/cm²) with the flux
    ``E1(mu |z - z'|) / 2``; the integral over each cell of depth is taken in closed form. The first
    two generations are Sherman's classical primary and secondary fluorescence; there, for a sample
    without end, the integrals have the closed form ``sherman_secondary`` uses.

    Parameters
    ----------
    fractions : mapping of str to float
        Mass fraction of every element; they sum up to one.
    setup : Setup
        Energy and angles.
    generations : int
        How many; 2 means primary and secondary.
    cells : int
        Number of cells of depth.

    Returns
    -------
    dict of (str, float) to (generations,) float64
        For every element and line energy (keV), photons into the full sphere, absorption on the
        way out included, for one photon of the beam.
    """
    sin_in, sin_out = np.sin(np.radians([setup.angle_in_deg, setup.angle_out_deg]))
    mu_in = attenuation(fractions, setup.energy_kev) / sin_in
    # Fine near the surface, where the light comes from; deep enough for the hardest line.
    edges = np.linspace(0, 1, cells + 1) ** 2 * 14 / mu_in
    width, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2

    emitters = [(e, line) for e in fractions for line in lines(f"{e} K", setup.energy_kev)]
    beam = -np.diff(np.exp(-mu_in * edges)) / (mu_in * width) / sin_in
    source = [fractions[e] * line.cm2_per_g * beam for e, line in emitters]
    spread = [isotropic_flux(attenuation(fractions, line.energy_kev), middle, edges) for _, line in emitters]
    total = {(e, line.energy_kev): np.zeros(generations) for e, line in emitters}
    for generation in range(generations):
        for (element, line), made in zip(emitters, source, strict=True):
            mu_out = attenuation(fractions, line.energy_kev) / sin_out
            out = -np.diff(np.exp(-mu_out * edges)) / mu_out
            total[element, line.energy_kev][generation] += made @ out
        flux = [kernel @ (made) for kernel, made in zip(spread, source, strict=True)]
        source = [
            sum(
                fractions[element] * strength(element, line.name, by.energy_kev) * reaching
                for (_, by), reaching in zip(emitters, flux, strict=True)
            )
            for element, line in emitters
        ]
    return total


def strength(element: str, line: str, energy_kev: float) -> float:
    """Return the excitation factor of one K line, cm²/g; zero below the edge."""
    return next((x.cm2_per_g for x in lines(f"{element} K", energy_kev) if x.name == line), 0.0)


def isotropic_flux(mu: float, at: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the flux at each depth that a source of one photon per g/cm² in each cell makes.

    Parameters
    ----------
    mu : float
        Mass attenuation coefficient of the line in the sample, cm²/g.
    at : (n,) float64
        Depths, g/cm².
    edges : (m + 1,) float64
        Edges of the cells, g/cm².

    Returns
    -------
    flux : (n, m) float64
        The integral of ``E1(mu |z - z'|) / 2`` over z' in each cell, g/cm²: its antiderivative is
        ``sign(z' - z) (1 - E2(mu |z' - z|)) / mu``.
    """
    step = edges[None, :] - at[:, None]
    upto = np.sign(step) * (1 - exponential_integral_2(mu * np.abs(step))) / mu
    return np.diff(upto, axis=1) / 2


def exponential_integral_2(x: np.ndarray) -> np.ndarray:
    """Return E2(x) for x >= 0, from a table of ``E2(x) = integral of exp(-x/u) du over 0 < u < 1``."""
    grid, table = _e2_table()
    return np.interp(np.sqrt(x), grid, table, right=0.0)


@cache
def _e2_table() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(400)
    u, w = (nodes + 1) / 2, weights / 2
    root = np.linspace(0, np.sqrt(40), 20001)  # square roots: E2 is steep at 0
    return root, np.exp(-(root[:, None] ** 2) / u) @ w


def sherman_secondary(fractions: Mapping[str, float], setup: Setup, element: str) -> float:
    """Return secondary over primary K fluorescence of an element in an endless sample.

    Sherman's closed form, Spectrochim. Acta 7 (1955) 283, as a second way to the same number: for
    each line j of the others, ``L = ln(1 + a/mu_j)/a + ln(1 + b/mu_j)/b`` with ``a = mu(E0)/sin(in)``
    and ``b = mu(E)/sin(out)``.
    """
    sin_in, sin_out = np.sin(np.radians([setup.angle_in_deg, setup.angle_out_deg]))
    a = attenuation(fractions, setup.energy_kev) / sin_in
    primary = secondary = 0.0
    for line in lines(f"{element} K", setup.energy_kev):
        b = attenuation(fractions, line.energy_kev) / sin_out
        primary += line.cm2_per_g / (a + b)
        for other, fraction in fractions.items():
            for by in lines(f"{other} K", setup.energy_kev):
                mu = attenuation(fractions, by.energy_kev)
                ln = np.log1p(a / mu) / a + np.log1p(b / mu) / b
                again = strength(element, line.name, by.energy_kev)
                secondary += 0.5 * fraction * by.cm2_per_g * again * ln / (a + b)
    return float(secondary / primary)


# ------------------------------------------------------------------------------ a time series

SERIES_SETUP = Setup(energy_kev=17.4, flux_hz=5.0e10, time_s=0.5)
SERIES_GROUPS = ("K K", "Ca K", "Ti K", "Mn K", "Fe K", "Zn K", "As K", "Pb L")
RATE_PER_MIN = {"Zn K": 0.065, "As K": 0.025}


@dataclass(frozen=True)
class Series:
    """A simulated time series and its truth.

    Parameters
    ----------
    setup : Setup
        The experiment at the start; its flux is that of a full storage ring.
    time_min : (n,) float64
        Time since the acid flows, minutes.
    monitor : (n,) float64
        Photons in each spectrum as the beam monitor counts them, relative to ``setup.photons``.
    spectra : (n, channels) float32
        Counts; the damaged ones as the data acquisition left them.
    truth : dict of str to (n,) float64
        Areal density, µg/cm².
    gain_kev : (n,) float64
        The true width of a channel, which drifts.
    damaged : dict of int to str
        What happened to which spectrum.
    """

    setup: Setup
    time_min: np.ndarray
    monitor: np.ndarray
    spectra: np.ndarray
    truth: dict[str, np.ndarray] = field(repr=False)
    gain_kev: np.ndarray = field(repr=False)
    damaged: dict[int, str] = field(repr=False)


def series(seed: int, count: int = 120) -> Series:
    """Return a soil grain in flowing acid: zinc and arsenic leave, the rest stays.

    The storage ring's current decays and is topped up; the detector's electronics warm up, which
    stretches the energy axis by 0.4 %; four spectra are damaged.
    """
    rng = np.random.default_rng(seed)
    time_min = np.arange(count) * 0.5
    start = {"K K": 20, "Ca K": 14, "Ti K": 3, "Mn K": 2, "Fe K": 24, "Zn K": 3.0, "As K": 1.2, "Pb L": 2.0}
    truth = {g: np.full(count, float(amount)) for g, amount in start.items()}
    for group, rate in RATE_PER_MIN.items():
        truth[group] = start[group] * (0.15 + 0.85 * np.exp(-rate * time_min))
    monitor = 1 - 0.06 * (time_min % 12) / 12
    setup = SERIES_SETUP
    gain = setup.gain_kev * (1 + 0.004 * (1 - np.exp(-time_min / 20)))
    spectra = np.empty((count, setup.channels), np.float32)
    for i in range(count):
        now = replace(setup, gain_kev=float(gain[i]))
        expected = 3.0e3 * continuum(now) + scatter(now, elastic=2.5e3, compton=1.2e4)
        for group in SERIES_GROUPS:
            expected += truth[group][i] * respond(now, thin_lines(group, now))
        spectra[i] = rng.poisson(monitor[i] * expected)
    return Series(setup, time_min, monitor, spectra, truth, gain, damage(rng, spectra))


def leaching_series(folder: Path, seed: int) -> None:
    """Write a time series, ``series.h5``, and its truth, ``truth.h5``.

    The series is a NeXus file with ``/entry/measurement/xrf`` (spectra, channels), ``time`` and
    ``monitor``. The truth is the areal density at any time, the gain, what was damaged and how,
    the rate constants, and the setup.
    """
    made = series(seed)
    with h5py.File(folder / "series.h5", "w") as file:
        measured = measurement(file, ["time", "channel"])
        put(measured, "time", made.time_min, "min")
        put(measured, "channel", np.arange(made.setup.channels))
        put(measured, "monitor", made.monitor, "1")
        put(measured, "xrf", made.spectra, "counts", **COMPRESSED)
    with h5py.File(folder / "truth.h5", "w") as file:
        put_setup(file, made.setup)
        put_all(file, "areal_density", made.truth, "ug/cm2")
        put_all(file, "rate", RATE_PER_MIN, "1/min")
        put(file, "gain", made.gain_kev, "keV")
        put(file, "damaged/spectrum", list(made.damaged))
        put(file, "damaged/how", list(made.damaged.values()))


def read_series(data: Path, truth: Path) -> Series:
    """Return the series whose files `leaching_series` wrote."""
    with h5py.File(data) as file:
        time_min, monitor, spectra = (
            file[f"entry/measurement/{name}"][()] for name in ("time", "monitor", "xrf")
        )
    with h5py.File(truth) as file:
        how = file["damaged/how"].asstr()[()].tolist()
        damaged = dict(zip(file["damaged/spectrum"][()].tolist(), how, strict=True))
        densities, gain = get_all(file, "areal_density"), file["gain"][()]
        return Series(get_setup(file), time_min, monitor, spectra, densities, gain, damaged)


def damage(rng: np.random.Generator, spectra: np.ndarray) -> dict[int, str]:
    """Spoil four spectra in place, as detectors and networks do, and return what was done."""
    count = len(spectra)
    dead, shutter, broken, half = rng.choice(np.arange(5, count - 5), 4, replace=False)
    spectra[dead] = 0
    spectra[shutter] = rng.poisson(0.02, spectra.shape[1])
    spectra[broken, 300:] = np.nan
    spectra[half, spectra.shape[1] // 2 :] = 0
    return {
        int(dead): "dead detector: all zeros",
        int(shutter): "shutter closed: almost no counts",
        int(broken): "broken transfer: not numbers",
        int(half): "half of the channels lost",
    }


# ------------------------------------------------------------------------------ files

COMPRESSED = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


def measurement(file: h5py.File, axes: list[str]) -> h5py.Group:
    """Return the group for what was measured, in a NeXus file that opens with its spectra."""
    file.attrs.update(NX_class="NXroot", default="entry")
    entry = file.create_group("entry")
    entry.attrs.update(NX_class="NXentry", default="measurement")
    group = entry.create_group("measurement")
    group.attrs.update(NX_class="NXdata", signal="xrf", axes=axes)
    return group


def put(group: h5py.Group, name: str, value, unit: str = "", **how) -> None:
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
    """Return the first spectrum of a SPEC file: (channels,) float64."""
    return np.asarray(specfilewrapper.Specfile(str(path))[0].mca(1), float)
