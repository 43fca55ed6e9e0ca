"""What the helper with root's rights refuses, whatever a hub that was taken over asks for."""

import json
import os
import pwd
import subprocess
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest

from spawners.reserved_accounts import HUB, PROXY
from spawners.rights import wire
from spawners.rights.asking import Asking, Child, HelperError, settle
from spawners.rights.helper import Helper
from spawners.rights.parts import account_name
from spawners.rights.records import Records, Running, began, sent
from spawners.rights.requests import RefusedError, parsed
from spawners.rights.servers import Servers, end_marked
from spawners.rights.settings import Part, Settings
from spawners.state_folders import RIGHTS
from spawners.system_accounts import AccountError, is_person

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a helper")
OWNER = {"user": "ada", "slug": "ada", "short": "ada", "number": 1}
START = {
    **OWNER,
    "kind": "start",
    "server": "1-pyfai.01234567",
    "environment": "0123456789abcdef",
    "arguments": [],
    "variables": {},
    "memory_bytes": 1 << 30,
    "cores": 1,
}
BEGIN = {"kind": "begin", "part": "reader", "arguments": [], "variables": {}}
FILES = {"start": 2, "begin": 3}
NOBODY: Any = None


def helper_of(folder: Path, **other: object) -> Helper:
    """A helper of a portal whose state is in a folder, which nobody asks but the test."""
    (folder / RIGHTS).mkdir(exist_ok=True)
    settings = {
        "hub": os.getpid(),
        "state": str(folder),
        "sockets": str(folder / "sockets"),
        "portal": "test",
        "accounts": "portal",
        "umask": "077",
        "confined": False,
        "limits": {},
        "unified": "",
        "lacking": {},
        "memory_max_bytes": 2 << 30,
        "cores_max": 2,
        "processes_max": 10,
        "forkserver": False,
        "disk_bytes_s": None,
        "named": [],
        "use_cases": {"pyfai": "/srv/pyfai"},
        "parts": {},
    }
    return Helper(Settings(**{**settings, **other}), NOBODY)


def answered(helper: Helper, **message: object) -> dict[str, object]:
    """What the helper says to a message."""
    hub, helper.hub = wire.pair()
    with hub, helper.hub:
        files = [os.open(os.devnull, os.O_RDWR) for _ in range(FILES.get(message["kind"], 0))]
        helper.answer({"id": 7, **message}, files)
        wire.close(files)
        taken = wire.receive(hub)
    assert taken is not None and taken[0].pop("id") == 7
    return taken[0]


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {"kind": ["start"]},
        {"kind": "run", "command": ["/bin/sh"]},
        {"kind": "__class__"},
        {"kind": "signal", "name": "part-1"},
        {"kind": "signal", "name": "part-1", "number": True},
        {"kind": "signal", "name": "part-1", "number": 9, "pid": 1},
        {"kind": "signal", "name": 1, "number": 9},
        {"kind": "signal", "name": "part-1", "number": 19},
        {"kind": "signal", "name": "part-1", "number": -9},
        {"kind": "finish", "name": "../../etc"},
        {"kind": "finish", "name": "1-pyfai.01234567/.."},
        {"kind": "finish", "name": ".01234567"},
        {"kind": "present", "portal": "another's"},
    ],
)
def test_what_has_not_the_form_of_a_request_is_none(message):
    with pytest.raises(RefusedError):
        parsed(message, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", ""),
        ("user", "ada\nroot"),
        ("user", "a" * 1000),
        ("slug", "../root"),
        ("slug", ".."),
        ("slug", "a/b"),
        ("slug", ""),
        ("slug", "-ada"),
        ("slug", "ada\n"),
        ("slug", "a" * 64),
        ("short", "a" * 22),
        ("short", "--root"),
        ("short", "ada:x"),
        ("number", -1),
        ("number", 1.5),
        ("number", True),
        ("server", "../1-pyfai.01234567"),
        ("server", "1-py/fai.01234567"),
        ("environment", "../../../../usr"),
        ("environment", "0123456789abcdeg"),
        ("environment", "/usr"),
        ("arguments", ["a\0b"]),
        ("arguments", "--help"),
        ("arguments", [1]),
        ("arguments", ["x"] * 101),
        ("variables", {"A=B": "c"}),
        ("variables", {"": "c"}),
        ("variables", {"A": "c\0d"}),
        ("variables", {"A": 1}),
        ("memory_bytes", "1"),
        ("cores", "1"),
        ("cores", None),
    ],
)
def test_a_start_with_anything_odd_is_refused(field, value):
    assert parsed(START, 2)
    with pytest.raises(RefusedError):
        parsed({**START, field: value}, 2)


@pytest.mark.parametrize("files", [0, 1, 3])
def test_a_start_has_its_socket_and_its_log_and_no_more(files):
    with pytest.raises(RefusedError, match="files"):
        parsed(START, files)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory_bytes", 0),
        ("memory_bytes", -1),
        ("memory_bytes", 1 << 40),
        ("cores", 0),
        ("cores", 64),
        ("cores", float("nan")),
        ("cores", float("inf")),
        ("environment", "fedcba9876543210"),
    ],
)
def test_no_server_has_more_than_the_largest_size_or_another_program(tmp_path, field, value):
    environment = tmp_path / "environments" / START["environment"]
    environment.mkdir(parents=True)
    (environment / ".ready").touch()
    assert "refused" in answered(helper_of(tmp_path), **{**START, field: value})


@needs_root
@pytest.mark.parametrize("user", ["root", "daemon", "nobody", "www-data", "no-such-account"])
@pytest.mark.parametrize("kind", ["account", "start"])
def test_no_account_is_roots_or_a_services(tmp_path, user, kind):
    environment = tmp_path / "environments" / START["environment"]
    environment.mkdir(parents=True)
    (environment / ".ready").touch()
    fields = {**OWNER, "kind": kind} if kind == "account" else START
    helper = helper_of(tmp_path, accounts="system")
    said = answered(helper, **{**fields, "user": user})["no_account"]
    assert "belongs to a service" in said or "no account named" in said
    assert helper.servers.children == {} and not (tmp_path / "data").exists()


@pytest.mark.parametrize("number", [0, 1, 999, HUB, PROXY, 65_534, 65_535])
def test_reserved_numbers_are_nobodys(number):
    assert not is_person(number)


@needs_root
def test_an_account_of_another_portal_or_of_a_person_is_not_taken(tmp_path):
    """The home that the machine has for an account of that name tells whose it is."""
    helper, other = helper_of(tmp_path), tmp_path / "other"
    other.mkdir()
    (tmp_path / "homes").mkdir()
    mine = answered(helper, kind="account", **{**OWNER, "short": f"t{os.getpid()}"})["done"]
    try:
        assert pwd.getpwnam(mine["name"]).pw_dir == str(tmp_path / "homes/ada")
        # Another home, the same account: refused by both names that it could have.
        taken = {**OWNER, "slug": "eve", "short": f"t{os.getpid()}", "number": 2}
        second = answered(helper, kind="account", **taken)["done"]
        assert second["uid"] != mine["uid"]
    finally:
        for name in {mine["name"], second["name"]}:
            subprocess.run(["userdel", name], check=True, capture_output=True)


def test_an_account_whose_folders_never_answer_holds_up_nobody(tmp_path, monkeypatch):
    gate, writer = os.pipe()
    monkeypatch.setattr(Servers, "have_account", lambda self, request: os.read(gate, 1).decode())
    helper = helper_of(tmp_path)
    hub, helper.hub = wire.pair()
    with hub, helper.hub:
        helper.answer({"id": 1, "kind": "account", **OWNER}, [])
        helper.answer({"id": 2, "kind": "present"}, [])
        assert wire.receive(hub)[0] == {"id": 2, "done": []}
        os.write(writer, b"x")
        assert wire.receive(hub)[0] == {"id": 1, "done": "x"}
    os.close(gate)
    os.close(writer)


@needs_root
def test_two_who_ask_at_once_get_one_account(tmp_path):
    helper = helper_of(tmp_path)
    (tmp_path / "homes").mkdir()
    owner = {**OWNER, "short": f"u{os.getpid()}"}
    hub, helper.hub = wire.pair()
    with hub, helper.hub:
        for number in range(4):
            helper.answer({"id": number, "kind": "account", **owner}, [])
        made = [wire.receive(hub)[0].get("done") for _ in range(4)]
    try:
        assert made[0] and made == made[:1] * 4
    finally:
        subprocess.run(["userdel", made[0]["name"]], check=True, capture_output=True)


@needs_root
def test_a_link_in_place_of_a_home_is_not_followed(tmp_path):
    helper, victim = helper_of(tmp_path), tmp_path / "victim"
    victim.mkdir(mode=0o700)
    homes = tmp_path / "homes"
    homes.mkdir()
    (homes / "ada").symlink_to(victim)
    before = victim.stat()
    short = f"t{os.getpid()}"
    assert "failed" in answered(helper, kind="account", **{**OWNER, "short": short})
    after = victim.stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    name = next(e.pw_name for e in pwd.getpwall() if e.pw_dir == str(homes / "ada"))
    subprocess.run(["userdel", name], check=True, capture_output=True)


def test_only_what_the_helper_started_is_signalled(tmp_path):
    helper = helper_of(tmp_path)
    with subprocess.Popen(["sleep", "600"]) as other:
        for name in (str(other.pid), "part-1", "1-pyfai.01234567", f"../{other.pid}"):
            for kind in ({"kind": "signal", "number": 9}, {"kind": "status"}):
                assert "refused" in answered(helper, name=name, **kind)
        assert other.poll() is None
        other.kill()


def test_a_number_that_is_another_process_s_by_now_gets_no_signal(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as other:
        since = began(other.pid)
        assert not sent(other.pid, 9, since.replace(since.split()[0], "1"))
        assert not sent(other.pid, 9, "")
        assert other.poll() is None
        assert sent(other.pid, 9, since)


def test_records_of_another_boot_or_of_no_use_are_forgotten(tmp_path):
    records = Records(tmp_path)
    records.add("1-a.01234567", Running(os.getpid(), began(os.getpid()), os.getuid(), {}))
    records.add("1-b.01234567", Running(os.getpid(), "12 another-boot", os.getuid(), {}))
    again = Records(tmp_path)
    assert again.get("1-a.01234567") is not None and again.get("1-b.01234567") is None
    for text in ("", "[]", '{"1-a.01234567": {"pid": 1, "extra": 2}}', "nul\0"):
        (tmp_path / "servers.json").write_text(text)
        assert Records(tmp_path).get("1-a.01234567") is None


def test_processes_of_other_accounts_are_not_ended_by_their_marks():
    marks = {"JUPYTERHUB_SERVICE_PREFIX": f"/user/{os.getpid()}/", "JUPYTERHUB_API_URL": "x"}
    with subprocess.Popen(["sleep", "600"], env=marks) as process:
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            time.sleep(0.01)
        assert end_marked(marks, os.getuid() + 1) == 0
        assert end_marked({}, os.getuid()) == 0
        assert end_marked({"JUPYTERHUB_API_URL": "x"}, os.getuid()) == 0
        assert end_marked(marks, os.getuid()) == 1


def parts(**part: object) -> dict[str, Part]:
    return {"reader": Part(["/bin/false"], **part)}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({}, {"part": "sh"}),
        ({}, {"arguments": ["-c"]}),
        ({}, {"variables": {"LD_PRELOAD": "/tmp/x.so"}}),
        ({"variables": ["TOKEN"]}, {"variables": {"LD_PRELOAD": "/tmp/x.so"}}),
        # Only an account without rights takes arguments of the hub's.
        ({"arguments": "any"}, {"arguments": ["-c", "x"]}),
        ({"arguments": "use case"}, {"arguments": ["/root"]}),
        ({"arguments": "use case"}, {"arguments": ["../pyfai"]}),
        ({"arguments": "use case"}, {"arguments": ["pyfai", "pyfai"]}),
        ({"arguments": "person"}, {"arguments": ["root"]}),
        ({"arguments": "person"}, {"arguments": ["no-such-account"]}),
        ({"arguments": "person"}, {"arguments": []}),
        ({"arguments": "anybody"}, {"arguments": ["root"]}),
        ({"arguments": "anybody"}, {"arguments": ["nobody"]}),
        ({"arguments": "anybody"}, {"arguments": ["--help"]}),
        ({"arguments": "anybody"}, {"arguments": ["ada\nroot"]}),
        ({"arguments": "anybody"}, {"arguments": ["../other"]}),
    ],
)
def test_no_part_gets_what_is_not_its_own(tmp_path, part, message):
    helper = helper_of(tmp_path, parts=parts(**part))
    assert "refused" in answered(helper, **{**BEGIN, **message})
    assert helper.parts.children == {}


def test_nobody_is_asked_about_like_somebody_so_that_answers_tell_nothing():
    assert account_name("no-such-account", unknown=True) == "no-such-account"


def test_a_part_is_started_signalled_and_known(tmp_path):
    parts = {"reader": Part(["/bin/sleep"], arguments="any", account=os.getuid() or PROXY)}
    if os.geteuid() != 0:
        pytest.skip("only root starts what has another account")
    helper = helper_of(tmp_path, parts=parts)
    said = answered(helper, **{**BEGIN, "arguments": ["600"]})["done"]
    status = {"kind": "status", "name": said["name"]}
    assert answered(helper, **status) == {"done": {"status": None, "running": True}}
    assert answered(helper, kind="signal", name=said["name"], number=9)["done"]["running"]
    helper.parts.children[said["name"]][0].wait()
    assert answered(helper, **status)["done"] == {"status": -9, "running": False}
    assert "refused" in answered(helper, **status)


def test_a_message_that_is_too_large_or_no_message_ends_nothing(tmp_path):
    helper = helper_of(tmp_path)
    hub, helper.hub = wire.pair()
    with hub, helper.hub:
        with pytest.raises(wire.WireError, match="too large"):
            wire.send(hub, {"kind": "x" * wire.LARGEST_BYTES})
        for text in (b"{", b"[" * 5000, b"\xff", b'"' + b"x" * wire.LARGEST_BYTES + b'"'):
            hub.send(text)
            assert helper.take_one()
        wire.send(hub, {"id": 1, "kind": "present"})
        assert helper.take_one()
        answer = wire.receive(hub)
    assert answer is not None and answer[0] == {"id": 1, "done": []}


def test_what_root_says_arrives_whole(tmp_path):
    settings = helper_of(tmp_path, parts=parts(arguments="person")).settings
    assert Settings.taken(settings.handed()) == settings
    assert json.loads(json.dumps(settings.named)) == []


def test_asking_outlives_no_helper():
    hub, helper = wire.pair()
    asking = Asking(hub)
    helper.close()
    with hub, pytest.raises(HelperError):
        asking.ask("present")


def test_a_child_that_has_ended_is_looked_at_as_often_as_one_likes():
    """As JupyterHub does, which closes it at each look."""

    class Answers:
        def ask(self, kind, **said):
            assert (kind, said) == ("status", {"name": "part-1"})
            return {"status": process.wait(), "running": False}

    with subprocess.Popen(["false"]) as process:
        child = Child(cast(Asking, Answers()), "part-1", process.pid)
        for _ in range(2):
            assert child.wait() == child.poll() == 1
            with child:
                assert child.returncode == 1


def test_an_account_error_reaches_the_user_as_one():
    for key, kind in (("no_account", AccountError), ("refused", HelperError)):
        answer = Future()
        settle(answer, {key: "why"})
        with pytest.raises(kind, match="why"):
            answer.result()
