"""Powder diffraction images whose truth is known.

Everything is computed here with NumPy alone: no part of pyFAI makes the data that these tutorials
give to pyFAI. (FabIO writes the images as EDF files, h5py stacks and truths.) The two meet only in
the *definition* of the geometry.

The images have what a real one has: module gaps, dead and hot pixels, a beam stop, a tilted
detector, polarised beam, rings of finite width that fall onto finite pixels, background, and photon
noise. They lack parallax in the sensor, spottiness and preferred orientation of the sample,
and the energy response of the detector. Every random number comes from the seed.

From the pixel to the data set: `flat_detector` says where pixels look, `powder` and `spheres` what
samples scatter, `exposure` what is counted, `truths` keeps what was put in. This file, `ramp` and
`saxs` each write whole data sets, which `workbench.data` calls.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from exposure import expose
from flat_detector import PILATUS_1M, Geometry
from powder import CEO2, LAB6, powder_curve, with_background
from truths import write_image, write_poni


def lab6_image(folder: Path, seed: int) -> None:
    """Write LaB6 (SRM 660c) at 20 keV on a tilted Pilatus 1M, about 0.2 m away.

    The seed moves the detector as well, by a few pixels, milliradians and millimetres.
    """
    rng = np.random.default_rng(seed)
    geometry = Geometry(
        dist_m=0.2 + rng.uniform(-2e-3, 2e-3),
        poni1_m=0.085 + rng.uniform(-4e-4, 4e-4),
        poni2_m=0.072 + rng.uniform(-4e-4, 4e-4),
        rot1_rad=np.radians(2.0) + rng.uniform(-2e-3, 2e-3),
        rot2_rad=np.radians(-1.2) + rng.uniform(-2e-3, 2e-3),
        rot3_rad=0.0,
        energy_kev=20.0,
    )
    wavelength = geometry.wavelength_angstrom
    rings = powder_curve(LAB6, wavelength, 0.65, peak=2500, broadening_deg=0.07)
    curve = with_background(rings, wavelength, air=60, glass=10)
    counts, truth = expose(rng, geometry, PILATUS_1M, LAB6, curve)
    write_image(folder / "lab6.edf", counts, truth)


def ceo2_image(folder: Path, seed: int) -> None:
    """Write fine-grained CeO2 in a glass capillary at 20 keV on a tilted Pilatus 1M.

    The seed changes the lattice as well, by up to a thousandth.
    """
    rng = np.random.default_rng(seed)
    geometry = Geometry(0.2, 0.085, 0.072, np.radians(2.0), np.radians(-1.2), 0.0, 20.0)
    wavelength = geometry.wavelength_angstrom
    crystal = replace(CEO2, a_angstrom=CEO2.a_angstrom * (1 + rng.uniform(-1e-3, 1e-3)))
    rings = powder_curve(crystal, wavelength, 0.65, peak=2000, broadening_deg=0.16)
    curve = with_background(rings, wavelength, air=150, glass=60)
    counts, truth = expose(rng, geometry, PILATUS_1M, crystal, curve)
    write_image(folder / "ceo2.edf", counts, truth)
    write_poni(folder / "known.poni", geometry, PILATUS_1M.name)
