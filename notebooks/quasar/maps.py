"""What both notebooks do with maps: read them, take them out of Orange's tables, draw them."""

from dataclasses import dataclass
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
from Orange.data import Table
from orangecontrib.spectroscopy.data import getx
from orangecontrib.spectroscopy.preprocess import Integrate
from orangecontrib.spectroscopy.preprocess.atm_corr import AtmCorr
from simulation import Truth

INK, ACCENT, RED = "#22313f", "#2166ac", "#b2182b"
VAPOUR_CM1 = [[1330, 2000]]
CARBON_DIOXIDE_CM1 = [[2250, 2450]]
# The band of each component that overlaps least with the others.
BANDS_CM1 = {"protein": (1480, 1595), "lipid": (1720, 1765), "nucleic acid": (945, 990), "glycogen": (1000, 1055)}


@dataclass(frozen=True)
class Map:
    """A map in Orange's form, with its shape.

    Parameters
    ----------
    table : Table
        A row a pixel, a column a wavenumber; ``map_x`` and ``map_y`` beside them.
    shape : tuple of int
        Rows and columns of pixels.
    """

    table: Table
    shape: tuple[int, int]

    def image(self, values) -> np.ndarray:
        """Return a number a pixel as an image: (rows, columns)."""
        image = np.full(self.shape, np.nan)
        image[self._place("map_y"), self._place("map_x")] = np.ravel(values)
        return image

    def pixels(self, image) -> np.ndarray:
        """Return an image as a number a pixel, in the order of the table."""
        return np.asarray(image)[self._place("map_y"), self._place("map_x")]

    def _place(self, name: str) -> np.ndarray:
        return np.unique(self.table.get_column(name), return_inverse=True)[1]


def read_map(path) -> Map:
    """Return the map of a file that Quasar reads, such as ``.hdr`` of ENVI, ``.map``, ``.dmt``."""
    table = Table(str(path))
    return Map(table, tuple(np.unique(table.get_column(name)).size for name in ("map_y", "map_x")))


def without_air(spectra: Table, vapour: Table) -> Table:
    """Return spectra without water vapour, and with a bridge over carbon dioxide."""
    return AtmCorr(reference=vapour, correct_ranges=VAPOUR_CM1, spline_ranges=CARBON_DIOXIDE_CM1)(spectra)


def integrals(spectra: Table, method=Integrate.Baseline, bands=BANDS_CM1) -> dict[str, np.ndarray]:
    """Return the integral of each component's band, by Quasar, in cm-1: (spectra,) each."""
    found = Integrate(methods=method, limits=[list(band) for band in bands.values()])(spectra).X
    return dict(zip(bands, found.T, strict=True))


def correlation(one, other) -> float:
    """Return the correlation coefficient of two sets of pixels."""
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


def true_amount(truth: Truth, data: Map, component: str) -> np.ndarray:
    """Return how much of a component there is, in the order of the map's table: (pixels,)."""
    return data.pixels(truth.amounts[component])


def draw_map(axes, image, title: str, pixel_um: float | None = None, label: str = "", cmap: str = "viridis", **more) -> None:
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
