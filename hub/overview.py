"""All servers of a portal as an administrator looks at them: filtered, sorted, a page at a time.

Pure: the servers and the time arrive as arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PAGE_ROWS = 50
LONGEST_FILTER = 100


@dataclass(frozen=True)
class Server:
    """One server that is there.

    Parameters
    ----------
    user, name : str
        Whose it is, and its use case.
    title : str
        The use case's title.
    size : str
        The size's title, empty where nobody knows.
    place : str
        Where it runs.
    state : str
        What it does, in a word.
    asked : datetime or None
        When it was asked for (UTC, without zone).
    active : datetime or None
        When it was last used.
    core_hours : float or None
        What it has cost so far; None where nobody knows.
    """

    user: str
    name: str
    title: str
    size: str
    place: str
    state: str
    asked: datetime | None
    active: datetime | None
    core_hours: float | None


NEVER = datetime.min
ORDERS: dict[str, tuple[str, Callable[[Server], Any], bool]] = {
    "user": ("Owner", lambda s: (s.user, s.title), False),
    "use_case": ("Use case", lambda s: (s.title, s.user), False),
    "size": ("Size", lambda s: (s.size, s.user), False),
    "place": ("Where", lambda s: (s.place, s.user), False),
    "age": ("Since", lambda s: s.asked or NEVER, False),
    "activity": ("Last used", lambda s: s.active or NEVER, False),
    "cost": ("Core hours", lambda s: s.core_hours or 0, True),
}
"""By what servers are sorted: the heading, the key, and whether the largest comes first."""


@dataclass(frozen=True)
class View:
    """What is to be shown: all of it may have been typed by hand.

    Parameters
    ----------
    user, use_case : str
        Only servers whose owner's name has this in it, only of this use case; empty for all.
    order : str
        One of `ORDERS`.
    page : int
        Counted from 1.
    """

    user: str = ""
    use_case: str = ""
    order: str = "user"
    page: int = 1


def view(arguments: Mapping[str, str]) -> View:
    """Return what an address asks to see; what makes no sense is left out."""
    page, order = arguments.get("page", ""), arguments.get("sort", "")
    return View(
        user=arguments.get("user", "").strip()[:LONGEST_FILTER],
        use_case=arguments.get("use_case", "")[:LONGEST_FILTER],
        order=order if order in ORDERS else "user",
        page=int(page) if page.isdecimal() and len(page) < 6 else 1,
    )


@dataclass(frozen=True)
class Shown:
    """A page of servers.

    Parameters
    ----------
    rows : sequence of Server
        Those on the page.
    found, running : int
        How many the filter leaves, and how many there are.
    page, pages : int
        Which page this is, of how many.
    core_hours : float
        What all that are found have cost so far.
    """

    rows: Sequence[Server]
    found: int
    running: int
    page: int
    pages: int
    core_hours: float


def shown(servers: Sequence[Server], wanted: View) -> Shown:
    """Return the page that somebody wants to see, the nearest where there is no such page."""
    found = [
        server
        for server in servers
        if wanted.user.lower() in server.user.lower() and wanted.use_case in ("", server.name)
    ]
    _, key, largest_first = ORDERS[wanted.order]
    found.sort(key=key, reverse=largest_first)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(max(1, wanted.page), pages)
    return Shown(
        rows=found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        found=len(found),
        running=len(servers),
        page=page,
        pages=pages,
        core_hours=sum(server.core_hours or 0 for server in found),
    )
