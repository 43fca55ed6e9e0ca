"""Ptychography of scans of one's own: bad counts are told, and a model of them can't pass."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ptycho import BEGIN, copied, run_code

TRUST = """
import shutil
from shelves.trust import trusted

lit = scan.good & (scan.frames.mean(axis=0) > 0.1 * np.percentile(scan.frames.mean(axis=0), 99.9))
dim = scan.good & ~lit

def written(frames=None, mask=None, dtype=None, change=None, **options):
    shutil.copy("scan.cxi", "own.cxi")
    with h5py.File("own.cxi", "r+") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        if frames is not None:
            del detector["data"]
            detector["data"] = frames if dtype is None else frames.astype(dtype)
        if mask is not None:
            del detector["mask"]
            if mask is not False:
                detector["mask"] = mask
        if change:
            change(file)
    engines = [{"use": "LSQML", "epochs": 1}]
    return Recipe(reader={"use": "cxi", **options}, engines=engines).read(Path("own.cxi"))

counts, good = scan.frames.copy(), scan.good
band = np.zeros(good.shape, bool)
band[20:24] = True

# Marks of any type, without a mask, in all frames.
for dtype, mark in {"uint32": 2**32 - 1, "uint16": 65535, "int32": 2**31 - 1, "float32": 2**32 - 1,
                    "float64": 65535, "int16": -1, "int64": 2**32 - 1}.items():
    made = written(np.where(band, mark, counts.astype(float)), dtype=dtype)
    assert (made.good == good & ~band).all(), dtype
    assert np.array_equal(made.frames, counts * made.good), dtype
    assert "pixels in all frames" in str(made.reading)
nan = written(np.where(band, np.nan, counts))
assert (nan.good == good & ~band).all()

# Numbers that contradict each other.
def value(path, factor):
    def change(file):
        stored = file["entry_1"][path][()] * factor
        del file["entry_1"][path]
        file["entry_1"][path] = stored
    return change

source, detector = "instrument_1/source_1", "instrument_1/detector_1"
for path, factor, words in (
    (f"{source}/wavelength", 0.1, "and by its photon energy 2e-10 m: keep the right one"),
    (f"{source}/energy", 0.5, "and by its photon energy 3.999e-10 m: keep"),
    (f"{detector}/x_pixel_size", 2, "and by its basis_vectors 0.000172 m"),
):
    says(words, lambda: written(change=value(path, factor)))
in_ev = written(change=value(f"{source}/energy", 6.2e18))  # eV that are called joules: no energy
assert np.isclose(in_ev.wavelength_m, scan.wavelength_m)
says("mask_marks: input should be 'bad' or 'good'", lambda: written(mask_marks="x"))
def second(file):
    file["entry_1/instrument_1/detector_2/data"] = np.ones(3)
assert "detector_2: only detector_1 is read" in str(written(change=second).reading)

# Dark-subtracted counts lose no pixel; one negative number costs none.
noise = np.random.default_rng(1).normal(0, 2, counts.shape)
subtracted = written(np.where(good, counts + noise, 0))
assert (subtracted.good == good).all() and subtracted.frames.min() == 0
assert "noise about a dark" in str(subtracted.reading)
one = counts.copy()
one[7, 31, 31] = -1
assert (written(one).good == good).all() and len(written(one).frames) == len(counts)

# Frames: empty, never written, bad in a mask of their own.
empty = counts.copy()
empty[30:42] = 0
made = written(empty)
assert len(made.frames) == 108
assert np.array_equal(made.positions_m, np.delete(scan.positions_m, np.s_[30:42], axis=0))
assert "12 of 120 frames that hold hardly any light: 30, 31" in str(made.reading)
single = np.zeros(counts.shape, np.uint32)
single[:, ~good] = 1
single[50] = 1
made = written(mask=single)
assert len(made.frames) == 119 and (made.good == good).all()
assert "frames with bad pixels of their own: 50" in str(made.reading)
single[50] = single[49]
single[60, 31, 31] = 1
made = written(mask=single)
assert len(made.frames) == 120 and (~made.good).sum() == (~good).sum() + 1
assert "1 of 4,096 pixels, which are bad in some frame" in str(made.reading)

# A mask turned round is asked about, and answered.
says("Which is right? Answer with READER =", lambda: written(mask=good.astype(np.uint32)))
answered = written(mask=good.astype(np.uint32), mask_marks="good")
assert (answered.good == good).all()
says("but a mask of (64, 60)", lambda: written(mask=np.zeros((64, 60), np.uint32)))
maskless = written(mask=False)
assert maskless.good.mean() > 0.9 and "the file has no mask" in str(maskless.reading)
half_bad = np.random.default_rng(2).random(counts.shape) < 0.05
says("too little is left of the scan", lambda: written(mask=half_bad.astype(np.uint32)))

# Numbers: of units and of frames.
def energies(values):
    def change(file):
        source = file["entry_1/instrument_1/source_1"]
        del source["wavelength"], source["energy"]
        source["energy"] = values
        source["energy"].attrs["units"] = np.array([b"keV"])
    return change
assert abs(written(change=energies(np.full(120, 6.2))).wavelength_m / scan.wavelength_m - 1) < 1e-3
says("one is needed", lambda: written(change=energies(np.linspace(6, 7, 120))))
def other(file):
    file.create_group("entry_2")
assert "only entry_1 is read" in str(written(change=other).reading)
assert trusted(scan).frames.shape == scan.frames.shape
"""

PHOTONS = """
from shelves import photons
from workbench import Checks

# What photons leave, against drawn numbers.
rng = np.random.default_rng(1)
for mean in (0.01, 0.3, 1.0, 4.0, 30.0, 500.0):
    drawn = np.mean((np.sqrt(rng.poisson(mean, 200_000)) - np.sqrt(mean)) ** 2)
    assert abs(float(photons.left_by_photons(np.array(mean))) / drawn - 1) < 0.03, mean

def failed(scan, state, **options):
    checks = Checks("own")
    photons.judge(checks, scan, state, **options)
    return {c.name for c in checks.results if c.judged and not c.passed}, checks

truth = State(sample, probe[None], at)
names, checks = failed(scan, truth)
assert not names and all(c.judged for c in checks.results), checks
assert 0.9 < photons.fit_of(scan, truth).over_photons < 1.6

# What fits although it is wrong: each turns a check red.
flat = State(np.ones_like(sample), probe[None], at)
assert failed(scan, flat)[0]
assert failed(scan, State(sample.T.copy(), probe[None], at))[0]
order = rng.permutation(len(at))
assert failed(scan, State(sample, probe[None], at[order]))[0]
assert failed(scan, State(sample, 0.8 * probe[None], at))[0]
gap = scan.frames.copy()
gap[:, 20:24] = 2**32 - 1
assert failed(scan.changed(frames=gap), truth)[0]
dark = scan.frames.copy()
dark[30:42] = 0
assert "Worst frame over the usual one" in failed(scan.changed(frames=dark), truth)[0]
exact = photons.Model(scan, frames=120).amplitudes(truth, np.arange(120)) ** 2
computed = scan.changed(frames=np.rint(exact).astype(np.float32))
less = "Distance to the data over what photon noise leaves: not less"
assert less in failed(computed, truth)[0]
moved = np.roll(scan.frames, 12, axis=2)
assert "Middle of the light, away from the frame's" in failed(scan.changed(frames=moved), truth)[0]

# A detector that integrates: told, or not judged.
gain = scan.changed(frames=scan.frames * 7.5)
brighter = State(sample, probe[None] * np.sqrt(7.5), at)
names, checks = failed(gain, brighter)
assert not names and not all(c.judged for c in checks.results)
names, checks = failed(gain, brighter, counts_per_photon=7.5)
assert not names and all(c.judged for c in checks.results)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("code", [TRUST, PHOTONS], ids=["trust", "photons"])
def test_a_scan_of_ones_own_is_right_or_told(
    state_folder: Callable[[], Path], tmp_path: Path, code: str
) -> None:
    folder = copied(tmp_path / "ptycho")
    run_code(BEGIN + code, state_folder(), folder, tmp_path, str(folder))
