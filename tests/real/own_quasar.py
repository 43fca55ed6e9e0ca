"""What people bring to the Quasar tutorials, in small: run in that use case's environment.

``python own_quasar.py USE_CASE`` runs every function whose name begins with ``case_`` in an empty
folder.
"""

import sys
from pathlib import Path

import numpy as np
from own_case import run_cases, said

sys.path.insert(0, sys.argv[1])
import judging
import map_files
import maps
import orangecontrib.spectroscopy
import simulation
import tissue
from grid import levels
from Orange.data import Table
from orangecontrib.spectroscopy.data import getx
from orangecontrib.spectroscopy.preprocess import Integrate

from workbench import Checks
from workbench.readings import Reading

ROWS, COLUMNS, STEP = 12, 10, 5.0
X = np.arange(950.0, 2501.0, 4.0)
PURE = np.array([simulation.pure_spectrum(name, X) for name in simulation.COMPONENTS])
ROW, COLUMN = (axis.ravel() for axis in np.indices((ROWS, COLUMNS)))
RNG = np.random.default_rng(1)
AMOUNTS = np.stack(
    [
        0.5 + 0.3 * np.sin(ROW / 4 + k) * np.cos(COLUMN / 5 + k)
        for k in range(len(simulation.COMPONENTS))
    ]
)
SPECTRA = AMOUNTS.T @ PURE + RNG.normal(0, 0.002, (ROW.size, X.size))


def write(spectra=SPECTRA, x=X, across=COLUMN * STEP, down=ROW * STEP) -> Path:
    """Write a map as text with the stage's positions."""
    path = Path("run.xyz")
    head = "\t".join(["", "", *(f"{value:.4f}" for value in x)])
    each = zip(across, down, spectra, strict=True)
    rows = ["\t".join(f"{v:.7g}" for v in (a, b, *s)) for a, b, s in each]
    path.write_text("\n".join([head, *rows, ""]))
    return path


def table(x: np.ndarray, spectra: np.ndarray, name: str = "pure.dpt") -> Path:
    """Write spectra as columns."""
    np.savetxt(name, np.column_stack([x, *spectra]), delimiter="\t")
    return Path(name)


def read(path: Path, quantity: str | None = None, reading: Reading | None = None) -> map_files.Map:
    """Return a map."""
    return map_files.read_map(path, reading or Reading("x"), quantity)


def right(section: map_files.Map) -> bool:
    """Return whether each spectrum is where it was measured."""
    expected = SPECTRA[:, 7].reshape(ROWS, COLUMNS)
    return section.shape == expected.shape and np.allclose(
        section.image(section.table.X[:, 7]), expected, atol=1e-5
    )


def case_a_stage_that_jitters_gives_the_same_map() -> None:
    for jitter in (0, 0.01, 0.3):
        off = RNG.uniform(-jitter, jitter, (2, ROW.size)) * STEP
        reading = Reading("x")
        path = write(across=17.3 + COLUMN * STEP + off[0], down=-900 + ROW * STEP + off[1])
        section = read(path, reading=reading)
        assert right(section) and abs(section.step - STEP) < 0.1, jitter
        assert ("belong to the nearest of the grid" in str(reading)) == (jitter > 0), str(reading)
    some = RNG.permutation(ROW.size)
    assert right(read(write(SPECTRA[some], across=COLUMN[some] * STEP, down=ROW[some] * STEP)))
    left = ROW.size - 7  # a map that was stopped within its last row
    reading = Reading("x")
    section = read(write(SPECTRA[:left], across=COLUMN[:left], down=ROW[:left]), reading=reading)
    assert section.shape == (ROWS, COLUMNS) and section.step is None
    assert np.isnan(section.image(section.table.X[:, 7])).sum() == 7
    assert "7 of 120 pixels" in str(reading)
    one = ROW == 3
    section = read(write(SPECTRA[one], across=COLUMN[one] * STEP, down=RNG.normal(0, 0.2, 10)))
    assert section.shape == (1, COLUMNS)


def case_positions_on_no_grid_are_refused() -> None:
    wild = RNG.uniform(0, 50, (2, ROW.size))
    assert "no grid" in said(lambda: read(write(across=wild[0], down=wild[1])))
    assert "120 spectra at 60 pixels" in said(lambda: read(write(down=ROW // 2 * STEP)))
    assert "without positions" in said(lambda: read(table(X, SPECTRA[:5])))
    for count in (2, 3, 7, 48):
        found = levels(np.repeat(np.arange(count) * 0.37, 9) + RNG.normal(0, 0.03, 9 * count))
        assert found is not None and found.index.max() == count - 1, count


def case_axes_that_are_no_wavenumbers_are_refused() -> None:
    assert "wavelengths in µm" in said(lambda: read(write(x=1e4 / X)))
    assert "no wavenumbers" in said(lambda: read(write(x=np.arange(X.size))))
    simulation.write_envi(Path("map"), np.ones((3, 4, simulation.WAVENUMBERS.size)))
    text = Path("map.hdr").read_text()
    Path("map.hdr").write_text(text.replace("units = cm-1", "units = nanometers"))
    assert "wavelength units = nanometers" in said(lambda: read(Path("map.hdr")))
    Path("gone.xyz").unlink(missing_ok=True)
    assert "no such file" in said(lambda: read(Path("gone.xyz")))
    Path("bad.xyz").write_text("this isn't a map\n")
    assert "bad.xyz" in said(lambda: read(Path("bad.xyz")))


def case_numbers_that_cannot_be_are_left_out_or_refused() -> None:
    marked, reading = SPECTRA.copy(), Reading("x")
    marked[5, :3] = 2**32 - 1
    section = read(write(marked), reading=reading)
    assert len(section.table) == len(SPECTRA) - 1 and "1 of 120 spectra, with numbers" in str(
        reading
    )
    assert np.isnan(section.image(section.table.X[:, 7])).sum() == 1
    faint = write(10**-SPECTRA)
    assert "0 to 100 %" in said(lambda: read(faint, "% transmittance"))
    assert right(read(faint, "transmittance"))
    for typed in (0, -1, "5", [5], float("nan")):
        assert "PIXEL_UM" in said(lambda typed=typed: map_files.pixel_size(section, typed, reading))
    flat = Reading("x")
    read(write(down=ROW * STEP / 2), reading=flat)
    assert "rows are 2.5 apart and columns 5" in str(flat)


def case_measured_tissue_has_its_bands_where_they_are_published() -> None:
    [folder] = orangecontrib.spectroscopy.__path__
    measured = tissue.read(Path(folder) / "datasets/collagen.csv")
    found = tissue.sorted_again(measured)
    shifted = measured._replace(x=measured.x + 12)
    mixed = measured._replace(labels=RNG.permutation(measured.labels))
    for seen, again, passed in (
        (measured, found, True),
        (shifted, found, False),
        (mixed, tissue.sorted_again(mixed), False),
    ):
        checks = Checks("x")
        tissue.judge(checks, seen, again)
        assert checks.passed is passed, str(checks)


def case_a_band_outside_of_the_file_is_nothing_and_not_zero() -> None:
    narrow = X > 1100
    reading = Reading("x")
    section = read(write(SPECTRA[:, narrow], X[narrow]))
    bands = maps.covered(section.table, reading=reading)
    assert list(bands) == ["protein", "lipid"]
    assert "nucleic acid (950 to 990 cm⁻¹)" in str(reading)
    found = maps.integrals(section.table, Integrate.Simple)
    assert np.isnan(found["glycogen"]).all() and np.isnan(found["nucleic acid"]).all()
    at = (X >= 1480) & (X <= 1595)
    assert np.allclose(found["protein"], np.trapezoid(SPECTRA[:, at], X[at]), rtol=1e-4)
    assert "glycogen" not in maps.covered(read(write(SPECTRA[:, ::20], X[::20])).table)


def case_transmittances_become_absorbances_or_are_asked_for() -> None:
    through = 10**-SPECTRA
    assert "QUANTITY = 'absorbance'" in said(lambda: read(write(100 * through)))
    assert "bands point down" in said(lambda: read(write(through)))
    assert right(read(write(100 * through), "% transmittance"))
    assert right(read(write(through), "transmittance"))
    assert "transmittance up to" in said(lambda: read(write(100 * through), "transmittance"))
    assert "absorbances of" in said(lambda: read(write(100 * through), "absorbance"))
    assert "'% transmittance'" in said(lambda: read(write(), "per cent"))
    holes = through.copy()
    holes[5, 9] = -0.01
    holes[6] = 0
    reading = Reading("x")
    section = read(write(holes), "transmittance", reading)
    assert len(section.table) == ROW.size - 2 and "2 of 120 spectra" in str(reading)


def case_spectra_of_another_axis() -> None:
    raw = read(write()).table
    lines = simulation.vapour_spectrum()
    wide = table(simulation.WAVENUMBERS, lines[None], "wide.dpt")
    found = map_files.read_spectra(wide, "VAPOUR", raw, (1330, 2000), Reading("x"))
    assert found.X.shape == (1, X.size) and np.allclose(found.X[0], lines[: X.size], atol=1e-3)
    part = (simulation.WAVENUMBERS > 1400) & (simulation.WAVENUMBERS < 1900)
    narrow = table(simulation.WAVENUMBERS[part][::-1], lines[None, part][:, ::-1])
    sentence = said(
        lambda: map_files.read_spectra(narrow, "VAPOUR", raw, (1330, 2000), Reading("x"))
    )
    assert "points from 1402 to 1898 cm⁻¹, expected 1330 to 1998" in sentence, sentence
    library = table(X[20:200], PURE[:, 20:200])  # the fit keeps to what is known
    pure = map_files.read_spectra(library, "LIBRARY", raw, None, Reading("x")).X
    amounts, residual = maps.fit(raw, pure, None)
    assert np.abs(amounts - AMOUNTS).max() < 0.05 and not residual[:, 250:].any()
    per_cent = table(X, 100 * 10**-PURE)
    assert "no absorbance reaches" in said(
        lambda: map_files.read_spectra(per_cent, "LIBRARY", raw, None, Reading("x"))
    )
    short = read(write(SPECTRA[:, X > 2100], X[X > 2100])).table
    assert maps.without_air(short, found_at(short, wide)).X.shape == short.X.shape
    assert maps.without_air(raw, None).X.shape == raw.X.shape


def found_at(target: Table, path: Path) -> Table:
    """Return vapour at a map's points."""
    return map_files.read_spectra(path, "VAPOUR", target, (1330, 2000), Reading("x"))


def outcome(judge, *told) -> dict[str, str]:
    """Return the state of every check."""
    checks = Checks("x")
    judge(checks, *told)
    return {check.name: check.state for check in checks.results}


def case_maps_that_are_wrong_go_red() -> None:
    assert set(outcome(judging.judge_spectra, read(write())).values()) == {"passed"}
    mixed = read(write(SPECTRA[RNG.permutation(ROW.size)]))
    assert "failed" in outcome(judging.judge_spectra, mixed).values()
    swapped = read(write(across=ROW * STEP, down=COLUMN * STEP))
    assert set(outcome(judging.judge_spectra, swapped).values()) == {"passed"}
    turned = read(write(-SPECTRA), "absorbance")
    assert "failed" in outcome(judging.judge_spectra, turned).values()
    few = read(write(SPECTRA[ROW == 1], across=COLUMN[ROW == 1], down=ROW[ROW == 1]))
    assert "could not be judged" in outcome(judging.judge_spectra, few).values()


def case_fits_that_explain_nothing_go_red() -> None:
    raw = read(write()).table

    def states(pure: np.ndarray, spectra: Table = raw) -> set[str]:
        return set(
            outcome(judging.judge_fit, spectra, pure, *maps.fit(spectra, pure, None)).values()
        )

    assert states(PURE) == {"passed"}
    assert "failed" in states(PURE[:3])  # one component forgotten
    assert "failed" in states(np.roll(PURE, 3, axis=1))  # an axis off by 12 cm-1
    assert "failed" in states(PURE, read(write(10**-SPECTRA), "absorbance").table)
    assert "failed" in states(PURE, read(write(SPECTRA[:, ::-1])).table)
    assert "failed" in states(10**-PURE)


def case_vapour_of_another_instrument_goes_red() -> None:
    lines = simulation.vapour_spectrum()[: X.size]
    raw = read(write(SPECTRA + np.linspace(0.05, 0.2, ROW.size)[:, None] * lines)).table
    for shift, state in ((0, "passed"), (2, "failed")):
        vapour = found_at(raw, table(X, np.roll(lines, shift)[None]))
        real = found_at(raw, table(X, lines[None]))
        dry = maps.without_air(raw, vapour)
        assert set(outcome(judging.judge_vapour, raw, dry, real).values()) == {state}, shift
    assert set(outcome(judging.judge_vapour, raw, raw, None).values()) == {"could not be judged"}
    assert getx(raw).size == X.size


if __name__ == "__main__":
    run_cases(globals())
