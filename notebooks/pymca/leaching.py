"""A time series of a leached soil grain, with a drifting detector and damaged spectra."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
from fluorescence import Setup, continuum, respond, scatter
from spectrum_files import COMPRESSED, get_all, get_setup, measurement, put, put_all, put_setup
from thin_section import thin_lines

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
    start = {
        "K K": 20,
        "Ca K": 14,
        "Ti K": 3,
        "Mn K": 2,
        "Fe K": 24,
        "Zn K": 3.0,
        "As K": 1.2,
        "Pb L": 2.0,
    }
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


def leaching_series(folder: Path, seed: int, count: int = 120) -> None:
    """Write a time series, ``series.h5``, and its truth, ``truth.h5``.

    The series is a NeXus file with ``/entry/measurement/xrf`` (spectra, channels), ``time`` and
    ``monitor``. The truth is the areal density at any time, the gain, what was damaged and how,
    the rate constants, and the setup.

    Parameters
    ----------
    folder : Path
        Where the files go.
    seed : int
        Of all random numbers.
    count : int
        How many spectra.
    """
    made = series(seed, count)
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
