"""A directory of accounts: OpenLDAP's own server, asked as the portal asks it."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from slapd import (
    BASE,
    ELSEWHERE,
    PASSWORD,
    SEARCH,
    SEARCHERS_PASSWORD,
    TEMPLATE,
    Slapd,
    unused_port,
)
from typer.testing import CliRunner

from hub.cli import app
from hub.doors import directory
from hub.doors.directory import Directory
from hub.doors.people import DoorFaultError, NotLetInError, Person, WrongPasswordError, typed
from hub.logins import Ldap

pytestmark = [pytest.mark.portal]

GROUPS = {"base": f"ou=groups,{BASE}"}
GUESTS = f"uid={{username}},ou=guests,{BASE}"
WRONG = "The name or the password is not right."
HOSTILE = [
    *(
        "*",
        "a*",
        "ada)(uid=*",
        "*)(objectClass=*",
        "ada)(&",
        "ada\\",
        "ada\\2a",
        "\\61da",
        "uid=ada",
    ),
    *("ada,ou=people", "ada+uid=ada", f"ada,ou=people,{BASE}", "#ada", '"ada"', "<ada>", "ada\x00"),
    *("ada\n", "{username}", "{0}", "%s", "ada\u202e", "a" * 300, "", " "),
]
NOT_ADA = [name for name in HOSTILE if name.strip() != "ada"]


@pytest.fixture
def asked(slapd: Slapd) -> Callable[..., Directory]:
    """Return the directory as a profile with these values names it."""

    def made(*named: str, **values: Any) -> Directory:
        login = Ldap.model_validate(slapd.login(**values))
        return Directory(login, "help@example.org", SEARCHERS_PASSWORD, named)

    return made


@pytest.fixture(params=["templates", "search"])
def door(request: pytest.FixtureRequest, asked: Callable[..., Directory]) -> Directory:
    """Both ways to find an account."""
    return asked(groups=GROUPS, **({"search": SEARCH} if request.param == "search" else {}))


def log_in(door: Directory, name: str, password: str = PASSWORD) -> Person:
    return door.log_in(typed(name, password))


# Who somebody is


@pytest.mark.parametrize("name", ["ada", "Ada", "ADA", " ada "])
def test_however_a_name_is_typed_it_is_one_account(door, name):
    assert log_in(door, name).name == "ada"


def test_an_address_finds_the_same_account(asked):
    door = asked(search=SEARCH)
    assert log_in(door, "Ada@Example.org").name == "ada"
    assert log_in(door, "more").name == log_in(door, "many").name == "many"


@pytest.mark.parametrize("password", ["wrong", " ", PASSWORD.lower(), f"{PASSWORD} ", "*"])
def test_a_wrong_password_and_an_unknown_name_are_told_alike(door, password):
    for name in ("ada", "nobody-of-that-name"):
        with pytest.raises(WrongPasswordError) as refusal:
            log_in(door, name, password)
        assert refusal.value.message == WRONG


@pytest.mark.parametrize("password", ["", "\u00ad", "\u200b\u2060", "\ufeff", "\u0000"])
def test_nobody_logs_in_by_an_empty_password(door, password):
    # This directory answers a bind without a password with success, as LDAP allows.
    with pytest.raises(WrongPasswordError):
        log_in(door, "ada", password)


def test_even_past_the_first_check_an_empty_password_is_nobodys(door, monkeypatch):
    validate = "ldap3.operation.bind.validate_simple_password"
    monkeypatch.setattr(validate, lambda password, accept_empty=False: b"")
    entered = typed("ada", PASSWORD)
    with pytest.raises((WrongPasswordError, DoorFaultError)):
        door.log_in(entered)


@pytest.mark.parametrize("name", NOT_ADA)
def test_nothing_in_a_name_reaches_another_account(door, name):
    with pytest.raises(WrongPasswordError):
        log_in(door, name)


@pytest.mark.parametrize("name", ["twin", "twin@example.org"])
def test_a_name_that_two_people_have_is_nobodys(asked, name):
    door = asked(search=SEARCH)
    with pytest.raises(NotLetInError, match=r"ou=people.* and uid=twin,ou=guests"):
        log_in(door, name)


def test_templates_give_two_people_no_name_in_common(asked):
    door = asked(bind_dn_templates=[TEMPLATE, GUESTS])
    assert log_in(door, "ada").name == "ada"
    assert log_in(door, "gast").name == "gast"
    with pytest.raises(NotLetInError) as refusal:
        log_in(door, "twin")
    assert "More than one account" in refusal.value.message


# Accounts that are closed


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("expired", "has expired"),
        ("over", "has expired"),
        ("disabled", "is disabled"),
        ("locked", "is locked"),
        ("reset", "password must be changed"),
    ],
)
def test_a_closed_account_is_told_why_after_its_password(door, name, why):
    with pytest.raises(NotLetInError) as refusal:
        log_in(door, name)
    assert why in refusal.value.message
    with pytest.raises(WrongPasswordError):
        log_in(door, name, "wrong")


@pytest.mark.parametrize("name", ["never", "until-9999"])
def test_an_account_that_ends_far_away_is_open(door, name):
    assert log_in(door, name).name == name


def test_too_many_guesses_lock_an_account(asked):
    door = asked()
    for _ in range(4):
        with pytest.raises(WrongPasswordError):
            log_in(door, "guessed", "guess")
    with pytest.raises(NotLetInError) as refusal:
        log_in(door, "guessed")
    assert "is locked" in refusal.value.message


def test_who_was_let_in_is_looked_at_again(asked):
    door = asked(search=SEARCH, groups=GROUPS)
    again = door.look_up("dorothy")
    assert again is not None and {"proteins", "scientists"} <= again.groups
    for name in ("disabled", "gone"):
        with pytest.raises(NotLetInError):
            door.look_up(name)
    assert asked().look_up("ada") is None


# Groups


def test_groups_by_full_names_by_numbers_and_in_each_other(door):
    nested = {"scientists", "crystals", "proteins"}
    assert log_in(door, "ada").groups >= {*nested, "beam"}
    assert {g for g in log_in(door, "dorothy").groups if "=" not in g} == nested
    assert {g for g in log_in(door, "lise").groups if "=" not in g} == {"staff", "unix"}


def test_groups_in_groups_count_only_where_they_shall(asked):
    door = asked(groups={**GROUPS, "nested": False})
    assert {g for g in log_in(door, "dorothy").groups if "=" not in g} == {"proteins"}


def test_a_namesake_outside_the_base_is_another_group(asked):
    inside, outside = f"cn=staff,ou=groups,{BASE}", f"CN=Staff, {BASE}"
    door = asked(inside, outside, search=SEARCH, groups=GROUPS)
    assert {"staff", inside} <= log_in(door, "lise").groups
    assert outside not in log_in(door, "lise").groups
    guest = log_in(door, "gast").groups
    assert outside in guest and not guest & {"staff", inside}


def test_a_group_named_in_full_needs_no_memberof(slapd, asked):
    unix = f"cn=beam,ou=groups,{BASE}"
    assert log_in(asked(unix), "ada").groups >= {unix}
    assert unix not in log_in(asked(unix), "dorothy").groups


def test_groups_that_are_not_there_are_known(asked):
    door = asked(search=SEARCH, groups=GROUPS)
    there = f"cn=staff,{BASE}"
    found = door.groups_there(["staff", "stuff", there, f"cn=stuff,{BASE}"])
    assert found == {"staff": True, "stuff": False, there: True, f"cn=stuff,{BASE}": False}


# The connection


def test_a_connection_may_begin_in_the_clear_and_says_nothing_there(slapd, asked):
    door = asked(port=slapd.port, encryption="starttls")
    assert log_in(door, "ada").name == "ada"


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({"ca": None}, "login.ca"),
        ({"server": "127.0.0.1"}, "certificate is for another name"),
        ({"port": 9}, "can't be reached"),
        ({"server": "no-such-host.invalid"}, "can't be reached"),
        ({"encryption": "starttls"}, ""),
        ({"search": {**SEARCH, "bind_dn": f"cn=other,{BASE}"}}, "login.search.bind_dn"),
        ({"search": {**SEARCH, "bind_dn": None, "password": None}}, "fails"),
    ],
)
def test_a_fault_of_the_door_is_told_to_people_and_to_the_administrator(asked, values, remedy):
    with pytest.raises(DoorFaultError) as fault:
        log_in(asked(**values), "ada")
    assert "doesn't answer as it should" in fault.value.message
    assert "help@example.org" in fault.value.message
    assert remedy in fault.value.detail and PASSWORD not in fault.value.detail


def test_where_a_server_is_down_the_next_one_is_asked(slapd, asked):
    fallback = [f"localhost:{unused_port()}", f"localhost:{slapd.tls_port}"]
    assert log_in(asked(port=unused_port(), fallback_servers=fallback), "ada").name == "ada"


def test_a_password_goes_nowhere_where_an_answer_points_to(slapd, asked):
    with socket.create_server(("127.0.0.1", slapd.elsewhere_port)) as elsewhere:
        elsewhere.settimeout(0)
        with pytest.raises(DoorFaultError, match="refers to ldap://"):
            log_in(asked(search={**SEARCH, "base": ELSEWHERE}), "ada")
        with pytest.raises(NotLetInError):
            log_in(asked(bind_dn_templates=[f"uid={{username}},{ELSEWHERE}"]), "ada")
        assert log_in(asked(search=SEARCH), "ada").name == "ada"
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_a_directory_that_hangs_holds_a_log_in_for_a_bounded_time(slapd, asked, monkeypatch):
    monkeypatch.setattr(directory, "CONNECT_S", 1)
    monkeypatch.setattr(directory, "ANSWER_S", 1)
    assert slapd.process is not None
    slapd.process.send_signal(signal.SIGSTOP)
    try:
        for values in ({}, {"port": slapd.port, "encryption": "starttls"}):
            with pytest.raises(DoorFaultError):
                log_in(asked(**values), "ada")
    finally:
        slapd.process.send_signal(signal.SIGCONT)


# beamhub check


SITE = {
    "extends": "laptop",
    "title": "Beamline",
    "use_case_groups": {"pymca": ["staff"]},
    "sizes": {
        "small": {"title": "Small", "cores": 1, "memory_gib": 2, "walltime_h": 1},
        "large": {
            "title": "Large",
            "cores": 1,
            "memory_gib": 4,
            "walltime_h": 1,
            "groups": ["scientists"],
        },
    },
}


def profile(folder: Path, slapd: Slapd, **values: Any) -> Path:
    """Write a profile with this directory for its door."""
    path = folder / "beamline.yaml"
    login = slapd.login(search=SEARCH, groups=GROUPS, **values)
    path.write_text(yaml.safe_dump({**SITE, "login": login}))
    return path


def check(site: Path, *arguments: str, **environment: str) -> Result:
    """Run beamhub check without a terminal."""
    return CliRunner().invoke(
        app,
        ["check", str(site), f"--state={site.parent}/state", *arguments],
        env={"BEAMHUB_TEST_LDAP": SEARCHERS_PASSWORD} | environment,
    )


def test_check_logs_in_and_tells_what_the_account_may(tmp_path, slapd):
    site = profile(tmp_path, slapd, admin_groups=["beam"])
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text(f"{PASSWORD}\n")
    said = check(site, "--log-in", "ADA", f"--password-file={secret}").output
    assert "'ADA' is let in, as the user 'ada', who is an administrator" in said
    assert "groups that the profile names: beam, scientists" in said
    assert "pyfai: in the sizes small, medium, large" in said
    assert "to members of staff only, and you are not one of them" in said
    said = check(site, "--log-in", "lise", BEAMHUB_CHECK_PASSWORD=PASSWORD).output
    assert "'lise' is let in, as the user 'lise', who isn't an administrator" in said
    assert (
        "pyfai: in the sizes small, medium\n" in said
        and "pymca: in the sizes small, medium\n" in said
    )


def test_check_says_what_the_page_says_and_more(tmp_path, slapd):
    site = profile(tmp_path, slapd, allowed_groups=["staff", "stuff"])
    tried = check(site, "--log-in", "ada", BEAMHUB_CHECK_PASSWORD=PASSWORD)
    assert tried.exit_code == 1
    assert "this portal is for members of staff or stuff" in tried.output
    assert "the profile names a group 'stuff', and there is none" in tried.output
    tried = check(site, "--log-in", "nobody", BEAMHUB_CHECK_PASSWORD=PASSWORD)
    assert "no account fits (|(uid=nobody)(mail=nobody))" in tried.output
    assert PASSWORD not in tried.output
    tried = check(site, "--log-in", "ada")
    assert "use --password-file" in tried.output and tried.exit_code == 1


def test_check_names_faults_of_every_server(tmp_path, slapd):
    down = unused_port()
    site = profile(tmp_path, slapd, fallback_servers=[f"localhost:{down}"])
    said = check(site).output
    assert f"login: localhost:{down}: it can't be reached" in said
    said = check(profile(tmp_path, slapd, ca=None)).output
    assert "its certificate is not trusted. Name the authority that signed it in login.ca" in said
