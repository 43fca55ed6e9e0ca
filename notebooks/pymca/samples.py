"""The two mapped samples of notebook 02: their spectra, and what is known before anything is fitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import fluorescence
import h5py
import mda
import numpy as np
import own_stacks
import thin_section
from own_experiment import Experiment, main_line_kev, neighbours, read_experiment

from workbench.readings import Place, Reading, plausible


@dataclass(frozen=True)
class Sample:
    """A map and what one knows of it.

    Parameters
    ----------
    spectra : (rows, columns, channels) float32
        Counts.
    setup : fluorescence.Setup
        The experiment; its energy axis and resolution are guesses to start from.
    groups : tuple of str
        Line groups to fit.
    fit_kev : (float, float)
        Where the fit begins and ends, keV.
    fractions, density, mass_g_cm2
        What the elements are embedded in: mass fractions, g/cm³, and g/cm² of it.
    pixel_um, bar_um : float
        Edge of a pixel and length of the maps' scale bar, µm.
    pairs : dict of str to (str, float)
        A group, the one that falls into its region of interest, and that region's middle, keV.
    colours : (str, str, str)
        Groups to begin with in red, green and blue.
    partners : (str, str)
        Groups to plot against each other.
    strong : tuple of str
        Groups whose errors are looked at one by one.
    stated : dict of str to float
        Areal densities that somebody else states, µg/cm²; empty for none.
    usable : (rows, columns) bool, optional
        Pixels that hold a spectrum; None: all.
    bar_unit : str
        Of the scale bar.
    configuration : dict, optional
        The fit configuration, where somebody saved one; None: it is made of the above.
    """

    spectra: np.ndarray = field(repr=False)
    setup: fluorescence.Setup
    groups: tuple[str, ...]
    fit_kev: tuple[float, float]
    fractions: Mapping[str, float]
    density: float
    mass_g_cm2: float
    pixel_um: float
    bar_um: float
    pairs: Mapping[str, tuple[str, float]]
    colours: tuple[str, str, str]
    partners: tuple[str, str]
    strong: tuple[str, ...]
    stated: Mapping[str, float] = field(default_factory=dict)
    usable: np.ndarray | None = field(default=None, repr=False)
    bar_unit: str = "µm"
    configuration: dict | None = field(default=None, repr=False)

    @property
    def good(self) -> np.ndarray:
        """Which pixels hold a spectrum: (rows, columns) bool."""
        return np.ones(self.spectra.shape[:2], bool) if self.usable is None else self.usable

    @property
    def matrix(self) -> dict:
        """What `fitting.configuration` wants to know of the sample."""
        thickness = self.mass_g_cm2 / self.density
        return {"fractions": self.fractions, "density": self.density, "thickness": thickness}


def own(
    path: Path,
    name: str,
    reading: Reading,
    *,
    configuration: str | Path | None = None,
    pixel_um: float | None = None,
    axes: Sequence[str] | None = None,
    detector: int | None = None,
) -> Sample:
    """Return a map of your own, of the elements and experiment that a configuration states.

    Parameters
    ----------
    path, name, reading, axes, detector
        As for `own_stacks.read_stack`.
    configuration
        As for `own_experiment.read_experiment`.
    pixel_um : float, optional
        Edge of a pixel; None: scale bars count pixels.
    """
    stack = own_stacks.read_stack(path, name, reading, axes=axes, detector=detector)
    channels = stack.spectra.shape[-1]
    about = read_experiment(configuration, Place(path, name), channels, reading)
    edge = (
        1.0
        if pixel_um is None
        else plausible(pixel_um, 1e-3, 1e5, "µm", "a pixel of", Place("PIXEL_UM"))
    )
    total = stack.spectra.sum(axis=(0, 1), dtype=float)
    strong = strongest(about, total)
    return Sample(
        stack.spectra,
        about.setup,
        groups=about.groups,
        fit_kev=about.fit_kev,
        fractions={},
        density=1.0,
        mass_g_cm2=about.mass_g_cm2,
        pixel_um=edge,
        bar_um=float(f"{edge * max(1, stack.spectra.shape[1] // 4):.1g}"),
        bar_unit="pixels" if pixel_um is None else "µm",
        pairs=neighbours(about.groups, about.setup.energy_kev),
        colours=(strong[0], strong[1 % len(strong)], strong[2 % len(strong)]),
        partners=(strong[0], strong[1 % len(strong)]),
        strong=strong[:5],
        usable=stack.good,
        configuration=about.configuration,
    )


def strongest(about: Experiment, total: np.ndarray) -> tuple[str, ...]:
    """Return the line groups, the one with most counts at its strongest line first."""
    setup = about.setup

    def height(group: str) -> float:
        at = (main_line_kev(group, setup.energy_kev) - setup.zero_kev) / setup.gain_kev
        return float(total[min(max(round(at), 0), len(total) - 1)])

    return tuple(sorted(about.groups, key=height, reverse=True))


def soil(path: Path) -> Sample:
    """Return the soil's section from its HDF5 file."""
    with h5py.File(path) as file:
        return _section(file["entry/measurement/xrf"][()].astype(np.float32))


def _section(spectra: np.ndarray) -> Sample:
    """Return a map with what is known of the soil's section."""
    # Energy, flux, time and geometry are known. The detector's axis and resolution are guessed.
    setup = replace(
        thin_section.SECTION_SETUP, zero_kev=0.0, gain_kev=0.0194, noise_kev=0.100, fano=0.12
    )
    return Sample(
        spectra,
        setup,
        groups=thin_section.SECTION_GROUPS,
        fit_kev=(2.6, 15.4),
        fractions=fluorescence.RESIN,
        density=1.2,
        mass_g_cm2=thin_section.SECTION_MASS_G_CM2,
        pixel_um=thin_section.PIXEL_UM,
        bar_um=50.0,
        pairs={"Ti K": ("Ba L", 4.509), "As K": ("Pb L", 10.532)},
        colours=("Fe K", "As K", "Pb L"),
        partners=("Fe K", "As K"),
        strong=("K K", "Ti K", "Fe K", "As K", "Pb L"),
    )


def film(path: Path, detector: int = 0) -> Sample:
    """Return a thin film on a membrane of silicon nitride, 200 nm thick, measured at 10 keV.

    Beside the map lie the beamline's start values of the energy axis and what it states of the
    standard. Flux, distance, window and thickness of the detector are stated nowhere: typical ones
    are taken, so that only ratios of areal densities mean something.

    Parameters
    ----------
    path : Path
        The MDA file, in one folder with ``maps_fit_parameters_override.txt`` and
        ``maps_standardinfo.txt``.
    detector : int
        One of four. They are calibrated differently, so that they can't simply be added.
    """
    scan = mda.read_map(path)
    about = settings(path.with_name("maps_fit_parameters_override.txt"))
    setup = fluorescence.Setup(
        energy_kev=float(about["COHERENT_SCT_ENERGY"]),
        flux_hz=1e9,
        time_s=1.0,
        distance_cm=2.0,
        channels=scan.spectra.shape[-1],
        zero_kev=float(about["CAL_OFFSET_[E_OFFSET]"]),
        gain_kev=float(about["CAL_SLOPE_[E_LINEAR]"]),
        noise_kev=float(about["FWHM_OFFSET"]),
        # There, the variance of a line is, beside the noise, 2.96 times this number and the energy.
        fano=2.96 * float(about["FWHM_FANOPRIME"]) / fluorescence.SI_PAIR_KEV,
    )
    return Sample(
        scan.spectra[:, :, detector],
        setup,
        groups=("Ca K", "Ti K", "La L", "Cr K", "Mn K", "Fe K", "Ni K", "Cu K", "Zn K"),
        fit_kev=(3.4, 9.0),  # above argon in the air, below the scattered beam
        fractions={"Si": 0.6, "N": 0.4},
        density=3.17,
        mass_g_cm2=3.17 * 200e-7,
        pixel_um=scan.pixel_um,
        bar_um=200.0,
        pairs={"Ti K": ("La L", 4.509), "Cr K": ("La L", 5.412)},
        colours=("Ca K", "La L", "Fe K"),
        partners=("Fe K", "Cu K"),
        strong=("La L", "Fe K", "Cu K"),
        stated=standard(path.with_name("maps_standardinfo.txt")),
    )


def settings(path: Path) -> dict[str, str]:
    """Return what a text file of the program MAPS says: lines ``NAME: value`` among remarks."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines if line[:1].isupper())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def standard(path: Path) -> dict[str, float]:
    """Return the areal densities that such a file states, µg/cm² by group of K lines."""
    about = settings(path)
    elements, weights = (about[name].split(",") for name in ("ELEMENTS_IN_STANDARD", "WEIGHT"))
    return {f"{e.strip()} K": float(w) for e, w in zip(elements, weights, strict=True)}
