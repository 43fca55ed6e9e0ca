"""Which person of which provider has which name: a name is given once, and stays theirs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spawners.records import change_record, open_record

SCHEMA = """
CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    since TEXT NOT NULL,
    UNIQUE (issuer, subject)
);
"""


@dataclass(frozen=True)
class Person:
    """Somebody, as OpenID Connect tells people apart: nothing else is unique or stays.

    Parameters
    ----------
    issuer : str
        The provider.
    subject : str
        Its ``sub`` for them.
    """

    issuer: str
    subject: str


class Names:
    """The record of a portal, in a file that only the portal's account can read.

    Parameters
    ----------
    path : Path
        The file; it's made with the first name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, person: Person) -> str | None:
        """Return the name that a person has, None where they have none yet.

        Raises
        ------
        RecordError
            The record can't be read.
        """
        query = "SELECT name FROM names WHERE issuer = ? AND subject = ?"
        found = self._rows(query, person.issuer, person.subject)
        return found[0][0] if found else None

    def give(self, name: str, person: Person) -> bool:
        """Return whether the name is the person's, giving it to them where it is nobody's.

        It is on the disk when this returns.

        Raises
        ------
        RecordError
            The record can't be read or written.
        """
        with change_record(self.path, SCHEMA) as database:
            database.execute(
                "INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?)",
                (name, person.issuer, person.subject, datetime.now(UTC).isoformat("T", "seconds")),
            )
        return self.of(person) == name

    def all(self) -> list[tuple[str, Person, str]]:
        """Return every name with its person and the time since when it's theirs.

        Raises
        ------
        RecordError
            The record can't be read.
        """
        rows = self._rows("SELECT name, issuer, subject, since FROM names ORDER BY name")
        return [(name, Person(issuer, subject), since) for name, issuer, subject, since in rows]

    def release(self, name: str) -> bool:
        """Take a name from its person, and return whether it had been somebody's.

        Raises
        ------
        RecordError
            The record can't be read or written.
        """
        if self._is_empty():
            return False
        with change_record(self.path, SCHEMA) as database:
            return database.execute("DELETE FROM names WHERE name = ?", (name,)).rowcount > 0

    def _is_empty(self) -> bool:
        return not self.path.exists() or not self.path.stat().st_size

    def _rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        if self._is_empty():
            return []
        with open_record(self.path) as database:
            return database.execute(query, values).fetchall()
