"""Say which notebook runs without a person, and on a terminal also at which cell it is."""

import shutil
from collections.abc import Mapping
from typing import Any, TextIO

from .parameters import source

CLEAR = "\r\x1b[K"  # to the line's beginning, and all of it away


class Steps:
    """A line for each notebook as it begins; on a terminal one that moves on with the cells.

    Parameters
    ----------
    total : int
        How many notebooks will begin.
    out : text file
        Where the lines go.
    """

    def __init__(self, total: int, out: TextIO) -> None:
        self.total, self.out = total, out
        self._begun = 0
        self._notebook = ""

    def begin(self, notebook: str) -> None:
        """Say that the next notebook begins."""
        self._begun += 1
        self._notebook = f"{notebook}, {self._begun} of {self.total}"
        self._write(f"Running {self._notebook}")

    def cell(self, notebook: Mapping[str, Any], index: int) -> None:
        """Say at which cell it is, and below which heading: only those who watch want to know."""
        if self.out.isatty():
            code = [i for i, c in enumerate(notebook["cells"]) if c["cell_type"] == "code"]
            if index in code:
                parts = [f"cell {code.index(index) + 1} of {len(code)}", heading(notebook, index)]
                self._write(f"Running {self._notebook}: {', '.join(filter(None, parts))}")

    def end(self) -> None:
        """Take away the line that moves; what comes next says how it went."""
        if self.out.isatty():
            self.out.write(CLEAR)
            self.out.flush()

    def _write(self, text: str) -> None:
        if self.out.isatty():
            # A line that the terminal breaks could not be taken away.
            self.out.write(CLEAR + text[: shutil.get_terminal_size().columns - 1])
        else:
            self.out.write(f"{text}\n")
        self.out.flush()


def heading(notebook: Mapping[str, Any], index: int) -> str:
    """Return the last heading above a cell, without its marks; empty where there is none."""
    above = [cell for cell in notebook["cells"][:index] if cell["cell_type"] == "markdown"]
    lines = [line for cell in above for line in source(cell).splitlines() if line.startswith("#")]
    return lines[-1].lstrip("# ") if lines else ""
