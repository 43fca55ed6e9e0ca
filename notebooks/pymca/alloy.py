"""A thick alloy of unknown composition: its fluorescence, and what that excites in turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from fluorescence import Setup, attenuation, continuum, lines, respond, scatter
from spectrum_files import get_all, get_setup, put_all, put_setup, write_mca

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
    """Write the spectrum of an alloy, ``alloy.mca``, the experiment, ``setup.h5``, and ``truth.h5``.

    The truth is the mass fraction of every element, and how much of its fluorescence is excited by
    which generation of light. It has a file of its own, so that nobody has to see it.
    """
    made = alloy(seed)
    write_mca(folder / "alloy.mca", made.spectrum, "alloy")
    with h5py.File(folder / "setup.h5", "w") as file:
        put_setup(file, made.setup)
    with h5py.File(folder / "truth.h5", "w") as file:
        put_all(file, "mass_fraction", made.truth, "1")
        put_all(file, "generations", made.generations, "1")


def read_setup(path: Path) -> Setup:
    """Return the experiment that `alloy_spectrum` wrote."""
    with h5py.File(path) as file:
        return get_setup(file)


def read_truth(path: Path) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the mass fractions, and each element's generations, that `alloy_spectrum` wrote."""
    with h5py.File(path) as file:
        fractions = get_all(file, "mass_fraction")
        return {e: float(part) for e, part in fractions.items()}, get_all(file, "generations")


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
    spread = [
        isotropic_flux(attenuation(fractions, line.energy_kev), middle, edges)
        for _, line in emitters
    ]
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
