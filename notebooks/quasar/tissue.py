"""Measured spectra of tissue with a label each, as Quasar ships them: what holds outside of a simulation."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from Orange.data import Table
from orangecontrib.spectroscopy.data import getx
from orangecontrib.spectroscopy.preprocess import Normalize, SavitzkyGolayFiltering
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import NearestCentroid

from workbench import Checks

PUBLISHED_CM1 = {"glycogen": 1025.0, "lipids": 1740.0}
"""Where a label's spectra rise most above all others: C-O of glycogen, C=O of esters (Movasaghi 2008)."""
WITHIN_CM1 = 8.0  # two points
FEWEST_RIGHT = 90.0  # per cent


class Tissue(NamedTuple):
    """Spectra of one length, and what each was taken for.

    Parameters
    ----------
    x : (points,) float64
        Wavenumbers, 1/cm.
    shapes : (spectra, points) float64
        Without a line through both ends, of length one.
    curved : (spectra, points) float64
        Their second derivatives, of length one.
    labels : (spectra,) str
    """

    x: np.ndarray
    shapes: np.ndarray
    curved: np.ndarray
    labels: np.ndarray

    @property
    def kinds(self) -> list[str]:
        """The labels there are."""
        return sorted(set(self.labels))


def read(path: str | Path) -> Tissue:
    """Return the spectra of a file of Quasar's with a class each."""
    table = Table(str(path))
    x, found = np.asarray(getx(table), float), np.asarray(table.X)
    part = (x - x[0]) / (x[-1] - x[0])
    level = found - found[:, :1] - part * (found[:, -1:] - found[:, :1])
    second = SavitzkyGolayFiltering(window=9, polyorder=2, deriv=2)(table)
    curved = Normalize(method=Normalize.Vector)(second).X
    values = table.domain.class_var.values
    labels = np.array([values[int(number)] for number in table.Y])
    return Tissue(x, level / np.linalg.norm(level, axis=1, keepdims=True), curved, labels)


def rise(tissue: Tissue, kind: str) -> np.ndarray:
    """Return by how much spectra with a label are above the mean of all: (points,)."""
    mine = tissue.labels == kind
    return tissue.shapes[mine].mean(axis=0) - tissue.shapes.mean(axis=0)


def sorted_again(tissue: Tissue) -> np.ndarray:
    """Return the label of the nearest mean for each spectrum, which had no part in it: (spectra,)."""
    parts = KFold(5, shuffle=True, random_state=1)
    return cross_val_predict(NearestCentroid(), tissue.curved, tissue.labels, cv=parts)


def judge(checks: Checks, tissue: Tissue, found: np.ndarray) -> None:
    """Check bands against published ones, and what was found against the labels."""
    for kind, published in PUBLISHED_CM1.items():
        top = float(tissue.x[np.argmax(rise(tissue, kind))])
        checks.close(
            f"Measured {kind}: strongest band, against the published one",
            got=top,
            truth=published,
            within=WITHIN_CM1,
            unit="cm⁻¹",
        )
    right = 100 * float(np.mean(found == tissue.labels))
    checks.above("Measured spectra with their own label", got=right, limit=FEWEST_RIGHT, unit="%")
