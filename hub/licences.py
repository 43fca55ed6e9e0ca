"""Who has accepted the terms of which program: a record that is only ever added to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from spawners.records import change_record, open_record
from workbench.manifest import LicenceGate

Action = Literal["accepted", "revoked"]
Accepted = dict[str, dict[str, datetime]]
"""When one user accepted which texts, in UTC: program, then version of the text."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    user TEXT NOT NULL,
    program TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('accepted', 'revoked')),
    version TEXT NOT NULL,
    use_case TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_user ON entries (user);
CREATE TRIGGER IF NOT EXISTS unchanged BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER IF NOT EXISTS kept BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
"""


@dataclass(frozen=True)
class Entry:
    """What one user did about one program.

    Parameters
    ----------
    time : datetime
        When, in UTC.
    user : str
        Who, by the name that they log in with.
    program : str
        The gate's name.
    action : str
        ``accepted`` or ``revoked``.
    version : str
        The SHA-256 of the text.
    use_case : str
        On whose page.
    text : str
        What was declared, word for word.
    """

    time: datetime
    user: str
    program: str
    action: Action
    version: str
    use_case: str
    text: str


ADD = """
INSERT INTO entries (time, user, program, action, version, use_case, text)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
ALL = "SELECT time, user, program, action, version, use_case, text FROM entries ORDER BY id"
OF_ONE = ALL.replace("ORDER", "WHERE user = ? ORDER")


class Licences:
    """The record of a portal, in a file that only the portal's account can read.

    Parameters
    ----------
    path : Path
        The file; it's made with the first entry.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(
        self, action: Action, user: str, terms: LicenceGate, use_case: str, at: datetime
    ) -> None:
        """Note that a user accepted the terms of a program, or took that back.

        It is on the disk when this returns.

        Raises
        ------
        RecordError
            It can't be written, so nothing has changed.
        """
        values = (
            at.astimezone(UTC).isoformat(timespec="milliseconds"),
            *(user, terms.name, action, terms.version, use_case, terms.declaration.strip()),
        )
        with change_record(self._path, SCHEMA) as database:
            database.execute(ADD, values)

    def of(self, user: str) -> Accepted:
        """Return what a user has accepted that still counts.

        Raises
        ------
        RecordError
            The record can't be read.
        """
        return counting(self._entries(OF_ONE, user)).get(user, {})

    def all(self) -> list[Entry]:
        """Return every entry, oldest first.

        Raises
        ------
        RecordError
            The record can't be read.
        """
        return self._entries(ALL)

    def _entries(self, query: str, *values: str) -> list[Entry]:
        if not self._path.exists():
            return []
        with open_record(self._path) as database:
            rows = database.execute(query, values).fetchall()
        return [Entry(datetime.fromisoformat(time), *rest) for time, *rest in rows]


def counting(entries: Iterable[Entry]) -> dict[str, Accepted]:
    """Return what each user has accepted that still counts.

    Taking back one text of a program takes back all: none shall count again because a manifest
    returns to older words.
    """
    found: dict[str, Accepted] = {}
    for entry in entries:
        programs = found.setdefault(entry.user, {})
        if entry.action == "accepted":
            programs.setdefault(entry.program, {})[entry.version] = entry.time
        else:
            programs.pop(entry.program, None)
    return found
