"""What people are told who want to install a package."""

import sys

import pytest

from workbench import no_pip
from workbench.no_pip import advice, main


def test_it_names_commands_that_this_machines_python_can_run():
    said = advice()
    command = f"{sys.base_prefix}/bin/python3.{sys.version_info.minor} -m venv ~/my-environment"
    assert command in said
    assert "ask those who maintain the use case" in said


def test_where_no_environment_can_be_made_none_is_advised(monkeypatch):
    monkeypatch.setattr(no_pip.importlib.util, "find_spec", lambda name: None)
    assert "-m venv" not in advice()


def test_it_fails_so_that_nothing_goes_on_as_if_it_had_installed():
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == advice()
