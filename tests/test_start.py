"""The beginning of a server: what becomes of its PATH."""

import json

import pytest

from workbench.start import LAB_EXTENSIONS, with_programs


@pytest.mark.parametrize(
    ("opened", "path"),
    [("", "/venv/bin:/bin"), ("/sw/a/bin:/sw/b", "/venv/bin:/bin:/sw/a/bin:/sw/b")],
)
def test_opened_programs_come_last_on_the_path(monkeypatch, opened, path):
    monkeypatch.setenv("BEAMHUB_PATHS", opened)
    assert with_programs("/venv/bin:/bin") == path


def test_jupyterlab_finds_the_extension_by_its_description():
    [folder] = LAB_EXTENSIONS.iterdir()
    about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert about["name"] == folder.name
    entry = folder / about["jupyterlab"]["_build"]["load"]
    assert f"_JUPYTERLAB.{about['name']} =" in entry.read_text(encoding="utf-8")
    # Of folders of this name JupyterLab lets browsers keep the files for ever.
    assert entry.parent.name != "static"
