"""What the portal keeps, in files that are there as a whole or not at all and that are its own."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

WAIT_S = 20
"""For another process that writes into the same database."""


class RecordError(Exception):
    """A record can't be read or added to; the text is for the administrator."""


def atomic_write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that is seen as a whole or not at all, and is on the disk before this returns.

    Parameters
    ----------
    path : Path
        The file, in a folder that is there.
    text : str
        All of it.
    mode : int, optional
        Who may read it; the process's umask takes away from that.
    """
    # A name of its own: two processes may write the same file at the same time.
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_private(path: Path, text: str) -> None:
    """Write a file that only this account can read, in a folder that nobody else can enter."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    atomic_write(path, text)


@contextmanager
def open_record(path: Path) -> Iterator[sqlite3.Connection]:
    """Have a database open; what is committed is on the disk.

    Raises
    ------
    RecordError
        It can't be read or written.
    """
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as database:
            # A power cut must not take back what a user was told.
            database.execute("PRAGMA synchronous = EXTRA")
            yield database
    except (OSError, sqlite3.Error) as error:
        raise RecordError(f"{path} can't be used: {error}") from None


@contextmanager
def change_record(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """Have a database to oneself, made where it isn't there: all is changed, or nothing.

    Parameters
    ----------
    path : Path
        The file, which only this account can read.
    schema : str
        What makes its tables where they aren't there.

    Raises
    ------
    RecordError
        It can't be read or written.
    """
    try:
        # Before SQLite does, so that it's nobody else's from the first moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise RecordError(f"{path} can't be used: {error}") from None
    with open_record(path) as database:
        database.executescript(schema)
        database.execute("BEGIN IMMEDIATE")
        with database:
            yield database
