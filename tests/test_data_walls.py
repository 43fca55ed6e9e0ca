"""What one account puts into a shared cache harms neither root nor another account."""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.data_helpers import QUICK, known_set, noise
from tests.data_processes import (
    Child,
    Processes,
    call,
    fetch_in,
    folder_for_all,
    look_around,
    prune_all,
    swap,
    until,
)
from tests.data_server import Behaviour, DataServer
from workbench.data.settings import Manners, Settings

ADA, BOB = 12345, 65534
FILES = {"a.bin": noise(5000), "d/b.bin": noise(7000, 1)}
RACE_S = 1
GIB = 1 << 30

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as found:
        yield found


@pytest.fixture
def site() -> Iterator[Path]:
    """A site whose cache root alone can write, as the portal makes it."""
    with folder_for_all(ADA, BOB) as found:
        (found / "cache").chmod(0o755)
        for account in (ADA, BOB):
            (found / f"cache/{account}").mkdir()
            os.chown(found / f"cache/{account}", account, account)
        (found / "home0").mkdir(mode=0o700)
        yield found


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer(FILES) as found:
        yield found


@pytest.fixture
def known(site, server):
    return known_set(site / "uc", server, FILES)


def places(site: Path, **about) -> Settings:
    return Settings(cache=site / "cache", manners=QUICK, **about)


def start(processes, site, known, account, function=fetch_in, *args, **about) -> Child:
    memory = site / f"home{account}"
    return processes.start(function, known, places(site, **about), memory, *args, account=account)


def own(path: Path, account: int = ADA) -> Path:
    """Give something to an account, with the folders above it that are missing."""
    for each in reversed((path, *path.parents)):
        if not each.exists() and each != path:
            each.mkdir()
            os.chown(each, account, account)
    if path.is_symlink() or path.exists():
        os.chown(path, account, account, follow_symlinks=False)
    return path


def folder_of(site: Path, known, account: int = ADA) -> Path:
    return site / f"cache/{account}/sets/test/frames/{known.digest}"


# ------------------------------------------------------------------ paths that an account changes


@pytest.mark.parametrize("level", ["sets", "test", "frames", "digest", "d", "held"])
def test_a_folder_that_becomes_a_link_at_any_moment_leads_nobody_astray(
    processes, site, known, server, level
):
    """The victim's folder has the names that are looked for, so that every step would succeed."""
    folder = start(processes, site, known, ADA).result()["folder"]
    places_of = [folder.parents[i] for i in (2, 1, 0)] + [folder, folder / "d"]
    inside = {"sets": 0, "test": 1, "frames": 2, "digest": 3, "d": 4}
    target = site / f"cache/{ADA}/held" if level == "held" else places_of[inside[level]]
    victim = site / f"home{BOB}/precious"
    for name in ("test/frames", f"test/frames/{known.digest}/d", "frames", f"{known.digest}/d"):
        for path in reversed((victim / name, *(victim / name).parents)):
            if victim in (path, *path.parents) and not path.exists():
                path.mkdir(mode=0o700)
                own(path, BOB)
    for name in ("b.bin", f"{known.digest}/a.bin", f"{known.digest}.json", "a.bin"):
        (victim / name).write_text("mine")
        own(victim / name, BOB)
    before = state_of(victim)
    folder.chmod(0o755)
    attack = processes.start(swap, target, victim, RACE_S, account=ADA)
    root = start(processes, site, known, 0, look_around, RACE_S)
    bob = start(processes, site, known, BOB)
    pruning = processes.start(prune_all, site / "cache", site / "home0", ADA, RACE_S)
    with suppress(FileNotFoundError):  # what he was given is ADA's, who has just moved it
        assert bob.result()["folder"] in (folder, folder_of(site, known, BOB))
    assert root.result()["turns"]
    pruning.result()
    assert attack.result() > 100
    assert state_of(victim) == before


def state_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(p.relative_to(folder)): (
            p.lstat().st_mode,
            p.lstat().st_uid,
            p.read_bytes() if p.is_file() else b"",
        )
        for p in (folder, *folder.rglob("*"))
    }


def test_nobody_makes_another_accounts_folder(processes, site, known):
    """In a cache that root made, not even before that account came for the first time."""
    (site / f"cache/{BOB}").rmdir()
    with pytest.raises(PermissionError):
        processes.start(call, "os", "mkdir", site / f"cache/{BOB}", account=ADA).result()
    with pytest.raises(Exception, match="can't be made, or is not this account's alone"):
        start(processes, site, known, BOB).result()


def test_root_prunes_what_an_account_has_and_nothing_that_it_links_to(processes, site, known):
    folder = start(processes, site, known, ADA).result()["folder"]
    precious = own(site / f"home{BOB}/precious", BOB)
    precious.mkdir()
    (precious / "file").write_text("mine")
    folder.chmod(0o755)
    own_link(folder / "out", precious)
    own_link(folder / "up", folder)
    (folder / "hard").hardlink_to(precious / "file")
    (folder / "shut").mkdir(mode=0)
    own(folder / "shut")
    assert processes.start(prune_all, site / "cache", site / "home0", ADA).result() == [True]
    assert not folder.exists()
    assert (precious / "file").read_text() == "mine"
    assert precious.stat().st_mode & 0o777 == 0o755


def own_link(path: Path, target: Path) -> None:
    path.symlink_to(target)
    own(path)


def test_folders_in_folders_without_end_are_kept_and_said_so(processes, site, known):
    folder = start(processes, site, known, ADA).result()["folder"]
    folder.chmod(0o755)
    deep(folder)
    assert processes.start(prune_all, site / "cache", site / "home0", ADA).result() == [False]
    assert start(processes, site, known, 0, look_around).result()["entries"] == 0


def deep(folder: Path) -> None:
    """Make folders in folders: more than a path can name or a function can follow by itself."""
    here, name = os.open(folder, os.O_RDONLY), "deeper"
    for _ in range(sys.getrecursionlimit() + 100):
        os.mkdir(name, dir_fd=here)
        os.chown(name, ADA, ADA, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


# ------------------------------------------------------------------ files that freeze or fill


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(900 * GIB)


def huge(path: Path) -> None:
    path.write_text(json.dumps({"files": [{"name": "x" * 100}] * 200_000}))


def nested(path: Path) -> None:
    path.write_bytes(b"[" * 1_000_000)


def listening(path: Path) -> None:
    here = socket.socket(socket.AF_UNIX)
    os.chdir(path.parent)
    here.bind(path.name)
    here.close()


def endless(path: Path) -> None:
    path.symlink_to(path.name)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS = {
    "fifo": os.mkfifo,
    "folder": os.mkdir,
    "sparse": sparse,
    "huge": huge,
    "nested": nested,
    "socket": listening,
    "loop": endless,
    "device": zeros,
    "deep": lambda path: (path.mkdir(), deep(path)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_lies_in_an_accounts_folder_freezes_nobody(processes, site, known, kind, server):
    """It lies in the place of every file that anybody reads."""
    folder = start(processes, site, known, ADA).result()["folder"]
    mark = f"test.frames.{known.digest}"
    top = site / f"cache/{ADA}"
    here = Path.cwd()
    for path in (
        top / "rates.json",
        top / "held" / mark,
        top / "used" / mark,
        folder.with_name(f"{folder.name}.json"),
        folder.with_name("0123456789abcdef.json"),
        folder / "a.bin",
    ):
        with suppress(FileNotFoundError):
            path.unlink()
        KINDS[kind](path)
        own(path)
    os.chdir(here)
    seen = start(processes, site, known, 0, look_around).result()
    assert seen["grown_kb"] < 30_000
    assert seen["sizes"].get(ADA, 0) < 100_000_000
    bob = start(processes, site, known, BOB, quota_bytes=10**9).result()
    assert bob["folder"] == folder_of(site, known, BOB)
    ours = start(processes, site, known, 0, quota_bytes=10**9).result()
    assert ours["folder"] == folder_of(site, known, 0)
    seen = start(processes, site, known, 0, look_around).result()
    assert seen["problems"] == []
    assert seen["where"] == "here, fetched before"


def test_thousands_of_records_and_of_accounts_cost_a_bounded_time(processes, site, known):
    place = own(site / f"cache/{ADA}/sets/test/frames/x").parent
    for number in range(4000):
        (place / f"{number:016x}.json").write_text("{}")
    for number in range(3000):
        (site / f"cache/{ADA}/sets/{number}").mkdir()
    for path in (site / f"cache/{ADA}").rglob("*"):
        own(path)
    seen = start(processes, site, known, 0, look_around).result()
    assert len(seen["stored"]) <= 1000
    assert seen["entries"] == 0
    assert start(processes, site, known, BOB).result()["folder"] == folder_of(site, known, BOB)


def test_a_file_that_grows_while_it_is_read_is_read_to_where_it_ended(processes, site, known):
    folder = start(processes, site, known, ADA).result()["folder"]
    over = threading.Event()

    def grow() -> None:
        with (folder / "a.bin").open("ab", buffering=0) as file:
            while not over.is_set():
                file.write(b"x" * 1000)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        bob = start(processes, site, known, BOB).result()
    finally:
        over.set()
        thread.join()
    assert bob["folder"] == folder_of(site, known, BOB)


# ------------------------------------------------------------------ one quota for all


def test_nobody_uses_up_the_quota_of_the_others(processes, site, known, server):
    start(processes, site, known, ADA).result()
    waste = own(site / f"cache/{ADA}/sets/test/frames/waste.work/parts/x")
    waste.write_bytes(b"x" * 1_000_000)
    other = known_set(site / "uc", server, {"a.bin": FILES["a.bin"]})
    bob = start(processes, site, other, BOB, quota_bytes=100_000).result()
    assert bob["folder"] == folder_of(site, other, BOB)
    third = known_set(site / "uc", server, {"d/b.bin": FILES["d/b.bin"]})
    with pytest.raises(Exception, match="are missing, and nothing is left there"):
        start(processes, site, third, ADA, quota_bytes=100_000).result()


def test_nobody_keeps_another_accounts_data_from_being_replaced(processes, site, known, server):
    """ADA says for ever that she reads what BOB has."""
    start(processes, site, known, BOB).result()
    other = known_set(site / "uc", server, {"a.bin": FILES["a.bin"]})
    mark = own(site / f"cache/{ADA}/used/test.frames.{known.digest}")
    mark.touch()
    own(mark)
    bob = start(processes, site, other, BOB, quota_bytes=14_000).result()
    assert bob["folder"] == folder_of(site, other, BOB)
    assert not folder_of(site, known, BOB).exists()


# ------------------------------------------------------------------ one download for all


@pytest.fixture
def stalled(site) -> Iterator[tuple[Any, ...]]:
    """ADA fetches, and her server pauses in the middle; BOB waits and sees how far it is."""
    files = {"frames.h5": noise(3_000_000)}
    go_on = threading.Event()
    with DataServer(files) as server, Processes() as processes:
        stalling = Behaviour(stall_after=1_000_000, until=go_on)
        server.behave("frames.h5", [stalling, Behaviour()])
        known = known_set(site / "uc", server, files)
        patient = Settings(cache=site / "cache", manners=Manners(pause_s=0.02, timeout_s=30))
        name = f"held/test.frames.{known.digest}"
        people = []
        for account in (ADA, BOB):
            told = site / f"cache/{account}" / name
            memory = site / f"home{account}"
            people.append(processes.start(fetch_in, known, patient, memory, account=account))
            until(lambda told=told: told.exists() and b'"done_bytes": 1000000' in told.read_bytes())
        yield (*people, server, go_on, known)
        go_on.set()


def test_two_accounts_fetch_it_once(stalled, site):
    ada, bob, server, go_on, known = stalled
    go_on.set()
    found, waited = ada.result(), bob.result()
    assert server.count("GET") == 1
    assert waited["folder"] == found["folder"] == folder_of(site, known)
    assert (waited["received"], found["received"]) == (0, 3_000_000)


def test_another_account_takes_over_from_one_that_is_killed(stalled, site):
    ada, bob, server, _, known = stalled
    ada.kill()
    assert bob.result()["folder"] == folder_of(site, known, BOB)
    assert server.count("GET") == 2


def test_nobody_waits_for_an_account_whose_result_could_not_be_used(processes, site, server):
    """What nobody can compare is fetched by each account for itself."""
    known = known_set(site / "uc", server, {"a.bin": FILES["a.bin"]}, size_bytes=None)
    held = own(site / f"cache/{ADA}/held/test.frames.{known.digest}")
    held.write_text(json.dumps({"since": 0.0, "machine": "x", "beat": 1, "token": "t"}))
    own(held)
    assert start(processes, site, known, BOB).result()["folder"] == folder_of(site, known, BOB)
