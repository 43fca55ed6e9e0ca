"""Tomography of scans as beamlines write them: links, other places, and what is missing."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from portals import BEAMHUB

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, load_use_cases

SAVU = load_use_cases([NOTEBOOKS])["savu"]
WRITE = """
import sys
from pathlib import Path
import h5py
import numpy as np

sys.path.insert(0, sys.argv[1])
import simulation

simulation.tomography(Path(), 5)
with h5py.File("scan.nxs") as file:
    entry = file["entry1/tomo_entry"]
    frames, key = entry["instrument/detector/data"][()], entry["instrument/detector/image_key"][()]
    angles = entry["sample/rotation_angle"][()]


def write(name, kept, *, place="entry1/tomo_entry", angle=None, unit="deg", linked=None):
    \"\"\"Write a scan of some frames, as a detector's file and a NeXus file beside.\"\"\"
    with h5py.File(name, "w") as file:
        entry = file.create_group(place)
        detector = entry.create_group("instrument/detector")
        detector["image_key"] = key[kept].astype(float)  # as Diamond's are
        entry["sample/rotation_angle"] = angles[kept] if angle is None else angle
        entry["sample/rotation_angle"].attrs["units"] = unit
        if linked:
            with h5py.File(linked, "w") as beside:
                beside["entry/data/data"] = frames[kept]
            entry["data/data"] = h5py.ExternalLink(linked, "/entry/data/data")
        else:
            detector["data"] = frames[kept]


everything = np.ones(len(key), bool)
write("diamond.nxs", everything, linked="projections.hdf")
write("esrf.nx", everything, place="entry0000", angle=np.radians(angles[key == 0]), unit="radian")
write("no-flats.nxs", key != 1)
write("no-darks.nxs", key != 2)
write("flats.nxs", key != 0)
write("no-projections.nxs", key != 0)
"""

READ = """
import scans
from workbench.told import ToldError

whole = scans.nxtomo(Path("scan.nxs"))
for name in ("diamond.nxs", "esrf.nx"):
    read = scans.nxtomo(Path(name))
    for kind in ("projections", "flats", "darks"):
        assert np.array_equal(getattr(read, kind), getattr(whole, kind)), (name, kind)
    assert np.allclose(read.angles_deg, whole.angles_deg)
    assert read.as_stored is (name == "diamond.nxs")  # the other's angles were converted

few = scans.nxtomo(Path("diamond.nxs"), rows=(4, 7))
assert np.array_equal(few.projections, whole.projections[:, 4:7]) and few.rows.tolist() == [4, 5, 6]
assert "21 of the camera's 24 rows: 3 from row 4 on were read" in str(few.reading)
import nxtomo
nxtomo.MOST_BYTES = 4 * 361 * 288 * 5
assert scans.nxtomo(Path("diamond.nxs")).rows.tolist() == [9, 10, 11, 12, 13]

together = scans.nxtomo(Path("no-flats.nxs"), rows=(0, 24), beside=Path("flats.nxs"))
assert np.array_equal(together.flats, whole.flats)
dark = scans.nxtomo(Path("no-darks.nxs"), rows=(0, 24))
assert not dark.darks.any() and "there are no darks" in str(dark.reading)


def refused(words, name, **options):
    try:
        scans.nxtomo(Path(name), **options)
    except ToldError as problem:
        assert words in str(problem), problem
    else:
        raise AssertionError(words)


refused("no flats: no frame has the image key 1", "no-flats.nxs")
refused("no projections", "no-projections.nxs")
for rows in ((20, 25), (7, 7), (-3, 4)):
    refused("there are rows 0 to 23", "diamond.nxs", rows=rows)
with h5py.File("maps.h5", "w") as file:
    file["stack"] = frames[:3]
refused("It has stack at its top", "maps.h5")
Path("projections.hdf").unlink()
refused("a link to projections.hdf, /entry/data/data, which is not there", "diamond.nxs")
"""


def in_environment(state: Path, folder: Path, code: str, *arguments: str) -> None:
    """Run code as the use case's kernels do."""
    python = environment(SAVU, state)
    done = subprocess.run(
        [str(python), "-c", code, str(SAVU.folder), *arguments],
        env=variables(SAVU, python, SAVU.folder),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_scans_are_read_where_beamlines_put_them(
    state_folder: Callable[[], Path], tmp_path: Path
) -> None:
    in_environment(state_folder(), tmp_path, WRITE + READ)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", ["01_find_the_centre", "02_reconstruct"])
def test_a_scan_without_a_truth_goes_through_by_parameters(
    state_folder: Callable[[], Path], tmp_path: Path, notebook: str
) -> None:
    state = state_folder()
    in_environment(state, tmp_path, WRITE)
    told = [f"--set=SCAN={tmp_path / 'no-flats.nxs'}", f"--set=FLATS={tmp_path / 'flats.nxs'}"]
    command = [BEAMHUB, "run", "savu", f"{notebook}.ipynb", f"--state={state}"]
    done = subprocess.run([*command, *told], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    without = subprocess.run([*command, told[0]], capture_output=True, text=True)
    assert without.returncode == 1
    assert "no flats" in without.stdout
