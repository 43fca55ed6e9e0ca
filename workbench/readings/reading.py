"""The record of what was read, what was assumed and what was left out."""

from dataclasses import dataclass
from html import escape

from ..checks import show

HEADINGS = {"read": "Read", "assumed": "Assumed", "left out": "Left out"}
BOX = "border:1px solid #8a8a8a;border-left-width:5px;padding:0.4em 0.9em;max-width:60em"


@dataclass(frozen=True)
class Line:
    """One thing that a reader did."""

    kind: str
    what: str
    parameter: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.parameter} changes that)" if self.parameter else self.what


class Reading:
    """What a notebook took from somebody's own files, as a box at the top of its results.

    Parameters
    ----------
    title : str
        What it is about, such as ``Your scan``.

    Examples
    --------
    >>> reading = Reading("Your spectrum")
    >>> reading.took("steel.mca: scan 2 of 3, 2048 channels of whole counts")
    >>> reading.assumed("the first channel is 0: there is no #@CHANN line", "FIRST_CHANNEL")
    >>> print(reading)
    Your spectrum
      Read      steel.mca: scan 2 of 3, 2048 channels of whole counts
      Assumed   the first channel is 0: there is no #@CHANN line (FIRST_CHANNEL changes that)
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.lines: list[Line] = []

    def took(self, what: str, parameter: str = "") -> None:
        """Note what was read."""
        self._note("read", what, parameter)

    def assumed(self, what: str, parameter: str = "") -> None:
        """Note what no file says and was taken to be so."""
        self._note("assumed", what, parameter)

    def left_out(self, what: str, parameter: str = "") -> None:
        """Note what is there and was not used."""
        self._note("left out", what, parameter)

    def _note(self, kind: str, what: str, parameter: str) -> None:
        line = Line(kind, what, parameter)
        if line not in self.lines:
            self.lines.append(line)

    def of(self, kind: str) -> list[str]:
        """Return what was ``read``, ``assumed`` or ``left out``, as it is shown."""
        return [str(line) for line in self.lines if line.kind == kind]

    def show(self) -> None:
        """Show the box: as HTML in a notebook, as text anywhere else."""
        show(self)

    def __str__(self) -> str:
        """Return the box as plain text."""
        rows = [f"  {HEADINGS[k]:9s} {what}" for k in HEADINGS for what in self.of(k)]
        return "\n".join([self.title, *rows])

    def _repr_html_(self) -> str:
        """Return the box as a notebook shows it."""
        parts = [
            f"<dt><strong>{HEADINGS[kind]}</strong></dt>"
            + "".join(f"<dd>{escape(what)}</dd>" for what in self.of(kind))
            for kind in HEADINGS
            if self.of(kind)
        ]
        name = escape(self.title)
        return (
            f"<div role='note' style='{BOX}'><strong>{name}</strong><dl>{''.join(parts)}</dl></div>"
        )
