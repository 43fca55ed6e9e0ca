"""Workshops: what a trainer may ask for, who comes in when, what is kept; no portal is started."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from hub.alphabet import ALPHABET
from hub.site import load_site, shipped_sites
from hub.workshops.codes import as_typed, find, new_code
from hub.workshops.database import upgrade
from hub.workshops.records import Records
from hub.workshops.rules import (
    FormError,
    Workshop,
    is_trainer,
    next_in,
    read_form,
    why_not_in,
    why_not_message,
)
from hub.workshops.settings import Workshops
from hub.workshops.times import LocalTimeError, local, time_field, time_text, to_utc

NOW = datetime(2026, 3, 20, 8)
SITE = Workshops(trainers=["tess"], trainer_groups=["teachers"], capacity_max=30)
FORM = {
    "title": "Powder at the beamline",
    "opens": "pyfai/01_calibrate.ipynb",
    "size": "small",
    "capacity": "12",
    "begins": "2026-03-20T10:00",
    "ends": "2026-03-20T16:00",
    "zone": "Europe/Berlin",
    "who": "link",
    "invited": "",
}


def problems(**changes: str) -> dict[str, str]:
    """Return what is wrong with a form."""
    with pytest.raises(FormError) as caught:
        read_form({**FORM, **changes}, SITE, NOW)
    return caught.value.problems


def workshop(**changes: object) -> Workshop:
    """Return a workshop that runs now."""
    wish = read_form(FORM, SITE, NOW)
    made = {**vars(wish), "number": 1, "code": "abcd-efgh", "trainer": "tess"}
    return Workshop(**{**made, "begins": NOW - timedelta(hours=1), **changes})  # type: ignore[arg-type]


# Times


@pytest.mark.parametrize(
    ("typed", "zone", "utc"),
    [
        ("2026-01-15T09:00", "Europe/Berlin", datetime(2026, 1, 15, 8)),
        ("2026-07-15T09:00", "Europe/Berlin", datetime(2026, 7, 15, 7)),
        ("2026-03-29T01:59", "Europe/Berlin", datetime(2026, 3, 29, 0, 59)),
        ("2026-03-29T03:00", "Europe/Berlin", datetime(2026, 3, 29, 1)),
        ("2026-11-01T03:00", "America/New_York", datetime(2026, 11, 1, 8)),
        ("2026-07-15T09:00", "Asia/Kathmandu", datetime(2026, 7, 15, 3, 15)),
        ("2026-07-15T09:00", "UTC", datetime(2026, 7, 15, 9)),
    ],
)
def test_a_local_time_is_stored_in_utc_and_shown_as_it_was_typed(
    typed: str, zone: str, utc: datetime
) -> None:
    assert to_utc(typed, zone) == utc
    assert time_field(utc, zone) == typed
    assert typed[11:] in time_text(utc, zone)
    assert zone in time_text(utc, zone)


@pytest.mark.parametrize("typed", ["2026-03-29T02:00", "2026-03-29T02:59"])
def test_an_hour_that_the_clocks_skip_is_refused(typed: str) -> None:
    with pytest.raises(LocalTimeError, match="skip this hour"):
        to_utc(typed, "Europe/Berlin")


@pytest.mark.parametrize("typed", ["2026-10-25T02:00", "2026-10-25T02:59"])
def test_an_hour_that_the_clocks_show_twice_is_refused(typed: str) -> None:
    with pytest.raises(LocalTimeError, match="twice"):
        to_utc(typed, "Europe/Berlin")


@pytest.mark.parametrize(
    "typed", ["", "tomorrow", "2026-02-30T09:00", "0001-01-01T00:00", "9999-12-31T23:59", "2026"]
)
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(LocalTimeError, match="Type a date and a time"):
        to_utc(typed, "Asia/Tokyo" if typed.startswith("0001") else "America/New_York")


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../../etc/passwd", "/etc/localtime", "a\x00b"])
def test_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    with pytest.raises(LocalTimeError, match="time zone"):
        to_utc("2026-07-15T09:00", zone)


def test_a_zone_that_is_gone_meanwhile_is_shown_in_utc() -> None:
    assert local(NOW, "Europe/Atlantis").hour == NOW.hour


def test_a_workshop_over_the_night_of_summer_time_has_an_hour_less() -> None:
    wish = read_form({**FORM, "begins": "2026-03-28T20:00", "ends": "2026-03-29T08:00"}, SITE, NOW)
    assert wish.ends - wish.begins == timedelta(hours=11)
    assert wish.begins.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(wish.zone)).hour == 20


# Who may hold one, and what may be asked for


def test_trainers_are_those_that_the_profile_names_and_administrators() -> None:
    assert is_trainer(SITE, "tess", frozenset(), admin=False)
    assert is_trainer(SITE, "ulf", frozenset({"teachers"}), admin=False)
    assert is_trainer(SITE, "root", frozenset(), admin=True)
    assert not is_trainer(SITE, "ada", frozenset({"users"}), admin=False)
    assert not is_trainer(None, "root", frozenset(), admin=True)
    assert not is_trainer(Workshops(), "tess", frozenset(), admin=False)


@pytest.mark.parametrize("name", shipped_sites())
def test_no_shipped_site_but_one_persons_has_workshops(name: str) -> None:
    assert (load_site(name).workshops is not None) == (name == "laptop")


def test_the_portal_asks_the_log_in_for_the_groups_of_trainers() -> None:
    assert (
        "teachers" in load_site("workstation").model_copy(update={"workshops": SITE}).named_groups
    )


def test_a_good_form_becomes_a_workshop() -> None:
    wish = read_form(FORM, SITE, NOW)
    assert (wish.use_case, wish.notebook, wish.size) == ("pyfai", "01_calibrate.ipynb", "small")
    assert (wish.begins, wish.ends) == (datetime(2026, 3, 20, 9), datetime(2026, 3, 20, 15))
    assert (wish.capacity, wish.invited) == (12, frozenset())


def test_a_list_is_read_however_it_is_separated() -> None:
    wish = read_form({**FORM, "who": "list", "invited": "ada, Bob\ncyd\r\n ada"}, SITE, NOW)
    assert wish.invited == {"ada", "bob", "cyd"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", " ", "title"),
        ("title", "x" * 101, "100 characters"),
        ("title", "a\x1b[31mb", "title"),
        ("capacity", "0", "1 to 30"),
        ("capacity", "31", "1 to 30"),
        ("capacity", "-1", "1 to 30"),
        ("capacity", "1e3", "1 to 30"),
        ("capacity", "٣", "1 to 30"),
        ("begins", "", "Type a date"),
        ("begins", "2030-01-01T00:00", "two years"),
        ("ends", "2026-03-20T10:00", "after it has begun"),
        ("ends", "2026-05-01T10:00", "31 days"),
        ("zone", "Berlin", "time zone"),
    ],
)
def test_each_mistake_is_told_at_its_field(field: str, value: str, words: str) -> None:
    found = problems(**{field: value})
    assert words in found["begins" if field == "zone" else field]


def test_an_end_in_the_past_is_refused() -> None:
    changes = {"begins": "2026-03-19T10:00", "ends": "2026-03-19T16:00"}
    assert "past" in problems(**changes)["ends"]


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(title="", capacity="x", ends="", who="list")
    assert set(found) == {"title", "capacity", "ends", "invited"}
    assert all(re.search(r"[.]$", text) for text in found.values())


# Who comes in when


def why(name: str = "ada", **changes: object) -> str:
    return why_not_in(workshop(**changes), name, NOW)


def test_people_come_in_while_it_runs() -> None:
    assert why() == ""
    assert why(invited=frozenset({"ada"})) == ""


@pytest.mark.parametrize(
    ("taken", "changes", "names"),
    [
        (12, {}, []),
        (13, {}, []),
        (11, {}, ["zoe"]),
        (10, {}, ["zoe", "bob"]),
        (0, {}, ["zoe", "bob", "ada"]),
        (0, {"ends": NOW}, []),
        (0, {"begins": NOW + timedelta(hours=1)}, []),
    ],
)
def test_free_places_go_to_those_who_wait_in_their_order(
    taken: int, changes: dict[str, object], names: list[str]
) -> None:
    assert list(next_in(workshop(**changes), taken, ["zoe", "bob", "ada"], NOW)) == names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ends": NOW}, "is over since"),
        (
            {"begins": NOW + timedelta(hours=1)},
            "has not begun. Come back at Fri 20 Mar 2026, 10:00",
        ),
        ({"invited": frozenset({"bob"})}, "ada is not on it"),
    ],
)
def test_whoever_can_not_come_in_is_told_why(changes: dict[str, object], words: str) -> None:
    assert words in why(**changes)


def test_nobody_off_the_list_learns_the_title() -> None:
    assert "Powder" not in why(invited=frozenset({"bob"}))


# Codes


def test_codes_can_be_typed_in_any_way_and_not_be_guessed() -> None:
    codes = {new_code() for _ in range(500)}
    assert len(codes) == 500
    for code in codes:
        assert re.fullmatch(rf"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", code)
        assert as_typed(f" {code.upper().replace('-', ' ')} ") == code
    assert len(ALPHABET) ** 8 > 2**39


@pytest.mark.parametrize(
    "typed", ["", "abcd", "abcd-efg1", "abcd-efgh-j", "\uff41bcd-efgh", "%" * 90]
)
def test_what_can_be_no_code_is_none(typed: str) -> None:
    assert as_typed(typed) == ""


def test_a_code_belongs_to_one_workshop_or_none() -> None:
    known = [("abcd-efgh", 1), ("jkmn-pqrs", 2)]
    assert find("jkmn-pqrs", known) == 2
    assert find("jkmn-pqrt", known) is None
    assert find("", known) is None


# What is kept


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return opened(tmp_path)


def opened(folder: Path) -> Records:
    """Return the records in a folder, as a hub that has just started has them."""
    engine = create_engine(f"sqlite:///{folder / 'portal.sqlite'}")
    event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA foreign_keys=ON"))
    upgrade(engine)
    return Records(Session(engine, expire_on_commit=False))


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path)
    wish = read_form({**FORM, "who": "list", "invited": "bob ada"}, SITE, NOW)
    made = first.add(wish, trainer="tess", code="abcd-efgh")
    first.join(made.number, "ada", NOW)
    first.tell(made.number, "ada", "01.ipynb", {"Distance": True, "Tilt": False}, NOW)
    again = opened(tmp_path)
    assert again.get(made.number) == made
    assert vars(made).items() >= vars(wish).items()
    assert again.codes() == [("abcd-efgh", made.number)]
    assert again.participants(made.number) == ["ada"]
    assert [(t.check, t.passed, t.at) for t in again.told(made.number)] == [
        ("Distance", True, NOW),
        ("Tilt", False, NOW),
    ]


def test_a_place_is_taken_once(records: Records) -> None:
    made = records.add(read_form(FORM, SITE, NOW), trainer="tess", code="abcd-efgh")
    for name in ("ada", "bob", "ada"):
        records.join(made.number, name, NOW)
    assert records.participants(made.number) == ["ada", "bob"]
    assert records.taken(made.number) == 2
    assert records.joined_by("ada") == [made]
    assert records.joined_by("tess") == []


def test_who_waits_is_kept_in_order_and_gets_the_next_place(tmp_path: Path) -> None:
    first = opened(tmp_path)
    wish = read_form({**FORM, "capacity": "1", "begins": "2026-03-20T08:00"}, SITE, NOW)
    made = first.add(wish, trainer="tess", code="abcd-efgh")
    first.join(made.number, "ada", NOW)
    for name in ("zoe", "bob", "cyd", "zoe", "ada"):
        first.wait(made.number, name)
    assert first.fill(made, NOW) == []
    again = opened(tmp_path)
    assert again.waiting(made.number) == ["zoe", "bob", "cyd"]
    assert again.waited_for_by("bob") == [made]
    again.leave(made.number, "bob")
    again.tell(made.number, "ada", "01.ipynb", {"Tilt": True}, NOW)
    again.leave(made.number, "ada")
    assert again.told(made.number) == []
    assert again.fill(made, NOW) == ["zoe"]
    assert again.fill(made, NOW) == []
    again.wait(made.number, "bob")
    assert again.participants(made.number) == ["zoe"]
    assert again.waiting(made.number) == ["cyd", "bob"]


def test_hands_are_kept_in_order_until_they_are_taken_down(tmp_path: Path) -> None:
    first = opened(tmp_path)
    number = first.add(read_form(FORM, SITE, NOW), trainer="tess", code="abcd-efgh").number
    for name in ("ada", "bob", "cyd"):
        first.join(number, name, NOW)
    later = NOW + timedelta(minutes=1)
    first.raise_hand(number, "cyd", NOW)
    first.raise_hand(number, "ada", later)
    first.raise_hand(number, "cyd", later + timedelta(minutes=1))
    first.raise_hand(number, "eve", NOW)
    again = opened(tmp_path)
    assert list(again.hands(number).items()) == [("cyd", NOW), ("ada", later)]
    again.take_hand_down(number, "cyd")
    assert list(again.hands(number)) == ["ada"]
    again.leave(number, "ada")
    again.join(number, "ada", NOW)
    assert again.hands(number) == {}


def test_the_last_message_counts_until_it_is_taken_back(records: Records) -> None:
    number = records.add(read_form(FORM, SITE, NOW), trainer="tess", code="abcd-efgh").number
    for text in ("Open 02", "Break until 10:15"):
        records.tell_all(number, text, NOW)
    told = records.get(number)
    assert told is not None
    assert (told.message, told.message_at) == ("Break until 10:15", NOW)
    records.take_message_back(number)
    told = records.get(number)
    assert told is not None
    assert (told.message, told.message_at) == ("", None)


@pytest.mark.parametrize("text", ["", " ", "x" * 121, "two\nlines", "a\x1b[31mb", "\u202eabc"])
def test_a_message_is_one_line_that_can_be_shown(text: str) -> None:
    assert "one line" in why_not_message(text, workshop(), NOW)


def test_a_message_reaches_people_while_the_workshop_runs() -> None:
    assert why_not_message("<b>Break</b>", workshop(), NOW) == ""
    assert "runs" in why_not_message("Break", workshop(ends=NOW), NOW)


def test_the_last_word_of_a_check_counts_and_their_number_is_bounded(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.workshops.records.CHECKS_MAX", 15)
    made = records.add(read_form(FORM, SITE, NOW), trainer="tess", code="abcd-efgh")
    number, later = made.number, NOW + timedelta(minutes=1)
    records.join(number, "ada", NOW)
    records.tell(number, "ada", "01.ipynb", {"Tilt": False}, NOW)
    records.tell(number, "ada", "01.ipynb", {"Tilt": True}, later)
    assert [(t.passed, t.at) for t in records.told(number)] == [(True, later)]
    for part in range(2):
        many = {f"{part} {i}": True for i in range(10)}
        records.tell(number, "ada", "02.ipynb", many, later)
    records.tell(number, "ada", "01.ipynb", {"Tilt": False}, later)
    told = records.told(number)
    assert len(told) == 15
    assert [t.passed for t in told if t.check == "Tilt"] == [False]


def test_what_was_over_long_ago_is_forgotten_with_all_that_belongs_to_it(records: Records) -> None:
    wish = read_form(FORM, SITE, NOW)
    old = records.add(wish, trainer="tess", code="abcd-efgh")
    new = records.add(wish, trainer="tess", code="jkmn-pqrs")
    for made in (old, new):
        records.join(made.number, "ada", NOW)
        records.wait(made.number, "bob")
        records.tell(made.number, "ada", "01.ipynb", {"Tilt": True}, NOW)
    records.move_end(old.number, NOW - timedelta(days=40))
    assert records.remove_ended_before(NOW - timedelta(days=30)) == 1
    assert records.remove_ended_before(NOW - timedelta(days=30)) == 0
    assert records.get(old.number) is None
    assert records.participants(old.number) == records.told(old.number) == []
    assert records.waiting(old.number) == []
    assert records.held_by("tess") == [new]
    assert len(records.told(new.number)) == 1
