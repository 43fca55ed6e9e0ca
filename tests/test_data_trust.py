"""Files of other accounts in a shared cache: used after they were verified, and only then."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_helpers import QUICK, known_set, noise, sha256
from tests.data_processes import Processes, fetch_in, find_in
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
    """A folder that every account can reach, with a cache for everybody."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="beamhub-site-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "cache").mkdir()
        (folder / "cache").chmod(0o1777)
        for account in (ADA, BOB):
            (folder / f"home{account}").mkdir()
            os.chown(folder / f"home{account}", account, account)
        yield folder


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
    assert bob["folder"].name == f"{known.digest}.{ADA}"
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
    assert bob["folder"].name == f"{known.digest}.{BOB}"
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
    assert find(processes, site, known, BOB)[0] is None


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
    assert fetch(processes, site, known, BOB)["folder"].name == f"{known.digest}.{BOB}"


@root_only
def test_a_full_or_closed_home_only_makes_it_read_again(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    folder = fetch(processes, site, known, ADA)["folder"]
    os.chown(site / f"home{BOB}", 0, 0)
    for _ in range(2):
        assert find(processes, site, known, BOB) == (folder, len(FILES))


@root_only
@pytest.mark.parametrize("what", ["folder", "work", "link", "work link"])
def test_nothing_is_written_into_a_folder_that_another_account_has_prepared(
    processes, site, server, what
):
    known = known_set(site / "uc", server, FILES)
    fetch(processes, site, known, ADA)
    place = site / "cache/sets/test/frames"
    for path in (place / f"{known.digest}.{ADA}.json", place / f"{known.digest}.{ADA}"):
        path.rename(site / path.name)
    mine = site / f"home{BOB}/mine"
    mine.mkdir()
    (mine / "a.bin").write_text("my own")
    os.chown(mine, BOB, BOB)
    trap = place / f"{known.digest}.{BOB}{'.work' if 'work' in what else ''}"
    if "link" in what:
        trap.symlink_to(mine)
        os.chown(trap, ADA, ADA, follow_symlinks=False)
    else:
        trap.mkdir()
        trap.chmod(0o777)
        os.chown(trap, ADA, ADA)
    with pytest.raises(Exception, match="was made by another account, so that nothing is written"):
        fetch(processes, site, known, BOB)
    assert {p.name: p.read_text() for p in mine.iterdir()} == {"a.bin": "my own"}
    assert mine.stat().st_mode & 0o777 == 0o755


@root_only
def test_an_account_cannot_take_the_right_to_fetch_away_by_a_link(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    fetch(processes, site, known, ADA)
    held = site / "cache/held" / f"test.frames.{known.digest}"
    held.unlink()
    diary = site / f"home{BOB}/diary"
    diary.write_text("dear diary")
    os.chown(diary, BOB, BOB)
    held.symlink_to(diary)
    os.chown(held, ADA, ADA, follow_symlinks=False)
    other = known_set(site / "uc", server, FILES, title="Other frames to test with")
    for path in (site / "cache/sets/test/frames").glob("*.json"):
        path.unlink()
    with pytest.raises(Exception, match="Who fetches what can't be agreed on"):
        fetch(processes, site, other, BOB)
    assert diary.read_text() == "dear diary"


@root_only
def test_the_folders_of_a_shared_cache_are_for_everybody(processes, site, server):
    known = known_set(site / "uc", server, FILES)
    fetch(processes, site, known, ADA)
    for name in ("sets", "held", "used", "sets/test", "sets/test/frames"):
        assert (site / "cache" / name).stat().st_mode & 0o7777 == 0o1777, name


# ------------------------------------------------------------------ one by one


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(b"right")
    return path


@pytest.fixture
def read(monkeypatch) -> list[Path]:
    """The files that were read for their checksum."""
    found: list[Path] = []
    real = trusting.sha256_of
    monkeypatch.setattr(trusting, "sha256_of", lambda p: (found.append(p), real(p))[1])
    return found


def test_a_file_written_just_now_is_not_remembered_yet(tmp_path, file, read, monkeypatch):
    monkeypatch.setattr(trusting, "SETTLED_S", 1000)
    for _ in range(2):
        assert Trust(tmp_path, tmp_path / "v.json").contents(file, sha256(b"right"))
    assert len(read) == 2


def test_a_file_is_read_once_however_often_it_is_asked_for(tmp_path, file, read, monkeypatch):
    monkeypatch.setattr(trusting, "SETTLED_S", 0)
    for _ in range(3):
        assert Trust(tmp_path, tmp_path / "memory/v.json").contents(file, sha256(b"right"))
    assert read == [file]


def test_a_file_changed_in_any_way_is_read_again(tmp_path, file, read):
    trust = Trust(tmp_path, tmp_path / "v.json")
    assert trust.contents(file, sha256(b"right"))
    time.sleep(0.02)  # what the clock of the file system can tell apart
    change(file, b"wrong")
    assert not trust.contents(file, sha256(b"right"))
    change(file, b"right")
    assert trust.contents(file, sha256(b"right"))
    assert len(read) == 3


def test_a_wrong_file_is_never_remembered_as_right(tmp_path, file, read):
    trust = Trust(tmp_path, tmp_path / "v.json")
    for _ in range(2):
        assert not trust.contents(file, sha256(b"other"))
    assert len(read) == 2


def test_a_file_that_changes_while_it_is_read_is_not_right(tmp_path, file, monkeypatch):
    real = trusting.sha256_of

    def slow(path: Path) -> str:
        found = real(path)
        path.write_bytes(b"longer than before")
        return found

    monkeypatch.setattr(trusting, "sha256_of", slow)
    assert not Trust(tmp_path, tmp_path / "v.json").contents(file, sha256(b"right"))


def test_only_ordinary_files_have_contents(tmp_path, file, read):
    trust = Trust(tmp_path, tmp_path / "v.json")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        assert not trust.contents(tmp_path / name, sha256(b"right"))
    assert read == []


@pytest.mark.parametrize("memory", ["{", "[]", '{"x": 3}', "null"])
def test_a_damaged_memory_is_forgotten(tmp_path, file, memory):
    (tmp_path / "v.json").write_text(memory)
    assert Trust(tmp_path, tmp_path / "v.json").contents(file, sha256(b"right"))


def test_what_others_can_write_is_nobodys(tmp_path, file):
    trust = Trust(tmp_path, tmp_path / "v.json")
    assert trust.owner(file)
    for mode in (0o646, 0o664):
        file.chmod(mode)
        assert not trust.owner(file)
    assert not trust.owner(tmp_path / "absent")
