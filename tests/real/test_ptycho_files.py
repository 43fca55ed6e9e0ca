"""Ptychography's files: those of other programs, those for them, and those that can't be right."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ptycho import BEGIN, copied, run_code

LAYOUTS = """
# As PtychoShelves writes it: the direct beam at the corner, MATLAB's axes turned or not, modules
# beside a gap, a pixel that is bad in one frame only, and two scans.
counts, good = np.fft.ifftshift(scan.frames, axes=(1, 2)), np.fft.ifftshift(scan.good)
corner = np.rint(at - 32).astype(np.uint32)
geometry = {"wavelength_m": 2e-10, "distance_m": 2.2, "pixel_m": 172e-6}
reader = shelf.readers["ptychoshelves"]
for turned in (False, True):
    turn = np.transpose if turned else np.asarray
    with h5py.File("prepared.h5", "w") as file:
        file["measurement/n0/data"], file["measurement/n0/positions"] = counts, turn(corner)
        file["detector/n0/modules"] = turn(np.array([[64, 64, 0, 0]], np.uint32))
        file["detector/n0/bad_pixels"] = turn(np.argwhere(~good).astype(np.uint32))
    again = reader(Path("prepared.h5"), **geometry)
    assert (again.frames == scan.frames).all() and (again.good == scan.good).all()
    assert np.abs(again.positions_m / again.object_pixel_m - (at - 32)).max() < 0.51
with h5py.File("prepared.h5", "a") as file:
    file["measurement/n1/data"], file["measurement/n1/positions"] = counts[:9], corner[:9]
    file["measurement/n1/bad_pixels"], file["measurement/n1/bad_pixels_index"] = [[5, 7.0]], [1, 1]
    file["detector/n1/modules"] = np.array([[64, 30, 0, 0], [64, 30, 0, 34]], np.uint32)
with h5py.File("result.h5", "w") as file:
    file["reconstruction/object"] = sample
    file["measurement/data"] = h5py.ExternalLink("prepared.h5", "/")
second = reader(Path("result.h5"), scan=1, **geometry)
gap = np.ones((64, 64), bool)
gap[:, 30:34], gap[5, 7] = False, False
assert len(second.frames) == 9 and (second.good == np.fft.fftshift(gap)).all()
says("give wavelength_m, distance_m and pixel_m", lambda: read(Path("prepared.h5")))
says("it has no scan 2: there are 0, 1", lambda: reader(Path("prepared.h5"), scan=2, **geometry))
Path("prepared.h5").rename("elsewhere.h5")
says("the prepared file to which", lambda: reader(Path("result.h5"), **geometry))
with h5py.File("old.h5", "w") as file:
    file.create_group("measurements"), file.create_group("detectors")
says("older layout", lambda: read(Path("old.h5")))
"""

OUTPUTS = """
state = State(sample, probe[None], at, [("Adam", 5, 0.02), ("LSQML", 10, 0.01)])
for name in shelf.outputs:
    shelf.outputs[name](Path(name), scan, state)
with h5py.File("cxi") as file:
    # As a viewer of NeXus finds it: by the defaults, down to a signal with as many axes.
    data = file[file.attrs["default"]]
    data = data[data.attrs["default"]]
    assert data.attrs["NX_class"] == "NXdata" and (data[data.attrs["signal"]][()] == sample).all()
    sides = [data[axis][()] for axis in data.attrs["axes"]]
    assert [len(side) for side in sides] == list(sample.shape)
    assert np.allclose(np.diff(sides), scan.object_pixel_m, rtol=1e-9)
    moved = file["entry_1/sample_1/geometry_1/translation"][()]
original = h5py.File("scan.cxi")["entry_1/sample_1/geometry_1/translation"][()]
assert np.ptp(moved - original, axis=0).max() < 1e-12
with h5py.File("ptychoshelves") as file:  # rows first: its loader swaps what MATLAB has swapped
    assert (file["reconstruction/object"][()] == sample).all()
    assert (file["reconstruction/probes"][()][0] == probe).all()
with h5py.File("ptychodus") as file:  # the middle of the probe, from that of the object
    x_px = file["probe_position_x_m"][()] / file["object"].attrs["pixel_width_m"]
    middle = x_px + (sample.shape[1] - 1) / 2
    assert np.abs(middle - (at[:, 1] - 32 + 31.5)).max() < 1e-9
    assert abs(file.attrs["photon_energy_eV"] - 6200) < 0.01
"""

CDTOOLS = """
# Its reader of CXI understands the scan, and its writer's file is understood here.
from cdtools.datasets import Ptycho2DDataset
theirs = Ptycho2DDataset.from_cxi("scan.cxi")
assert abs(theirs.wavelength / scan.wavelength_m - 1) < 1e-6 and len(theirs) == len(scan.frames)
assert (theirs.mask.numpy() == scan.good).all()
there = theirs.translations.numpy() @ theirs.detector_geometry["basis"] / scan.pixel_m
assert np.abs(np.ptp(there - scan.positions_m, axis=0)).max() < 1e-6 * scan.object_pixel_m + 1e-11
theirs.to_cxi("theirs.cxi")
again = read(Path("theirs.cxi"))
assert (again.frames == scan.frames).all() and (again.good == scan.good).all()
assert np.ptp(again.positions_px()[0] - at, axis=0).max() < 1e-4
"""

FAULTY = """
import shutil

def changed(change, name="faulty.cxi"):
    shutil.copy("scan.cxi", name)
    with h5py.File(name, "r+") as file:
        change(file, file["entry_1"])
    return Path(name)

def put(path, value, **attributes):
    def change(file, entry):
        del entry[path]
        entry[path] = value
        entry[path].attrs.update(attributes)
    return changed(change)

PLACES = ("sample_1/geometry_1", "instrument_1/detector_1", "data_1")
def lose(file, entry):
    for place in PLACES:
        del entry[place]["translation"]

def load(path, **parts):
    found = Recipe(engines=[{"use": "LSQML", "epochs": 1}], **parts).read(path)
    found.positions_px()
    return found

moved = h5py.File("scan.cxi")["entry_1/sample_1/geometry_1/translation"][()]
where, source, distance = (
    "sample_1/geometry_1/translation", "instrument_1/source_1", "instrument_1/detector_1/distance"
)
says("holds no translations of the sample", lambda: load(changed(lose)))
says("120 frames, but 119 translations", lambda: load(put(where, moved[1:])))
says("not (positions, 3)", lambda: load(put(where, moved.T)))
says("Positions must be in metres", lambda: load(put(where, moved * 1e6)))
says("Positions must be in metres", lambda: load(put(where, moved * 1e-3)))
says("aren't numbers", lambda: load(put(where, np.where(moved > 1e-6, np.nan, moved))))
says("known are km, m, cm, mm", lambda: load(put(where, moved, units="steps")))
told = load(put(where, moved * 1e6, units="um"))
assert np.abs(told.positions_m - scan.positions_m).max() < 1e-15
scaled = load(put(where, moved * 1e6), preparations=[{"use": "affine", "scale": 1e-6}])
assert np.ptp(scaled.positions_px()[0] - at, axis=0).max() < 1e-6
says("distance_m: 2.2e+03 m, but possible are", lambda: load(put(distance, 2200.0)))
mended = load(put(distance, 2200.0), preparations=[{"use": "geometry", "distance_m": 2.2}])
assert mended.distance_m == 2.2
says("distance_m: the file doesn't say it", lambda: load(changed(lambda f, e: e.pop(distance))))

def in_ev(file, entry):
    del entry[source]["wavelength"]
    entry[source]["energy"][()] = 6200.0
    entry[source]["energy"].attrs["units"] = units
for units in ("eV", "J"):
    path = changed(in_ev)
    if units == "eV":
        assert abs(load(path).wavelength_m / scan.wavelength_m - 1) < 1e-6
    else:
        says("was an energy in eV taken for joules", lambda: load(path))
says("leaves no pixel", lambda: load(put("instrument_1/detector_1/mask", np.full((64, 64), 8))))
signal = put("instrument_1/detector_1/mask", np.full((64, 64), 0x1000))
assert load(signal).good.all()  # "has signal" speaks for a pixel
shelf.outputs["cxi"](Path("result.cxi"), scan, State(sample, probe[None], at))
says("that isn't a stack of frames", lambda: read(Path("result.cxi")))
says("there is no file", lambda: read(Path("nothing.cxi")))
Path("words.txt").write_text("no data")
says("no reader knows words.txt", lambda: read(Path("words.txt")))
says("too few", lambda: load(Path("scan.cxi"), preparations=[{"use": "thin", "every": 60}]))
wide = [{"use": "centre", "edge": 80}]
says("no square of 80 pixels", lambda: load(Path("scan.cxi"), preparations=wide))
"""

REFUSED = """
ok = [{"use": "LSQML", "epochs": 1}]
zone_plate = {"use": "zone_plate", "defocus_m": 2e-4, "diameter_m": 2e-4, "outermost_zone_m": 1e-7}
def engine(name="LSQML", **options):
    return {"engines": [{"use": name, "epochs": 1, **options}]}

for words, parts in {
    "did you mean 'LSQML'?": engine("LSQLM"),
    "did you mean 'batch'?": engine(bach=3),
    "'centre' has no option 'egde': did you mean 'edge'?": {
        "engines": ok, "preparations": [{"use": "centre", "egde": 64}]
    },
    "'centre' needs edge": {"engines": ok, "preparations": ["centre"]},
    "engines: is missing": {},
    "engines, number 1, epochs: is missing": {"engines": ["LSQML"]},
    "epochs: Input should be greater than 0": engine(epochs=0),
    "batch: input should be greater than or equal to 1": {"engines": [*ok, {**ok[0], "batch": 0}]},
    "loss: input should be 'amplitude mse'": engine("Adam", loss="poisson"),
    "modes: input should be greater than": {"engines": ok, "start": {**zone_plate, "modes": 0}},
    "defocus_m: input should be a finite number": {
        "engines": ok, "start": {**zone_plate, "defocus_m": float("nan")}
    },
    "microscope: a recipe has no such part": {"engines": ok, "microscope": "good"},
    "device: Input should be 'auto', 'cpu' or 'cuda'": {"engines": ok, "device": "gpu"},
}.items():
    says(words, lambda: Recipe(**parts))
says("line 3 can't be read", lambda: Recipe.from_yaml("engines:\\n- [\\n"))
says("a recipe consists of lines", lambda: Recipe.from_yaml("LSQML"))
# YAML takes 1e-2 for a text; a recipe means a number.
recipe = Recipe.from_yaml("engines: [{use: Adam, epochs: 1, rate: 1e-2}]")
assert np.isfinite(reconstruct(recipe, scan).state.errors[-1][2])
assert Recipe.from_yaml(recipe.to_yaml()) == recipe
dark = scan.changed(frames=scan.frames * 0)
says("a probe without light", lambda: reconstruct(recipe, dark))
coarse = Recipe(engines=ok, start={**zone_plate, "outermost_zone_m": 1e-9, "central_stop_m": 2e-4})
says("a probe without light", lambda: reconstruct(coarse, scan))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "code",
    [LAYOUTS, OUTPUTS, CDTOOLS, FAULTY, REFUSED],
    ids=["layouts", "outputs", "cdtools", "faulty", "refused"],
)
def test_files(state_folder: Callable[[], Path], tmp_path: Path, code: str) -> None:
    folder = copied(tmp_path / "ptycho")
    run_code(BEGIN + code, state_folder(), folder, tmp_path, str(folder))
