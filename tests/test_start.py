"""The beginning of a server: what it imports, and what becomes of its PATH."""

import json
import os
import subprocess
import sys
from pkgutil import iter_modules

import pytest

import workbench
from workbench.start import LAB_EXTENSIONS, name_account, with_programs


@pytest.mark.parametrize(
    ("opened", "path"),
    [("", "/venv/bin:/bin"), ("/sw/a/bin:/sw/b", "/venv/bin:/bin:/sw/a/bin:/sw/b")],
)
def test_opened_programs_come_last_on_the_path(monkeypatch, opened, path):
    monkeypatch.setenv("BEAMHUB_PATHS", opened)
    assert with_programs("/venv/bin:/bin") == path


def test_a_start_imports_nothing_that_is_installed():
    program = (
        "import sys; before = set(sys.modules); import workbench.start\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*new - sys.stdlib_module_names)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["workbench"]


def test_names_that_come_late_are_what_they_are_whatever_was_imported_before():
    # Importing a module sets its name in the package.
    assert not {module.name for module in iter_modules(workbench.__path__)} & set(workbench.MODULES)
    kinds = {name: type(getattr(workbench, name)).__name__ for name in workbench.__all__}
    functions = dict.fromkeys(["archive", "cite", "here", "reset"], "function")
    assert kinds == {"Checks": "type", "data": "module", **functions}
    assert set(workbench.__all__) <= set(dir(workbench))


def test_no_other_name_is_there():
    with pytest.raises(ImportError, match="cannot import name 'cited'"):
        from workbench import cited  # noqa: F401


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
