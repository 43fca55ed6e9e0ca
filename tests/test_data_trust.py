"""Files of other accounts in a shared cache: used after they were verified, and only then."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_helpers import QUICK, known_set, noise, sha256
from tests.data_processes import Processes, fetch_in, find_in, folder_for_all
from tests.data_server import DataServer
from workbench.data import trust as trusting
from workbench.data.settings import Settings
from workbench.data.trust import Trust

ADA, BOB = 12345, 65534
FILES = {"a.bin": noise(5000), "d/b.bin": noise(7000, 1)}

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as found:
        yield found


@pytest.fixture
def site() -> Iterator[Path]:
    with folder_for_all(ADA, BOB) as found:
        yield found


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer(FILES) as found:
        yield found


def fetch(processes, site, known, account):
    places = Settings(cache=site / "cache", manners=QUICK)
    child = processes.start(fetch_in, known, places, site / f"home{account}", account=account)
    return child.result()


def find(processes, site, known, account):
    child = processes.start(
        find_in, known, site / "cache", site / f"home{account}", account=account
    )
    return child.result()


def place_of(site: Path, known, account: int) -> Path:
    return site / f"cache/{account}/sets/test/frames/{known.digest}"


def change(path: Path, data: bytes) -> None:
    """As its owner can, whatever its mode says."""
    about = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@root_only
def test_the_second_account_uses_what_the_first_has_fetched(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    ada = fetch(processes, site, known, ADA)
    bob = fetch(processes, site, known, BOB)
    assert bob["inodes"] == ada["inodes"]
    assert bob["folder"] == ada["folder"] == place_of(site, known, ADA)
    assert server.count("GET") == len(FILES)


@root_only
def test_it_reads_every_file_once_and_remembers_that(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    folder = fetch(processes, site, known, ADA)["folder"]
    time.sleep(trusting.SETTLED_S + 0.1)
    assert find(processes, site, known, BOB) == (folder, len(FILES))
    assert find(processes, site, known, BOB) == (folder, 0)
    assert find(processes, site, known, ADA) == (folder, 0), "its own files it takes as they are"


@root_only
def test_a_file_that_was_changed_afterwards_is_not_used(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    folder = fetch(processes, site, known, ADA)["folder"]
    find(processes, site, known, BOB)
    change(folder / "a.bin", noise(5000, 99))
    assert find(processes, site, known, BOB)[0] is None
    bob = fetch(processes, site, known, BOB)
    assert bob["folder"] == place_of(site, known, BOB)
    assert (bob["folder"] / "a.bin").read_bytes() == FILES["a.bin"]


@root_only
def test_what_nobody_can_verify_is_not_taken_from_another_account(processes, site, server):
    known = known_set(site / "uc", server, {"a.bin": FILES["a.bin"]})
    ada = fetch(processes, site, known, ADA)
    record = ada["folder"].with_name(f"{ada['folder'].name}.json")
    assert b'"verified": true' in record.read_bytes()
    unknown = known_set(site / "uc", server, {"a.bin": FILES["a.bin"]}, sha256="unknown")
    for path in (ada["folder"], record):
        path.rename(path.with_name(path.name.replace(known.digest, unknown.digest)))
    assert find(processes, site, unknown, BOB)[0] is None
    assert find(processes, site, unknown, ADA)[0] is not None


@root_only
def test_a_file_that_the_manifest_does_not_declare_is_not_handed_on(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    folder = fetch(processes, site, known, ADA)["folder"]
    record = folder.with_name(f"{folder.name}.json")
    text = record.read_text()
    (folder / "c.bin").write_bytes(b"evil")
    more = f'{{"name": "c.bin", "size_bytes": 4, "sha256": "{sha256(b"evil")}"}}'
    record.write_text(text.replace('"files": [', f'"files": [{more}, '))
    assert fetch(processes, site, known, BOB)["inodes"].keys() == FILES.keys()


@root_only
@pytest.mark.parametrize("account", [0, ADA])
def test_files_of_root_and_of_the_caches_owner_are_taken_as_they_are(
    processes, site, server, account
):
    os.chown(site / "cache", account, account)
    known = known_set(site / "uc", server, FILES)
    folder = fetch(processes, site, known, account)["folder"]
    assert find(processes, site, known, BOB) == (folder, 0)


@root_only
@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_what_another_account_has_closed_is_fetched_again(processes, site, server, mode):
    known = known_set(site / "uc", server, FILES)
    folder = fetch(processes, site, known, ADA)["folder"]
    (folder if mode == 0 else folder / "a.bin").chmod(mode)
    assert find(processes, site, known, BOB)[0] is None
    assert fetch(processes, site, known, BOB)["folder"] == place_of(site, known, BOB)


@root_only
def test_a_full_or_closed_home_only_makes_it_read_again(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    folder = fetch(processes, site, known, ADA)["folder"]
    os.chown(site / f"home{BOB}", 0, 0)
    for _ in range(2):
        assert find(processes, site, known, BOB) == (folder, len(FILES))


@root_only
@pytest.mark.parametrize("kind", ["folder", "open folder", "link", "file", "fifo"])
def test_nothing_is_written_into_a_folder_that_another_account_has_prepared(
    processes, site, server, kind
):
    known = known_set(site / "uc", server, FILES)
    mine = site / f"home{BOB}/mine"
    mine.mkdir()
    (mine / "a.bin").write_text("my own")
    os.chown(mine, BOB, BOB)
    trap = site / "cache" / str(BOB)
    if kind == "link":
        trap.symlink_to(mine)
    elif kind == "file":
        trap.touch()
    elif kind == "fifo":
        os.mkfifo(trap)
    else:
        trap.mkdir()
        trap.chmod(0o777 if "open" in kind else 0o755)
    os.chown(trap, ADA, ADA, follow_symlinks=False)
    with pytest.raises(Exception, match="can't be made, or is not this account's alone"):
        fetch(processes, site, known, BOB)
    assert {p.name: p.read_text() for p in mine.iterdir()} == {"a.bin": "my own"}
    assert mine.stat().st_mode & 0o777 == 0o755
    assert find(processes, site, known, BOB) == (None, 0)
    ada = fetch(processes, site, known, 0)
    assert find(processes, site, known, BOB) == (ada["folder"], 0), "others' are used all the same"


@root_only
def test_a_folder_into_which_all_may_write_and_remove_is_not_written(processes, site, server):
    (site / "cache").chmod(0o777)
    known = known_set(site / "uc", server, FILES)
    for account in (ADA, 0):
        with pytest.raises(Exception, match="can't be made, or is not this account's alone"):
            fetch(processes, site, known, account)
    assert list((site / "cache").iterdir()) == []


@root_only
def test_root_writes_only_where_no_other_account_can_move_a_folder_above(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    os.chown(site, ADA, ADA)
    with pytest.raises(Exception, match="can't be made, or is not this account's alone"):
        fetch(processes, site, known, 0)


@root_only
def test_every_account_has_a_folder_that_others_read_and_nobody_else_writes(
    processes, site, server
):
    known = known_set(site / "uc", server, FILES)
    fetch(processes, site, known, ADA)
    for name in ("", "sets", "held", "used", "sets/test", "sets/test/frames"):
        about = (site / f"cache/{ADA}" / name).stat()
        assert (about.st_uid, about.st_mode & 0o7777) == (ADA, 0o755), name
    assert (site / "cache").stat().st_mode & 0o7777 == 0o1777


# ------------------------------------------------------------------ one by one


def right(trust: Trust, path: Path, data: bytes) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return trust.contents(descriptor, path, sha256(data))
    finally:
        os.close(descriptor)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(b"right")
    return path


@pytest.fixture
def read(monkeypatch) -> list[Path]:
    """The files that were read for their checksum."""
    found: list[Path] = []
    real = trusting.sha256_of_descriptor

    def counted(descriptor: int) -> str:
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        return real(descriptor)

    monkeypatch.setattr(trusting, "sha256_of_descriptor", counted)
    return found


def test_a_file_written_just_now_is_not_remembered_yet(tmp_path, file, read, monkeypatch):
    monkeypatch.setattr(trusting, "SETTLED_S", 1000)
    for _ in range(2):
        assert right(Trust(tmp_path, tmp_path / "v.json"), file, b"right")
    assert len(read) == 2


def test_a_file_is_read_once_however_often_it_is_asked_for(tmp_path, file, read, monkeypatch):
    monkeypatch.setattr(trusting, "SETTLED_S", 0)
    for _ in range(3):
        assert right(Trust(tmp_path, tmp_path / "memory/v.json"), file, b"right")
    assert read == [file]


def test_a_file_changed_in_any_way_is_read_again(tmp_path, file, read):
    trust = Trust(tmp_path, tmp_path / "v.json")
    assert right(trust, file, b"right")
    time.sleep(0.02)  # what the clock of the file system can tell apart
    change(file, b"wrong")
    assert not right(trust, file, b"right")
    change(file, b"right")
    assert right(trust, file, b"right")
    assert len(read) == 3


def test_a_wrong_file_is_never_remembered_as_right(tmp_path, file, read):
    trust = Trust(tmp_path, tmp_path / "v.json")
    for _ in range(2):
        assert not right(trust, file, b"other")
    assert len(read) == 2


def test_a_file_that_changes_while_it_is_read_is_not_right(tmp_path, file, monkeypatch):
    real = trusting.sha256_of_descriptor

    def slow(descriptor: int) -> str:
        found = real(descriptor)
        file.write_bytes(b"longer than before")
        return found

    monkeypatch.setattr(trusting, "sha256_of_descriptor", slow)
    assert not right(Trust(tmp_path, tmp_path / "v.json"), file, b"right")


@pytest.mark.parametrize("memory", ["{", "[]", '{"x": 3}', "null"])
def test_a_damaged_memory_is_forgotten(tmp_path, file, memory):
    (tmp_path / "v.json").write_text(memory)
    assert right(Trust(tmp_path, tmp_path / "v.json"), file, b"right")
