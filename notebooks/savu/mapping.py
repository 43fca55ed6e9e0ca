"""A mapping tomography scan whose truth is known: a thin beam, several signals at every point.

A catalyst pellet is moved through a beam of a few micrometres and turned: at each point a diode
behind it measures the transmission, and an energy-dispersive detector at 90 degrees, in the plane of
the slice, the fluorescence. Both lose light on their way: the beam on its way in, fluorescence on its
way out, and the lower its energy the more. The file has the layout of Savu's ``mm.nxs``.

It lacks the beam's width, scatter from elsewhere, dead time, escape and pile-up peaks, and
enhancement; attenuation coefficients follow the cube of the wavelength, with a drop to an eighth
below an absorption edge. Every random number comes from the seed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from simulation import group, put

BEAM_KEV = 17.0
EDGE_JUMP = 8.0


class Element(NamedTuple):
    """What fluoresces: its K lines and its edge, keV."""

    name: str
    alpha_kev: float
    beta_kev: float
    edge_kev: float


ELEMENTS = (Element("Ti", 4.509, 4.932, 4.966), Element("Fe", 6.400, 7.058, 7.112))
BETA_SHARE = 0.12


@dataclass(frozen=True)
class Setup:
    """The experiment.

    Parameters
    ----------
    positions, angles, heights : int
        How many points across, directions over 180 degrees (both ends included), and slices.
    step_mm : float
        Between points, across and in height.
    channel_kev : float
        Width of a channel of the fluorescence detector.
    channels : int
        How many it has.
    sigma_kev : float
        Width of a line, standard deviation.
    counts : float
        Counts a point that an element of unit concentration gives per millimetre, in a beam of
        unit strength, if nothing is lost.
    diode_noise : float
        Of the transmission, relative, standard deviation.
    """

    positions: int = 81
    angles: int = 61
    heights: int = 2
    step_mm: float = 0.005
    channel_kev: float = 0.04
    channels: int = 480
    sigma_kev: float = 0.07
    counts: float = 40_000.0
    diode_noise: float = 0.002

    @property
    def angles_deg(self) -> np.ndarray:
        """Directions: (angles,) float64."""
        return np.linspace(0, 180, self.angles)


class Grain(NamedTuple):
    """A cylinder with an element in it, upright; lengths in mm, concentration without unit."""

    element: int
    x_mm: float
    y_mm: float
    radius_mm: float
    concentration: float


@dataclass(frozen=True)
class Pellet:
    """A round pellet with grains.

    Parameters
    ----------
    radius_mm : float
    x_mm, y_mm : float
        Its middle from the axis.
    mu_per_mm : float
        Attenuation coefficient of the matrix at the beam's energy.
    grains : tuple of Grain
        Each adds 2 / mm times its concentration at the beam's energy.
    """

    radius_mm: float
    x_mm: float
    y_mm: float
    mu_per_mm: float
    grains: tuple[Grain, ...]

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether there is matrix, and the elements' concentrations, where x and y say.

        Returns
        -------
        matrix : (...) bool
        concentrations : (elements, ...) float64
        """
        matrix = np.hypot(x - self.x_mm, y - self.y_mm) <= self.radius_mm
        concentrations = np.zeros((len(ELEMENTS), *x.shape))
        for grain in self.grains:
            inside = np.hypot(x - grain.x_mm, y - grain.y_mm) <= grain.radius_mm
            concentrations[grain.element] += grain.concentration * inside
        return matrix, concentrations

    def mu(self, matrix: np.ndarray, concentrations: np.ndarray, energy_kev: float) -> np.ndarray:
        """Return the attenuation coefficient at an energy, 1/mm."""
        scale = (BEAM_KEV / energy_kev) ** 3
        total = self.mu_per_mm * scale * matrix
        for element, concentration in zip(ELEMENTS, concentrations, strict=True):
            jump = EDGE_JUMP if energy_kev < element.edge_kev else 1.0
            total = total + 2.0 * scale / jump * concentration
        return total


def make_pellet(rng: np.random.Generator) -> Pellet:
    """Return a pellet whose grains don't touch: seven of each element."""
    radius = rng.uniform(0.135, 0.150)
    x, y = rng.uniform(-0.012, 0.012, 2)
    grains: list[Grain] = []
    while len(grains) < 14:
        size = rng.uniform(0.010, 0.022)
        far, turn = (radius - size - 0.01) * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        new = Grain(
            len(grains) % 2,
            x + far * np.cos(turn),
            y + far * np.sin(turn),
            size,
            rng.uniform(0.5, 1),
        )
        apart = [np.hypot(new.x_mm - g.x_mm, new.y_mm - g.y_mm) - g.radius_mm for g in grains]
        if all(gap > new.radius_mm + 0.008 for gap in apart):
            grains.append(new)
    return Pellet(radius, x, y, rng.uniform(0.12, 0.18), tuple(grains))


def signals(pellet: Pellet, setup: Setup, centre: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what a perfect detector would see of one slice.

    Returns
    -------
    transmission : (angles, positions) float64
    fluorescence : (elements, angles, positions) float64
        In mm times concentration, what was lost on the ways in and out taken off.
    """
    per_step = 3
    fine = setup.step_mm / per_step
    t = (np.arange(setup.positions * per_step) / per_step - 1 / per_step - centre) * setup.step_mm
    u = (np.arange(-180, 180) + 0.5) * fine  # along the beam, wide enough for every pellet
    transmission = np.empty((setup.angles, setup.positions))
    fluorescence = np.empty((len(ELEMENTS), setup.angles, setup.positions))
    for number, angle in enumerate(np.radians(setup.angles_deg)):
        x = t * np.cos(angle) - u[:, None] * np.sin(angle)
        y = t * np.sin(angle) + u[:, None] * np.cos(angle)
        matrix, concentrations = pellet.at(x, y)
        at_beam = pellet.mu(matrix, concentrations, BEAM_KEV) * fine
        way_in = np.exp(-(np.cumsum(at_beam, axis=0) - at_beam / 2))
        passed = np.exp(-at_beam.sum(axis=0))
        transmission[number] = passed.reshape(-1, per_step).mean(axis=1)
        for i, element in enumerate(ELEMENTS):
            # The detector is on the side of the last positions.
            at_line = pellet.mu(matrix, concentrations, element.alpha_kev) * fine
            beyond = np.cumsum(at_line[:, ::-1], axis=1)[:, ::-1] - at_line / 2
            seen = (concentrations[i] * way_in * np.exp(-beyond)).sum(axis=0) * fine
            fluorescence[i, number] = seen.reshape(-1, per_step).mean(axis=1)
    return transmission, fluorescence


def line(energies: np.ndarray, centre_kev: float, sigma_kev: float, width_kev: float) -> np.ndarray:
    """Return a Gaussian of area 1 in counts per channel: (channels,) float64."""
    shape = np.exp(-0.5 * ((energies - centre_kev) / sigma_kev) ** 2)
    return shape * width_kev / (sigma_kev * np.sqrt(2 * np.pi))


def mapping(folder: Path, seed: int) -> None:
    """Write a scan, ``mapping.nxs``, and what it does not tell, ``truth.h5``.

    Parameters
    ----------
    folder : Path
        Where to; it exists.
    seed : int
        Of all random numbers. It moves the axis, the pellet and its grains.
    """
    rng = np.random.default_rng(seed)
    setup = Setup()
    centre = (setup.positions - 1) / 2 + rng.choice((-1, 1)) * rng.uniform(1.2, 3.8)
    pellets = [make_pellet(rng) for _ in range(setup.heights)]
    shape = (setup.angles, setup.heights, setup.positions)
    beam = 1 - 0.04 * (np.arange(np.prod(shape)) % 1500) / 1500  # topped up now and then
    beam = (beam * rng.normal(1, 0.003, beam.size)).reshape(shape)
    transmission = np.empty(shape)
    fluorescence = np.empty((len(ELEMENTS), *shape))
    for height, pellet in enumerate(pellets):
        transmission[:, height], fluorescence[:, :, height] = signals(pellet, setup, centre)
    energies = (np.arange(setup.channels) + 0.5) * setup.channel_kev
    expected = np.full((*shape, setup.channels), 0.02)
    thickness = -np.log(transmission)
    scattered = (1 + 40 * thickness)[..., None]
    expected += 30 * scattered * line(energies, BEAM_KEV, setup.sigma_kev, setup.channel_kev)
    expected += 60 * scattered * line(energies, 16.45, 0.16, setup.channel_kev)
    for element, seen in zip(ELEMENTS, fluorescence, strict=True):
        lines = (1 - BETA_SHARE) * line(
            energies, element.alpha_kev, setup.sigma_kev, setup.channel_kev
        )
        lines += BETA_SHARE * line(energies, element.beta_kev, setup.sigma_kev, setup.channel_kev)
        expected += setup.counts * seen[..., None] * lines
    spectra = rng.poisson(expected * beam[..., None]).astype(np.uint16)
    diode = 4.0 * transmission * beam * rng.normal(1, setup.diode_noise, shape)
    with h5py.File(folder / "mapping.nxs", "w") as file:
        write_scan(file, setup, diode, spectra, energies, 1e5 * beam)
    with h5py.File(folder / "truth.h5", "w") as file:
        write_truth(file, setup, centre, pellets)


def write_scan(
    file: h5py.File,
    setup: Setup,
    diode: np.ndarray,
    spectra: np.ndarray,
    energies: np.ndarray,
    monitor: np.ndarray,
) -> None:
    """Write the signals in the layout of Savu's mm.nxs.

    Savu's own loaders of maps do not read it: they want further attributes, as bytes.
    """
    entry = group(file, "entry1", "NXentry")
    x = (np.arange(setup.positions) - (setup.positions - 1) / 2) * setup.step_mm
    y = np.arange(setup.heights) * setup.step_mm
    for name, definition, values in (
        ("stxm_entry", "NXstxm", diode.astype(np.float32)),
        ("fluo_entry", "NXfluo", spectra),
    ):
        part = group(entry, name, "NXsubentry", default="data")
        part["definition"] = definition
        data = group(part, "data", "NXdata", signal="data")
        data.create_dataset(
            "data", data=values, compression="gzip", compression_opts=4, shuffle=True
        )
        put(data, "theta", setup.angles_deg, "degree")
        put(data, "x", np.tile(x, (setup.heights, 1)), "mm")
        put(data, "y", np.repeat(y[:, None], setup.positions, axis=1), "mm")
        axes = ["theta", "y", "x"]
        if name == "fluo_entry":
            put(data, "energy", energies, "keV")
            axes.append("energy")
        data.attrs["axes"] = axes
        put(group(part, "monitor", "NXmonitor"), "data", monitor, "counts")
        group(part, "sample", "NXsample")["name"] = "catalyst pellet (simulated)"
        instrument = group(part, "instrument", "NXinstrument")
        put(group(instrument, "monochromator", "NXmonochromator"), "energy", 1e3 * BEAM_KEV, "eV")


def write_truth(file: h5py.File, setup: Setup, centre: float, pellets: list[Pellet]) -> None:
    """Write the axis and the sample on the grid of a reconstruction.

    ``/centre_of_rotation`` in positions from 0; ``/mu`` (heights, n, n) 1/mm at the beam's energy;
    ``/Ti`` and ``/Fe``, concentrations without unit. Axes as in the truth of `simulation`.
    """
    put(file, "centre_of_rotation", centre, "positions")
    put(file, "step", setup.step_mm, "mm")
    per_side = 4
    fine = setup.positions * per_side
    axis = (np.arange(fine) - (fine - 1) / 2) * setup.step_mm / per_side
    x, y = np.meshgrid(axis, -axis)
    binned = (setup.positions, per_side, setup.positions, per_side)
    mu, amounts = [], []
    for pellet in pellets:
        matrix, concentrations = pellet.at(x, y)
        mu.append(pellet.mu(matrix, concentrations, BEAM_KEV).reshape(binned).mean(axis=(1, 3)))
        amounts.append([c.reshape(binned).mean(axis=(1, 3)) for c in concentrations])
    put(file, "mu", np.float32(mu), "1/mm")
    for i, element in enumerate(ELEMENTS):
        file[element.name] = np.float32([amount[i] for amount in amounts])
