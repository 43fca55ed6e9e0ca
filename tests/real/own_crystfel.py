"""What people bring to the CrystFEL tutorials, in small: run in that use case's environment.

``python own_crystfel.py USE_CASE`` runs every function whose name begins with ``case_`` in an
empty folder. The bad pixels of `MASKS` are those of CrystFEL 0.12.0 itself, which was asked.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
from own_case import run_cases, said

sys.path.insert(0, sys.argv[1])
import cell_file
import crystfel
import judging
import peaks
from geometry import read_geometry, shots

from workbench import Checks
from workbench.readings import Reading

HEAD = """photon_energy = 9000
clen = 0.1
res = 10000
adu_per_photon = 1
dim0 = %
dim1 = ss
dim2 = fs
data = /d
"""
CELL = """CrystFEL unit cell file version 1.0

lattice_type = tetragonal
unique_axis = c
centering = P
a = 79.1 A
b = 79.1 A
c = 37.9 A
al = 90 deg
be = 90 deg
ga = 90 deg
"""
SHAPE = (12, 8)
DATA = np.random.default_rng(1).integers(-5, 70000, (3, *SHAPE)).astype(np.int32)
SMALL = np.random.default_rng(2).integers(0, 8, SHAPE).astype(np.uint16)
EACH = np.random.default_rng(3).integers(0, 8, (3, *SHAPE)).astype(np.uint16)
UPPER = np.arange(12)[:, None] + np.zeros(8) < 6
SLOW, FAST = np.indices(SHAPE)
BORDER = np.minimum(np.minimum(SLOW % 6, 5 - SLOW % 6), np.minimum(FAST, 7 - FAST))


def panel(name: str, row: int, more: str = "", **changed: object) -> str:
    """Return one of two panels above each other, 6 rows and 8 columns each."""
    words = {"min_fs": 0, "max_fs": 7, "min_ss": row, "max_ss": row + 5, "fs": "x", "ss": "y"}
    words |= {"corner_x": -4, "corner_y": row - 6} | changed
    told = [f"{name}/{word} = {value}" for word, value in words.items() if value is not None]
    return "\n".join([*told, more, ""])


A, B = panel("a", 0), panel("b", 6)
REGION = (
    "bad_b/min_fs = 2.7\nbad_b/max_fs = 4.9\nbad_b/min_ss = 7\nbad_b/max_ss = 8\nbad_b/panel = b\n"
)
LABORATORY = "bad_l/min_x = -3\nbad_l/max_x = 0\nbad_l/min_y = -6\nbad_l/max_y = 2\n"
MASKS = {
    A + panel("b", 6, "b/no_index = TRUE"): ~UPPER,
    "no_index = 1\n" + A + panel("b", 6, "b/no_index = 0"): UPPER,
    "mask_edge_pixels = 2\n" + A + panel("b", 6, "b/mask_edge_pixels = 1"): np.where(UPPER, 2, 1)
    > BORDER,
    "mask_edge_pixels = 9\n" + A + B: UPPER | ~UPPER,
    "flag_morethan = 5e4\n" + A + panel("b", 6, "b/flag_morethan = 3E4"): (
        DATA[2] > np.where(UPPER, 50000, 30000)
    ),
    A + panel("b", 6, "b/flag_morethan = 3000"): ~UPPER & (DATA[2] > 3000),
    "flag_lessthan = 0.5\n" + A + B: DATA[2] < 0,
    "flag_lessthan = -1.5\n" + A + B: DATA[2] < -1,
    A + panel("b", 6, "b/mask = /small\nb/mask_bad = 0xffff"): ~UPPER & (SMALL != 0),
    "mask = /small\nmask_good = 3\nmask_bad = 4\n" + A + B: (SMALL & 7) != 3,
    "mask = /small\n" + A + B: UPPER & False,
    "mask = /each\nmask_bad = 010\n" + A + B: EACH[2] & 10 != 0,
    "mask0_data = /small\nmask0_badbits = 1\nmask3_data = /each\nmask3_goodbits = 2\n" + A + B: (
        SMALL & 1 != 0
    )
    | (EACH[2] & 2 == 0),
    "mask_file = beside.h5\nmask = /m\nmask_good = 1\n" + A + B: SMALL & 1 == 0,
    A + B + REGION: (FAST >= 2) & (FAST <= 4) & (SLOW >= 7) & (SLOW <= 8),
    A + B + LABORATORY: (FAST > 1) & (FAST < 4) & (SLOW > 0) & (SLOW < 8),
    "  \t" + A.replace("\na/", "\n   a/") + B: UPPER & False,
    (A + B).replace("\n", "\r\n"): UPPER & False,
    "; f\xfcr Strahlzeit 7\n" + A + B: UPPER & False,
    "peak_sep = 6\nrigid_group_q = a,b\n" + A + B: UPPER & False,
}
REFUSED = {
    A + B + "mask_edge_pixels = 1\n": "a setting after the last panel",
    "flag_morthan = 5\n" + A + B: "Did you mean flag_morethan?",
    "flag_morethan = 4294967294\n" + A + B: "flag_morethan = 2000000000 does it",
    "flag_morethan = 3,5\n" + A + B: "expected a number, with a point",
    "mask_edge_pixels = 1.5\n" + A + B: "mask_edge_pixels = 1.5",
    "mask = small\nmask_bad = 1\n" + A + B: "CrystFEL would use no mask",
    "mask_file = beside.h5\n" + A + B: "no location",
    "mask_bad = 1\n" + A + B: "no location",
    "mask9_data = /small\n" + A + B: "masks from 0 to 7",
    "mask = /small\nmask_bad = 0xgg\n" + A + B: "the bits 0xgg",
    A + panel("b", 6, "b/no_index = yes"): "no_index = yes",
    panel("a", 0, fs="+0.99x +1e-2y") + B: "no exponents",
    panel("a", 0, fs="1.0x1.0y") + B: "fs = 1.0x1.0y",
    panel("a", 0, ss=None) + B: "panel a: found no ss",
    panel("a", 0, corner_x="3 px") + B: "corner_x = 3 px",
    A + B + REGION.replace("panel = b", "panel = c"): "expected one of a, b",
    A + B + REGION.replace("bad_b/panel = b\n", ""): "a region without a panel",
    A + B + REGION.replace("min_ss = 7", "min_ss = 0"): "pixels of panel b",
    A + B + REGION.replace("bad_b/max_ss = 8\n", ""): "All four make a rectangle",
    A + B + LABORATORY.replace("max_x = 0", "max_x = -4"): "masks nothing",
    A + panel("b", 3): "pixels that panel a has too",
    A + panel("b", 6, "b/dim1 = 0\nb/dim2 = ss\nb/dim3 = fs"): "a third dimension",
    "data = /run/%/d\n" + A + B: "A % in a path",
    "dim1 = fs\ndim2 = ss\n" + A + B: "ss before fs",
    "detector_shift_x = /d mm\ndetector_shift_y = 0\n" + A + B: "can't be followed here",
    "detector_shift_y = 1 mm\n" + A + B: "only one of detector_shift_x",
    "hello\n" + A + B: "'hello'",
    A + panel("b", 6, max_fs="1e99"): "below 1000000",
    "\ufeff" + A + B: "byte order mark",
    "": "describes no panel",
}


def write(text: str, head: str = HEAD) -> Path:
    """Write a geometry file, in Latin-1 where that can hold it."""
    path = Path("run.geom")
    encoding = "utf-8" if text.startswith("\ufeff") else "latin-1"
    path.write_bytes((text if text.startswith("\ufeff") else head + text).encode(encoding))
    return path


def frames(**more: np.ndarray) -> Path:
    """Write a file of frames with a mask for all and one for each."""
    with h5py.File("run.h5", "w") as file:
        for name, values in ({"d": DATA, "small": SMALL, "each": EACH} | more).items():
            file[name] = values
    with h5py.File("beside.h5", "w") as file:
        file["m"] = SMALL
    return Path("run.h5")


def case_bad_pixels_are_those_of_crystfel() -> None:
    file = frames()
    for text, expected in MASKS.items():
        frame = read_geometry(write(text)).read(file, 2)
        assert np.array_equal(frame.mask, expected), text
        assert np.array_equal(frame.data, DATA[2])


def case_what_would_count_for_nothing_is_refused() -> None:
    for text, words in REFUSED.items():
        sentence = said(lambda text=text: read_geometry(write(text)))
        assert words in sentence and "run.geom" in sentence, (words, sentence)


def case_numbers_with_exponents_and_a_shift_put_panels_where_they_are() -> None:
    found = read_geometry(write(panel("a", 0, corner_x="1.5e1", fs="-x", ss="+.5y -0.25 x")))
    assert found.panels[0].corner.tolist() == [15, -6]
    assert found.panels[0].fast.tolist() == [-1, 0] and found.panels[0].slow.tolist() == [
        -0.25,
        0.5,
    ]
    moved = read_geometry(write("detector_shift_x = 1 mm\ndetector_shift_y = -2e-3\n" + A))
    assert moved.panels[0].corner.tolist() == [-4 + 10, -6 - 20]


def case_files_that_are_not_as_the_geometry_says() -> None:
    file, plain = frames(one=EACH[:1], flat=DATA[0], low=DATA[:, :9], words=np.array([b"x"])), A + B
    masked = read_geometry(write("mask = /one\nmask_bad = 1\n" + plain))
    assert np.array_equal(masked.read(file, 0).mask, EACH[0] & 1 != 0)
    assert "a mask of 1 frame and none for frame 2" in said(lambda: masked.read(file, 2))
    assert "a mask of 1 frame" in said(lambda: masked.examine([(file, 0), (file, 1)], Reading("x")))
    for name, words in {
        "flat": "found 2 dimensions",
        "low": "the panels cover (12, 8)",
        "words": "found text",
        "no": "found nothing",
    }.items():
        other = read_geometry(write(plain.replace("a/min_fs", f"data = /{name}\na/min_fs", 1)))
        assert words in said(lambda other=other: other.examine([(file, 0)], Reading("x"))), name
    whole = read_geometry(write(plain))
    assert "none with number 3" in said(lambda: whole.read(file, 3))
    Path("run.lst").write_text("run.h5 //1\n\nrun.h5 //0\n")
    assert [n for _, n in shots(Path("run.lst"), whole)] == [1, 0]
    Path("run.lst").write_text("run.h5 //1\nrun.h5\n")
    assert "1 of 4 frames named twice" in said(lambda: shots(Path("run.lst"), whole))
    assert "no such file" in said(lambda: shots(Path("gone.lst"), whole))
    Path("run.lst").write_text("run.h5 //a/3\n")
    assert "the frame //a/3" in said(lambda: shots(Path("run.lst"), whole))
    Path("run.lst").write_text("gone.h5\n")
    assert "no such file" in said(lambda: shots(Path("run.lst"), whole))


def case_a_frame_whose_file_is_missing_is_no_zero() -> None:
    layout = h5py.VirtualLayout((4, *SHAPE), np.int32)
    for n in range(2):
        with h5py.File(f"part{n}.h5", "w") as file:
            file["d"] = DATA[:2]
        layout[2 * n : 2 * n + 2] = h5py.VirtualSource(f"part{n}.h5", "d", (2, *SHAPE))
    with h5py.File("run.h5", "w") as file:
        file.create_virtual_dataset("d", layout)
    geometry = read_geometry(write(A + B))
    geometry.examine(shots(Path("run.h5"), geometry), Reading("x"))
    with h5py.File("part1.h5", "w") as file:
        file["elsewhere"] = DATA[:2]
    assert "part1.h5, d" in said(
        lambda: geometry.examine(shots(Path("run.h5"), geometry), Reading("x"))
    )
    Path("part1.h5").unlink()
    assert "part1.h5" in said(
        lambda: geometry.examine(shots(Path("run.h5"), geometry), Reading("x"))
    )
    with h5py.File("new.h5", "w") as file:
        written = file.create_dataset("d", (4, *SHAPE), np.int32, chunks=(1, *SHAPE))
        written[1] = 7
    reading = Reading("x")
    geometry.examine([(Path("new.h5"), 1)], reading)
    assert "3 of 4 frames were never written" in str(reading)


def case_the_box_says_what_was_read_and_left_out() -> None:
    reading = Reading("Your frames")
    text = "mask_file = beside.h5\nmask = /m\nmask_good = 1\nmax_adu = 9\n" + panel(
        "a", 0, "a/flag_morethan = 9"
    )
    geometry = read_geometry(write(text + panel("b", 6, "b/no_index = 1")), reading)
    geometry.examine([(frames(), n) for n in range(3)], reading)
    for words in (
        "panels that don't count: b",
        "more than 9 masked on 1 panels",
        "beside.h5, beside it",
        "3 of 3 frames, int32",
        "max_adu",
    ):
        assert words in str(reading), words
    reading = Reading("Your frames")
    read_geometry(write("mask = /small\n" + A, HEAD.replace("clen = 0.1\n", "")), reading)
    assert "doesn't say clen" in str(reading) and "it marks no pixel" in str(reading)


def case_units_of_beam_and_distance() -> None:
    energies = np.array([9120.0, 9125.0, 9118.0])
    file = frames(
        ev=energies, kev=energies / 1e3, encoder=np.full(3, -500.0), gone=energies * np.nan
    )
    right = {
        ("photon_energy = 9000", "photon_energy = 9 keV"): "photon energy 9 keV",
        ("photon_energy = 9000", "photon_energy = /ev"): "photon energy 9.118 to 9.125 keV",
        ("photon_energy = 9000", "photon_energy = /kev keV"): "photon energy 9.118 to 9.125 keV",
        ("photon_energy = 9000", "wavelength = 1.3 A"): "wavelength 1.3 Å",
        ("clen = 0.1", "clen = 72.8 mm"): "distance 72.8 mm",
        ("clen = 0.1", "clen = /encoder\ncoffset = 0.573"): "distance 73 mm",
    }
    for (old, new), words in right.items():
        reading = Reading("x")
        read_geometry(write(A + B, HEAD.replace(old, new)), reading).examine([(file, 0)], reading)
        assert words in str(reading), (words, str(reading))
    wrong = {
        ("photon_energy = 9000", "photon_energy = 9.0"): "photon_energy 9 eV",
        ("photon_energy = 9000", "photon_energy = /kev"): "photon_energy 9.118 eV",
        ("photon_energy = 9000", "photon_energy = 9 kev"): "'kev' as a unit",
        ("photon_energy = 9000", "photon_energy = /gone"): "no finite photon_energy",
        ("photon_energy = 9000", "photon_energy = /nowhere"): "found nothing",
        ("photon_energy = 9000", "wavelength = 1.3"): "no unit",
        ("photon_energy = 9000", "wavelength = 1.3 m"): "from the wavelength",
        ("clen = 0.1", "clen = 72.8"): "clen with coffset 72.8 m",
        ("clen = 0.1", "clen = /encoder m"): "clen with coffset -500 m",
        ("clen = 0.1", "clen = 7.2 cm"): "'cm' as a unit",
        ("res = 10000", "res = 75e-6"): "one over the size of a pixel",
    }
    for (old, new), words in wrong.items():
        path = write(A + B, HEAD.replace(old, new))
        sentence = said(lambda path=path: read_geometry(path).examine([(file, 0)], Reading("x")))
        assert words in sentence, (words, sentence)


def case_chunks_find_the_mask_and_know_when_it_changes() -> None:
    frames()
    text = "a/mask_file = beside.h5 ; of run 7\na/mask = /m\n"
    path = write(panel("a", 0, text) + panel("b", 6, "b/no_index = 1"))
    told = crystfel.standing_alone(path)
    assert f"a/mask_file = {Path('beside.h5').resolve()} ; of run 7" in told
    assert "bad_panel_b/max_ss = 11" in told
    settings = {"geometry": str(path), "cell": "", "indexing": "none", "options": []}
    (before,) = crystfel.chunks(["run.h5 //0"], 1, **settings)[0].values()
    with h5py.File("beside.h5", "w") as file:
        file["m"] = np.zeros((99, 99))
    (after,) = crystfel.chunks(["run.h5 //0"], 1, **settings)[0].values()
    assert before["geometry"] == after["geometry"] and before != after
    Path("beside.h5").unlink()
    assert "mask_file is 'beside.h5'" in said(lambda: crystfel.standing_alone(path))


def case_cells() -> None:
    path = Path("run.cell")

    def cell(text: str) -> np.ndarray:
        path.write_text(text, encoding="latin-1")
        return cell_file.read_cell(path)

    right = [79.1, 79.1, 37.9, 90, 90, 90]
    half = "1.5707963267948966 rad"
    same = {
        CELL,
        CELL.replace("90 deg", half),
        CELL.replace("\na", "\n  \ta").replace("\nb ", "\n b "),
        CELL.replace("79.1 A", "7.91 nm"),
        CELL.replace("79.1 A", "7.91e1 A"),
        CELL + "; M\xfcller's\n",
        "CRYST1   79.100   79.100   37.900  90.00  90.00  90.00 P 43 21 2     8\n",
    }
    for text in same:
        assert np.allclose(cell(text), right), text
        scaled = cell(cell_file.scaled_cell(text, 0.77))
        assert np.allclose(scaled / right, [0.77] * 3 + [1] * 3, rtol=1e-4), text
    refused = {
        CELL.replace("90 deg", "1.5708 deg"): "the other one of deg and rad",
        CELL.replace("90 deg", "90 rad"): "the other one of deg and rad",
        CELL.replace("a = 79.1 A", "a = 79.1"): "'a = 79.1'",
        CELL.replace("a = 79.1 A", "a=79.1 A"): "with spaces between",
        CELL.replace("90 deg", "90 gon"): "90 gon",
        CELL.replace("b = 79.1", "b = 61"): "expected a = b",
        CELL.replace("unique_axis = c\n", ""): "without unique_axis",
        CELL.replace("c = 37.9 A\n", ""): "nothing of c",
        CELL.partition("\n")[2]: "CRYST1",
    }
    for text, words in refused.items():
        sentence = said(lambda text=text: cell(text))
        assert words in sentence, (words, sentence)
    judging.refuse_symmetry("4/mmm", "P 43 21 2", np.array(right))
    judging.refuse_symmetry("422", "P 4/m m m", np.array(right))
    assert "expected 4/mmm" in said(
        lambda: judging.refuse_symmetry("mmm", "P 43 21 2", np.array(right))
    )
    triclinic = np.array([40, 50, 60, 90, 95, 90])
    assert "symmetry that this cell can have" in said(
        lambda: judging.refuse_symmetry("4/mmm", "P 4/m m m", triclinic)
    )


def outcome(judge, *told) -> dict[str, str]:
    """Return the state of every check."""
    checks = Checks("x")
    judge(checks, *told)
    return {check.name: check.state for check in checks.results}


def case_masks_that_are_wrong_go_red() -> None:
    rng = np.random.default_rng(4)
    bad = rng.uniform(size=(60, 60)) < 0.02
    counts = rng.poisson(5, (8, 60, 60)).astype(np.uint16)
    counts[:, bad] = 65535
    right = [np.ma.MaskedArray(one, bad) for one in counts]
    assert set(outcome(judging.judge_frames, right).values()) == {"passed"}
    for mask, fails in (
        (~bad, "Pixels that are masked"),
        (bad & False, "Marks of bad pixels that nothing masks"),
    ):
        for dtype in (np.uint16, np.float32):
            wrong = [np.ma.MaskedArray(one.astype(dtype), mask) for one in counts]
            assert outcome(judging.judge_frames, wrong)[fails] == "failed", (fails, dtype)
    empty = [*right[:-1], np.ma.MaskedArray(counts[0] * 0, bad)]
    assert (
        outcome(judging.judge_frames, empty)["Frames whose good pixels all hold one number"]
        == "failed"
    )
    assert "could not be judged" in outcome(judging.judge_frames, right[:1]).values()


def case_peaks_that_repeat_go_red() -> None:
    rng = np.random.default_rng(5)
    some = [peaks.Peaks(*rng.uniform(0, 500, (2, 30)), *np.ones((3, 30))) for _ in range(9)]
    assert set(outcome(judging.judge_peaks, some, 15).values()) == {"passed"}
    hot = [
        one._replace(fs=np.r_[one.fs[:20], np.full(10, 3.5)], ss=np.r_[one.ss[:20], np.arange(10)])
        for one in some
    ]
    assert "failed" in outcome(judging.judge_peaks, hot, 15).values()
    assert "could not be judged" in outcome(judging.judge_peaks, some[:4], 15).values()
    assert "failed" in outcome(judging.judge_peaks, some, 31).values()


def case_cells_of_a_wrong_distance_or_centre_go_red() -> None:
    rng = np.random.default_rng(6)
    given = np.array([79.1, 79.1, 37.9, 90, 90, 90])

    def crystals(factor=1.0, scatter=0.001, shift=(0.001, 0.0), number=20):
        drawn = factor * (1 + scatter * rng.normal(size=(number, 3)))
        return [crystfel.Crystal(given * np.r_[one, 1, 1, 1], np.eye(3), 9, shift) for one in drawn]

    def states(made, hits=20, indexed=20, cell=given):
        found = outcome(judging.judge_cells, made, hits, indexed, cell)
        return found | outcome(judging.judge_shift, made, 1e4)

    assert set(states(crystals()).values()) == {"passed"}
    for factor in (0.98, 1.02):  # of the distance or the photon energy
        assert states(crystals(factor))["Cell length a, median, against the cell file"] == "failed"
    assert states(crystals(scatter=0.04))["Scatter of c from crystal to crystal"] == "failed"
    assert "failed" in states(crystals(shift=(0.2, 0.0))).values()
    still = states(crystals(shift=(0.0, 0.0)))  # as CrystFEL 0.12 writes it
    assert [*still.values()].count("could not be judged") == 2
    assert states([], 30, 0)["Hits that were indexed"] == "failed"
    few = states(crystals(number=2), 3, 2)
    assert few.pop("Frames that are hits") == "passed"
    assert set(few.values()) == {"could not be judged"}
    assert states([], 0, 0)["Frames that are hits"] == "failed"
    assert "could not be judged" in states(crystals(), cell=None).values()
    good, bad = (crystfel.Quality({"CC": cc}, {}) for cc in (0.9, 0.1))
    assert [*outcome(judging.judge_merged, good, 60).values()] == ["passed"]
    assert [*outcome(judging.judge_merged, bad, 60).values()] == ["failed"]
    assert [*outcome(judging.judge_merged, good, 9).values()] == ["could not be judged"]


def case_a_stream_tells_the_shift_of_each_crystal() -> None:
    axes = "".join(f"{axis}star = +0.1 +0.0 +0.0 nm^-1\n" for axis in "abc")
    Path("x.stream").write_text(
        "----- Begin chunk -----\nImage filename: run.h5\nEvent: //2\nhit = 1\n--- Begin crystal\n"
        "Cell parameters 7.91 7.91 3.79 nm, 90 90 90 deg\n"
        + axes
        + "predict_refine/det_shift x = -0.021 y = 0.150 mm\nnum_reflections = 5\n--- End crystal\n"
        "--- Begin crystal\nCell parameters 7.91 7.91 3.79 nm, 90 90 90 deg\n"
        + axes
        + "--- End crystal\n----- End chunk -----\n"
    )
    (frame,) = crystfel.read_stream(Path("x.stream"))
    assert [crystal.shift_mm for crystal in frame.crystals] == [(-0.021, 0.15), (0.0, 0.0)]


if __name__ == "__main__":
    run_cases(globals())
