"""Simulated data as the use cases' own environments make them, and readers of measured data."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from portals import ROOT

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, UseCase, load_use_cases

READY = {n: u for n, u in load_use_cases([NOTEBOOKS]).items() if not u.manifest.coming}
SIMULATED = [
    f"{name}/{data}"
    for name, use_case in READY.items()
    for data, about in use_case.manifest.data_sets.items()
    if about.source == "simulated"
]

GENERATE = """
import json
import sys
from pathlib import Path
from workbench import data
from workbench.data.catalogue import find
from workbench.data.generators import load_module

label, smaller = sys.argv[1], json.loads(sys.argv[2])
Path("whole").symlink_to(data.fetch(label, progress=False).folder)
known = find(label)
module, _, function = known.data.generator.partition(":")
for name in ["again", "once"][:1 + bool(smaller)]:
    Path(name).mkdir()
    make = getattr(load_module(known.folder / f"{module}.py"), function)
    make(Path(name), known.data.seed, **smaller)
"""
"""The first time into the cache, where the tutorials' tests find it made."""

SMALLER = {
    "crystfel/simulated": {"frames": 3},
    "pyfai/aluminium-ramp": {"frames": 4},
    "pymca/leaching-series": {"count": 40},
}
"""What takes longest is made twice in small; the rest is made once more as it is."""

READ = """
import sys
from pathlib import Path
import h5py
import numpy as np

sys.path.insert(0, str(Path(sys.argv[1])))
import flat_detector
import images

class Files(dict):
    label = "pyfai/ceo2-pilatus2m"

names = ["ceria_50x30_740mm_000005_Pilatus2M.hdf5", "Pilatus2M_CeO2_Yb_edge.hexrd"]
files = Files((name, Path(name)) for name in names)
picture, instrument = files.values()
shape, pixel = (1679, 1475), 0.172
tilt, middle = np.array([0.11, -0.23, 0.37]), np.array([-6.5, -5.4, -739.7])
counts = np.full(shape, 7, np.int32)
counts[3, 5], counts[4, 5] = -2, 2_000_000
buffer = np.ones(shape, bool)
buffer[6, 5] = False
with h5py.File(picture, "w") as file:
    file["imageseries/images"] = counts[None]
with h5py.File(instrument, "w") as file:
    file["instrument/beam/energy"] = [61.3]
    panel = file.create_group("instrument/detectors/Pilatus2M")
    panel["buffer"], panel["saturation_level"] = buffer, [1e6]
    panel["pixels/rows"], panel["pixels/columns"] = [shape[0]], [shape[1]]
    panel["pixels/size"] = [pixel, pixel]
    panel["transform/tilt"], panel["transform/translation"] = tilt, middle

shot = images.read(files)
assert shot.mask[3, 5] and shot.mask[4, 5] and shot.mask[6, 5] and not shot.mask[7, 5]
detector = flat_detector.Detector("Pilatus2M", shape, pixel * 1e-3, (195, 487), (17, 7))
seen = flat_detector.angles(shot.geometry, detector)

axis, angle = tilt / np.linalg.norm(tilt), np.linalg.norm(tilt)
for row, column in ((0, 0), (0, 1474), (1678, 0), (900, 700)):
    place = pixel * np.array([column + 0.5 - shape[1] / 2, shape[0] / 2 - row - 0.5, 0])
    turned = (
        place * np.cos(angle)
        + np.cross(axis, place) * np.sin(angle)
        + axis * (axis @ place) * (1 - np.cos(angle))
    )
    x, y, z = turned + middle
    assert np.isclose(seen.two_theta[row, column], np.arctan2(np.hypot(x, y), -z), atol=1e-12)
    assert np.isclose(seen.chi[row, column], np.arctan2(-y, x), atol=1e-9)
"""


def in_environment(use_case: UseCase, state: Path, folder: Path, code: str, *words: str) -> None:
    """Run code as the use case's kernels do."""
    python = environment(use_case, state)
    done = subprocess.run(
        [str(python), "-c", code, *words],
        env=variables(use_case, python, use_case.folder),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def contents(folder: Path) -> dict[str, str]:
    """Return the checksum of every file below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("label", SIMULATED)
def test_generator_makes_what_its_manifest_says_and_twice_the_same(
    state_folder: Callable[[], Path], tmp_path: Path, label: str
) -> None:
    use_case, _, name = label.partition("/")
    about = READY[use_case].manifest.data_sets[name]
    smaller = SMALLER.get(label, {})
    in_environment(READY[use_case], state_folder(), tmp_path, GENERATE, label, json.dumps(smaller))
    whole, again = contents(tmp_path / "whole"), contents(tmp_path / "again")
    assert sorted(whole) == sorted(about.makes) == sorted(again)
    assert again == (contents(tmp_path / "once") if smaller else whole)
    size = sum((tmp_path / "whole" / file).stat().st_size for file in whole)
    assert about.about_mb is not None
    assert size == pytest.approx(about.about_mb * 1e6, rel=0.25)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pyfai_reads_an_image_and_a_geometry_as_hexrd_writes_them(
    state_folder: Callable[[], Path], tmp_path: Path
) -> None:
    folder = str(ROOT / "notebooks/pyfai")
    in_environment(READY["pyfai"], state_folder(), tmp_path, READ, folder)
