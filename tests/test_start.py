"""The beginning of a server: what becomes of its PATH."""

import json
import os

import pytest

from workbench.start import LAB_EXTENSIONS, name_account, with_programs


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


def test_an_account_that_the_image_does_not_know_gets_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("HOME", "/home/jovyan")
    monkeypatch.setenv("SHELL", "/bin/bash")
    name_account(tmp_path)
    numbers = f"{os.getuid()}:{os.getgid()}"
    assert (tmp_path / "passwd").read_text() == f"ada:x:{numbers}::/home/jovyan:/bin/bash\n"
    assert (tmp_path / "group").read_text() == f"ada:x:{os.getgid()}:\n"


@pytest.mark.parametrize("name", ["", "a:b", "a\nroot:x:0:0::/:", "../x"])
def test_a_name_that_would_be_two_is_not_told(monkeypatch, tmp_path, name):
    monkeypatch.setenv("USER", name)
    name_account(tmp_path)
    name_account(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
