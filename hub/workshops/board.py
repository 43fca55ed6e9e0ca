"""How far the people of a workshop are, from what was told of their checks: pure."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from .records import Told

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula."""
HEADER = ("participant", "notebook", "check", "state", "time (UTC)")


@dataclass(frozen=True)
class Progress:
    """How far one participant is.

    Parameters
    ----------
    notebook : str
        The notebook whose checks were told last.
    passed : str
        The check that held last, empty for none.
    failing : tuple of str
        Those of that notebook that don't hold.
    at : datetime
        When something was told last, in UTC.
    """

    notebook: str
    passed: str
    failing: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class Row:
    """A participant on the board.

    Parameters
    ----------
    name : str
        Who.
    state, symbol : str
        What their server does, in words and as a symbol.
    used : datetime or None
        When somebody used it last, None where there is none.
    progress : Progress or None
        How far they are, None before any check was told.
    hand : datetime or None
        Since when their hand is raised, in UTC.
    """

    name: str
    state: str
    symbol: str
    used: datetime | None
    progress: Progress | None
    hand: datetime | None = None


@dataclass(frozen=True)
class Summary:
    """All participants together.

    Parameters
    ----------
    servers, notebooks : list of (str, int)
        How many servers are in each state, and how many people at each notebook; most first.
    stops : list of (str, str, int)
        Notebook and check that don't hold, and for how many; most first.
    """

    servers: list[tuple[str, int]]
    notebooks: list[tuple[str, int]]
    stops: list[tuple[str, str, int]]


def progress(told: Iterable[Told]) -> dict[str, Progress]:
    """Return how far each participant is, by name.

    Parameters
    ----------
    told : iterable of Told
        By participant, then in the order in which it was told.
    """
    return {user: of_one(list(own)) for user, own in groupby(told, lambda one: one.user)}


def of_one(told: list[Told]) -> Progress:
    """Return how far one participant is."""
    last = told[-1]
    return Progress(
        notebook=last.notebook,
        passed=next((one.check for one in reversed(told) if one.passed), ""),
        failing=tuple(t.check for t in told if t.notebook == last.notebook and not t.passed),
        at=last.at,
    )


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return rows as they are shown: hands first, the longest raised on top, then by name."""
    return sorted(rows, key=lambda row: (row.hand is None, row.hand or datetime.min, row.name))


def summary(rows: Iterable[Row]) -> Summary:
    """Return all rows together."""
    rows = list(rows)
    known = [row.progress for row in rows if row.progress]
    stops = Counter((p.notebook, check) for p in known for check in p.failing)
    return Summary(
        servers=Counter(row.state for row in rows).most_common(),
        notebooks=Counter(p.notebook for p in known).most_common(),
        stops=[(*where, count) for where, count in stops.most_common(3)],
    )


def table(told: Iterable[Told]) -> str:
    """Return all checks as CSV, by participant; no cell of it is a formula to a spreadsheet."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(HEADER)
    for one in sorted(told, key=lambda one: (one.user, one.notebook, one.check)):
        state = "passed" if one.passed else "failed"
        at = one.at.isoformat(sep=" ", timespec="seconds")
        lines.writerow(map(harmless, (one.user, one.notebook, one.check, state, at)))
    return text.getvalue()


def harmless(cell: str) -> str:
    """Return a cell that is shown as it is, whatever it begins with."""
    return f"'{cell}" if cell.lstrip().startswith(FORMULA) or cell.startswith(FORMULA) else cell
