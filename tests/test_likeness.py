"""What is the same here as where an archive was made, in words."""

import pytest

from hub.likeness import compare, pinned, run_line
from hub.usecases import NOTEBOOKS, load_use_cases
from workbench.hashing import sha256_of
from workbench.record import Archived

PYFAI = load_use_cases([NOTEBOOKS])["pyfai"]
VERSION = PYFAI.manifest.version
A, B = (f"r/pyfai@sha256:{letter * 64}" for letter in "ab")


def archived(**changes) -> Archived:
    record = {
        "run": "0" * 32,
        "finished": "2026-11-24T10:00:00Z",
        "use_case": "pyfai",
        "version": VERSION,
        "python": "3.13.5",
        "machine": "x86_64",
        "packages": {"numpy": "2.3.4", "Pillow": "12.0.0"},
        **changes,
    }
    notebook = {"name": "a.ipynb", "size_bytes": 1, "sha256": "0" * 64}
    return Archived.model_validate({"notebook": notebook, "record": record})


def texts(at: str = "", pins: dict | None = None, **changes) -> list[tuple[str, str]]:
    lines = compare(archived(**changes), PYFAI, at, pins or {"numpy": {"2.3.4"}})
    return [(line.state, line.text) for line in lines]


def test_the_same_version_and_packages():
    version, image, packages = texts()
    assert version == ("same", f"The same version of the use case, {VERSION}.")
    assert image[0] == "unknown"
    assert packages == ("same", "All 1 packages pinned here had the same version.")


@pytest.mark.parametrize(
    ("count", "state", "says"),
    [
        (None, "unknown", "It is unknown"),
        (0, "same", "All of its code cells"),
        (1, "other", "1 code cell was changed"),
        (3, "other", "3 code cells were changed"),
    ],
)
def test_cells_that_are_not_as_they_were_run_are_counted(count, state, says):
    line = run_line(archived().model_copy(update={"not_as_run": count}))
    assert line.state == state
    assert says in line.text


def test_another_version_names_both():
    assert texts(version="0.0.1")[0] == ("other", f"Another version: 0.0.1 there, {VERSION} here.")


@pytest.mark.parametrize(
    ("there", "here", "state", "says"),
    [
        (A, A, "same", "The same image"),
        (A, B, "other", "Another image: aaaaaaaaaaaa… there, bbbbbbbbbbbb… here"),
        (A, "r/pyfai:1.0.0", "unknown", "digest isn't known"),
        ("r/pyfai:1.0.0", "r/pyfai:1.0.0", "unknown", "digest isn't known"),
        (A, "", "unknown", "This site uses no images"),
        ("", A, "unknown", "without an image"),
    ],
)
def test_images_are_the_same_only_by_digest(there, here, state, says):
    line = texts(here, image=there)[1]
    assert line[0] == state
    assert says in line[1]


def test_other_packages_are_named():
    line = texts(pins={"numpy": {"2.3.5", "2.4.0"}, "pillow": {"12.0.0"}, "gone": {"1"}})[2]
    assert line == ("other", "Other versions of numpy (2.3.4 there, 2.3.5 or 2.4.0 here).")
    many = {f"p{i}": "1" for i in range(9)}
    line = texts(pins={n: {"2"} for n in many}, packages=many)[2]
    assert line[1].endswith("and 4 more.")


def test_pins_are_read_from_requirements():
    first = "# a comment\nNumPy==2.3.4\nh5py[x]==3.0 ; python_version < '4'\nplain\n"
    second = "numpy==1.0\nscipy==1.17 ; a\nscipy==1.18 ; b\n"
    assert pinned(first, second) == {
        "numpy": {"2.3.4"},
        "h5py": {"3.0"},
        "scipy": {"1.17", "1.18"},
    }


def data(name: str, **changes) -> dict:
    here = PYFAI.manifest.data_sets[name]
    told = {"label": f"pyfai/{name}", "title": "T", "licence": "CC0-1.0", "source": here.source}
    return {**told, "n_files": 1, "size_bytes": 1, "sums": "0" * 64, **changes}


def downloaded() -> str:
    return next(
        name
        for name, d in PYFAI.manifest.data_sets.items()
        if any(f.sha256 != "unknown" for f in d.files)
    )


def test_data_are_compared_by_their_checksums():
    name = downloaded()
    file = next(f for f in PYFAI.manifest.data_sets[name].files if f.sha256 != "unknown")
    for sha256, state in ((file.sha256, "same"), ("f" * 64, "other")):
        files = [{"name": file.name, "size_bytes": 1, "sha256": sha256}]
        assert texts(data_sets=[data(name, files=files)])[3][0] == state


def test_simulated_and_unknown_data_say_so():
    simulated = next(n for n, d in PYFAI.manifest.data_sets.items() if d.source == "simulated")
    (line,) = texts(data_sets=[data(simulated, seed=7)])[3:]
    assert line == ("unknown", f"pyfai/{simulated} will be simulated again from seed 7.")
    (line,) = texts(data_sets=[{**data(simulated), "label": "other/one"}])[3:]
    assert "not part of this use case" in line[1]


def test_modules_that_differ_are_named():
    right = sha256_of(PYFAI.folder / "images.py")
    modules = [
        {"name": "images.py", "sha256": right},
        {"name": "simulation.py", "sha256": "0" * 64},
        {"name": "mine.py", "sha256": "0" * 64},
    ]
    lines = texts(modules=modules)[3:]
    assert [state for state, _ in lines] == ["other", "other"]
    assert "simulation.py, which it imports, is different here" in lines[0][1]
    assert "mine.py was beside the notebook there" in lines[1][1]
