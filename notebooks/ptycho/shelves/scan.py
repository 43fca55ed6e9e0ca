"""What goes from module to module: a scan as measured, and the state of a reconstruction.

Conventions, the same on every shelf: rows count downwards, columns to the right, as one looks along
the beam. A frame shows the direct beam at its pixel [n // 2, n // 2]. A pattern's amplitude is
``fftshift(fft2(probe * patch, norm="ortho"))``, so that waves go as exp(+ikz) and matter has
negative phases.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.readings import Reading
from workbench.told import ToldError

POSSIBLE_M = {
    "wavelength_m": ((1e-12, 2e-6), "Is it in nm or Å, or was an energy in eV taken for joules?"),
    "distance_m": ((1e-4, 200.0), "Is it in mm?"),
    "pixel_m": ((1e-8, 1e-2), "Is it in µm or mm?"),
}
FEWEST = 4  # frames that can tell sample and probe apart at all
LARGEST_PX = 16384  # along an object's edge: 2 GiB of complex numbers, beyond any scan of today


class ScanError(ToldError):
    """A file of a known kind, or its scan, that can't be right: what is wrong, and what to do."""


@dataclass(frozen=True)
class Scan:
    """A ptychographic scan.

    Parameters
    ----------
    frames : (positions, rows, columns) float32
        Counts.
    good : (rows, columns) bool
        Pixels that can be trusted.
    positions_m : (positions, 2) float64
        Row and column direction of where the beam meets the sample, metres, from any origin.
    wavelength_m, distance_m, pixel_m : float
        Of the light; from the sample to the detector; edge of a detector pixel.
    probe : (modes, n, n) complex64 or None
        A probe that came with the data.
    origin : str
        Where all this comes from.
    bad : (positions, rows, columns) bool or None
        Pixels that the file calls bad in some frames only; `trust` settles them.
    reading : Reading or None
        What was read, assumed and left out.
    """

    frames: np.ndarray
    good: np.ndarray
    positions_m: np.ndarray
    wavelength_m: float
    distance_m: float
    pixel_m: float
    probe: np.ndarray | None = None
    origin: str = ""
    bad: np.ndarray | None = None
    reading: Reading | None = None

    def __post_init__(self) -> None:
        if self.frames.ndim != 3 or not self.frames.size:
            raise ScanError(f"frames must be (positions, rows, columns), not {self.frames.shape}")
        count, shape = len(self.frames), self.frames.shape[1:]
        if self.good.shape != shape:
            raise ScanError(f"frames of {shape} pixels, but a mask of {self.good.shape}")
        if self.positions_m.shape != (count, 2):
            raise ScanError(
                f"there are {count} frames, but positions of shape {self.positions_m.shape}: one row "
                "and one column coordinate is needed for each frame"
            )
        if not np.isfinite(self.positions_m).all():
            raise ScanError("some positions aren't numbers: leave those frames out, or mend them")
        if not self.good.any():
            raise ScanError("the mask leaves no pixel: does 0 mean a bad one in it?")

    def checked(self) -> "Scan":
        """Return the same scan if its wavelength, distance and pixel are possible.

        Raises
        ------
        ScanError
            One of them is missing, or no experiment has such a value.
        """
        for name, ((low, high), guess) in POSSIBLE_M.items():
            value = getattr(self, name)
            if not low <= value <= high:
                said = (
                    "the file doesn't say it."
                    if np.isnan(value)
                    else f"{value:.3g} m, but possible are {low:g} to {high:g} m. {guess}"
                )
                raise ScanError(f"{name}: {said} Set it with the preparation 'geometry'")
        return self

    @property
    def edge(self) -> int:
        """Pixels along a frame's edge; engines want square frames."""
        rows, columns = self.frames.shape[1:]
        if rows != columns:
            raise ScanError(f"frames must be square, not {rows} x {columns}: use 'centre'")
        return rows

    @property
    def object_pixel_m(self) -> float:
        """Edge of the reconstruction's pixels: wavelength times distance over the frame's edge."""
        return self.wavelength_m * self.distance_m / (self.edge * self.pixel_m)

    def positions_px(self) -> tuple[np.ndarray, tuple[int, int]]:
        """Return row and column of the probe's middle on the object, and the object's shape.

        The object holds every position with half a probe and two pixels around; pixel centres are
        at whole numbers.

        Raises
        ------
        ScanError
            There are too few frames, or the positions fit no experiment: their unit is likely wrong.
        """
        if len(self.frames) < FEWEST:
            raise ScanError(
                f"{len(self.frames)} frames are too few: ptychography needs many that overlap"
            )
        at = self.positions_m / self.object_pixel_m
        low, high = at.min(axis=0), at.max(axis=0)
        extent, about = float((high - low).max()), f"pixels of {self.object_pixel_m:.3g} m"
        unit = "Positions must be in metres: is that so, and are distance and pixel right?"
        if extent > LARGEST_PX:
            raise ScanError(f"the positions reach over {extent:.3g} {about}. {unit}")
        if extent < 1:
            raise ScanError(f"all {len(at)} positions lie within {extent:.2g} {about}. {unit}")
        shape = 2 * np.ceil((high - low + self.edge + 4) / 2).astype(int)
        return at - (low + high) / 2 + shape // 2, (int(shape[0]), int(shape[1]))

    def changed(self, **changes: Any) -> "Scan":
        """Return the same scan with some fields changed."""
        return replace(self, **changes)


@dataclass
class State:
    """A reconstruction at one moment: what one engine hands to the next.

    Parameters
    ----------
    sample : (rows, columns) complex64
        The object's transmission.
    probe : (modes, n, n) complex64
        The square is counts a pixel; modes add up incoherently, the strongest first.
    positions_px : (positions, 2) float64
        Row and column of the probe's middle on the object.
    errors : list of (str, int, float)
        The engine, the epoch counted from the beginning of the series, and `Model.error` then.
    """

    sample: np.ndarray
    probe: np.ndarray
    positions_px: np.ndarray
    errors: list[tuple[str, int, float]] = field(default_factory=list)

    def within(self, positions_px: np.ndarray) -> np.ndarray:
        """Return positions with those moved back that would take the probe off the object."""
        half = self.probe.shape[-1] // 2
        last = np.array(self.sample.shape) - (self.probe.shape[-1] - half) - 1e-3
        return np.clip(positions_px, half, last)

    @property
    def epochs(self) -> int:
        """Epochs so far."""
        return self.errors[-1][1] if self.errors else 0

    def copy(self) -> "State":
        """Return a state of its own: changing one doesn't change the other."""
        return State(
            self.sample.copy(), self.probe.copy(), self.positions_px.copy(), list(self.errors)
        )


class Model:
    """What a state says the detector should have counted; the same yardstick for all engines."""

    def __init__(self, scan: Scan, frames: int = 60) -> None:
        """Choose frames, evenly over the scan, that `error` looks at."""
        self.scan = scan
        self.chosen = np.unique(np.linspace(0, len(scan.frames) - 1, frames).astype(int))
        self.measured = np.sqrt(np.maximum(scan.frames[self.chosen], 0))

    def amplitudes(self, state: State, chosen: np.ndarray) -> np.ndarray:
        """Return the amplitudes of some frames: (chosen, n, n) float32, roots of counts."""
        edge = self.scan.edge
        at = state.positions_px[chosen]
        whole = np.floor(at).astype(int)
        q = np.fft.fftfreq(edge).astype(np.float32)
        rest = (at - whole).astype(np.float32)
        ramp = (
            np.exp(-2j * np.pi * q * rest[:, :1])[:, :, None]
            * np.exp(-2j * np.pi * q * rest[:, 1:])[:, None, :]
        )
        patches = np.stack(
            [
                state.sample[
                    r - edge // 2 : r - edge // 2 + edge, c - edge // 2 : c - edge // 2 + edge
                ]
                for r, c in whole
            ]
        )
        intensity = np.zeros(patches.shape, np.float32)
        for mode in state.probe:
            moved = np.fft.ifft2(np.fft.fft2(mode) * ramp)
            intensity += np.abs(np.fft.fft2(moved * patches, norm="ortho")) ** 2
        return np.sqrt(np.fft.fftshift(intensity, axes=(1, 2)))

    def error(self, state: State) -> float:
        """Return the relative distance of amplitudes, sum (|F| - root counts)^2 / sum counts.

        Photon noise alone leaves about 1/4 a pixel that is lit.
        """
        off = (self.amplitudes(state, self.chosen) - self.measured)[:, self.scan.good]
        return float(np.sum(off**2) / np.sum(self.measured[:, self.scan.good] ** 2))
