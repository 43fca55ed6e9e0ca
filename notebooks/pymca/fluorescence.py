"""What an X-ray fluorescence experiment sees, written out: the physics of all simulated spectra.

Atomic data (cross sections, fluorescence yields, line energies and ratios, escape peaks) come from
the fisx library that PyMca itself uses. Everything else is written out here and shares no code with
PyMca: excitation, enhancement, absorption, detector and noise. So the truth tests PyMca's fit and
its quantification, but not the atomic data, which are the same on both sides.

Left out: peak tails and steps, pile-up and dead time, L and M lines below 2 keV, the beam's
polarisation. Every random number comes from one seeded generator: the same seed, the same data.

`alloy`, `thin_section` and `leaching` make data sets of it, which the notebooks get as files, by
``data.fetch``: what a beamline would hand out in one, and the truth in ``truth.h5``, which only
figures and checks read. `spectrum_files` reads and writes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PyMca5.PyMcaPhysics.xrf import FisxHelper

ELECTRON_REST_KEV = 510.999
SI_PAIR_KEV = 0.00385  # energy per electron-hole pair in silicon, PyMca's value
MIN_LINE_KEV = 2.0
AIR = {"N": 0.755267, "O": 0.231780, "Ar": 0.012827, "C": 0.000124}
RESIN = {"C": 0.70, "H": 0.08, "O": 0.22}  # an embedding resin, mass fractions


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

    def fwhm_kev(self, energy_kev: Any) -> Any:
        """Full width at half maximum of a line: noise and charge statistics in quadrature."""
        return np.sqrt(self.noise_kev**2 + 8 * np.log(2) * SI_PAIR_KEV * self.fano * energy_kev)

    def efficiency(self, energy_kev: Any) -> Any:
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
def library() -> Any:
    """Return fisx's tables, set up as PyMca uses them."""
    return FisxHelper.getElementsInstance()


def attenuation(composition: Mapping[str, float], energy_kev: Any) -> Any:
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


def respond(setup: Setup, peaks: Any, *, fwhm_kev: float | None = None) -> np.ndarray:
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
