"""The files that ``beamhub new`` makes."""

import json

MANIFEST = """\
title: @TITLE@
summary: Say in one sentence what a scientist can do with it.
description: |
  Say in a few plain paragraphs what it does, for which experiments, and what it does not do.
leading_house: {name: Your facility, url: "https://example.org"}
science_domain: diffraction
maintainers:
- {name: Your group, contact: "https://example.org/contact"}
version: 0.1.0
notebooks:
- file: 01_first_steps.ipynb
  title: First steps
  summary: A fit to simulated data whose truth is known.
  minutes: 5
  data_sets: [simulated]
software:
- {name: NumPy, version: "2", licence: BSD-3-Clause, url: "https://numpy.org"}
data_sets:
  simulated:
    title: A noisy straight line
    licence: CC0-1.0
    source: simulated
    generator: simulation:line
    makes: [line.csv, truth.json]
    about_mb: 0.01
    about_s: 1
resources:
  least: {cores: 1, memory_gib: 1}
  advised: {cores: 1, memory_gib: 2}
"""

REQUIREMENTS = """\
# What the notebooks import, pinned. JupyterLab and the workbench come by themselves.
numpy>=2,<3
"""

SIMULATION = """\
\"\"\"The simulated data of this use case, with their truth.\"\"\"

import json
from pathlib import Path

import numpy as np


def line(folder: Path, seed: int) -> None:
    \"\"\"Write 200 points of a straight line with noise, and what the line is.\"\"\"
    rng = np.random.default_rng(seed)
    truth = {"slope": rng.uniform(2, 4), "offset": rng.uniform(1, 3)}
    x = np.linspace(0, 1, 200)
    y = truth["slope"] * x + truth["offset"] + rng.normal(0, 0.1, x.size)
    np.savetxt(folder / "line.csv", np.transpose([x, y]), delimiter=",", header="x,y")
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
"""

SITE = """\
# A site profile: say only what differs from the one that it extends.
# Every key is explained in docs/reference/site-profile.md; 'beamhub check' finds mistakes.
extends: @PARENT@
title: @TITLE@
contact: "https://example.org/contact"
"""


def cell(number: int, kind: str, text: str) -> dict[str, object]:
    """Return a notebook's cell."""
    body: dict[str, object] = {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {},
        "source": text.splitlines(keepends=True),
    }
    return {**body, "execution_count": None, "outputs": []} if kind == "code" else body


def notebook(cells: list[tuple[str, str]]) -> str:
    """Return a notebook of Markdown and code cells as its file's text."""
    body = {
        "cells": [cell(i, kind, text) for i, (kind, text) in enumerate(cells, 1)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(body, indent=1) + "\n"


FIRST_STEPS = notebook(
    [
        (
            "markdown",
            "# First steps\n\nThe data are simulated from a seed, so the truth is known and the "
            "notebook can check itself. No network is needed.",
        ),
        (
            "code",
            "import json\n\nimport numpy as np\n\nfrom workbench import Checks, cite, data\n\n"
            'DATA = "simulated"  # the name of another data set puts that in its place\n\n'
            'files = data.fetch(DATA)\nx, y = np.loadtxt(files["line.csv"], delimiter=",").T\n'
            "slope, offset = np.polyfit(x, y, 1)",
        ),
        (
            "code",
            'truth = json.loads(files["truth.json"].read_text())\nchecks = Checks("First steps")\n'
            'checks.close("Slope", got=slope, truth=truth["slope"], within=0.15)\n'
            'checks.close("Offset", got=offset, truth=truth["offset"], within=0.1)\n'
            "checks.report()",
        ),
        ("code", "cite()"),
    ]
)

USE_CASE_FILES = {
    "usecase.yaml": MANIFEST,
    "requirements.txt": REQUIREMENTS,
    "simulation.py": SIMULATION,
    "01_first_steps.ipynb": FIRST_STEPS,
}
