"""JupyterHub's database, as far as it has tables for workshops: kept up to date, and opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

VERSIONS = "beamhub_version"
"""The table that says how far ours are; JupyterHub's own has another name."""
WAIT_S = 30
"""How long a command waits for a hub that is writing."""
NOT_YET = (
    "No portal of this version has kept workshops here yet. Start or restart it with 'beamhub "
    "serve', with 'workshops' in its site profile, and name its folder here with --state."
)


class DatabaseError(Exception):
    """The workshops can't be had; the text is for whoever runs a command."""


def upgrade(engine: Engine) -> None:
    """Bring the tables up to date, wholly or, where that is cut off, not at all."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            # Python's driver would begin a transaction at the first row that is written only.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config = scripts()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def scripts() -> Config:
    """Return where alembic finds the steps."""
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def is_current(connection: Connection) -> bool:
    """Return whether the tables are those that this version of the portal knows."""
    there = MigrationContext.configure(connection, opts={"version_table": VERSIONS})
    newest = ScriptDirectory.from_config(scripts()).get_current_head()
    return there.get_current_revision() == newest


@contextmanager
def opened(url: str) -> Iterator[Session]:
    """Give a session beside the hub's, for a command.

    Nothing that a command does holds the hub up for longer than a row takes to be written.

    Parameters
    ----------
    url : str
        The database. It may hold a password.

    Raises
    ------
    DatabaseError
        There is none, it can't be reached, or no portal of this version has used it yet.
    """
    where = make_url(url)
    of_file = where.get_backend_name() == "sqlite"
    # SQLite would make the file.
    if of_file and not Path(str(where.database)).exists():
        raise DatabaseError(NOT_YET)
    engine = create_engine(where, connect_args={"timeout": WAIT_S} if of_file else {})
    try:
        with engine.connect() as connection:
            if not is_current(connection):
                raise DatabaseError(NOT_YET)
        with Session(engine) as session:
            yield session
    except DBAPIError as error:
        # What it says in full has the statement, and may have names of people.
        raise DatabaseError(f"The portal's database can't be used: {error.orig}") from None
    finally:
        engine.dispose()
