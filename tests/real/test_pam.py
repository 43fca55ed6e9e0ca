"""Real accounts of this machine, asked by PAM with service files of the tests' own."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from accounts import PASSWORD, PLAIN, Machine
from conftest import lacking
from kernels import Kernel
from portals import RunningPortal, xsrf
from slapd import program

from hub.doors.pam import MachineAuthenticator
from hub.doors.pam_session import SessionError, Sessions
from hub.doors.people import DoorFaultError, NotLetInError, Person, WrongPasswordError, typed
from spawners.reserved_accounts import HUB

pytestmark = [pytest.mark.portal]

SECRET = "3132333435363738393031323334353637383930"
"""Of one-time passwords."""
OTP = "auth required pam_oath.so usersfile={folder}/oath window=5\n"
LOCKING = """
auth required pam_faillock.so preauth dir={folder} deny=2
auth sufficient pam_unix.so nodelay
auth [default=die] pam_faillock.so authfail dir={folder} deny=2
account required pam_unix.so
"""
SESSION = "session required pam_exec.so quiet {folder}/session\nsession required pam_limits.so\n"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    if os.geteuid() != 0:
        lacking("only root can make accounts")
    if not program("oathtool") or not list(Path("/lib").glob("*/security/pam_oath.so")):
        lacking("this machine lacks oathtool or libpam-oath")
    made = Machine(f"bhp{os.getpid()}", Path(tempfile.mkdtemp(prefix="bh-pam-")))
    try:
        for short in ("ada", "old", "late", "shut", "otto"):
            made.add(short)
        made.run("chage", "--lastday", "0", made.name("old"))
        made.run("chage", "--expiredate", "2000-01-01", made.name("late"))
        made.run("usermod", "--lock", made.name("shut"))
        made.run("groupadd", made.name("beam"))
        made.run("usermod", "--append", "--groups", made.name("beam"), made.name("ada"))
        yield made
    finally:
        subprocess.run(["groupdel", made.name("beam")], capture_output=True)
        made.remove()


def door(service: str, **values) -> MachineAuthenticator:
    pattern = r"[a-z0-9_][a-z0-9._@-]{0,62}\Z"
    return MachineAuthenticator(
        service=service, contact="help@example.org", username_pattern=pattern, **values
    )


def ask(to: MachineAuthenticator, name: str, password: str = PASSWORD, second: str = "") -> Person:
    return to.ask(typed(name, password, second, "192.0.2.1"))


def test_however_a_name_is_typed_it_is_one_account(machine):
    plain = door(machine.service(PLAIN))
    for name in (machine.name("ada"), machine.name("ADA").upper(), f" {machine.name('Ada')} "):
        person = ask(plain, name)
        assert person.name == machine.name("ada")
        assert machine.name("beam") in person.groups


def test_an_account_in_capitals_is_not_let_into_its_namesakes(machine):
    # JupyterHub itself asks PAM for 'Cap', then calls whoever has that password 'cap'.
    machine.add("Cap", "of the other")
    machine.add("cap")
    plain = door(machine.service(PLAIN))
    with pytest.raises(WrongPasswordError):
        ask(plain, machine.name("Cap"), "of the other")
    assert ask(plain, machine.name("Cap")).name == machine.name("cap")


@pytest.mark.parametrize(
    ("short", "why"), [("old", "password has expired, or must be changed"), ("late", "has expired")]
)
def test_a_closed_account_is_told_why_after_its_password(machine, short, why):
    plain = door(machine.service(PLAIN))
    with pytest.raises(NotLetInError) as refusal:
        ask(plain, machine.name(short))
    assert why in refusal.value.message and "help@example.org" in refusal.value.message
    with pytest.raises(WrongPasswordError):
        ask(plain, machine.name(short), "wrong")
    with pytest.raises(NotLetInError):
        plain.look_up(machine.name(short))


def test_unknown_names_locked_and_wrong_passwords_are_told_alike(machine):
    plain = door(machine.service(PLAIN))
    told = set()
    for short, password in (("ada", "wrong"), ("nobody", PASSWORD), ("shut", PASSWORD)):
        with pytest.raises(WrongPasswordError) as refusal:
            ask(plain, machine.name(short), password)
        told.add(refusal.value.message)
    assert told == {"The name or the password is not right."}


@pytest.mark.parametrize("name", ["root", "ROOT", "daemon", "nobody", "www-data"])
def test_pam_is_not_even_asked_for_the_machines_own_accounts(machine, name):
    marked = machine.service(
        "auth required pam_exec.so {folder}/marks\naccount required pam_permit.so\n"
    )
    (machine.folder / "marks").write_text(f"#!/bin/sh\ntouch {machine.folder}/asked\n")
    (machine.folder / "marks").chmod(0o755)
    with pytest.raises(NotLetInError, match="machine's own"):
        ask(door(marked), name)
    assert not (machine.folder / "asked").exists()
    assert ask(door(marked), machine.name("ada")).name == machine.name("ada")
    (machine.folder / "asked").unlink()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "ada/..", "-ada", "ada\x00b", "ada:x", "ada b"]
)
def test_no_name_is_a_path_or_an_option(machine, name):
    with pytest.raises(WrongPasswordError):
        ask(door(machine.service(PLAIN)), name)


def test_too_many_guesses_lock_an_account_and_pam_says_so(machine):
    locking, name = door(machine.service(LOCKING)), machine.name("otto")
    for _ in range(2):
        with pytest.raises(WrongPasswordError):
            ask(locking, name, "guess")
    with pytest.raises(WrongPasswordError) as refusal:
        ask(locking, name)
    assert "The account is locked due to 2 failed logins" in refusal.value.message
    machine.run("faillock", "--dir", str(machine.folder), "--user", name, "--reset")
    assert ask(locking, name).name == name


def one_time_passwords(machine: Machine, count: int) -> list[str]:
    path = machine.folder / "oath"
    path.write_text(f"HOTP\t{machine.name('ada')}\t-\t{SECRET}\n")
    path.chmod(0o600)
    return machine.run("oathtool", "--hotp", SECRET, f"--window={count}").split()


@pytest.mark.parametrize("order", ["after_password", "before_password"])
def test_a_second_factor_is_asked_for_and_used_once(machine, order):
    parts = (PLAIN, OTP) if order == "after_password" else (OTP, PLAIN)
    service, name = machine.service(*parts), machine.name("ada")
    first, second, *_ = one_time_passwords(machine, 3)
    strict = door(service, second_factor=order)
    assert ask(strict, name, second=first).name == name
    for password, code in (
        (PASSWORD, first),
        (PASSWORD, "000000"),
        ("wrong", second),
        (second, PASSWORD),
    ):
        with pytest.raises(WrongPasswordError):
            ask(strict, name, password, code)


def test_a_prompt_without_a_field_is_a_fault_that_names_the_key(machine):
    one_time_passwords(machine, 1)
    with pytest.raises(DoorFaultError) as fault:
        ask(door(machine.service(PLAIN, OTP)), machine.name("ada"))
    assert "login.second_factor" in fault.value.detail
    assert "nobody can log in" in fault.value.message


def test_a_service_that_is_not_there_is_a_fault(machine):
    # PAM itself would take the service 'other', whatever that lets in.
    with pytest.raises(DoorFaultError, match=r"no /etc/pam\.d/no-such-service"):
        ask(door("no-such-service"), machine.name("ada"))


@pytest.fixture
def log(machine: Machine) -> Path:
    """Where sessions are noted, by a program that PAM runs."""
    noted, script = machine.folder / "sessions", machine.folder / "session"
    script.write_text(f"#!/bin/sh\necho $PAM_TYPE $PAM_USER >> {noted}\n")
    script.chmod(0o755)
    noted.unlink(missing_ok=True)
    return noted


def test_a_session_is_open_while_the_server_is(machine, log):
    name = machine.name("ada")
    held, key = Sessions(machine.service(PLAIN, SESSION), "help@example.org"), (name, "pyfai")
    held.begin(key)
    assert log.read_text().split() == ["open_session", name]
    held.end(key)
    held.end(key)
    assert log.read_text().splitlines() == [f"open_session {name}", f"close_session {name}"]


def test_a_session_closes_with_the_hub(machine, log):
    held = Sessions(machine.service(PLAIN, SESSION), "help@example.org")
    held.begin((machine.name("ada"), "pyfai"))
    session = held.held.popitem()[1]
    session.telling.close()  # as the kernel does when the hub is killed
    session.process.wait()
    session.told.close()
    assert "close_session" in log.read_text()


def test_a_session_that_can_not_be_opened_is_told_and_is_nobody_elses(machine):
    failing = Sessions(machine.service(PLAIN, "session required pam_deny.so\n"), "help@example.org")
    with pytest.raises(SessionError) as refusal:
        failing.begin((machine.name("ada"), "pyfai"))
    assert "could not open a session" in refusal.value.jupyterhub_message
    assert failing.held == {}


async def test_jupyterhub_opens_and_closes_the_session_of_a_server(machine, log):
    opening = door(machine.service(PLAIN, SESSION), sessions=True)
    user, spawner = SimpleNamespace(name=machine.name("ada")), SimpleNamespace(name="pyfai")
    await opening.pre_spawn_start(user, spawner)
    assert "close_session" not in log.read_text()
    await opening.post_spawn_stop(user, spawner)
    assert "close_session" in log.read_text()


@pytest.fixture(scope="module")
def portal(machine: Machine, state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    """A portal that asks for a second factor."""
    one_time_passwords(machine, 1)
    state = state_folder()
    profile = state / "machine.yaml"
    service = machine.service(PLAIN, OTP)
    profile.write_text(
        "extends: laptop\ncontact: help@example.org\n"
        f"login: {{kind: pam, service: {service}, second_factor: after_password, "
        f"allowed_groups: [{machine.name('beam')}]}}\n"
    )
    running = RunningPortal(state, str(profile))
    yield running
    running.stop()


def test_the_log_in_page_asks_for_both_and_says_why_not(machine, portal):
    codes = one_time_passwords(machine, 2)
    client = portal.client()
    page = client.get("/hub/login").text
    assert 'name="second"' in page and "One-time password" in page
    form = {"username": machine.name("ADA"), "password": PASSWORD, "_xsrf": xsrf(page)}
    assert "The name or the password is not right." in client.post("/hub/login", data=form).text
    form["second"] = codes[0]
    assert f'nav-user">{machine.name("ada")}<' in client.post("/hub/login", data=form).text
    other = portal.client()
    form = {"username": "root", "password": "x", "_xsrf": xsrf(other.get("/hub/login").text)}
    assert "belongs to the machine or a service" in other.post("/hub/login", data=form).text


@pytest.mark.slow
def test_a_user_works_under_the_account_of_the_machine_and_no_web_page_is_roots(
    machine, log, state_folder
):
    state, name = state_folder(), machine.name("ada")
    machine.folder.chmod(0o711)
    home = Path(pwd.getpwnam(name).pw_dir)
    profile = state / "machine.yaml"
    service = machine.service(PLAIN, SESSION)
    profile.write_text(
        "extends: laptop\ncontact: help@example.org\n"
        f"login: {{kind: pam, service: {service}, sessions: true}}\n"
        "backend: {kind: local, accounts: system, umask: '027'}\n"
    )
    portal = RunningPortal(state, str(profile))
    try:
        client = portal.client()
        form = {"username": name, "_xsrf": xsrf(client.get("/hub/login").text)}
        wrong = client.post("/hub/login", data={**form, "password": "wrong"}).text
        assert "The name or the password is not right." in wrong
        right = client.post("/hub/login", data={**form, "password": PASSWORD}).text
        assert f'nav-user">{name}<' in right
        portal.start_server(client, "pyfai", size="small")
        kernel = Kernel(portal, client, f"/user/{name}/pyfai/")
        code = "import os; print(os.getuid(), os.path.expanduser('~'))"
        assert kernel.run(code).split() == [str(home.stat().st_uid), str(home)]
        code = "open('x', 'w').close(); print(oct(os.stat('x').st_mode))"
        assert kernel.run(code).strip() == "0o100640"
        assert log.read_text().splitlines() == [f"open_session {name}"]
        portal.stop_server(client, "pyfai")
        assert log.read_text().splitlines()[1:] == [f"close_session {name}"]
        assert "refused" not in "".join(portal.lines)
        assert portal.hub.uids() == (HUB, HUB, HUB)
    finally:
        portal.stop()
