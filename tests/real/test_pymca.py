"""The PyMca use case in its own environment: fluorescence of fluorescence, and a blind sample."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from own_files import check_own_files
from portals import ROOT

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, load_use_cases

PYMCA = load_use_cases([NOTEBOOKS])["pymca"]

CODE = """
import sys
from pathlib import Path
import h5py
import numpy as np

sys.path.insert(0, sys.argv[1])
import alloy

steel = {"Cr": 0.18, "Mn": 0.02, "Fe": 0.68, "Ni": 0.12}
setup = alloy.ALLOY_SETUP
made = alloy.thick_emission(steel, setup, 3)
for element in steel:
    primary, secondary, tertiary = sum(by for (of, _), by in made.items() if of == element)
    closed = alloy.sherman_secondary(steel, setup, element)
    assert np.isclose(secondary / primary, closed, rtol=0.01, atol=1e-6), (element, closed)
    assert tertiary <= secondary

alloy.alloy_spectrum(Path(), 7)
with h5py.File("setup.h5") as file:
    assert list(file) == ["setup"]
assert alloy.read_setup(Path("setup.h5")) == setup
fractions, _ = alloy.read_truth(Path("truth.h5"))
assert np.isclose(sum(fractions.values()), 1)
other = alloy.alloy(8).truth
assert abs(other["Cr"] - fractions["Cr"]) > 1e-3
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_secondary_fluorescence_is_shermans_and_the_alloy_stays_secret(
    state_folder: Callable[[], Path], tmp_path: Path
) -> None:
    python = environment(PYMCA, state_folder())
    done = subprocess.run(
        [str(python), "-c", CODE, str(ROOT / "notebooks/pymca")],
        env=variables(PYMCA, python, PYMCA.folder),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_files_of_ones_own_are_read_right_or_told(state_folder: Callable[[], Path]) -> None:
    check_own_files(PYMCA, environment(PYMCA, state_folder()), "own_pymca")
