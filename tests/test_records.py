"""What is kept in files: whole or not at all, nobody else's, and changed by one at a time."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from spawners import records
from spawners.records import RecordError, change_record, open_record
from workbench.atomic_write import atomic_write

TABLE = "CREATE TABLE IF NOT EXISTS counts (n INTEGER)"


def write_record(path: Path, data: bytes) -> None:
    records.atomic_write(path, data.decode())


@pytest.fixture(params=[atomic_write, write_record], ids=["workbench", "portal"])
def write(request: pytest.FixtureRequest) -> Callable[[Path, bytes], None]:
    found: Callable[[Path, bytes], None] = request.param
    return found


def test_a_file_is_there_as_a_whole_whoever_writes_it_at_the_same_time(write, tmp_path):
    path = tmp_path / "kept"
    texts = [bytes([65 + n]) * 200_000 for n in range(4)]
    writers = [threading.Thread(target=write, args=(path, text)) for text in texts * 5]
    write(path, texts[0])
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_else(write, tmp_path):
    path = tmp_path / "kept"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(OSError, match="kept"):
        write(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


def test_a_name_may_be_as_long_as_any(write, tmp_path):
    path = tmp_path / ("x" * 255)
    write(path, b"new")
    assert path.read_bytes() == b"new"


def test_rights_are_those_of_a_new_file_or_the_portals_alone(tmp_path):
    before = os.umask(0o022)
    try:
        atomic_write(tmp_path / "theirs", b"")
        records.atomic_write(tmp_path / "ours", "")
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {"theirs": 0o644, "ours": 0o600}


def test_a_database_is_the_portals_alone_and_is_changed_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "counts.sqlite"
    with change_record(path, TABLE) as database:
        database.execute("INSERT INTO counts VALUES (1)")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ZeroDivisionError), change_record(path, TABLE) as database:
        database.execute("INSERT INTO counts VALUES (2)")
        raise ZeroDivisionError
    with open_record(path) as database:
        assert database.execute("SELECT n FROM counts").fetchall() == [(1,)]


def test_those_who_change_a_database_wait_for_one_another(tmp_path):
    path = tmp_path / "counts.sqlite"

    def count() -> None:
        with change_record(path, TABLE) as database:
            (n,) = database.execute("SELECT coalesce(max(n), 0) FROM counts").fetchone()
            database.execute("INSERT INTO counts VALUES (?)", (n + 1,))

    people = [threading.Thread(target=count) for _ in range(8)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    with open_record(path) as database:
        assert database.execute("SELECT max(n), count(*) FROM counts").fetchone() == (8, 8)


def test_what_is_no_database_and_a_missing_folder_are_named(tmp_path):
    path = tmp_path / "counts.sqlite"
    path.write_text("not a database" * 100)
    with pytest.raises(RecordError, match=r"counts\.sqlite can't be used"), open_record(path):
        pass
    nowhere = tmp_path / "nowhere/counts.sqlite"
    with pytest.raises(RecordError, match="can't be used"), change_record(nowhere, TABLE):
        pass
