"""The tables of workshops: made, brought up to date from older ones, asked by a command."""

import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.orm import Session

from hub.workshops import database
from hub.workshops.database import DatabaseError, opened, upgrade
from hub.workshops.records import Records
from hub.workshops.tables import Table

FIRST = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(255));
INSERT INTO users VALUES (1, 'ada');
CREATE TABLE beamhub_workshops (
    number INTEGER NOT NULL, code VARCHAR(32) NOT NULL, trainer VARCHAR(255) NOT NULL,
    title VARCHAR(100) NOT NULL, use_case VARCHAR(255) NOT NULL, notebook VARCHAR(200) NOT NULL,
    size VARCHAR(255) NOT NULL, capacity INTEGER NOT NULL, begins DATETIME NOT NULL,
    ends DATETIME NOT NULL, zone VARCHAR(64) NOT NULL, invited JSON NOT NULL,
    PRIMARY KEY (number), UNIQUE (code));
CREATE INDEX ix_beamhub_workshops_trainer ON beamhub_workshops (trainer);
CREATE TABLE beamhub_checks (
    workshop INTEGER NOT NULL, user VARCHAR(255) NOT NULL, notebook VARCHAR(200) NOT NULL,
    check_name VARCHAR(200) NOT NULL, passed BOOLEAN NOT NULL, told_at DATETIME NOT NULL,
    place INTEGER NOT NULL, PRIMARY KEY (workshop, user, notebook, check_name),
    FOREIGN KEY(workshop) REFERENCES beamhub_workshops (number) ON DELETE CASCADE);
CREATE TABLE beamhub_participants (
    workshop INTEGER NOT NULL, user VARCHAR(255) NOT NULL, joined DATETIME NOT NULL,
    PRIMARY KEY (workshop, user),
    FOREIGN KEY(workshop) REFERENCES beamhub_workshops (number) ON DELETE CASCADE);
CREATE INDEX ix_beamhub_participants_user ON beamhub_participants (user);
INSERT INTO beamhub_workshops VALUES (1, 'abcd-efgh', 'tess', 'Powder', 'pyfai', '01.ipynb',
    'small', 12, '2026-03-20 09:00:00', '2026-03-20 15:00:00', 'Europe/Berlin', '["ada"]');
INSERT INTO beamhub_participants VALUES (1, 'ada', '2026-03-20 09:05:00');
INSERT INTO beamhub_checks VALUES
    (1, 'ada', '01.ipynb', 'Tilt', 1, '2026-03-20 10:00:00', 0);
"""
"""A database of the first portals that had workshops, which knew no versions of tables."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database as the first portals left it, in a folder whose name alembic might misread."""
    folder = tmp_path / "100% of it"
    folder.mkdir()
    with sqlite3.connect(folder / "portal.sqlite") as connection:
        connection.executescript(FIRST)
    connection.close()
    return folder / "portal.sqlite"


def engine_of(file: Path) -> Engine:
    return create_engine(f"sqlite:///{file}")


def shape(engine: Engine) -> dict[str, object]:
    """Return all that a database says of our tables."""
    found = inspect(engine)
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)],
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(i["name"] for i in found.get_indexes(table)),
            [(k["referred_table"], k["options"]) for k in found.get_foreign_keys(table)],
        )
        for table in sorted(found.get_table_names())
        if table.startswith("beamhub_") and table != database.VERSIONS
    }


def declared(tmp_path: Path) -> Engine:
    """Return a database made of what the code declares, without any step."""
    engine = engine_of(tmp_path / "declared.sqlite")
    Table.metadata.create_all(engine)
    return engine


def test_new_and_old_databases_become_what_the_code_declares(tmp_path: Path, file: Path) -> None:
    new, old = engine_of(tmp_path / "new.sqlite"), engine_of(file)
    for engine in (new, old, old):
        upgrade(engine)
    assert shape(new) == shape(old) == shape(declared(tmp_path))
    assert len(shape(new)) >= 3


def test_an_old_database_keeps_everything(file: Path) -> None:
    upgrade(engine_of(file))
    with opened(f"sqlite:///{file}") as session:
        records = Records(session)
        workshop = records.get(1)
        assert workshop is not None
        assert (workshop.title, workshop.invited) == ("Powder", frozenset({"ada"}))
        assert records.participants(1) == ["ada"]
        assert [(t.check, t.passed) for t in records.told(1)] == [("Tilt", True)]
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM users").fetchall() == [("ada",)]
    connection.close()


def test_an_upgrade_that_is_cut_off_has_changed_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def cut_off(connection: Session) -> None:
        connection.exec_driver_sql("CREATE TABLE beamhub_half (a INTEGER)")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(
            database.command,
            "upgrade",
            lambda config, _: cut_off(config.attributes["connection"]),
        )
        with pytest.raises(KeyboardInterrupt):
            upgrade(engine_of(file))
    assert file.read_bytes() == before
    upgrade(engine_of(file))


def test_a_command_waits_for_no_portal_and_makes_no_database(tmp_path: Path, file: Path) -> None:
    missing = tmp_path / "portal.sqlite"
    for path in (missing, file):
        with pytest.raises(DatabaseError, match="beamhub serve"), opened(f"sqlite:///{path}"):
            raise AssertionError("it was opened")
    assert not missing.exists()


def test_what_is_no_database_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "portal.sqlite"
    path.write_text("This is a text, and no database at all, however long one makes it. " * 40)
    with pytest.raises(DatabaseError, match="can't be used"), opened(f"sqlite:///{path}"):
        raise AssertionError("it was opened")


def test_a_command_writes_beside_a_hub_that_has_read(file: Path) -> None:
    """The hub's session stays open for its whole life, and must see what a command has written."""
    upgrade(engine_of(file))
    with Session(engine_of(file), expire_on_commit=False) as of_hub:
        hub = Records(of_hub)
        held = hub.held_by("tess")
        later = datetime(2026, 3, 20, 18)
        with opened(f"sqlite:///{file}") as session:
            Records(session).move_end(1, later)
        assert hub.held_by("tess")[0].ends == later != held[0].ends
        hub.join(1, "bob", later)
        with opened(f"sqlite:///{file}") as session:
            assert Records(session).participants(1) == ["ada", "bob"]
