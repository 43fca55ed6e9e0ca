"""Parts of an image without notebooks: what is there is said, what isn't is named."""

import pytest

from workbench.parts import main, modules_of


def test_all_parts_that_are_there(capsys, tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# PyYAML is imported by another name\nPyYAML==6; os_name == 'posix'\n")
    assert list(modules_of(requirements)) == ["yaml"]
    assert main(["--import=json", f"--requirements={requirements}", "--program=ls"]) == 0
    said = capsys.readouterr().out
    assert said == "All 3 parts are there: 2 packages can be imported, 1 programs answer\n"


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "grumpy"

    def made(script: str) -> str:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return "--program=grumpy"

    return made


def test_a_program_may_know_help_alone(program, capsys):
    assert main([program('[ "$1" = --help ]')]) == 0


def test_what_is_missing_is_named(program, capsys):
    assert main(["--import=no_such_package", program("echo no licence >&2; exit 3")]) == 1
    assert main(["--program=no-such-program"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "no_such_package can't be imported: No module named 'no_such_package'",
        "grumpy answers neither --version nor --help: no licence",
        "no-such-program isn't on the PATH",
    ]
