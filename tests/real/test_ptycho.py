"""The shelves of the ptychography use case, in its own environment."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
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
from shelves import Recipe, Scan, State, judge, reconstruct, shelf
from shelves.recipe import read
from shelves.scan import Model

simulation.scan(Path(), 7)
scan = read(Path("scan.cxi"))
with h5py.File("truth.h5") as file:
    sample, probe, at = (file[n][()] for n in ("object", "probe", "positions_px"))
    initial = file["initial_probe"][()]

def refused(words, **recipe):
    try:
        Recipe(**recipe)
    except ValueError as problem:
        assert words in str(problem), problem
    else:
        raise AssertionError(words)
"""

CONVENTIONS = """
mine = scan.positions_px()[0]
assert np.ptp(mine - at, axis=0).max() < 1e-6
noise = Model(scan).error(State(sample, probe[None], at))
swapped = Model(scan).error(State(sample.T, probe[None], at))
assert noise < 0.03 < 0.05 < swapped, (noise, swapped)
"""

JUDGE = """
edge = 48
ramp = judge.slope(len(sample), np.array([0.013, -0.021]))
changed = judge.moved(sample * ramp, np.array([1.37, -2.6])) * 0.7 * np.exp(1.1j)
verdict = judge.compare(changed, sample, edge)
assert verdict.error < 0.06 and verdict.cut == 1.0, (verdict.error, verdict.cut)
noise = np.random.default_rng(1).normal(size=(2, *sample.shape))
lost = judge.compare(noise[0] + 1j * noise[1], sample, edge)
assert lost.error > 0.8 and lost.cut < 0.4, (lost.error, lost.cut)
"""

ENGINES = """
for name in shelf.engines:
    recipe = Recipe(start="mean_pattern", engines=[{"use": name, "epochs": 1}])
    begin = State(sample.copy(), probe[None].copy(), at)
    thin = scan.changed(frames=scan.frames[::4], positions_m=scan.positions_m[::4])
    begin.positions_px = at[::4]
    held = reconstruct(recipe, thin, start=begin).state
    # From the truth, one epoch stays near it: no shift by half a pixel, no other scale.
    verdict = judge.compare(held.sample, sample, 32)
    power = np.sum(np.abs(held.probe) ** 2) / np.sum(np.abs(probe) ** 2)
    print(name, verdict.error, power)
    assert verdict.error < 0.5 and 0.6 < power < 1.6, (name, verdict.error, power)
    assert held.errors[-1][2] < 0.1, (name, held.errors)
"""

LAYOUTS = """
# As PtychoShelves writes it: the direct beam at the corner, MATLAB's axes turned or not.
counts, good = np.fft.ifftshift(scan.frames, axes=(1, 2)), np.fft.ifftshift(scan.good)
corner = np.rint(at - 32).astype(np.uint32)
geometry = {"wavelength_m": 2e-10, "distance_m": 2.2, "pixel_m": 172e-6}
for turned in (False, True):
    turn = np.transpose if turned else np.asarray
    with h5py.File("prepared.h5", "w") as file:
        file["measurement/n0/data"], file["measurement/n0/positions"] = counts, turn(corner)
        file["detector/n0/modules"] = turn(np.array([[64, 64, 0, 0]], np.uint32))
        file["detector/n0/bad_pixels"] = turn(np.argwhere(~good).astype(np.uint32))
    again = shelf.readers["ptychoshelves"](Path("prepared.h5"), **geometry)
    assert (again.frames == scan.frames).all() and (again.good == scan.good).all()
    assert np.abs(again.positions_m / again.object_pixel_m - (at - 32)).max() < 0.51
try:
    read(Path("prepared.h5"))
except ValueError as problem:
    assert "give wavelength_m, distance_m and pixel_m" in str(problem)
else:
    raise AssertionError

state = State(sample, probe[None], at)
for name in shelf.outputs:
    shelf.outputs[name](Path(name), scan, state)
with h5py.File("cxi") as file:
    assert (file["entry_1/data_1/data"][()] == sample).all()
    moved = file["entry_1/sample_1/geometry_1/translation"][()]
original = h5py.File("scan.cxi")["entry_1/sample_1/geometry_1/translation"][()]
assert np.ptp(moved - original, axis=0).max() < 1e-12
with h5py.File("ptychoshelves") as file:
    assert (file["reconstruction/object"][()].T == sample).all()
    assert (file["reconstruction/probes"][()].T[:, :, 0] == probe).all()
"""

REFUSED = """
ok = [{"use": "LSQML", "epochs": 1}]
refused("did you mean 'LSQML'?", engines=[{"use": "LSQLM", "epochs": 1}])
refused("did you mean 'batch'?", engines=[{"use": "LSQML", "epochs": 1, "bach": 3}])
refused("preparation 'centre' has no option 'egde': did you mean 'edge'?", engines=ok,
        preparations=[{"use": "centre", "egde": 64}])
refused("engines", engines=[])
Path(sys.argv[1], "shelves/engines/mine.py").write_text(
    "from ..shelf import engines\\n@engines.put('mine')\\n"
    "def mine(scan, state, pace, seed, device):\\n    'Do nothing.'\\n    return state\\n"
)
assert ("mine", "Do nothing.") in shelf.engines.table()
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "code",
    [CONVENTIONS, JUDGE, ENGINES, LAYOUTS, REFUSED],
    ids=["conventions", "judge", "engines", "layouts", "refused"],
)
def test_shelves(state_folder: Callable[[], Path], tmp_path: Path, code: str) -> None:
    python = environment(PTYCHO, state_folder())
    folder = tmp_path / "ptycho"
    subprocess.run(["cp", "-r", str(ROOT / "notebooks/ptycho"), str(folder)], check=True)
    done = subprocess.run(
        [str(python), "-c", BEGIN + code, str(folder)],
        env=variables(PTYCHO, python, folder),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
