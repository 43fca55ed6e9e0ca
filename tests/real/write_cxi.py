"""Write a run as LCLS and Cheetah do, which shares nothing with the tutorials' own layout.

Run as ``python write_cxi.py SIMULATION TARGET [COUNT]`` in the CrystFEL use case's environment:
SIMULATION is the folder of its ``simulation.py``. TARGET gets ``run7.cxi``, ``run7.geom`` and
``run7.cell``: eight panels stacked along the slow scan, half of them upside down, analogue
counts with noise below zero, a mask for every frame, energies and distance in LCLS' places.
"""

import sys
from pathlib import Path

import h5py
import numpy as np

ADU = 9.4  # per photon
OFFSET_M = 0.573224  # of the detector's encoder
SIDE = 800
PANEL = (200, 400)


def panels():
    """Yield each panel's first row and column in the flat detector, and whether it is turned."""
    for number in range(8):
        yield number, number // 2 * PANEL[0], number % 2 * PANEL[1], bool(number % 2)


def stacked(image):
    """Return a flat image as the file has it: (1600, 400)."""
    parts = []
    for _, row, column, turned in panels():
        part = image[row : row + PANEL[0], column : column + PANEL[1]]
        parts.append(part[::-1, ::-1] if turned else part)
    return np.concatenate(parts)


def geometry(detector):
    """Return the geometry file."""
    lines = [
        "; as written for Cheetah's CXI files",
        "photon_energy = /LCLS/photon_energy_eV",
        "clen = /LCLS/detector_1/EncoderValue",
        f"coffset = {OFFSET_M}",
        f"adu_per_photon = {ADU}",
        f"res = {1 / detector.pixel_m:.1f}",
        "dim0 = %",
        "dim1 = ss",
        "dim2 = fs",
        "data = /entry_1/data_1/data",
        "mask = /entry_1/data_1/mask",
        "mask_good = 0x0000",
        "mask_bad = 0xffff",
        "rigid_group_q0 = p0,p1,p2,p3",
        "",
    ]
    fast, slow = detector.axes[:, :2]
    for number, row, column, turned in panels():
        at = (row + PANEL[0], column + PANEL[1]) if turned else (row, column)
        x, y = detector.corner_px + at[1] * fast + at[0] * slow
        sign = -1 if turned else 1
        lines += [
            f"p{number}/min_fs = 0",
            f"p{number}/max_fs = {PANEL[1] - 1}",
            f"p{number}/min_ss = {number * PANEL[0]}",
            f"p{number}/max_ss = {(number + 1) * PANEL[0] - 1}",
            f"p{number}/fs = {sign * fast[0]:+.9f}x {sign * fast[1]:+.9f}y",
            f"p{number}/ss = {sign * slow[0]:+.9f}x {sign * slow[1]:+.9f}y",
            f"p{number}/corner_x = {x:.6f}",
            f"p{number}/corner_y = {y:.6f}",
            "",
        ]
    return "\n".join(lines)


def main(simulation, target, count):
    """Write the run."""
    detector = simulation.Detector(
        (SIDE, SIDE), 110e-6, 71.3e-3, (396.4, 411.9), -0.4, (200, 200), (3, 3), 9.0, 1e-3
    )
    crystal = simulation.Crystal(a_angstrom=61.4, c_angstrom=96.8, strength=6000.0)
    experiment = simulation.Experiment(
        detector, simulation.Beam(energy_ev=9120.0), crystal, count, d_min_angstrom=2.0
    )
    rng = np.random.default_rng(2018)
    lattice = simulation.reflections(crystal, experiment.d_min_angstrom)
    strength = simulation.intensities(rng, crystal, lattice.unique)
    series = simulation.shots(rng, experiment)
    mask, halo = detector.mask(rng), simulation.background(experiment)
    frames = np.empty((count, 8 * PANEL[0], PANEL[1]), np.float32)
    for i, shot in enumerate(map(simulation.Shot._make, zip(*series, strict=True))):
        spots = simulation.diffract(experiment, shot, lattice.hkl, strength[lattice.member])
        light = simulation.draw(detector.shape, spots, experiment.spot_px) + shot.pulse * halo
        frames[i] = stacked(ADU * rng.poisson(light) + rng.normal(0, 2, detector.shape))
    with h5py.File(target / "run7.cxi", "w") as file:
        file["cxi_version"] = 140
        data = file.create_group("entry_1/data_1")
        data.create_dataset(
            "data",
            data=frames,
            chunks=(1, *frames.shape[1:]),
            compression="gzip",
            compression_opts=1,
        )
        bad = np.broadcast_to(stacked(mask.astype(np.uint16)) * 4, frames.shape)
        data.create_dataset(
            "mask", data=bad, chunks=(1, *frames.shape[1:]), compression="gzip", compression_opts=1
        )
        file["entry_1/instrument_1/detector_1/description"] = "CSPAD, simulated"
        file["LCLS/photon_energy_eV"] = series.energy_ev
        encoder = (detector.distance_m - OFFSET_M) * 1e3
        file["LCLS/detector_1/EncoderValue"] = np.full(count, encoder)
    (target / "run7.geom").write_text(geometry(detector))
    (target / "run7.cell").write_text(simulation.cell_file(crystal.lengths_angstrom))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import simulation

    main(simulation, Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 40)
