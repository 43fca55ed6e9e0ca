"""Notebooks without a person, in real kernels: several at once, and ones that don't end well."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, load_use_cases

CRYSTFEL = load_use_cases([NOTEBOOKS])["crystfel"]
AT_ONCE = 4

SOCKETS = """
from pathlib import Path

from ipykernel.connect import get_connection_info
from workbench import Checks

told = get_connection_info(unpack=True)
checks = Checks("Kernel")
checks.equal("Transport", got=told["transport"], truth="ipc")
folder = Path(told["ip"]).parent
checks.equal("Rights of its folder", got=oct(folder.stat().st_mode & 0o777), truth="0o700")
checks.report()
"""
FOREVER = "import threading; threading.Event().wait()"
CRASHES = "import os; os._exit(1)"
TOLD = """
from told import ToldError

raise ToldError("N_FRAMES is 0; it must be a number of at least 1.")
"""

RUN = """
import sys
import workbench.run as run

run.CELL_TIMEOUT_S = 3 if sys.argv[1] == "FOREVER" else run.CELL_TIMEOUT_S
sys.exit(run.main(sys.argv[2:]))
"""


@pytest.fixture
def begin(
    state_folder: Callable[[], Path], tmp_path: Path
) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Begins to run a notebook with one cell, in the environment of a use case."""
    python = environment(CRYSTFEL, state_folder())
    begun: list[subprocess.Popen[str]] = []

    def one(code: str, folder: str) -> subprocess.Popen[str]:
        cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        kernel = {"name": "python3", "display_name": "Python 3"}
        notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {"kernelspec": kernel}}
        source = tmp_path / code
        source.mkdir(exist_ok=True)
        shutil.copy(CRYSTFEL.folder / "told.py", source)
        cells = [{**cell, "source": globals()[code]}]
        (source / "a.ipynb").write_text(json.dumps({**notebook, "cells": cells}))
        words = [str(python), "-c", RUN, code, str(source), str(tmp_path / folder), "a.ipynb"]
        kept = variables(CRYSTFEL, python, source)
        begun.append(
            subprocess.Popen(
                words, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
        return begun[-1]

    yield one
    for process in begun:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kernels_that_start_at_once_cannot_be_given_the_same_port(begin) -> None:
    running = [begin("SOCKETS", f"run-{n}") for n in range(AT_ONCE)]
    for process in running:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        assert said.startswith("Running a.ipynb, 1 of 1\n")
        assert said.endswith("All 1 notebooks passed\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("FOREVER", "a.ipynb: a cell took more than 3 s, and was stopped."),
        ("CRASHES", "a.ipynb: Python ended in the middle of a cell. Either there was too little"),
        ("TOLD", "1 of 1\na.ipynb: N_FRAMES is 0; it must be a number of at least 1.\nFailed"),
    ],
)
def test_what_does_not_end_well_is_told_in_a_sentence(begin, code: str, told: str) -> None:
    process = begin(code, "run")
    said, _ = process.communicate()
    assert process.returncode == 1
    assert told in said
    assert said.endswith("Failed: a.ipynb\n")
