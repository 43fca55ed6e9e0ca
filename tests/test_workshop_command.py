"""Workshops by command: the rules of the pages, beside a hub that may run."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jupyterhub import orm
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from hub.cli import app
from hub.workshops.database import upgrade
from hub.workshops.records import Records

PROFILE = """\
extends: laptop
title: Teaching
workshops: {trainers: [tess], trainer_groups: [teachers], capacity_max: 30}
"""
NOW = datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def typed(**ahead: float) -> str:
    return (NOW + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M")


FORM = {
    "title": "Powder :smile: [red] day",
    "trainer": "tess",
    "opens": "pyfai/01_calibrate.ipynb",
    "capacity": "12",
    "begins": typed(hours=-1),
    "ends": typed(hours=3),
    "zone": "UTC",
}


class Hub:
    """A portal's database, by the session that its hub keeps open, and commands beside it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        (self.state / "logs").mkdir(parents=True)
        self.profile = folder / "teaching.yaml"
        self.profile.write_text(PROFILE)
        factory = orm.new_session_factory(f"sqlite:///{self.state / 'portal.sqlite'}")
        self.session: Session = factory()
        upgrade(self.session.get_bind())
        self.records = Records(self.session)

    def say(self, *arguments: object) -> tuple[int, str]:
        """Return the exit status of a command, and all that it said."""
        command = ["workshop", *map(str, arguments), f"--site={self.profile}"]
        result = CliRunner().invoke(app, [*command, f"--state={self.state}"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def create(self, *more: str, **changes: str) -> tuple[int, str]:
        options = [f"--{name}={value}" for name, value in {**FORM, **changes}.items()]
        return self.say("create", *options, *more)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path)
    yield made
    made.session.close()


def test_one_is_made_seen_extended_ended_and_exported(hub: Hub) -> None:
    status, said = hub.create("--invite=ada", "--invite=Bob", "--port=9123")
    assert status == 0
    [made] = hub.records.held_by("tess")
    assert made.title == FORM["title"]
    assert made.invited == {"ada", "bob"}
    assert f"http://127.0.0.1:9123/hub/join/{made.code}" in said
    assert f"1: {FORM['title']}, running" in hub.say("list")[1]
    hub.records.join(1, "ada", NOW)
    hub.records.tell(1, "ada", "01.ipynb", {"Distance": True, "=1+1": False}, NOW)
    said = hub.say("status", 1)[1]
    assert "1 of 12 places taken" in said
    assert "ada: 01.ipynb at" in said
    assert "passed last 'Distance', failing '=1+1'" in said
    assert hub.say("extend", 1, f"--ends={typed(hours=5)}", "--capacity=30")[0] == 0
    moved = hub.records.get(1)
    assert moved is not None
    assert (moved.ends - made.ends, moved.capacity) == (timedelta(hours=2), 30)
    assert "is over" in hub.say("end", 1)[1]
    assert "over already" in hub.say("end", 1)[1]
    rows = list(csv.reader(io.StringIO(hub.say("export", 1)[1])))
    assert [row[2] for row in rows] == ["check", "'=1+1", "Distance"]


def test_what_was_done_is_in_the_audit_log(hub: Hub) -> None:
    hub.create()
    hub.say("end", 1)
    lines = (hub.state / "logs/audit.jsonl").read_text().splitlines()
    told = [(e["action"], e["username"], e["workshop"]) for e in map(json.loads, lines)]
    assert told == [("made", "(by command)", "1"), ("ended", "(by command)", "1")]
    assert FORM["title"] not in "".join(lines)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trainer": "ada"}, "'ada' may not hold workshops"),
        ({"opens": "nothing/01.ipynb"}, "opens: "),
        ({"opens": "pyfai/../../etc/passwd"}, "opens: "),
        ({"size": "huge"}, "opens: "),
        ({"capacity": "31"}, "capacity: A workshop here has 1 to 30"),
        ({"begins": typed(hours=-5), "ends": typed(hours=-4)}, "ends: This end is in the past"),
        ({"zone": "Mars"}, "time zone"),
        ({"title": "a\x1b[31mb"}, "title: "),
    ],
)
def test_what_the_pages_refuse_the_command_refuses(
    hub: Hub, changes: dict[str, str], words: str
) -> None:
    status, said = hub.create(**changes)
    assert status == 1
    assert words in said
    assert hub.records.held_by(None) == []


def test_members_of_a_group_are_trainers_once_they_have_logged_in(hub: Hub) -> None:
    assert hub.create(trainer="ulf")[0] == 1
    group = orm.Group(name="teachers")
    hub.session.add_all([group, user := orm.User(name="ulf")])
    group.users.append(user)
    hub.session.commit()
    assert hub.create(trainer="ulf")[0] == 0
    assert hub.records.held_by("ulf")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", 7], "There is no workshop 7"),
        (["extend", 1], "--ends or --capacity"),
        (["extend", 1, "--ends=tomorrow"], "--ends: Type a date"),
        (["extend", 1, f"--ends={typed(hours=-9)}"], "--ends: It ends after"),
        (["extend", 1, f"--ends={typed(hours=5)}", "--capacity=99"], "--capacity: "),
    ],
)
def test_what_can_not_be_done_is_told_and_changes_nothing(
    hub: Hub, arguments: list[object], words: str
) -> None:
    hub.create()
    before = hub.records.get(1)
    status, said = hub.say(*arguments)
    assert status == 1
    assert words in said
    assert hub.records.get(1) == before


def test_a_site_without_workshops_has_none(hub: Hub) -> None:
    hub.profile.write_text("extends: workstation\ntitle: T\n")
    status, said = hub.say("list")
    assert status == 1
    assert "has no workshops" in said


def test_a_portal_that_never_ran_gets_no_database(hub: Hub) -> None:
    (hub.state / "portal.sqlite").unlink()
    status, said = hub.say("list")
    assert status == 1
    assert "beamhub serve" in said
    assert not (hub.state / "portal.sqlite").exists()
