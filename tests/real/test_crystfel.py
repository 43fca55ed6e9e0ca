"""CrystFEL's tutorials with measured data's layout, and what they do when a frame is lost."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from portals import BEAMHUB, ROOT

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, load_use_cases

CRYSTFEL = load_use_cases([NOTEBOOKS])["crystfel"]
BEGIN = """
import sys
from pathlib import Path
import h5py
import numpy as np

sys.path[:0] = [sys.argv[1], sys.argv[2]]
from geometry import View, read_geometry, shots
"""

READ = """
import simulation
import write_cxi

write_cxi.main(simulation, Path(), 3)
geometry = read_geometry(Path("run7.geom"))
found = shots(Path("run7.cxi"), geometry)
assert [number for _, number in found] == [0, 1, 2]
frame = geometry.read(*found[1])
with h5py.File("run7.cxi") as file:
    assert np.array_equal(frame.data, file["entry_1/data_1/data"][1])
    assert np.array_equal(frame.mask, file["entry_1/data_1/mask"][1] != 0)

# Every pixel is where the flat detector had it before it was cut up.
detector = simulation.Detector(
    (800, 800), 110e-6, 71.3e-3, (396.4, 411.9), -0.4, (200, 200), (3, 3), 9.0, 1e-3
)
rays = detector.rays()
true = rays[..., :2] / rays[..., 2:] * (detector.distance_m / detector.pixel_m)
for axis in range(2):
    middle = geometry.corners[axis].copy()
    for panel in geometry.panels:
        middle[panel.rows, panel.columns] += (panel.fast + panel.slow)[axis] / 2
    assert abs(middle - write_cxi.stacked(true[..., axis])).max() < 0.01

# Drawn, each bright pixel is where its panel stands.
view = View(geometry)
picture, low = view.image(frame), view.extent[0]
ss, fs = np.unravel_index(np.argsort(frame.filled(-99), axis=None)[-60:], frame.shape)
column, row = (np.floor(axis).astype(int) - low for axis in view.place(fs + 0.5, ss + 0.5))
assert (picture[row, column] == frame[ss, fs]).mean() > 0.8
assert np.hypot(*view.place(fs + 0.5, ss + 0.5)).max() < 600
"""

# It stands for a crash that can't be had to order: one frame is left out of the first stream.
CRASHING = """#!/bin/sh
while [ $# -gt 0 ]; do case $1 in -i) list=$2;; -o) stream=$2;; esac; shift; done
echo called >> calls
echo "CrystFEL stream format 2.3" > $stream
if [ $list = part.lst ]; then skip=2; else skip=99; fi
awk -v skip=$skip 'NR != skip {
  print "----- Begin chunk -----\\nImage filename: " $1
  print "Event: " $2 "\\nhit = 1\\n----- End chunk -----"
}' $list >> $stream
"""

AGAIN = """
import crystfel

lines = ["/data/a.h5 //0", "/data/a.h5 //1", "/data/a.h5 //2"]
item = {"frames": lines, "geometry": "", "cell": "", "indexing": "asdf", "options": []}
assert crystfel.index(item, Path()) == {"hits": 3, "indexed": 0}
assert sorted(frame.line for frame in crystfel.read_stream(Path("part.stream"))) == lines
assert Path("calls").read_text().split() == ["called", "called"]
assert Path("again.lst").read_text() == "/data/a.h5 //1\\n"
"""


REJECTING = """#!/bin/sh
echo "Rejecting run.h5 //2 crystal 0 because profile radius is obviously too big (2e+07 3e+07)."
exit 1
"""

REJECTED = """
import crystfel

at = {"symmetry": "4/mmm", "options": [], "cores": 1}
try:
    crystfel.merge(Path("a.stream"), Path("a.hkl").resolve(), **at)
except crystfel.ProgramError as problem:
    assert "it rejected 1 crystals because profile radius is obviously too big (" in str(problem)
    assert "the longest axis" in str(problem)
else:
    raise AssertionError("it merged what was rejected")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", ["READ", "AGAIN", "REJECTED"])
def test_frames_of_other_detectors(
    state_folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("indexamajig", CRASHING), ("partialator", REJECTING)):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    python = environment(CRYSTFEL, state_folder())
    words = [
        str(python),
        "-c",
        BEGIN + globals()[what],
        str(CRYSTFEL.folder),
        str(Path(__file__).parent),
    ]
    kept = variables(CRYSTFEL, python, CRYSTFEL.folder)
    kept["PATH"] = f"{programs}:{kept['PATH']}"
    done = subprocess.run(words, env=kept, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_people_bring_is_read_as_crystfel_reads_it_or_refused(
    state_folder: Callable[[], Path],
) -> None:
    python = environment(CRYSTFEL, state_folder())
    words = [str(python), str(Path(__file__).parent / "own_crystfel.py"), str(CRYSTFEL.folder)]
    kept = variables(CRYSTFEL, python, CRYSTFEL.folder)
    done = subprocess.run(words, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" held\n") > 10


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("notebook", ["01_find_peaks", "02_index", "03_merge"])
def test_a_measured_runs_layout_goes_through_by_parameters(
    state_folder: Callable[[], Path], tmp_path: Path, notebook: str
) -> None:
    if notebook != "01_find_peaks" and shutil.which("indexamajig") is None:
        pytest.skip("CrystFEL's programs are not on the PATH")
    state = state_folder()
    python = environment(CRYSTFEL, state)
    script = ROOT / "tests/real/write_cxi.py"
    subprocess.run(
        [str(python), str(script), str(CRYSTFEL.folder), str(tmp_path), "24"], check=True
    )
    told = {"FRAMES": "run7.cxi", "GEOMETRY": "run7.geom", "CELL": "run7.cell"}
    settings = [f"--set={name}={tmp_path / file}" for name, file in told.items()]
    if notebook == "01_find_peaks":
        settings = [*settings[:2], "--set=THRESHOLD=300", "--set=LOOK_AT=4"]
    done = subprocess.run(
        [BEAMHUB, "run", "crystfel", f"{notebook}.ipynb", f"--state={state}", *settings],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "true" not in done.stdout.lower()
