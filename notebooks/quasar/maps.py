"""What both notebooks do with maps: correct them, integrate bands, fit pure spectra, draw them."""

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
from map_files import Map
from Orange.data import Domain, Table
from orangecontrib.spectroscopy.data import getx
from orangecontrib.spectroscopy.preprocess import Integrate
from orangecontrib.spectroscopy.preprocess.atm_corr import AtmCorr
from simulation import Truth

from workbench.readings import Reading

INK, ACCENT, RED = "#22313f", "#2166ac", "#b2182b"
VAPOUR_CM1 = [[1330, 2000]]
CARBON_DIOXIDE_CM1 = [[2250, 2450]]
LEAST_POINTS = 4  # of a band whose integral means something
# The band of each component that overlaps least with the others.
BANDS_CM1 = {
    "protein": (1480, 1595),
    "lipid": (1720, 1765),
    "nucleic acid": (950, 990),
    "glycogen": (1000, 1055),
}


def without_air(spectra: Table, vapour: Table | None) -> Table:
    """Return spectra without water vapour, and with a bridge over carbon dioxide, where they reach.

    Parameters
    ----------
    spectra : Table
    vapour : Table or None
        At the same wavenumbers; None leaves vapour as it is.
    """
    x = getx(spectra)
    bridged = [band for band in CARBON_DIOXIDE_CM1 if x.min() < band[0] and band[1] < x.max()]
    corrected = VAPOUR_CM1 if vapour is not None else []
    if not bridged and not corrected:
        return spectra
    reference = (
        Table.from_numpy(Domain(spectra.domain.attributes), np.nan_to_num(vapour.X))
        if vapour is not None
        else spectra[:1]
    )
    return AtmCorr(reference=reference, correct_ranges=corrected, spline_ranges=bridged)(spectra)


def covered(
    spectra: Table, bands=BANDS_CM1, reading: Reading | None = None
) -> dict[str, tuple[float, float]]:
    """Return the bands that lie within spectra, with four points each at least.

    The others are noted as left out: an integral of nothing isn't zero.
    """
    x = getx(spectra)
    inside = {
        name: band for name, band in bands.items()
        if x.min() <= min(band) and max(band) <= x.max() and ((x >= min(band)) & (x <= max(band))).sum() >= LEAST_POINTS
    }  # fmt: skip
    if reading is not None and (
        outside := [
            f"{name} ({min(b):g} to {max(b):g} cm⁻¹)"
            for name, b in bands.items()
            if name not in inside
        ]
    ):
        reading.left_out(
            f"bands that the spectra don't reach, {x.min():g} to {x.max():g} cm⁻¹: {', '.join(outside)}"
        )
    return inside


def integrals(spectra: Table, method=Integrate.Baseline, bands=BANDS_CM1) -> dict[str, np.ndarray]:
    """Return the integral of each component's band, by Quasar, in cm-1: (spectra,) each.

    NaN where a band is not in the spectra: Quasar itself gives 0.
    """
    found = Integrate(methods=method, limits=[list(band) for band in bands.values()])(spectra).X
    inside = covered(spectra, bands)
    return {
        name: values if name in inside else np.full(len(spectra), np.nan)
        for name, values in zip(bands, found.T, strict=True)
    }


def fit(
    raw: Table, pure: np.ndarray, vapour: Table | None, order: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Fit pure spectra, vapour and a polynomial to every raw spectrum, where all of them are known.

    Parameters
    ----------
    raw : Table
    pure : (components, points)
        At the same wavenumbers; NaN where a component's spectrum isn't known.
    vapour : Table or None
        At the same wavenumbers.
    order : int
        Of the polynomial.

    Returns
    -------
    amounts : (components, pixels)
    residual : (pixels, points)
        What is left, 0 where carbon dioxide absorbs and nothing is fitted.
    """
    x = getx(raw)
    at = (x - x.min()) / np.ptp(x) * 2 - 1
    air = [] if vapour is None else list(np.nan_to_num(vapour.X))
    free = free_points(x, pure)
    model = np.vstack([np.nan_to_num(pure), *air, [at**power for power in range(order + 1)]])
    found = np.linalg.lstsq(model[:, free].T, raw.X[:, free].T, rcond=None)[0]
    return found[: len(pure)], np.where(free, raw.X - found.T @ model, 0)


def free_points(x: np.ndarray, pure: np.ndarray) -> np.ndarray:
    """Return the points that are fitted: beside carbon dioxide, and where all pure spectra are known."""
    (low, high) = CARBON_DIOXIDE_CM1[0]
    return ((x < low) | (x > high)) & np.isfinite(pure).all(axis=0)


def correlation(one, other) -> float:
    """Return the correlation coefficient of two sets of pixels."""
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


def true_amount(truth: Truth, data: Map, component: str) -> np.ndarray:
    """Return how much of a component there is, in the order of the map's table: (pixels,)."""
    return data.pixels(truth.amounts[component])


def draw_map(
    axes,
    image,
    title: str,
    pixel_um: float | None = None,
    label: str = "",
    cmap: str = "viridis",
    **more,
) -> None:
    """Draw an image with its colour bar; axes in micrometres where the pixel's size is known."""
    rows, columns = image.shape
    scale, unit = (pixel_um, "µm") if pixel_um else (1, "pixel")
    drawn = axes.imshow(image, cmap=cmap, extent=(0, columns * scale, rows * scale, 0), **more)
    axes.set(xlabel=f"x ({unit})", ylabel=f"y ({unit})", title=title)
    plt.colorbar(drawn, ax=axes, shrink=0.75, label=label)


def png(figure) -> bytes:
    """Return a figure as a picture, and close it."""
    file = BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return file.getvalue()


def draw_spectra(axes, spectra: Table, rows=None, labels=None, **more) -> None:
    """Draw spectra as spectroscopists do, large wavenumbers on the left."""
    x = getx(spectra)
    for i, row in enumerate(rows if rows is not None else range(len(spectra))):
        axes.plot(x, spectra.X[row], label=labels[i] if labels else None, **{"lw": 1, **more})
    axes.set(xlim=(x.max(), x.min()), xlabel="wavenumber (cm⁻¹)", ylabel="absorbance")
