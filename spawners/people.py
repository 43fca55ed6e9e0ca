"""Whose a name and a number on the machine are: once given to a user, never to another.

Names of accounts, folders, networks and volumes are made from what users are called, with a hash
of 32 bits where that isn't plain letters. Somebody who chooses what they are called can find two
such names that are the same. So the state folder keeps whose each is.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.slugs import safe_slug

from .records import change_record

FILE = "people.sqlite"
"""Below the state folder."""
TABLES = """
CREATE TABLE IF NOT EXISTS people (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    user TEXT NOT NULL UNIQUE,
    slug TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS homes (
    name TEXT PRIMARY KEY,
    made TEXT NOT NULL,
    uid INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class Person:
    """A user of the portal, as the machine knows them.

    Parameters
    ----------
    user : str
        What the portal calls them.
    number : int
        1, 2, 3, ...: no other user ever has it.
    slug : str
        What their things are called: lower-case letters, digits and single hyphens.
    """

    user: str
    number: int
    slug: str


class People:
    """Who has which name and number, kept in a file.

    Parameters
    ----------
    path : Path
        The file; it's made at the first question.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, user: str, earlier: Callable[[], Iterable[str]] = tuple) -> Person:
        """Return a user's name and number, given at the first question.

        Parameters
        ----------
        user : str
            Anything that a log-in lets through.
        earlier : callable, optional
            Returns all users in the order in which they came. Where nothing is known yet of a
            name, because its things are older than this file, it is the first one's.
        """
        with self._open() as file:
            found = known(file, user)
            if found is None:
                slug = safe_slug(user)
                # Only names with a hash can be another's too.
                if slug != user:
                    first = next((o for o in earlier() if safe_slug(o) == slug), user)
                    known(file, first) or add(file, first)
                found = known(file, user) or add(file, user)
            return found

    def renumber(self, user: str) -> Person:
        """Give a user another number, where an account of the machine has the present one."""
        with self._open() as file:
            question = "DELETE FROM people WHERE user = ? RETURNING slug"
            [slug] = file.execute(question, (user,)).fetchone()
            file.execute("INSERT INTO people (user, slug) VALUES (?, ?)", (user, slug))
            found = known(file, user)
            assert found is not None
            return found

    def home_is(self, name: str, made: str, uid: int) -> bool:
        """Return whether the files of a home are known to be an account's."""
        question = "SELECT 1 FROM homes WHERE (name, made, uid) = (?, ?, ?)"
        with self._open() as file:
            return file.execute(question, (name, made, uid)).fetchone() is not None

    def note_home(self, name: str, made: str, uid: int) -> None:
        """Remember whose the files of a home are.

        Parameters
        ----------
        name, made : str
            See `spawners.homes.Home`: another of the same name may come.
        uid : int
            The account's number.
        """
        with self._open() as file:
            file.execute("REPLACE INTO homes VALUES (?, ?, ?)", (name, made, uid))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with change_record(self._path, TABLES) as file:
            yield file


def known(file: sqlite3.Connection, user: str) -> Person | None:
    """Return what is kept of a user."""
    found = file.execute("SELECT user, number, slug FROM people WHERE user = ?", (user,)).fetchone()
    return Person(*found) if found else None


def add(file: sqlite3.Connection, user: str) -> Person:
    """Give a user a name and a number."""
    last = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'people'"
    number = int(file.execute(last).fetchone()[0]) + 1
    slug = safe_slug(user)
    if file.execute("SELECT 1 FROM people WHERE slug = ?", (slug,)).fetchone():
        # No slug begins with a digit.
        slug = f"{number}-user"
    file.execute("INSERT INTO people VALUES (?, ?, ?)", (number, user, slug))
    return Person(user, number, slug)


def users_by_age(database: Any) -> list[str]:
    """Return all users of a portal, whoever came first before others.

    Parameters
    ----------
    database : sqlalchemy.orm.Session
        The hub's.
    """
    return [name for (name,) in database.query(orm.User.name).order_by(orm.User.id)]
