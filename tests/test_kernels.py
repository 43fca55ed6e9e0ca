"""Kernels: those of the environment come first, and one of a home's says why it can't start."""

import asyncio
import os
import sys

import pytest
from tornado.web import HTTPError

from workbench.kernels import environment_first, told


def test_the_environments_own_kernels_come_first_and_a_sites_stay(monkeypatch):
    own = f"{sys.prefix}/share/jupyter"
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    assert environment_first() == own
    monkeypatch.setenv("JUPYTER_PATH", f"/site/jupyter{os.pathsep}{own}")
    assert environment_first() == f"{own}{os.pathsep}/site/jupyter"


def test_a_kernel_without_its_program_is_told_in_words_and_others_start_as_ever():
    async def start(*, kernel_name=None, path=""):
        if kernel_name == "mine":
            raise FileNotFoundError(2, "No such file or directory", "/nowhere/python")
        return f"{kernel_name} in {path}"

    starting = told(start)
    assert asyncio.run(starting(kernel_name="python3", path="beamhub")) == "python3 in beamhub"
    with pytest.raises(HTTPError) as refused:
        asyncio.run(starting(kernel_name="mine"))
    assert refused.value.status_code == 409
    assert "'mine' can't start: /nowhere/python: No such file" in refused.value.log_message
    assert "jupyter kernelspec remove mine" in refused.value.log_message
