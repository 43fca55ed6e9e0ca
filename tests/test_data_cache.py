"""The folder of what was fetched: complete or not there, never pruned while it is read."""

import gc
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data_helpers import contents_of, known_set, make_fetch, noise, published, sha256
from tests.data_processes import Processes, call, fetch_in, remove_in, until, use_until
from tests.data_server import DataServer
from workbench.data import cache as caching
from workbench.data import use_marks
from workbench.data.access import files_of, readable, writable
from workbench.data.cache import Cache
from workbench.data.errors import DataError
from workbench.data.settings import Settings
from workbench.data.transfer.staging import Staging
from workbench.data.untrusted_files import remove_own

FILES = {"a.bin": noise(5000), "d/b.bin": noise(7000, 1)}
NOBODY = 65534

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer(FILES) as found:
        yield found


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as found:
        yield found


@pytest.fixture
def known(tmp_path, server):
    return known_set(tmp_path / "uc", server, FILES)


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache", tmp_path / "memory")


def filled(cache: Cache, known, files=FILES):
    """Publish files as a fetch would, without one."""
    folder = cache.own_folder(known)
    staging = Staging(folder, folder.with_name(f"{folder.name}.work"), lambda _: None)
    for name, data in files.items():
        staging.part(name).write_bytes(data)
        staging.accept(name, sha256(data))
    return cache.publish(known, staging, "example.org", verified=True)


def last_used(cache: Cache, known, days: float) -> None:
    """Make it look as if nobody had used it for so long."""
    path = cache.own / "used" / caching.file_name(known)
    path.touch()
    os.utime(path, (time.time() - days * 86400,) * 2)


def test_files_and_folders_can_be_read_and_not_changed(tmp_path, known):
    entry = make_fetch(known, tmp_path).run()
    assert contents_of(entry) == FILES
    assert {(entry.folder / n).stat().st_mode & 0o777 for n in FILES} == {0o444}
    assert {p.stat().st_mode & 0o777 for p in (entry.folder, entry.folder / "d")} == {0o555}
    assert [p.name for p in entry.folder.parent.iterdir() if "work" in p.name] == []


def test_a_complete_set_is_found_again(cache, known):
    entry = filled(cache, known)
    assert cache.find(known) == entry
    assert cache.size_of(*cache.stored()) == 12_000
    assert cache.entries() == [entry]


def test_another_declaration_is_another_entry(tmp_path, cache, known, server):
    entry = filled(cache, known)
    for other in (
        known_set(tmp_path / "uc2", server, FILES | {"a.bin": b"x"}),
        known_set(tmp_path / "uc3", server, FILES, unpack=["a.bin"]),
        known_set(tmp_path / "uc4", server, {**FILES, "c": b"c"}),
    ):
        assert other.digest != known.digest
        assert cache.find(other) is None
    moved = known_set(tmp_path / "uc5", "http://elsewhere.example", FILES)
    assert cache.find(moved) == entry, "another address is the same data"


def test_a_reader_never_sees_a_part_of_a_set(cache, tmp_path, server):
    files = {f"{n}.bin": noise(200, n) for n in range(40)}
    sets = [known_set(tmp_path / "uc", server, files, title=f"Frames {n}") for n in range(6)]
    sets = [replace(known, name=f"set-{n}") for n, known in enumerate(sets)]
    over, seen, wrong = threading.Event(), [], []

    def look() -> None:
        mine = Cache(cache.root, tmp_path / "other")
        while not over.is_set():
            for known in sets:
                entry = mine.find(known)
                if entry is not None:
                    seen.append(entry.folder)
                    if contents_of(entry) != files:
                        wrong.append(entry)

    thread = threading.Thread(target=look)
    thread.start()
    for known in sets:
        filled(cache, known, files)
    until(lambda: len(set(seen)) == len(sets))
    over.set()
    thread.join()
    assert wrong == []


@pytest.mark.parametrize("damage", ["missing", "shorter", "no folder", "no record"])
def test_a_set_that_is_no_longer_whole_is_fetched_again(tmp_path, known, damage):
    entry = make_fetch(known, tmp_path).run()
    if damage == "missing":
        (entry.folder / "a.bin").unlink()
    elif damage == "shorter":
        (entry.folder / "a.bin").chmod(0o644)
        (entry.folder / "a.bin").write_bytes(b"short")
    elif damage == "no folder":
        remove_own(entry.folder)
    else:
        published(tmp_path)[0].unlink()
    assert Cache(tmp_path / "cache", tmp_path).find(known) is None
    assert contents_of(make_fetch(known, tmp_path).run()) == FILES


def test_what_a_process_leaves_that_dies_right_after_publishing_does_no_harm(
    tmp_path, known, monkeypatch
):
    monkeypatch.setattr(caching, "remove_own", lambda path: None)
    entry = make_fetch(known, tmp_path).run()
    monkeypatch.undo()
    work = entry.folder.with_name(f"{entry.folder.name}.work")
    assert work.is_dir()
    published(tmp_path)[0].unlink()
    remove_own(entry.folder)
    assert contents_of(make_fetch(known, tmp_path).run()) == FILES


def test_a_line_that_was_cut_off_where_the_disk_was_full_is_passed_over(tmp_path, known, cache):
    folder = cache.own_folder(known)
    work = folder.with_name(f"{folder.name}.work")
    staging = Staging(folder, work, lambda _: None)
    staging.part("a.bin").write_bytes(FILES["a.bin"])
    staging.accept("a.bin", sha256(FILES["a.bin"]))
    with (work / "arrived").open("ab") as file:
        file.write(b'["d/b.b["x", 1\n["d/b')
    assert contents_of(make_fetch(known, tmp_path).run()) == FILES


def test_removing_a_set_removes_what_was_left_beside_it(cache, known):
    entry = filled(cache, known)
    work = entry.folder.with_name(f"{entry.folder.name}.work")
    work.mkdir()
    assert cache.remove(*cache.stored())
    assert not work.exists()
    assert sum(cache.sizes().values()) == 0


# ------------------------------------------------------------------ records from elsewhere


def change_record(cache: Cache, known, about) -> Path:
    entry = filled(cache, known)
    path = entry.folder.with_name(f"{entry.folder.name}.json")
    found = json.loads(path.read_text())
    about(found)
    path.write_text(json.dumps(found))
    return path


def no_change(record) -> None:
    pass


@pytest.mark.parametrize(
    "about",
    [
        lambda r: r["files"][0].update(name="../../secret"),
        lambda r: r["files"][0].update(name="/etc/passwd"),
        lambda r: r["files"][0].update(name="a\0b"),
        lambda r: r["files"][0].update(name=""),
        lambda r: r["files"][0].update(name=7),
        lambda r: r["files"][0].update(size_bytes="1"),
        lambda r: r["files"][0].update(more=1),
        lambda r: r["files"].append("x"),
        lambda r: r.update(files={}),
        lambda r: r.update(files=[]),
        lambda r: r.update(files=None),
        lambda r: r.update(when="now"),
        lambda r: r.update(verified="yes"),
        lambda r: r.update(source="\x1b[2J"),
        lambda r: r.update(source=None),
        lambda r: r.update(label="other/frames"),
        lambda r: r.pop("label"),
    ],
)
def test_a_record_that_nobody_would_write_is_passed_over(cache, known, about):
    path = change_record(cache, known, no_change)
    assert cache.find(known)
    path.unlink()
    remove_own(path.with_suffix(""))
    change_record(cache, known, about)
    assert cache.find(known) is None
    assert all(entry.record.files == () for entry in cache.entries())


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"files": [[]]}']
)
def test_garbage_is_no_record(cache, known, text):
    change_record(cache, known, no_change).write_bytes(text)
    assert cache.find(known) is None
    assert cache.entries() == []


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "endless"])
def test_what_is_no_ordinary_file_is_no_record(cache, known, kind):
    path = change_record(cache, known, no_change)
    kept = path.rename(path.with_name("kept"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(kept)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    assert cache.find(known) is None


@pytest.mark.parametrize("name", ["x", "0123456789abcdef.0", "0123456789abcdef.work", "a b"])
def test_a_folder_of_another_name_is_no_set(cache, known, name):
    path = change_record(cache, known, no_change)
    path.with_suffix("").rename(path.with_name(name))
    path.rename(path.with_name(f"{name}.json"))
    assert cache.entries() == cache.stored() == []


def test_a_link_to_a_folder_is_no_set(cache, known, tmp_path):
    path = change_record(cache, known, no_change)
    folder = path.with_suffix("")
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert cache.find(known) is None


# ------------------------------------------------------------------ room


@pytest.fixture
def three(cache, known):
    """Three sets of 12 kB, used one, two and three days ago."""
    sets = [replace(known, name=name) for name in ("new", "middle", "old")]
    for days, each in enumerate(sets, 1):
        filled(cache, each)
        last_used(cache, each, days)
    return sets


def names(cache: Cache) -> set[str]:
    return {stored.label.partition("/")[2] for stored in cache.stored()}


def test_what_was_used_longest_ago_goes_first(cache, three):
    assert [s.label for s in cache.stored()] == ["test/old", "test/middle", "test/new"]
    cache.make_room(5_000, quota_bytes=30_000)
    assert names(cache) == {"new", "middle"}
    cache.make_room(5_000, quota_bytes=30_000)
    assert names(cache) == {"new", "middle"}, "there is room"
    cache.make_room(25_000, quota_bytes=30_000)
    assert names(cache) == set()


def test_without_a_quota_only_the_disk_counts(cache, three, monkeypatch):
    cache.make_room(5_000, None)
    assert len(names(cache)) == 3
    free = [0]
    usage = type("Usage", (), {"free": property(lambda self: free[0])})()
    monkeypatch.setattr(caching.shutil, "disk_usage", lambda path: usage)
    removed = cache.remove

    def removing(stored, **options):
        free[0] += 12_000
        return removed(stored, **options)

    monkeypatch.setattr(cache, "remove", removing)
    cache.make_room(20_000, None)
    assert names(cache) == {"new"}


def test_what_somebody_uses_is_never_removed(cache, three, tmp_path):
    use = cache.use(three[2])
    last_used(cache, three[2], 9)
    cache.make_room(10_000, quota_bytes=24_500)
    assert names(cache) == {"old"}
    use.close()


def test_what_another_process_uses_is_never_removed(cache, three, tmp_path, processes):
    gate = tmp_path / "gate"
    child = processes.start(use_until, cache.root, tmp_path / "memory", three[2], gate)
    until((tmp_path / "gate.ready").exists)
    last_used(cache, three[2], 9)  # on this machine, its lock says so
    cache.make_room(10_000, quota_bytes=24_500)
    assert names(cache) == {"old"}
    child.kill()
    last_used(cache, three[2], 9)
    cache.make_room(10_000, quota_bytes=12_000)
    assert names(cache) == set()


def test_what_another_machine_has_used_a_moment_ago_is_not_removed(cache, three):
    last_used(cache, three[2], 1 / 86400)
    cache.make_room(10_000, quota_bytes=24_500)
    assert names(cache) == {"old"}


def test_a_use_is_renewed_as_long_as_it_lasts(cache, known, monkeypatch):
    monkeypatch.setattr(use_marks, "TOUCH_S", 0.01)
    use = cache.use(known)
    path = cache.own / "used" / caching.file_name(known)
    os.utime(path, (0, 0))
    until(lambda: path.stat().st_mtime > time.time() - 60)
    use.close()


def test_the_files_of_a_fetch_are_in_use_as_long_as_the_object_lives(cache, known):
    entry = filled(cache, known)
    files = files_of(known, entry, cache.use(known))
    until((cache.own / "used" / caching.file_name(known)).exists)
    last_used(cache, known, 9)
    assert not cache.remove(*cache.stored())
    del files
    gc.collect()

    def removed() -> bool:
        last_used(cache, known, 9)
        return cache.remove(*cache.stored())

    until(removed)


def test_a_sentence_says_what_is_missing_where_nothing_can_be_freed(cache, three):
    use = [cache.use(each) for each in three]
    with pytest.raises(DataError) as caught:
        cache.make_room(20_000, quota_bytes=40_000)
    text = str(caught.value)
    assert text.startswith(f"20 kB are to be fetched into {cache.root}, where 1")
    assert "kB are missing, and nothing is left there that nobody uses." in text
    for each in use:
        each.close()


def test_what_is_larger_than_the_quota_is_never_fetched(cache, three):
    with pytest.raises(DataError, match=r"50 kB are to be fetched .* where 10 kB are missing"):
        cache.make_room(50_000, quota_bytes=40_000)


def test_a_fetch_makes_room_for_itself(tmp_path, cache, three, known):
    entry = make_fetch(known, tmp_path, quota_bytes=40_000).run()
    assert contents_of(entry) == FILES
    assert names(cache) == {"frames", "new", "middle"}
    with pytest.raises(DataError, match="are missing, and nothing is left there"):
        make_fetch(replace(known, name="more"), tmp_path, quota_bytes=11_000).run()


# ------------------------------------------------------------------ accounts


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="beamhub-site-") as name:
        Path(name).chmod(0o755)
        (Path(name) / "home").mkdir()
        os.chown(Path(name) / "home", NOBODY, NOBODY)
        yield Path(name)


def writable_root(root: Path, home: Path) -> tuple[Path, list[bool]]:
    os.environ["XDG_CACHE_HOME"] = str(home)
    places = Settings(cache=root)
    return writable(places, readable(places)).root, [c.writable for c in readable(places)]


@root_only
def test_a_cache_that_can_only_be_read_is_read_and_ones_own_written(
    open_folder, processes, tmp_path, server
):
    known = known_set(open_folder / "uc", server, FILES)
    site = Cache(open_folder / "cache", tmp_path)
    filled(site, known)
    child = processes.start(
        call,
        "tests.test_data_cache",
        "writable_root",
        site.root,
        open_folder / "home",
        account=NOBODY,
    )
    own = open_folder / "home/beamhub/data"
    assert child.result() == (own, [False, True])
    places = Settings(cache=site.root)
    child = processes.start(fetch_in, known, places, open_folder / "home/m", account=NOBODY)
    assert child.result()["folder"].parents[4] == site.root
    assert server.count() == 0


@root_only
def test_nobody_removes_anything_from_a_cache_that_can_only_be_read(
    open_folder, processes, tmp_path, server
):
    known = known_set(open_folder / "uc", server, FILES)
    site = Cache(open_folder / "cache", tmp_path)
    entry = filled(site, known)
    child = processes.start(remove_in, site.root, open_folder / "home/m", account=NOBODY)
    assert child.result() == [False]
    assert site.find(known) == entry


@root_only
def test_nobody_removes_what_another_account_has_brought(open_folder, processes, tmp_path, server):
    known = known_set(open_folder / "uc", server, FILES)
    (open_folder / "cache").mkdir()
    (open_folder / "cache").chmod(0o1777)
    site = Cache(open_folder / "cache", tmp_path)
    entry = filled(site, known)
    child = processes.start(remove_in, site.root, open_folder / "home/m", account=NOBODY)
    assert child.result() == [False]
    assert site.find(known) == entry


@root_only
def test_a_cache_in_a_closed_folder_is_no_cache(open_folder, processes):
    (open_folder / "closed").mkdir(mode=0o700)
    child = processes.start(
        call,
        "tests.test_data_cache",
        "writable_root",
        open_folder / "closed/cache",
        open_folder / "home",
        account=NOBODY,
    )
    assert child.result() == (open_folder / "home/beamhub/data", [False, True])


def test_a_cache_where_there_is_a_file_is_no_cache(tmp_path, known):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file", tmp_path)
    assert not cache.writable
    assert cache.find(known) is None
    assert cache.entries() == []
