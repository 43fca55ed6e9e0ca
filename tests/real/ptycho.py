"""Runs code in the ptychography use case's own environment, in a copy of its folder."""

import subprocess
from pathlib import Path

from portals import ROOT

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, load_use_cases

PTYCHO = load_use_cases([NOTEBOOKS])["ptycho"]
BEGIN = """
import sys
from pathlib import Path
import h5py
import numpy as np

sys.path.insert(0, sys.argv[1])
import simulation
from shelves import Recipe, Scan, State, judge, read, reconstruct, shelf
from shelves.scan import Model

simulation.scan(Path(), 7)
scan = read(Path("scan.cxi"))
with h5py.File("truth.h5") as file:
    sample, probe, at = (file[n][()] for n in ("object", "probe", "positions_px"))
    initial = file["initial_probe"][()]

def says(words, call, kind=ValueError):
    try:
        call()
    except kind as problem:
        assert words in str(problem), problem
    else:
        raise AssertionError(words)
"""


def copied(folder: Path) -> Path:
    """Return a copy of the use case's folder that a test may add to."""
    subprocess.run(["cp", "-r", str(ROOT / "notebooks/ptycho"), str(folder)], check=True)
    return folder


def run_code(code: str, state: Path, folder: Path, cwd: Path, *arguments: str) -> str:
    """Run code and return what it printed; it must end well."""
    python = environment(PTYCHO, state)
    done = subprocess.run(
        [str(python), "-c", code, *arguments],
        env=variables(PTYCHO, python, folder),
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
