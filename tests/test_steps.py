"""What is said while notebooks run without a person: into a file, and on a terminal."""

import contextlib
import io
import os

from workbench.steps import Steps, heading

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Fit a line\n", "text"]},
        {"cell_type": "code", "source": "x = 1"},
        {"cell_type": "markdown", "source": "## Checks\n\nNo heading follows."},
        {"cell_type": "code", "source": "x"},
    ]
}


def run(out):
    steps = Steps(2, out)
    for name in ("a.ipynb", "b.ipynb"):
        steps.begin(name)
        for index in range(4):
            steps.cell(NOTEBOOK, index)
        steps.end()


def test_in_a_file_there_is_one_line_a_notebook():
    out = io.StringIO()
    run(out)
    assert out.getvalue() == "Running a.ipynb, 1 of 2\nRunning b.ipynb, 2 of 2\n"


def on_a_terminal():
    """Return what a run writes on a terminal, split where the line is taken away."""
    shown, inside = os.openpty()
    with open(inside, "w") as out:  # noqa: PTH123 - it has no path
        run(out)
    said = b""
    with contextlib.suppress(OSError), open(shown, "rb", buffering=0) as terminal:  # noqa: PTH123
        while part := terminal.read(4096):
            said += part
    first, *rest = said.decode().split("\r\x1b[K")
    assert first == ""
    return rest


def test_on_a_terminal_one_line_moves_and_is_taken_away(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert on_a_terminal() == [
        "Running a.ipynb, 1 of 2",
        "Running a.ipynb, 1 of 2: cell 1 of 2, Fit a line",
        "Running a.ipynb, 1 of 2: cell 2 of 2, Checks",
        "",
        "Running b.ipynb, 2 of 2",
        "Running b.ipynb, 2 of 2: cell 1 of 2, Fit a line",
        "Running b.ipynb, 2 of 2: cell 2 of 2, Checks",
        "",
    ]


def test_a_line_is_no_longer_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, on_a_terminal())) == 39


def test_a_cell_without_a_heading_above_it_has_none():
    assert heading({"cells": [{"cell_type": "code", "source": "x"}]}, 0) == ""
