"""The experiment of a map or series of your own, as a fit configuration that PyMca saved states it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import fitting
import numpy as np
from fluorescence import Line, Setup, lines
from own_spectra import beam_kev, read_configuration

from workbench.readings import Place, Reading, ReadingError, plausible, refusing

PARAMETER = "CONFIGURATION"


@dataclass(frozen=True)
class Experiment:
    """What a fit configuration says of an experiment.

    Parameters
    ----------
    configuration : dict
        As PyMca wants it.
    setup : fluorescence.Setup
        Beam, energy axis and resolution; the rest of it stays in the configuration.
    groups : tuple of str
        Line groups to fit.
    fit_kev : (float, float)
        Where the fit begins and ends, keV.
    mass_g_cm2 : float
        Mass per area of the sample's matrix, which turns mass fractions into areal densities.
    """

    configuration: dict = field(repr=False)
    setup: Setup
    groups: tuple[str, ...]
    fit_kev: tuple[float, float]
    mass_g_cm2: float


def read_experiment(
    path: str | Path | None, of: Place, channels: int, reading: Reading
) -> Experiment:
    """Return the experiment that a configuration states.

    Parameters
    ----------
    path : str, Path or None
        The configuration, a ``.cfg`` file; None if nobody named one.
    of : Place
        The spectra it shall be of.
    channels : int
        Of each spectrum.
    reading : Reading

    Raises
    ------
    ReadingError, QuestionError
        As `own_spectra.read_configuration`; or it isn't of these spectra.
    """
    read = read_configuration(path, fitting.read_configuration, reading, of)
    place = Place(str(path), "", PARAMETER)
    with refusing(place, "a fit configuration that PyMca saved (.cfg)"):
        known, fit = read["detector"], read["fit"]
        zero, gain, noise, fano = (float(known[name]) for name in ("zero", "gain", "noise", "fano"))
        density, thickness = (float(value) for value in read["attenuators"]["Matrix"][2:4])
        by = read["concentrations"]
        flux, time = float(by["flux"]), float(by["time"])
        relative, reference = int(float(by["usematrix"])), by.get("reference")
    configuration = deepcopy(dict(read))
    ends = limits(fit, channels, place)
    configuration["fit"].update(xmin=ends[0], xmax=ends[1], use_limit=1, linearfitflag=0)
    setup = Setup(
        energy_kev=beam_kev(read), flux_hz=flux, time_s=time, channels=channels,
        zero_kev=zero, gain_kev=gain, noise_kev=noise, fano=fano,
    )  # fmt: skip
    groups = groups_of(read, setup.energy_kev, place)
    mass = plausible(
        density * thickness, 1e-9, 1e4, "g/cm²", "a matrix of", place,
        "Give density (g/cm³) and thickness (cm) of the sample in PyMca's window.",
    )  # fmt: skip
    first, last = (zero + gain * end for end in ends)
    reading.took(
        f"the lines {', '.join(groups)}, fitted from {first:.3g} to {last:.3g} keV", PARAMETER
    )
    if relative:
        reading.took(f"mass fractions relative to that of {reference} in the matrix", PARAMETER)
    else:
        reading.took(
            f"{flux * time:.3g} photons a spectrum ({flux:.3g} per s, {time:g} s)", PARAMETER
        )
    reading.assumed(
        f"areal densities are mass fractions of a matrix of {1e3 * mass:.3g} mg/cm²", PARAMETER
    )
    reading.assumed("the first channel of each spectrum is 0")
    return Experiment(configuration, setup, groups, (first, last), mass)


def limits(fit: Mapping, channels: int, place: Place) -> tuple[int, int]:
    """Return the first and last channel of the fit.

    Raises
    ------
    ReadingError
        They aren't within the spectra.
    """
    if not int(float(fit.get("use_limit", 0))):
        return 0, channels - 1
    first, last = int(float(fit["xmin"])), int(float(fit["xmax"]))
    if not 0 <= first < last < channels:
        raise ReadingError(
            place, f"a fit from channel {first} to {last}",
            f"a range within the spectra, 0 to {channels - 1}",
            "Is the configuration of this detector?",
        )  # fmt: skip
    return first, last


def groups_of(configuration: Mapping, energy_kev: float, place: Place) -> tuple[str, ...]:
    """Return a configuration's line groups, such as ``Fe K``.

    Raises
    ------
    ReadingError
        There are none, or the beam doesn't excite one.
    """
    groups = tuple(
        f"{element} {shell}"
        for element, shells in configuration["peaks"].items()
        for shell in np.atleast_1d(shells)
    )
    if not groups:
        raise ReadingError(place, "no elements", "some to fit", "Choose them in PyMca's window.")
    for group in groups:
        family: tuple[Line, ...] = ()
        with refusing(place, "line groups such as Fe K"):
            family = lines(f"{group.split()[0]} {group.split()[1][0]}", energy_kev)
        if not family:
            raise ReadingError(
                place, f"{group}, which a beam of {energy_kev:g} keV doesn't excite above 2 keV",
                "lines that it does",
            )  # fmt: skip
    return groups


def main_line_kev(group: str, energy_kev: float) -> float:
    """Return the energy of a group's strongest line, keV."""
    family = lines(f"{group.split()[0]} {group.split()[1][0]}", energy_kev)
    return max(family, key=lambda line: line.cm2_per_g).energy_kev


def neighbours(
    groups: Sequence[str], energy_kev: float, most: int = 2
) -> dict[str, tuple[str, float]]:
    """Return the groups whose strongest lines lie closest: group, its neighbour, the line's energy."""
    at = {group: main_line_kev(group, energy_kev) for group in groups}
    close = sorted(combinations(groups, 2), key=lambda pair: abs(at[pair[0]] - at[pair[1]]))
    found: dict[str, tuple[str, float]] = {}
    for one, other in close:
        if len(found) < most:
            found.setdefault(one, (other, at[one]))
    return found
