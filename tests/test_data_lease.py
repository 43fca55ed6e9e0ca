"""The right to fetch: one holder, known by all, replaced once it is dead."""

import json
import os
import time

import pytest

from tests.data_processes import Processes, hold, until
from workbench.data import lease as leases
from workbench.data.errors import DataError
from workbench.data.lease import ROOM, Lease, open_for_all, read


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
    assert first.take()
    first.tell(lambda: {"done_bytes": 7, "note": "waits"})
    told = until(second.told)
    assert (told["done_bytes"], told["note"], told["machine"]) == (7, "waits", leases.MACHINE)
    first.release()
    assert path.read_bytes() == b""
    assert second.told() == {}


def test_the_beat_goes_on_while_it_is_held(path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.01)
    first = Lease(path)
    assert first.take()
    first.tell(dict)
    until(lambda: first.told().get("beat", 0) > 3)
    first.release()


@pytest.mark.parametrize("text", ["x" * 5000, "é" * 900, "\x1b" * 400])
def test_a_holder_with_much_to_tell_still_says_who_it_is(path, text):
    first = Lease(path)
    assert first.take()
    first.tell(lambda: {"note": text})
    told = until(first.told)
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
    assert mine.take()
    mine.tell(lambda: {"note": "mine"})
    until(lambda: mine.told().get("note") == "mine")
    mine.release()


def test_every_account_may_write_the_file(path):
    os.close(open_for_all(path))
    assert path.stat().st_mode & 0o777 == 0o666
    before = path.stat().st_ino
    os.close(open_for_all(path))
    assert path.stat().st_ino == before


def test_a_second_account_takes_it_in_a_folder_for_everybody(processes):
    """fs.protected_regular refuses O_CREAT there, even where the file's mode allows writing."""
    if os.geteuid():
        pytest.skip("only root can become another account")
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        for account in (12345, 65534, 0):
            gate = folder / f"gate{account}"
            gate.touch()
            child = processes.start(hold, folder / "held", {}, gate, account=account)
            assert child.result()
        assert (folder / "held").stat().st_uid == 12345


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "fifo", "folder", "device"])
def test_nothing_of_mine_is_written_through_what_another_account_put_there(path, tmp_path, kind):
    mine = tmp_path / "mine"
    if kind != "dangling link":
        mine.write_text("my diary")
    if kind in ("link", "dangling link"):
        path.symlink_to(mine)
    elif kind == "hard link":
        path.hardlink_to(mine)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    found = Lease(path)
    if kind != "hard link":
        assert found.told() == {}
    with pytest.raises(DataError, match=r"Who fetches what can't be agreed on: .*/held can't be"):
        found.take()
    assert not mine.exists() or mine.read_text() == "my diary"


def test_a_pipe_has_no_line():
    reader, writer = os.pipe()
    assert read(reader) == {}
    os.close(reader)
    os.close(writer)
