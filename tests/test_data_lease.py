"""The right to fetch: one holder, known by all, replaced once it is dead."""

import json
import time

import pytest

from tests.data_processes import Processes, hold, until
from workbench.data import lease as leases
from workbench.data.errors import DataError
from workbench.data.lease import ROOM, Lease


@pytest.fixture(scope="module")
def processes():
    with Processes() as found:
        yield found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "held"


def line(path, **about) -> None:
    path.write_bytes(json.dumps(about).encode().ljust(ROOM - 1) + b"\n")


def test_only_one_has_it_until_it_is_released(path):
    first, second = Lease(path), Lease(path)
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_what_the_holder_tells_is_read_by_others_and_gone_afterwards(path):
    first, second = Lease(path), Lease(path)
    assert second.told() == {}
    first.tell(lambda: {"done_bytes": 7, "note": "waits"})
    assert first.take()
    told = until(second.told)
    assert (told["done_bytes"], told["note"], told["machine"]) == (7, "waits", leases.MACHINE)
    first.release()
    assert path.read_bytes() == b""
    assert second.told() == {}


def test_the_beat_goes_on_while_it_is_held(path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.01)
    first, second = Lease(path), Lease(path)
    assert first.take()
    until(lambda: second.told().get("beat", 0) > 3)
    first.release()


@pytest.mark.parametrize("text", ["x" * 5000, "é" * 900, "\x1b" * 400])
def test_a_holder_with_much_to_tell_still_says_who_it_is(path, text):
    first = Lease(path)
    first.tell(lambda: {"note": text})
    assert first.take()
    told = until(Lease(path).told)
    assert told["machine"] == leases.MACHINE
    assert path.stat().st_size == ROOM
    first.release()


def test_a_holder_in_another_process_is_seen_and_replaced_as_soon_as_it_is_killed(
    path, tmp_path, processes
):
    gate = tmp_path / "gate"
    child = processes.start(hold, path, {"done_bytes": 5}, gate)
    mine = Lease(path)
    until(lambda: mine.told().get("done_bytes") == 5)
    assert not mine.take()
    child.kill()
    assert mine.told()["done_bytes"] == 5, "it could not clear what it told"
    assert mine.take(), "a dead holder of this machine is not waited for"
    mine.release()


def test_a_holder_in_another_process_hands_it_over(path, tmp_path, processes):
    gate = tmp_path / "gate"
    child = processes.start(hold, path, {}, gate)
    until((tmp_path / "gate.ready").exists)
    mine = Lease(path)
    assert not mine.take()
    gate.touch()
    assert child.result()
    assert mine.take()
    mine.release()


def test_a_silent_holder_on_another_machine_is_waited_for_and_then_replaced(path):
    line(path, machine="another", token="t", beat=3)
    mine = Lease(path, dead_after_s=0.3)
    began = time.monotonic()
    assert not mine.take()
    until(mine.take)
    assert 0.3 <= time.monotonic() - began < 5
    mine.release()


def test_a_living_holder_on_another_machine_is_never_replaced(path):
    mine = Lease(path, dead_after_s=0.2)
    for beat in range(20):
        line(path, machine="another", token="t", beat=beat)
        assert not mine.take()
        time.sleep(0.05)
    line(path, machine="another", token="u", beat=19)
    assert not mine.take(), "another holder with the same beat is another sign of life"


def test_a_line_of_this_machine_means_nothing_without_its_lock(path):
    line(path, machine=leases.MACHINE, token="t", beat=3)
    mine = Lease(path)
    assert mine.take()
    mine.release()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0" * ROOM,
        b"[1, 2]",
        b'"x"',
        b"{",
        b"[" * ROOM,
        b"\xff\xfe",
        b"null",
        b'{"beat":' * 99,
    ],
)
def test_garbage_is_nobody(path, text):
    path.write_bytes(text)
    mine = Lease(path)
    assert mine.told() == {}
    mine.tell(lambda: {"note": "mine"})
    assert mine.take()
    assert Lease(path).told()["note"] == "mine"
    mine.release()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_cannot_be_written_is_said_so(path, tmp_path, kind):
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"Who fetches what can't be agreed on: .*/held can't be"):
        Lease(path).take()
    assert not (tmp_path / "elsewhere").exists()


# ------------------------------------------------------------------ other accounts


def claim(since: float, **about) -> dict:
    """What a living claim of this machine says."""
    return {"machine": leases.MACHINE, "since": since, "at": time.monotonic(), **about}


def test_the_account_that_came_first_has_it(path):
    mine = Lease(path, lambda: {7: claim(1.0, note="seven"), 8: claim(2.0, note="eight")})
    assert not mine.take()
    assert mine.told()["note"] == "seven"
    mine.release()
    later = time.time() + 1000
    mine = Lease(path, lambda: {7: claim(later)})
    assert mine.take()
    mine.release()


def test_whoever_waits_in_the_queue_takes_over_when_the_first_is_silent(path):
    told = {7: claim(1.0)}
    mine = Lease(path, lambda: told)
    assert not mine.take()
    told[7]["at"] -= leases.DEAD_HERE_AFTER_S + 1
    assert mine.take()
    mine.release()


def test_a_silent_account_of_another_machine_is_waited_for_and_then_replaced(path):
    told = {7: {"machine": "another", "since": 1.0, "token": "t", "beat": 4}}
    mine = Lease(path, lambda: told, dead_after_s=0.3)
    assert not mine.take()
    until(mine.take)
    mine.release()


@pytest.mark.parametrize("since", [-1e308, float("-inf"), 0.0])
def test_nobody_waits_longer_for_another_account_than_is_worth_it(path, since):
    beats = iter(range(10**9))
    mine = Lease(path, lambda: {7: claim(since, beat=next(beats))}, patience_s=0.3)
    assert not mine.take()
    until(mine.take)
    mine.release()


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"since": 1.0},
        {"since": "1", "machine": [], "at": {}, "beat": {}},
        {"since": float("nan"), "at": float("nan")},
        {"machine": leases.MACHINE, "since": 1.0, "at": -1e9},
        {"machine": leases.MACHINE, "since": None, "at": 1e300},
    ],
)
def test_a_claim_that_nobody_would_write_stops_nobody_for_long(path, told):
    mine = Lease(path, lambda: {7: told}, dead_after_s=0.05)
    until(mine.take)
    mine.release()


def test_the_lock_can_be_opened_by_this_account_alone(path):
    mine = Lease(path)
    assert mine.take()
    assert path.with_name("held.lock").stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o644
    mine.release()
