"""Quasar's tutorials with maps that people bring."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.cli.run import environment, variables
from hub.usecases import NOTEBOOKS, load_use_cases

QUASAR = load_use_cases([NOTEBOOKS])["quasar"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_people_bring_is_read_rightly_or_refused(state_folder: Callable[[], Path]) -> None:
    python = environment(QUASAR, state_folder())
    words = [str(python), "-W", "ignore", str(Path(__file__).parent / "own_quasar.py")]
    kept = {**variables(QUASAR, python, QUASAR.folder), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([*words, str(QUASAR.folder)], env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" held\n") > 7
