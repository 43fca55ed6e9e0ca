"""Archives: what a run used, packed so that others read it back, and nothing else."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from rocrate.rocrate import ROCrate
from typer.testing import CliRunner

from hub.usecases import NOTEBOOKS
from workbench import Checks, cite, data, record, used
from workbench.__main__ import app
from workbench.archiving import ArchiveError, archive, own_notebook
from workbench.manifest import load_manifest
from workbench.record import MIME, Archived, Record

SECRET = "s3cr3t-token-of-the-server"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A kernel that has used nothing yet."""
    used.forget()
    for name in [n for n in os.environ if n.startswith(("BEAMHUB_", "JPY_", "JUPYTERHUB_"))]:
        monkeypatch.delenv(name)
    yield
    used.forget()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A user's folder of a use case with simulated data, in a server that a portal started."""
    folder = tmp_path / "home/beamhub/dots"
    folder.mkdir(parents=True)
    manifest = yaml.safe_load((NOTEBOOKS / "pyfai/usecase.yaml").read_text())
    manifest.pop("picture", None)
    notebook = {"file": "dots.ipynb", "title": "Dots", "summary": "Counts dots.", "minutes": 1}
    paper = {
        "key": "doe2020",
        "kind": "dataset",
        "authors": ["Doe, A."],
        "title": "D",
        "year": 2020,
    }
    dots = {"title": "Dots", "licence": "CC0-1.0", "source": "simulated", "seed": 3}
    dots |= {"generator": "making:make", "makes": ["dots.txt"], "cite": [paper]}
    manifest |= {"notebooks": [notebook], "data_sets": {"dots": dots}}
    (folder / "usecase.yaml").write_text(yaml.safe_dump(manifest))
    (folder / "dots.ipynb").touch()
    (folder / "requirements.txt").touch()
    (folder / "making.py").write_text(
        "def make(folder, seed):\n    (folder / 'dots.txt').write_text('.' * seed)\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    for name, value in {
        "NOTEBOOKS": folder,
        "USE_CASE": "dots",
        "USE_CASE_VERSION": "1.2.3",
        "SITE": "A Site",
        "SIZE": "small",
        "IMAGE": f"r.example/dots@sha256:{'a' * 64}",
        "DATA_CACHE": tmp_path / "cache",
    }.items():
        monkeypatch.setenv(f"BEAMHUB_{name}", str(value))
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", SECRET)
    return folder


def run_it(
    home: Path, name: str = "dots.ipynb", *, fetch: bool = True, checks: bool = True
) -> Path:
    """Do in this process what a notebook does, and save it as JupyterLab would."""
    if fetch:
        data.fetch("dots", seed=7, progress=False)
    if checks:
        done = Checks("Dots")
        done.close("Dots", got=7.0, truth=7, within=0.1, unit="px")
        done.report()
    taken = record.take(load_manifest(home), "dots")
    used.shown = taken.finished
    output = {"output_type": "display_data", "metadata": {}}
    output["data"] = {"text/plain": "- Doe", MIME: taken.model_dump(mode="json", exclude_none=True)}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Dots"},
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "source": [
                "%matplotlib inline\n",
                "DATA = 'dots'\n",
                "SEED = 7\n",
                "here = print(1)\n",
            ],
        },
        {"cell_type": "code", "metadata": {}, "outputs": [output], "source": "cite()"},
    ]
    path = home / name
    body = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    path.write_text(json.dumps(body))
    os.environ["JPY_SESSION_NAME"] = str(path)
    return path


def about(crate: Path) -> Archived:
    with zipfile.ZipFile(crate) as packed:
        return Archived.model_validate_json(packed.read("run.json"))


def test_an_archive_lies_in_the_folder_of_its_use_case(home):
    run_it(home)
    made = archive()
    assert made.parent == home / "archive"
    assert made.name.startswith("dots-20") and made.name.endswith(".crate.zip")


def test_it_holds_what_the_issue_names(home):
    notebook = run_it(home)
    with zipfile.ZipFile(archive()) as packed:
        names = packed.namelist()
        lock = packed.read("requirements.txt").decode()
        bibliography = packed.read("citations.bib").decode()
        assert packed.read("dots.ipynb") == notebook.read_bytes()
    assert names[:5] == [
        "ro-crate-metadata.json",
        "dots.ipynb",
        "run.json",
        "requirements.txt",
        "citations.bib",
    ]
    assert f"\npydantic=={record.installed()['pydantic']}\n" in lock
    assert lock.startswith(f"# Python {sys.version.split()[0]}\n")
    assert "doe2020" in bibliography


def test_the_record_says_where_and_with_what(home):
    notebook = run_it(home)
    said = about(archive())
    told = said.record
    assert (told.use_case, told.version, told.site, told.size) == (
        "dots",
        "1.2.3",
        "A Site",
        "small",
    )
    assert told.image.endswith("a" * 64)
    assert said.parameters == {"DATA": "'dots'", "SEED": "7"}
    assert said.notebook.sha256 == hashlib.sha256(notebook.read_bytes()).hexdigest()
    assert told.passed and told.reports[0].checks[0].got == "7 px"
    (dots,) = told.data_sets
    assert (dots.label, dots.seed, dots.n_files, dots.size_bytes) == ("dots/dots", 7, 1, 7)
    assert dots.files[0].sha256 == hashlib.sha256(b".......").hexdigest()
    assert dots.complete


def test_the_library_of_ro_crate_reads_it_back(home, tmp_path):
    run_it(home)
    with zipfile.ZipFile(archive()) as packed:
        packed.extractall(tmp_path / "out")
    crate = ROCrate(tmp_path / "out")
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    action = crate.root_dataset["mentions"]
    assert action.type == "CreateAction"
    assert action["instrument"].id == "dots.ipynb"
    assert "SoftwareSourceCode" in action["instrument"].type
    assert {e.type for e in action["object"]} == {"Dataset", "PropertyValue"}
    assert action["containerImage"]["sha256"] == "a" * 64
    for file in crate.data_entities:
        if not file.id.startswith("ni:"):
            body = (tmp_path / "out" / file.id).read_bytes()
            assert file["sha256"] == hashlib.sha256(body).hexdigest()
            assert file["contentSize"] == str(len(body))
    assert crate.root_dataset["license"]["name"] == "Not stated"
    everything = {e.id for e in crate.get_entities()}
    text = json.loads((tmp_path / "out/ro-crate-metadata.json").read_text())
    for entity in text["@graph"]:
        for value in entity.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict) and not one["@id"].startswith("https://w3id.org/ro/crate"):
                    assert one["@id"] in everything, one


def test_nothing_of_the_server_or_its_user_is_in_it(home, tmp_path):
    run_it(home)
    with zipfile.ZipFile(archive()) as packed:
        everything = b"".join(map(packed.read, packed.namelist())).decode()
    for word in (SECRET, str(tmp_path), "agent", "Person"):
        assert word not in everything


def test_a_name_is_in_it_only_if_it_was_given(home):
    run_it(home)
    with zipfile.ZipFile(archive(author="Ada Lovelace")) as packed:
        metadata = json.loads(packed.read("ro-crate-metadata.json"))
    people = [e for e in metadata["@graph"] if e["@type"] == "Person"]
    assert [p["name"] for p in people] == ["Ada Lovelace"]


def test_the_same_run_gives_the_same_bytes(home, tmp_path):
    run_it(home)
    first, second = archive(folder=tmp_path / "a"), archive(folder=tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert archive(folder=tmp_path / "a") == first


def test_another_archive_never_replaces_one(home):
    run_it(home)
    first = archive()
    before = first.read_bytes()
    second = archive(author="Ada")
    assert second.name == first.name.replace(".crate", "-2.crate")
    assert first.read_bytes() == before


def test_a_notebook_that_was_not_saved_is_refused(home):
    path = run_it(home)
    used.shown = datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(ArchiveError, match="not this run's"):
        archive()
    assert archive(path).exists()  # as saved, asked for by name


def test_a_notebook_without_a_record_says_what_to_do(home):
    path = home / "plain.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": "1", "outputs": []}]}))
    with pytest.raises(ArchiveError, match="doesn't say what it has used"):
        archive(path)


@pytest.mark.parametrize("text", ["", "[]", '{"cells": 3}', "no JSON", "\x00"])
def test_what_is_no_notebook_is_refused(home, text):
    (home / "x.ipynb").write_text(text)
    with pytest.raises(ArchiveError, match="isn't a notebook"):
        archive(home / "x.ipynb")


def test_a_missing_and_a_huge_notebook_are_refused(home, monkeypatch):
    with pytest.raises(ArchiveError, match="can't be read"):
        archive(home / "gone.ipynb")
    monkeypatch.setattr(sys.modules["workbench.archiving"], "LARGEST", 10)
    with pytest.raises(ArchiveError, match="clear its largest outputs"):
        archive(run_it(home))


def test_a_name_that_the_portal_would_refuse_is_refused_here(home):
    path = run_it(home, "a$b.ipynb")
    with pytest.raises(ArchiveError, match="A name has up to 100"):
        archive(path)


def test_a_kernel_without_a_notebook_says_so(home):
    with pytest.raises(ArchiveError, match="may have been renamed"):
        own_notebook()


def test_a_path_below_the_home_is_found_too(home, monkeypatch):
    path = run_it(home)
    monkeypatch.setenv("JPY_SESSION_NAME", "beamhub/dots/dots.ipynb")
    assert own_notebook() == path


def test_modules_beside_the_notebook_are_packed_if_they_are_as_they_were_imported(home):
    (home / "helping_dots.py").write_text("x = 1\n")
    sys.path.insert(0, str(home))
    try:
        import helping_dots  # noqa: F401

        run_it(home)
        with zipfile.ZipFile(archive()) as packed:
            assert packed.read("helping_dots.py") == b"x = 1\n"
        (home / "helping_dots.py").write_text("x = 2\n")
        with zipfile.ZipFile(archive()) as packed:
            assert "helping_dots.py" not in packed.namelist()
        assert any(m.name == "helping_dots.py" for m in about(archive()).record.modules)
    finally:
        sys.path.remove(str(home))
        sys.modules.pop("helping_dots", None)


def test_cells_that_were_changed_after_the_run_are_counted(home, monkeypatch):
    path = run_it(home)
    assert about(archive()).not_as_run is None  # no kernel, so nobody knows
    sources = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"][1:]]
    monkeypatch.setattr(record, "cells_run", lambda: [record.fingerprint(s) for s in sources])
    path = run_it(home)
    assert about(archive()).not_as_run == 0
    path.write_text(path.read_text().replace("SEED = 7", "SEED = 8"))
    assert about(archive()).not_as_run == 1


def test_data_that_nobody_fetched_are_not_in_it(home):
    run_it(home, fetch=False, checks=False)
    told = about(archive()).record
    assert told.data_sets == []
    assert not told.passed


def test_what_was_fetched_is_remembered_as_a_whole(home):
    data.fetch("dots", progress=False)
    (dots,) = record.take(load_manifest(home), "dots").data_sets
    assert dots.complete and dots.files[0].sha256 == hashlib.sha256(b"...").hexdigest()


def test_citations_are_of_what_was_used(home):
    everything = cite()
    assert not everything.exact
    assert "doe2020" in everything.bibtex
    data.fetch("dots", progress=False)
    exact = cite()
    assert exact.exact
    # pyFAI isn't installed where tests run, so nobody can tell whether it was used.
    assert "doe2020" in exact.bibtex and "Kieffer2020" in exact.bibtex
    assert "what it used" in exact._repr_html_()


def test_a_package_that_was_not_imported_is_not_cited(home, monkeypatch):
    monkeypatch.setattr(record, "installed", lambda: {"pyFAI": "2026.9.0", "silx": "3"})
    monkeypatch.setattr(record, "imported", lambda: {"silx"})
    names = {s.name for s in record.software_used(load_manifest(home))}
    assert "pyFAI" not in names
    assert "silx" in names


def test_texts_of_checks_that_are_too_long_are_cut(home):
    checks = Checks("long")
    checks.equal("n" * 5000, got="g" * 9000, truth="e" * 9000)
    checks.report()
    assert isinstance(record.take(load_manifest(home), "dots"), Record)


def test_the_command_in_a_terminal(home):
    path = run_it(home)
    said = CliRunner().invoke(app, ["archive", str(path), "--author", "Ada"])
    assert said.exit_code == 0
    assert about(Path(said.output.strip())).author == "Ada"
    bad = CliRunner().invoke(app, ["archive", str(home / "gone.ipynb")])
    assert bad.exit_code == 1
    assert "can't be read" in bad.output


def test_rocrate_is_loaded_only_to_archive():
    code = "import workbench, sys; print('rocrate' in sys.modules, 'requests' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False False"
