"""Packages that a site needs and this machine lacks: a sentence with the remedy, everywhere."""

import shlex
import shutil
from importlib import metadata
from typing import get_args

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.extras import CHECKOUT, extras_of, lacking, missing_packages
from hub.site import load_site
from spawners.backends import BACKENDS


def extras() -> set[str]:
    return set(metadata.metadata("beamhub").get_all("Provides-Extra") or [])


def test_an_extra_is_called_as_the_kind_that_needs_it():
    own = [backend for backend in BACKENDS if backend.__module__.startswith("spawners.")]
    kinds = {get_args(backend.model_fields["kind"].annotation)[0] for backend in own}
    assert kinds - {"local"} <= extras()
    assert extras_of(load_site("compose")) == ["portal", "docker", "postgresql"]
    assert extras_of(load_site("laptop")) == ["portal", "local"]


def test_what_is_installed_is_not_missing():
    assert missing_packages("portal") == missing_packages("local") == []
    assert lacking(["portal", "docker", "slurm", "kubernetes"]) == ""


@pytest.mark.skipif(not missing_packages("postgresql"), reason="psycopg is installed here")
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_missing_extra_is_one_sentence_with_its_remedy(command, tmp_path):
    result = CliRunner().invoke(app, [command, "compose", "--state", str(tmp_path)])
    assert result.exit_code == 1
    [sentence] = [line for line in result.output.splitlines() if "psycopg" in line]
    said, _, remedy = sentence.partition(" To install: ")
    assert said.endswith("Not installed here, and needed: psycopg.")
    program, *words = shlex.split(remedy)
    assert shutil.which(program), "it can be copied into a shell"
    assert words[-1] == f"{CHECKOUT}[postgresql]"
