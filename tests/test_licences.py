"""The record of accepted terms: added to, never changed, read by the portal's account only."""

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import HttpUrl
from typer.testing import CliRunner

from hub.cli import app
from hub.licences import Licences
from spawners.records import RecordError
from workbench.manifest import LicenceGate

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
XDS = LicenceGate(
    program="XDS",
    terms="For academic use.",
    url=HttpUrl("https://example.org"),
    declaration='I use it for academic work only.\nI do not pass it on: ü, "quoted", a;b,c.\n',
)
NEWER = XDS.model_copy(
    update={"declaration": "I use it for academic work on Tuesdays only, always."}
)


@pytest.fixture
def licences(tmp_path) -> Licences:
    return Licences(tmp_path / "licences.sqlite")


def test_before_anybody_has_accepted_there_is_no_file(licences, tmp_path):
    assert licences.of("ada") == {}
    assert licences.all() == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_accepted_counts_for_that_user_and_that_text(licences):
    licences.add("accepted", "ada", XDS, "crystfel", NOON)
    assert licences.of("ada") == {"xds": {XDS.version: NOON}}
    assert licences.of("bob") == licences.of("ADA") == licences.of("") == {}


def test_times_are_kept_in_utc(licences):
    cet = datetime.fromisoformat("2026-11-24T13:00:00+01:00")
    licences.add("accepted", "ada", XDS, "crystfel", cet)
    assert licences.all()[0].time.isoformat() == "2026-11-24T12:00:00+00:00"


def test_what_is_taken_back_counts_no_more_whatever_its_text(licences):
    licences.add("accepted", "ada", XDS, "crystfel", NOON)
    licences.add("accepted", "ada", NEWER, "crystfel", NOON + timedelta(days=1))
    licences.add("accepted", "bob", XDS, "crystfel", NOON)
    assert set(licences.of("ada")["xds"]) == {XDS.version, NEWER.version}
    licences.add("revoked", "ada", NEWER, "crystfel", NOON + timedelta(days=2))
    assert licences.of("ada") == {}
    assert licences.of("bob") == {"xds": {XDS.version: NOON}}
    licences.add("accepted", "ada", NEWER, "crystfel", NOON + timedelta(days=3))
    assert set(licences.of("ada")["xds"]) == {NEWER.version}


def test_every_entry_is_kept_with_the_text_word_for_word(licences):
    licences.add("accepted", "ada", XDS, "crystfel", NOON)
    licences.add("revoked", "ada", XDS, "mx", NOON)
    assert [(e.action, e.use_case, e.text) for e in licences.all()] == [
        ("accepted", "crystfel", XDS.declaration.strip()),
        ("revoked", "mx", XDS.declaration.strip()),
    ]


@pytest.mark.parametrize("change", ["UPDATE entries SET user = 'bob'", "DELETE FROM entries"])
def test_entries_are_neither_changed_nor_removed(licences, tmp_path, change):
    licences.add("accepted", "ada", XDS, "crystfel", NOON)
    with closing(sqlite3.connect(tmp_path / "licences.sqlite")) as database:
        error = pytest.raises(sqlite3.IntegrityError, match="entries are never")
        with error, database:
            database.execute(change)
    assert licences.of("ada")


def test_names_are_values_and_nothing_else(licences):
    name = "a'; DROP TABLE entries; --"
    licences.add("accepted", name, XDS, "crystfel", NOON)
    assert list(licences.of(name)) == ["xds"]
    assert licences.of("' OR 1=1 --") == {}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_its_own_account_can_read_it(licences, tmp_path, umask):
    before = os.umask(umask)
    try:
        licences.add("accepted", "ada", XDS, "crystfel", NOON)
    finally:
        os.umask(before)
    assert (tmp_path / "licences.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_record_that_can_not_be_used_is_an_error_that_names_it(tmp_path):
    (tmp_path / "broken").write_text("this isn't a database, whatever its name says" * 100)
    for path in (tmp_path / "broken", tmp_path / "none/licences.sqlite"):
        with pytest.raises(RecordError, match=str(path)):
            Licences(path).add("accepted", "ada", XDS, "crystfel", NOON)
    with pytest.raises(RecordError):
        Licences(tmp_path / "broken").of("ada")


KILLED = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
for _ in range(2000):
    database.execute(
        "INSERT INTO entries (time, user, program, action, version, use_case, text)"
        " VALUES ('2026-01-01T00:00:00+00:00', 'eve', 'xds', 'accepted', 'v', 'u', 't')"
    )
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_portal_that_is_killed_while_it_writes_leaves_whole_entries_only(licences, tmp_path):
    licences.add("accepted", "ada", XDS, "crystfel", NOON)
    path = tmp_path / "licences.sqlite"
    killed = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "licences.sqlite-journal").exists()  # it was in the middle
    assert [e.user for e in licences.all()] == ["ada"]
    licences.add("accepted", "bob", XDS, "crystfel", NOON)
    assert [e.user for e in licences.all()] == ["ada", "bob"]


# The text's version


def test_where_lines_break_does_not_make_another_text_but_every_word_does():
    def version(text):
        return XDS.model_copy(update={"declaration": text}).version

    text = "I use it for academic work only, and do not pass it on."
    assert version(text) == version(text.replace(" ", "\n  ")) == version(f"{text}\n")
    assert version(text) != version(text.replace("academic", "any"))


# For the administrator


def said(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["licences", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_export_has_who_what_and_when(licences, tmp_path):
    licences.add("accepted", "ada", XDS, "crystfel", NOON)
    licences.add("revoked", "ada", XDS, "crystfel", NOON + timedelta(hours=1))
    rows = list(csv.DictReader(io.StringIO(said("export", f"--state={tmp_path}"))))
    assert rows[0] == {
        "time": "2026-11-24T12:00:00.000+00:00",
        "user": "ada",
        "program": "xds",
        "action": "accepted",
        "version": XDS.version,
        "use_case": "crystfel",
        "text": XDS.declaration.strip(),
    }
    assert [row["action"] for row in rows] == ["accepted", "revoked"]
    lines = said("export", "--form=jsonl", f"--state={tmp_path}").splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_an_export_of_nothing_has_its_head_only(tmp_path):
    assert said("export", f"--state={tmp_path}").startswith("time,user,program,action,")
    assert len(said("export", f"--state={tmp_path}").splitlines()) == 1


def test_the_list_says_where_programs_are_and_how_many_have_them(tmp_path, use_cases):
    site = tmp_path / "mx.yaml"
    site.write_text(
        "extends: laptop\nuse_cases: [crystfel]\nprograms:\n  xds: {source: /opt/xds}\n"
        "  dirax: {source: /opt/dirax, vouched_groups: [mx, bio], by_declaration: false}\n"
    )
    xds = next(g for g in use_cases["crystfel"].manifest.licence_gates if g.name == "xds")
    Licences(tmp_path / "licences.sqlite").add("accepted", "ada", xds, "crystfel", NOON)
    listed = said("list", f"--site={site}", f"--state={tmp_path}")
    assert f"(XDS), /opt/xds, text {xds.version[:12]}, accepted by 1 user\n" in listed
    assert "(DirAx), /opt/dirax, vouched groups mx, bio only, text" in listed
    assert "(CCP4), not at this site," in listed
