"""Run the tests of a use case's own files where its software is: they need unittest alone."""

import os
import subprocess
from pathlib import Path

from portals import ROOT

from hub.cli.run import variables
from hub.usecases import UseCase


def check_own_files(use_case: UseCase, python: Path, module: str) -> None:
    """Run a module of this folder with the use case's modules, and fail with what it says."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(use_case.folder), str(here)])
    done = subprocess.run(
        [str(python), "-W", "ignore", "-m", "unittest", module],
        env={**variables(use_case, python, use_case.folder), "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
