"""What the notebooks ask of PyMca: a fit configuration, mass fractions, and fits in parallel."""

import contextlib
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PyMca5 import PyMcaDataDir
from PyMca5.PyMcaIO import ConfigDict
from PyMca5.PyMcaPhysics.xrf import ClassMcaTheory, ConcentrationsTool

if TYPE_CHECKING:
    from fluorescence import Setup

SHIPPED = Path(PyMcaDataDir.PYMCA_DATA_DIR)
SECONDARY = {"none": 0, "secondary": 1, "tertiary": 2}
LEAST_COUNTS = 1000  # in the fit range; fewer tell nothing
LARGEST_CHI2 = 3.0
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

logging.getLogger("PyMca5").setLevel(logging.ERROR)


def read_configuration(path: Path) -> dict:
    """Return a fit configuration that PyMca wrote (a ``.cfg`` file)."""
    configuration = ConfigDict.ConfigDict()
    configuration.read(str(path))
    return configuration


def configuration(
    setup: "Setup", groups: Sequence[str], *, fit_kev: tuple[float, float], matrix: Mapping
) -> dict:
    """Return a PyMca fit configuration: what one would click together in its dialogue.

    Parameters
    ----------
    setup : fluorescence.Setup
        What is known of the experiment. Its energy axis and resolution are the fit's start values.
    groups : sequence of str
        Line groups to fit, such as ``"Fe K"``.
    fit_kev : (float, float)
        Where the fit begins and ends, keV.
    matrix : mapping
        The sample as ``{"fractions": {element: mass fraction}, "density": g/cm³, "thickness": cm}``.

    Returns
    -------
    dict
        The configuration, without strip background and with no continuum yet.
    """
    c = read_configuration(SHIPPED / "McaTheory.cfg")
    first, last = ((kev - setup.zero_kev) / setup.gain_kev for kev in fit_kev)
    c["fit"].update(
        xmin=round(first), xmax=round(last), use_limit=1, energy=[setup.energy_kev], energyweight=[1.0],
        energyflag=[1], energyscatter=[1], scatterflag=0, escapeflag=1, sumflag=0, hypermetflag=1,
        fitfunction=0, fitweight=1, linearfitflag=0, stripflag=0, stripalgorithm=1, snipwidth=30,
        stripanchorsflag=0, continuum=0, maxiter=30, strategyflag=0,
    )  # fmt: skip
    c["peaks"] = {}
    for group in groups:
        element, shell = group.split()
        c["peaks"].setdefault(element, []).append(shell)
    c["detector"].update(
        zero=setup.zero_kev, gain=setup.gain_kev, noise=setup.noise_kev, fano=setup.fano,
        sum=0.0, fixedsum=1, detele="Si", ignoreinputcalibration=1,
    )  # fmt: skip
    c["materials"]["Sample"] = {
        "Comment": "the sample", "Density": matrix["density"], "Thickness": matrix["thickness"],
        "CompoundList": list(matrix["fractions"]), "CompoundFraction": list(matrix["fractions"].values()),
    }  # fmt: skip
    # on/off, material, density g/cm³, thickness cm, covered part of the area
    c["attenuators"].update(
        atmosphere=[1, "Air", 0.00120479, setup.distance_cm, 1.0],
        window=[1, "Be1", 1.848, setup.window_cm, 1.0],
        Detector=[1, "Si1", 2.33, setup.silicon_cm, 1.0],
        Matrix=[1, "Sample", matrix["density"], matrix["thickness"], setup.angle_in_deg,
                setup.angle_out_deg, 0, setup.angle_in_deg + setup.angle_out_deg],
    )  # fmt: skip
    c["concentrations"].update(
        flux=setup.flux_hz, time=setup.time_s, area=setup.area_cm2, distance=setup.distance_cm,
        usematrix=0, useattenuators=1, usemultilayersecondary=0, mmolarflag=0, reference="Auto",
    )  # fmt: skip
    return c


def prepared(configuration: Mapping) -> ClassMcaTheory.McaTheory:
    """Return PyMca's model for a configuration, which stays as it is; making it takes longer than a fit."""
    theory = ClassMcaTheory.McaTheory()
    theory.configure(deepcopy(dict(configuration)))
    return theory


def fit(
    model: Mapping | ClassMcaTheory.McaTheory,
    spectrum: np.ndarray,
    channels: np.ndarray | None = None,
) -> dict:
    """Fit one spectrum and return what PyMca's ``McaTheory`` says of it.

    Parameters
    ----------
    model : mapping or McaTheory
        A fit configuration, or what `prepared` made of it.
    spectrum : (channels,) array_like
        Counts.
    channels : (channels,) array_like, optional
        Their numbers; None counts from 0.

    Returns
    -------
    dict
        PyMca's digested result: energy, ydata, yfit, continuum, the groups and for each of them
        its fitarea and sigmaarea, parameters with their values, chisq. And ``rates``, which the
        quantification needs.
    """
    theory = prepared(model) if isinstance(model, Mapping) else model
    numbers = np.arange(len(spectrum)) if channels is None else np.asarray(channels, float)
    theory.setData(numbers, np.asarray(spectrum, float))
    theory.estimate()
    _, result = theory.startfit(digest=1)
    result["rates"] = theory._fluoRates
    return result


def parameter(result: Mapping, name: str) -> tuple[float, float]:
    """Return a fitted parameter and its standard deviation, as in ``parameter(result, "Gain")``."""
    at = list(result["parameters"]).index(name)
    return float(result["fittedpar"][at]), float(result["sigmapar"][at])


def mass_fractions(result: Mapping, excitation: str) -> dict[str, float]:
    """Return mass fractions by fundamental parameters.

    Parameters
    ----------
    result : mapping
        What `fit` returned.
    excitation : str
        Which light excites the sample: ``none`` is the beam alone, ``secondary`` adds the
        sample's own fluorescence, ``tertiary`` adds what that excites in turn.

    Returns
    -------
    dict of str to float
        Mass fraction by line group.
    """
    return _concentrations(result, excitation, from_matrix=False)


def matrix_echo(result: Mapping) -> dict[str, float]:
    """Return what PyMca calls mass fractions from the matrix: what was typed in, and no result.

    Parameters
    ----------
    result : mapping
        What `fit` returned.

    Returns
    -------
    dict of str to float
        Mass fraction by line group, as it stands in the configuration's matrix.
    """
    return _concentrations(result, "tertiary", from_matrix=True)


def _concentrations(result: Mapping, excitation: str, *, from_matrix: bool) -> dict[str, float]:
    """Return PyMca's mass fraction of each line group."""
    tool = ConcentrationsTool.ConcentrationsTool()
    settings = tool.configure()
    settings.update(result["config"]["concentrations"])
    settings.update(usematrix=int(from_matrix), usemultilayersecondary=SECONDARY[excitation])
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its timings
        answer = tool.processFitResult(
            config=settings,
            fitresult={"result": result},
            elementsfrommatrix=from_matrix,
            fluorates=result["rates"],
        )
    return {group: float(value) for group, value in answer["mass fraction"].items()}


def with_matrix(configuration: Mapping, fractions: Mapping[str, float]) -> dict:
    """Return a configuration with another composition of the sample, all else the same."""
    changed = deepcopy(dict(configuration))
    _, _, density, thickness, *_ = changed["attenuators"]["Matrix"]
    changed["attenuators"]["Matrix"][1] = "Sample"
    changed["materials"]["Sample"] = {
        "Comment": "the sample", "Density": density, "Thickness": thickness,
        "CompoundList": list(fractions), "CompoundFraction": list(fractions.values()),
    }  # fmt: skip
    return changed


@dataclass(frozen=True)
class Outcome:
    """What came out of one spectrum of many.

    Parameters
    ----------
    flag : str
        What is wrong with it, empty if nothing is.
    areas, sigmas : dict of str to float
        Peak area and standard deviation of every line group, counts; empty where no fit was made.
    zero_kev, gain_kev, chi2 : float
        Fitted energy axis, keV, and reduced chi-squared; NaN where no fit was made.
    """

    flag: str
    areas: dict[str, float] = field(default_factory=dict)
    sigmas: dict[str, float] = field(default_factory=dict)
    zero_kev: float = np.nan
    gain_kev: float = np.nan
    chi2: float = np.nan


def judge(spectrum: np.ndarray, first: int, last: int) -> str:
    """Return what is wrong with a spectrum before anything is fitted, empty if nothing is.

    Parameters
    ----------
    spectrum : (channels,) array_like
        Counts.
    first, last : int
        The channels of the fit.
    """
    part = np.asarray(spectrum, float)[first : last + 1]
    if part.size < last - first:
        return f"only {len(spectrum)} channels"
    if not np.isfinite(part).all():
        return f"{np.count_nonzero(~np.isfinite(part))} channels are not numbers"
    if part.sum() < LEAST_COUNTS:
        return f"only {part.sum():.0f} counts in the fit range"
    filled = np.flatnonzero(part)
    silent = part.size - 1 - filled[-1] + filled[0]
    if silent > part.size // 10:
        return f"{silent} channels at the ends without a count"
    return ""


def fit_one(theory: ClassMcaTheory.McaTheory, spectrum: np.ndarray) -> Outcome:
    """Fit one of many spectra; whatever is wrong with it becomes a flag, never an exception."""
    settings = theory.config["fit"]
    if flag := judge(spectrum, settings["xmin"], settings["xmax"]):
        return Outcome(flag)
    try:
        result = fit(theory, spectrum)
    except Exception as problem:  # noqa: BLE001 - one bad spectrum must not stop the batch
        return Outcome(f"the fit failed: {problem}")
    chi2 = float(result["chisq"])
    return Outcome(
        flag="" if chi2 < LARGEST_CHI2 else f"poor fit, reduced chi2 {chi2:.1f}",
        areas={group: float(result[group]["fitarea"]) for group in result["groups"]},
        sigmas={group: float(result[group]["sigmaarea"]) for group in result["groups"]},
        zero_kev=parameter(result, "Zero")[0],
        gain_kev=parameter(result, "Gain")[0],
        chi2=chi2,
    )


def fit_many(
    configuration: Mapping, spectra: Sequence[np.ndarray], workers: int
) -> Iterator[Outcome]:
    """Yield the outcome of every spectrum, in order, from several processes.

    Each process is a fresh interpreter with one thread: forking a notebook's kernel can hang, and
    more threads than cores slow each other down.

    Parameters
    ----------
    configuration : mapping
        A fit configuration.
    spectra : sequence of (channels,) array_like
        Counts.
    workers : int
        Number of processes; no more than there are cores.
    """
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))  # what the new processes inherit
    try:
        with ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_prepare,
            initargs=(dict(configuration),),
        ) as pool:
            yield from pool.map(_fit_prepared, spectra, chunksize=2)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_theory: Any = None
"""A worker's own model."""


def _prepare(configuration: dict) -> None:
    """Make the model once in each process."""
    global _theory
    _theory = prepared(configuration)


def _fit_prepared(spectrum: np.ndarray) -> Outcome:
    return fit_one(_theory, spectrum)
