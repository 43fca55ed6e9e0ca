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
from geometry import GeometryError, View, read_geometry, shots
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

REFUSED = """
def refused(words, action):
    try:
        action()
    except GeometryError as problem:
        assert words in str(problem), problem
    else:
        raise AssertionError(words)

def panel(name, first):
    told = {"min_fs": 0, "max_fs": 9, "min_ss": 0, "max_ss": 7, "corner_x": 0, "corner_y": 0}
    told |= {"dim0": first, "dim1": "ss", "dim2": "fs"}
    return "".join(f"{name}/{key} = {value}\\n" for key, value in told.items())

Path("third.geom").write_text(panel("a", 0) + panel("b", 1))
refused("a third dimension", lambda: read_geometry(Path("third.geom")))
Path("none.geom").write_text("clen = 0.1\\n")
refused("describes no panel", lambda: read_geometry(Path("none.geom")))

common = ["data = /somewhere", "mask_file = beside.h5", "mask = /mask", "mask_good = 1"]
common += ["mask_bad = 0", "flag_morethan = 90", "bad_stop/min_fs = 2", "bad_stop/max_fs = 3"]
common += ["bad_stop/min_ss = 0", "bad_stop/max_ss = 1", ""]
Path("other.geom").write_text("\\n".join(common) + panel("a", "%"))
geometry = read_geometry(Path("other.geom"))
with h5py.File("frames.h5", "w") as file:
    file["elsewhere"] = np.zeros((4, 8, 10))
refused("has no /somewhere", lambda: shots(Path("frames.h5"), geometry))
with h5py.File("frames.h5", "a") as file:
    file["somewhere"] = np.arange(320).reshape(4, 8, 10)
with h5py.File("beside.h5", "w") as file:
    file["mask"] = np.ones((8, 10), int)
    file["mask"][5, 6] = 0
frame = geometry.read(Path("frames.h5"), 1)
expected = np.arange(80, 160).reshape(8, 10) > 90
expected[5, 6] = expected[:2, 2:4] = True
assert np.array_equal(frame.mask, expected)
with h5py.File("frames.h5", "a") as file:
    del file["somewhere"]
    file["somewhere"] = np.zeros((4, 8, 9))
refused("the panels cover (8, 10)", lambda: geometry.read(Path("frames.h5"), 0))
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
@pytest.mark.parametrize("what", ["READ", "REFUSED", "AGAIN", "REJECTED"])
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
