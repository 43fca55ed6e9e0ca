"""Records that must outlive a power cut, each in a file that only the portal can read."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class RecordError(Exception):
    """The record can't be read or added to; the text is for the administrator."""


@contextmanager
def open_record(path: Path, *, make: bool = False) -> Iterator[sqlite3.Connection]:
    """Have a record open; what is committed is on the disk.

    Raises
    ------
    RecordError
        It can't be read or written.
    """
    try:
        if make:
            # Before SQLite does, so that it's nobody else's from the first moment.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path)) as database:
            # A power cut must not take back what a user was told.
            database.execute("PRAGMA synchronous = EXTRA")
            yield database
    except (OSError, sqlite3.Error) as error:
        raise RecordError(f"{path} can't be used: {error}") from None
