"""The pyFAI use case in its own environment: its formulas, its live reduction, and its mistakes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from own_files import check_own_files
from portals import BEAMHUB, ROOT

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, load_use_cases

PYFAI = load_use_cases([NOTEBOOKS])["pyfai"]
BEGIN = """
import sys
from pathlib import Path
import h5py
import numpy as np

sys.path.insert(0, sys.argv[1])
"""

SPHERES = """
import spheres

radius, spread, volume, contrast = 6.0, 0.1, 2e-3, 8e10
drawn = np.random.default_rng(1).gamma(1 / spread**2, spread**2, 400_000)
for power in (3, 6, 8):
    assert np.isclose(spheres.moment(power, spread), np.mean(drawn**power), rtol=0.01)
sizes = drawn * radius * 10
q = np.array([0.01, 0.05, 0.2])
volumes = 4 / 3 * np.pi * (sizes * 1e-8) ** 3
for one, got in zip(q, spheres.cross_section(q, radius, spread, volume, contrast)):
    x = one * sizes
    amplitude = 3 * (np.sin(x) - x * np.cos(x)) / x**3 * volumes
    expected = volume * contrast**2 * np.mean(amplitude**2) / np.mean(volumes)
    assert np.isclose(got, expected, rtol=0.02), (one, got, expected)
small = np.array([1e-4, 2e-3])
first, second = spheres.cross_section(small, radius, spread, volume, contrast)
guinier = np.sqrt(-3 * np.log(second / first) / (small[1] ** 2 - small[0] ** 2)) / 10
assert np.isclose(guinier, spheres.guinier_radius_nm(radius, spread), rtol=1e-3)
"""

LIVE = """
import threading
import live

live.PATIENCE_S = 4.0
names = {"frame": "data", "mask": "mask"}
whole = Path("whole_0007.h5")
with h5py.File(whole, "w") as file:
    file["data"], file["mask"] = np.arange(2000.0), np.zeros(2000, int)
content = whole.read_bytes()
assert live.number_of(Path("run_12_frame_0034.h5")) == 34
slow = Path("slow.h5")
writer = threading.Thread(target=live.slowly, args=(slow, content))
writer.start()
while not slow.exists():
    pass
assert live.read(slow, names)["frame"].sum() == np.arange(2000.0).sum()
writer.join()
for damaged, how in ((Path("cut.h5"), live.broken), (Path("other.h5"), live.whole)):
    wanted = names if how is live.broken else {**names, "monitor": "monitor"}
    how(damaged, content)
    try:
        live.read(damaged, wanted)
    except (OSError, KeyError):
        continue
    raise AssertionError(f"{damaged} was read")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("code", [SPHERES, LIVE], ids=["spheres", "live"])
def test_modules_do_what_they_say(
    state_folder: Callable[[], Path], tmp_path: Path, code: str
) -> None:
    python = environment(PYFAI, state_folder())
    done = subprocess.run(
        [str(python), "-c", BEGIN + code, str(ROOT / "notebooks/pyfai")],
        env=variables(PYFAI, python, PYFAI.folder),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


MISTAKES = {
    "ENERGY_KEV=15.15": "Distance along the beam",
    "STOP_MARGIN_PX=None": "Mean radius",
    "POLARISATION=None": "Water, outer over inner part",
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_mistake_at_small_angles_fails_a_check_of_its_own(
    state_folder: Callable[[], Path],
) -> None:
    """All in one run, which takes a minute: what one spoils, the others leave alone."""
    command = [BEAMHUB, "run", "pyfai", "04_small_angles.ipynb", f"--state={state_folder()}"]
    done = subprocess.run(
        [*command, *(f"--set={mistake}" for mistake in MISTAKES)], capture_output=True, text=True
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert [check for check in MISTAKES.values() if f"FAILED {check}" not in done.stdout] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_files_of_ones_own_are_read_right_or_told(state_folder: Callable[[], Path]) -> None:
    check_own_files(PYFAI, environment(PYFAI, state_folder()), "own_pyfai")
