"""Manifests: the contract, then every shipped one against what lies in its folder."""

import ast
import re
import struct
from pathlib import Path

import nbformat
import pytest
import yaml
from pydantic import ValidationError

from hub.usecases import NOTEBOOKS
from workbench.documents import DocumentError
from workbench.manifest import (
    MANIFEST,
    DataSet,
    LicenceGate,
    Manifest,
    Notebook,
    Resources,
    load_manifest,
)

FOLDERS = [path.parent for path in sorted(NOTEBOOKS.glob(f"*/{MANIFEST}"))]
READY = [folder for folder in FOLDERS if not load_manifest(folder).coming]
TUTORIALS = [
    folder / notebook.file for folder in FOLDERS for notebook in load_manifest(folder).notebooks
]
PICTURE_LARGEST_BYTES = 300_000
THE_FIVE = {"crystfel", "ptycho", "pyfai", "pymca", "savu"}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request) -> Path:
    return request.param


@pytest.fixture(params=READY, ids=lambda folder: folder.name)
def ready(request) -> Path:
    return request.param


@pytest.fixture
def manifest(folder) -> Manifest:
    return load_manifest(folder)


@pytest.fixture(params=TUTORIALS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def tutorial(request):
    return nbformat.read(request.param, as_version=nbformat.NO_CONVERT)


def body(**changes) -> dict:
    """Return the manifest of a shipped use case, changed."""
    text = (NOTEBOOKS / "savu" / MANIFEST).read_text(encoding="utf-8")
    return {**yaml.safe_load(text), **changes}


def refused(**changes) -> str:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate(body(**changes))
    return str(caught.value)


def test_the_five_use_cases_of_the_project_are_there():
    assert {folder.name for folder in FOLDERS} >= THE_FIVE


# The contract


def test_a_use_case_without_notebooks_says_what_is_missing():
    assert "coming" in refused(coming=[], notebooks=[])


def test_a_notebook_cannot_need_data_that_nobody_declares():
    notebook = {"file": "a.ipynb", "title": "A", "summary": "A sentence.", "minutes": 5}
    assert "'moon'" in refused(notebooks=[{**notebook, "data_sets": ["moon"]}])


GATE = {
    "program": "XDS",
    "terms": "For academic use.",
    "url": "https://example.org",
    "declaration": "I use it for academic work only and do not pass it on.",
}


@pytest.mark.parametrize(
    ("program", "name"), [("XDS", "xds"), ("CCP4", "ccp4"), ("Mosflm 7.4+", "mosflm-7-4")]
)
def test_a_restricted_program_has_a_name_for_addresses_and_profiles(program, name):
    assert LicenceGate.model_validate({**GATE, "program": program}).name == name


@pytest.mark.parametrize("program", ["", "R", "3D", "ß", "../..", "x" * 31])
def test_a_restricted_program_can_be_named(program):
    assert "the name of" in refused(licence_gates=[{**GATE, "program": program}])


def test_a_program_has_one_gate():
    assert "'xds' stands there twice" in refused(
        licence_gates=[GATE, {**GATE, "program": "xds", "required": True}]
    )


def test_every_gate_says_what_is_declared():
    assert "declaration" in refused(licence_gates=[{**GATE, "declaration": ""}])


def test_a_shipped_declaration_is_somebodys_own_words_about_that_program(manifest):
    for gate in manifest.licence_gates:
        assert re.search(rf"\bI\b.*\b{gate.program}\b", gate.declaration)
        assert "do not" in gate.declaration
        assert len(gate.declaration) < 400


def test_a_picture_is_described_for_those_who_cannot_see_it():
    assert "picture_alt" in refused(picture="picture.png", picture_alt="")


def test_advice_is_never_less_than_the_least():
    with pytest.raises(ValidationError, match="less memory_gib"):
        Resources.model_validate(
            {"least": {"cores": 1, "memory_gib": 4}, "advised": {"cores": 1, "memory_gib": 2}}
        )


@pytest.mark.parametrize("amount", [0, -1, float("inf"), float("nan")])
def test_an_amount_is_a_positive_number(amount):
    needs = {"cores": amount, "memory_gib": 1}
    with pytest.raises(ValidationError):
        Resources.model_validate({"least": needs, "advised": needs})


@pytest.mark.parametrize(
    "file",
    ["../x.ipynb", "/x.ipynb", "a/../../x.ipynb", "x.py", "", "a\\x.ipynb", "ä.ipynb", "x.ipynb\n"],
)
def test_a_notebook_lies_inside_the_folder(file):
    with pytest.raises(ValidationError):
        Notebook(file=file, title="A", summary="A sentence.", minutes=5)


def test_data_to_download_have_files_and_data_of_a_package_name_it():
    common = {"title": "A", "licence": "CC0-1.0"}
    with pytest.raises(ValidationError, match="needs 'files'"):
        DataSet.model_validate({**common, "source": "download"})
    with pytest.raises(ValidationError, match="which package"):
        DataSet.model_validate({**common, "source": "package"})


def test_a_size_is_known_only_where_every_file_has_one():
    common = {"title": "A", "licence": "CC0-1.0", "source": "download"}
    file = {"name": "a", "sha256": "unknown"}
    known = DataSet.model_validate({**common, "files": [{**file, "size_bytes": 3}] * 2})
    unknown = DataSet.model_validate({**common, "files": [{**file, "size_bytes": 3}, file]})
    assert (known.size_bytes, unknown.size_bytes) == (6, None)


def test_a_publication_is_cited_once():
    software = body()["software"]
    manifest = Manifest.model_validate(body(software=[*software, *software]))
    keys = [citation.key for citation in manifest.citations]
    assert len(keys) == len(set(keys)) > 1


def test_a_manifest_that_names_files_which_are_not_there_is_refused(tmp_path):
    text = (NOTEBOOKS / "pyfai" / MANIFEST).read_text(encoding="utf-8")
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as caught:
        load_manifest(tmp_path)
    said = str(caught.value)
    for name in ("01_calibrate.ipynb", "picture.png", "requirements.txt"):
        assert f"{tmp_path / MANIFEST}:1: {name}: there is no such file" in said


# What is shipped


def test_texts_fit_a_card(manifest):
    assert 20 <= len(manifest.summary) <= 140
    assert "\n" not in manifest.summary.strip()
    assert len(manifest.title) <= 60


def test_everything_missing_is_one_line(manifest):
    for sentence in manifest.coming:
        assert "\n" not in sentence
        assert sentence.endswith(".")


def test_a_use_case_that_can_be_opened_shows_a_small_picture(ready):
    data = (ready / (load_manifest(ready).picture or "")).read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) < PICTURE_LARGEST_BYTES
    width, height = struct.unpack(">II", data[16:24])
    assert width > height >= 200


def test_every_requirement_is_pinned_or_explained(ready):
    explained = False
    for line in (ready / "requirements.txt").read_text(encoding="utf-8").splitlines():
        requirement = line.partition("#")[0].strip()
        if not requirement:
            explained = line.startswith("#")
            continue
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", requirement) or explained, line


def test_every_notebook_of_the_folder_is_declared(folder, manifest):
    shipped = {
        str(p.relative_to(folder)) for p in folder.rglob("*.ipynb") if ".ipynb_" not in str(p)
    }
    assert shipped == {notebook.file for notebook in manifest.notebooks}


def test_data_to_download_say_where_from(manifest):
    for data_set in manifest.data_sets.values():
        for file in data_set.files if data_set.source == "download" else ():
            assert file.urls, file.name


def test_something_can_be_cited(manifest):
    assert manifest.citations
    assert all(citation.doi or citation.url for citation in manifest.citations)


def test_a_tutorial_is_a_valid_notebook_of_the_newest_format(tutorial):
    nbformat.validate(tutorial)
    assert (tutorial.nbformat, tutorial.nbformat_minor) >= (4, 5)


def test_a_tutorial_ships_without_outputs(tutorial):
    for cell in tutorial.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            assert "ExecuteTime" not in cell.metadata


def test_cells_have_stable_names_of_their_own(tutorial):
    names = [cell.id for cell in tutorial.cells]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)


def test_a_tutorial_names_a_kernel_and_nothing_of_the_machine_it_was_written_on(tutorial):
    assert tutorial.metadata.kernelspec.name == "python3"
    assert set(tutorial.metadata) <= {"kernelspec", "language_info"}
    assert set(tutorial.metadata.language_info) == {"name"}


def test_a_tutorial_begins_with_a_title(tutorial):
    assert tutorial.cells[0].cell_type == "markdown"
    assert tutorial.cells[0].source.startswith("# ")


def test_a_tutorial_ends_with_checks_then_citations(tutorial):
    code = [cell.source for cell in tutorial.cells if cell.cell_type == "code"]
    calls = [called(source) for source in code]
    assert "cite" in calls[-1]
    assert "report" in calls[-2]
    assert sum("report" in names for names in calls) == 1


def called(source: str) -> set[str]:
    """Return the names of the functions that a cell calls."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    calls = [n.func for n in ast.walk(ast.parse("\n".join(lines))) if isinstance(n, ast.Call)]
    return {getattr(f, "attr", None) or getattr(f, "id", "") for f in calls}


def test_versions_shown_are_those_installed(ready):
    """The page and the environment must not tell different versions of one program."""
    text = (ready / "requirements.txt").read_text(encoding="utf-8").lower()
    pinned: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^;#\s]+)", text, re.MULTILINE):
        pinned.setdefault(name, set()).add(version)
    shown = {s.name.lower(): s.version for s in load_manifest(ready).software}
    both = pinned.keys() & shown.keys()
    assert len(both) >= 4
    for name in both:
        assert all(version in shown[name] for version in pinned[name]), name
