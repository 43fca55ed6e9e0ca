"""An infrared map whose truth is known: a section of liver.

Four components absorb: protein, lipid, nucleic acid and glycogen. Their spectra are sums of Gaussian
bands at positions that textbooks give (Movasaghi, Rehman and ur Rehman, Appl. Spectrosc. Rev. 43
(2008) 134); widths and heights are chosen to look like measured ones. A pixel's absorbance is what
its components absorb, in proportion to their amounts, and what an instrument adds: light scattered
by particles, an offset and a slope, water vapour and carbon dioxide in the beam's way, noise.

Left out: that absorption changes the refractive index and with it the scattering (resonant Mie
scattering), interference in thin layers, the detector's non-linearity. Nothing here shares code with
Orange. Every random number comes from one seeded generator: the same seed, the same data.

The notebooks get them as files, by ``data.fetch``: what an instrument would write in one format, and
the truth in ``truth.h5``, which only figures and checks read.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

WAVENUMBERS = np.arange(
    950.0, 3101.0, 4.0
)  # cm-1, as far apart as points of a spectrum usually are
PIXEL_UM = 5.0
SHAPE = (48, 64)

# Position and full width at half maximum in cm-1, height.
BANDS = {
    "protein": (
        (1655, 48, 0.90), (1632, 40, 0.35), (1545, 52, 0.62), (1515, 12, 0.08), (1452, 30, 0.22), (1398, 36, 0.20),
        (1310, 40, 0.12), (1242, 48, 0.16), (1170, 26, 0.05), (2960, 30, 0.17), (2930, 40, 0.13), (2874, 26, 0.09),
        (3064, 60, 0.07),
    ),
    "lipid": (
        (2922, 30, 1.00), (2852, 20, 0.65), (2958, 22, 0.34), (2872, 18, 0.18), (1741, 24, 0.75), (1466, 18, 0.30),
        (1378, 15, 0.12), (1238, 40, 0.18), (1170, 44, 0.36), (1098, 40, 0.22), (1062, 30, 0.12),
    ),
    "nucleic acid": (
        (1712, 32, 0.25), (1690, 26, 0.28), (1652, 30, 0.20), (1604, 22, 0.12), (1485, 22, 0.12), (1416, 20, 0.10),
        (1371, 18, 0.12), (1236, 36, 0.78), (1120, 22, 0.18), (1086, 38, 1.00), (1058, 26, 0.45), (968, 18, 0.55),
    ),
    "glycogen": (
        (1152, 22, 0.62), (1104, 22, 0.25), (1080, 28, 0.80), (1025, 42, 1.00), (2930, 40, 0.14), (1370, 36, 0.10),
        (1242, 30, 0.06),
    ),
}  # fmt: skip
COMPONENTS = tuple(BANDS)
# Strong lines of water vapour's bending mode, rounded; their strengths are made up.
VAPOUR_LINES = (
    1339, 1363, 1375, 1387, 1396, 1419, 1437, 1457, 1473, 1490, 1497, 1507, 1521, 1540, 1559, 1570, 1576, 1617, 1623,
    1635, 1646, 1653, 1663, 1670, 1675, 1684, 1696, 1700, 1717, 1734, 1740, 1751, 1762, 1772, 1792, 1810, 1830, 1844,
    1869, 1889, 1919, 1942, 1968, 1988,
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What a map is made of.

    Parameters
    ----------
    amounts : dict of str to (...) float64
        How much of every component the beam meets in a pixel, concentration times thickness, in
        units in which one of protein has an absorbance of about one at its highest.
    labels : (...) int
        Which kind of pixel it is.
    kinds : tuple of str
        The labels' names.
    vapour : (...) float64
        Absorbance of water vapour's highest line.
    """

    amounts: dict[str, np.ndarray]
    labels: np.ndarray
    kinds: tuple[str, ...]
    vapour: np.ndarray


def pure_spectrum(component: str, wavenumbers: np.ndarray = WAVENUMBERS) -> np.ndarray:
    """Return the absorbance of one unit of a component: (points,)."""
    position, width, height = np.array(BANDS[component]).T[..., None]
    return (height * np.exp(-4 * np.log(2) * ((wavenumbers - position) / width) ** 2)).sum(axis=0)


def vapour_spectrum() -> np.ndarray:
    """Return water vapour's lines, blurred to the resolution, highest 1; of fixed strengths: (points,)."""
    strengths = np.random.default_rng(1).uniform(0.25, 1, len(VAPOUR_LINES))
    lines = np.array(VAPOUR_LINES)[:, None]
    spectrum = (strengths[:, None] * np.exp(-4 * np.log(2) * ((WAVENUMBERS - lines) / 7) ** 2)).sum(
        axis=0
    )
    return spectrum / spectrum.max()


def carbon_dioxide_spectrum() -> np.ndarray:
    """Return the two branches of carbon dioxide at 2349 cm-1, highest 1: (points,)."""
    return np.maximum(*(np.exp(-(((WAVENUMBERS - at) / 14) ** 2)) for at in (2338, 2362)))


def extinction(radius_um: float | np.ndarray, index: float | np.ndarray) -> np.ndarray:
    """Return the extinction efficiency of spheres that don't absorb, in van de Hulst's approximation.

    Parameters
    ----------
    radius_um, index : (...) array_like
        Radius, and refractive index relative to what is around.

    Returns
    -------
    (..., points) float64
        Light Scattering by Small Particles (1957), section 11.22.
    """
    radius_cm = 1e-4 * np.asarray(radius_um)[..., None]
    rho = 4 * np.pi * radius_cm * (np.asarray(index)[..., None] - 1) * WAVENUMBERS
    return 2 - 4 / rho * np.sin(rho) + 4 / rho**2 * (1 - np.cos(rho))


def absorbed(amounts: dict[str, np.ndarray]) -> np.ndarray:
    """Return the absorbance of the components alone: (..., points)."""
    return sum(amount[..., None] * pure_spectrum(name) for name, amount in amounts.items())


def straight(offset: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return straight lines that begin at an offset and rise by a slope: (..., points)."""
    return offset[..., None] + slope[..., None] * np.linspace(0, 1, WAVENUMBERS.size)


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], blur: float) -> np.ndarray:
    """Return a random field of mean 0 and standard deviation 1, smooth over `blur` pixels."""
    field = gaussian_filter(rng.normal(size=shape), blur, mode="reflect")
    return (field - field.mean()) / field.std()


def spots(
    rng: np.random.Generator, inside: np.ndarray, number: int, radius: tuple[float, float]
) -> np.ndarray:
    """Return smooth spots, highest 1, with centres inside: (rows, columns)."""
    y, x = np.indices(inside.shape)
    centres = np.argwhere(inside)[rng.choice(inside.sum(), number, replace=False)]
    drawn = np.zeros(inside.shape)
    for row, column in centres + rng.uniform(-0.5, 0.5, (number, 2)):
        squared = (y - row) ** 2 + (x - column) ** 2
        drawn = np.maximum(drawn, np.exp(-squared / rng.uniform(*radius) ** 2))
    return drawn


def tissue(rng: np.random.Generator) -> Truth:
    """Return a section of liver: a vein, glycogen far from it, nuclei, and droplets of fat."""
    y, x = np.indices(SHAPE)
    centre = rng.uniform((18, 16), (30, 26))
    angle = np.arctan2(y - centre[0], x - centre[1])
    rim = 7 + rng.uniform(0.5, 1.5) * np.cos(2 * angle + rng.uniform(0, 2 * np.pi))
    inside = np.hypot(y - centre[0], x - centre[1]) > rim
    away = distance_transform_edt(inside)
    nuclei = spots(rng, inside & (away > 2), 42, (1.3, 1.9))
    fat = spots(rng, inside & (away > 4), 26, (1.2, 2.6))
    zone = 1 / (1 + np.exp(-(away - 18 - 2.5 * smooth_field(rng, SHAPE, 5)) / 2.5))
    concentration = {
        "protein": 0.62 * (1 - 0.55 * fat) * (1 + 0.06 * smooth_field(rng, SHAPE, 4)),
        "lipid": 0.07 + 0.50 * fat,
        "nucleic acid": 0.02 + 0.24 * nuclei,
        "glycogen": 0.02 + 0.26 * zone * (1 - 0.8 * nuclei) * (1 - 0.8 * fat),
    }
    # The purge of the instrument drifts from one row to the next.
    vapour = np.broadcast_to(0.04 + 0.05 * smooth_field(rng, (SHAPE[0], 1), 4), SHAPE)
    thickness = inside * np.clip(1 + 0.18 * smooth_field(rng, SHAPE, 9), 0.4, 1.6)
    labels = np.select([~inside, fat > 0.5, nuclei > 0.5, zone > 0.5], [0, 1, 2, 3], default=4)
    kinds = ("no tissue", "fat droplet", "nucleus", "glycogen-rich", "near the vein")
    amounts = {name: value * thickness for name, value in concentration.items()}
    return Truth(amounts, labels, kinds, vapour)


def measured(rng: np.random.Generator, truth: Truth, edge: np.ndarray, noise: float) -> np.ndarray:
    """Return what an instrument makes of a map: scattering, baselines, air and noise added.

    Parameters
    ----------
    truth : Truth
    edge : (rows, columns) float64
        How much light particles scatter.
    noise : float
        Standard deviation of an absorbance.
    """
    scattered = edge[..., None] * extinction(
        rng.uniform(2.5, 4.5, edge.shape), rng.uniform(1.25, 1.35, edge.shape)
    )
    lines = straight(rng.normal(0.05, 0.02, edge.shape), rng.normal(0.0, 0.02, edge.shape))
    air = truth.vapour[..., None] * (vapour_spectrum() + 2 * carbon_dioxide_spectrum())
    return (
        absorbed(truth.amounts)
        + scattered
        + lines
        + air
        + rng.normal(0, noise, (*edge.shape, WAVENUMBERS.size))
    )


def liver_section(folder: Path, seed: int) -> None:
    """Write a map, what was measured beside it, and the truth.

    The map is ``section.hdr`` with ``section.img``; ``vapour.dpt`` is water vapour alone, and
    ``library.dat`` the four components alone, one unit of each in the order of `COMPONENTS`.
    """
    rng = np.random.default_rng(seed)
    truth = tissue(rng)
    inside = truth.labels > 0
    edge = (
        0.03
        + 0.10 * np.exp(-distance_transform_edt(inside) / 2.5) * inside
        + 0.03 * rng.uniform(size=SHAPE)
    )
    spectra = measured(rng, truth, edge, noise=0.004)
    write_envi(folder / "section", spectra)
    write_spectra(
        folder / "vapour.dpt", vapour_spectrum()[None] + rng.normal(0, 0.004, (1, WAVENUMBERS.size))
    )
    pure = np.array([pure_spectrum(component) for component in COMPONENTS])
    write_spectra(folder / "library.dat", pure + rng.normal(0, 0.002, pure.shape))
    write_truth(folder / "truth.h5", truth)


def write_envi(path: Path, spectra: np.ndarray) -> None:
    """Write a map as infrared microscopes do, a header beside its numbers, in lines of pixels.

    Parameters
    ----------
    path : Path
        Without its ending.
    spectra : (rows, columns, points) array
        Absorbance.
    """
    rows, columns, points = spectra.shape
    spectra.transpose(0, 2, 1).astype("<f4").tofile(path.with_suffix(".img"))
    header = {
        "samples": columns, "lines": rows, "bands": points, "header offset": 0, "file type": "ENVI Standard",
        "data type": 4, "interleave": "bil", "byte order": 0, "wavelength units": "cm-1",
        "wavelength": "{" + ", ".join(f"{value:.2f}" for value in WAVENUMBERS) + "}",
    }  # fmt: skip
    text = "\n".join(["ENVI", *(f"{key} = {value}" for key, value in header.items())])
    path.with_suffix(".hdr").write_text(text + "\n", encoding="ascii")


def write_spectra(path: Path, spectra: np.ndarray) -> None:
    """Write wavenumbers as the first column, and a column for each spectrum: (spectra, points)."""
    np.savetxt(path, np.column_stack([WAVENUMBERS, *spectra]), delimiter="\t", fmt="%.5f")


def write_truth(path: Path, truth: Truth) -> None:
    """Write what a map is made of."""
    with h5py.File(path, "w") as file:
        for name, amount in truth.amounts.items():
            file[f"amounts/{name}"] = amount
        file["labels"] = truth.labels
        file["kinds"] = list(truth.kinds)
        file["vapour"] = truth.vapour


def read_truth(path: Path) -> Truth:
    """Return what `write_truth` wrote."""
    with h5py.File(path) as file:
        amounts = {name: file["amounts"][name][()] for name in COMPONENTS}
        kinds = tuple(file["kinds"].asstr()[()])
        return Truth(amounts, file["labels"][()], kinds, file["vapour"][()])
