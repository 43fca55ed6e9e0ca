"""What a scan is: frames, angles, the pixel, and the truth where it is known."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workbench.readings import Reading
from workbench.told import ToldError


class ScanError(ToldError):
    """Something that a notebook can't do with a scan; the text is for a person."""


@dataclass(frozen=True)
class Truth:
    """What a simulated scan does not tell.

    Parameters
    ----------
    centre_px : float
        Column of the axis of rotation; pixel centres are at whole numbers from 0.
    angles_deg : (projections,) float64
        By which the sample was really turned.
    phantom : (rows, columns, columns) float32
        Attenuation coefficient on the grid of a reconstruction, 1/mm.
    attenuation : (projections, rows, columns) float32
        Minus the logarithm of what a perfect camera would have seen, no unit.
    rings, zingers : record arrays
        As `simulation.Ring` and `simulation.Zinger` name their fields.
    pixel_mm : float
        Edge of a pixel in the sample, as it was simulated.
    """

    centre_px: float
    angles_deg: np.ndarray = field(repr=False)
    phantom: np.ndarray = field(repr=False)
    attenuation: np.ndarray = field(repr=False)
    rings: np.ndarray = field(repr=False)
    zingers: np.ndarray = field(repr=False)
    pixel_mm: float = 1.0

    @property
    def ring_radii_px(self) -> np.ndarray:
        """How far from the axis each column is that makes a ring: (n,) float64."""
        columns = [r["first_column"] + np.arange(r["columns"]) for r in self.rings]
        return abs(np.concatenate(columns) - self.centre_px)


@dataclass(frozen=True)
class Scan:
    """A parallel-beam scan.

    Parameters
    ----------
    path : Path
        The file that it comes from.
    projections, flats, darks : (frames, rows, columns) float32
        Counts; flats are without the sample, darks without the beam.
    angles_deg : (projections,) float64
        By which the sample was turned, in ascending order, over no more than a turn.
    pixel_mm : float
        Edge of a pixel in the sample; 1 where nobody says, and all lengths are in pixels then.
    first : int
        The frame of the file that is the first projection.
    rows : (rows,) int64
        Which of the camera's rows were read; empty for all.
    reading : Reading, optional
        What was read, assumed and left out.
    as_stored : bool
        Whether projections and angles are those of the file, in its order and in degrees.
    truth : Truth, optional
        Of a simulated scan.
    published_px : float, optional
        Column of the axis that somebody else found in a measured scan and published.
    """

    path: Path
    projections: np.ndarray = field(repr=False)
    flats: np.ndarray = field(repr=False)
    darks: np.ndarray = field(repr=False)
    angles_deg: np.ndarray = field(repr=False)
    pixel_mm: float = 1.0
    first: int = 0
    rows: np.ndarray = field(repr=False, default_factory=lambda: np.empty(0, int))
    reading: Reading | None = None
    as_stored: bool = True
    truth: Truth | None = None
    published_px: float | None = None

    @property
    def unit(self) -> str:
        """The unit of an attenuation coefficient."""
        return "1/mm" if self.pixel_mm != 1 else "1/pixel"
