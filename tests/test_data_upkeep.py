"""Data that are here are verified, removed, and put into mirrors."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_helpers import QUICK, known_set, noise, offer_in_manifest, renamed, sha256, tar_of
from tests.data_processes import unused_for
from tests.data_server import DataServer
from workbench.data import catalogue
from workbench.data.access import Files, fetch
from workbench.data.availability import LISTING
from workbench.data.cache import Cache
from workbench.data.cache_records import file_name
from workbench.data.errors import DataError
from workbench.data.linking import link_into
from workbench.data.settings import Settings
from workbench.data.upkeep import mirror, prune, sets_of, verify, verify_mirror

FILES = {"a.bin": noise(5000), "d/b c.bin": noise(7000, 1)}
INSIDE = {"run/1.bin": noise(3000, 2), "run/2.bin": noise(4000, 3)}
TAR = {"all.tar": tar_of(INSIDE)}


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer(FILES | TAR) as found:
        yield found


@pytest.fixture
def sets(tmp_path, server, monkeypatch):
    """Two data sets of a use case: files as they are, and those of an archive."""
    monkeypatch.setattr(catalogue, "SHIPPED", tmp_path / "none")
    monkeypatch.setenv("BEAMHUB_NOTEBOOKS", str(tmp_path / "shipped"))
    monkeypatch.setenv("BEAMHUB_USE_CASE", "test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    frames = known_set(tmp_path / "uc", server, FILES)
    packed = renamed(known_set(tmp_path / "uc", server, TAR, unpack=["all.tar"]), "packed")
    offer_in_manifest(tmp_path / "shipped", frames, packed)
    return [frames, packed]


@pytest.fixture
def places(tmp_path) -> Settings:
    return Settings(cache=tmp_path / "cache", manners=QUICK)


def problems(findings) -> dict[str, str]:
    return {f.path.name: f.problem for f in findings if f.problem}


def change(path: Path) -> None:
    """Change one byte, as a failing disk does."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def unused(places: Settings, known, days: float) -> None:
    unused_for(places.cache / str(os.geteuid()) / "used" / file_name(known), days)


def have(places: Settings, sets) -> None:
    """Fetch all, and forget that it was just now."""
    for known in sets:
        fetch(known.label, places=places, progress=False)
        unused(places, known, 1)


# ------------------------------------------------------------------ verify


def test_what_is_right_is_found_right(sets, places):
    have(places, sets)
    found = list(verify(places=places))
    assert {(f.label, f.path.name) for f in found} == {
        ("test/frames", "a.bin"),
        ("test/frames", "b c.bin"),
        ("test/packed", "1.bin"),
        ("test/packed", "2.bin"),
    }
    assert problems(found) == {}


def test_a_changed_byte_and_a_missing_file_are_found(sets, places):
    have(places, sets)
    files = fetch("frames", places=places)
    change(files["a.bin"])
    files["d/b c.bin"].unlink()
    assert problems(verify(places=places)) == {
        "a.bin": "is not what it was: its checksum differs",
        "b c.bin": "is missing",
    }
    assert problems(verify("packed", places=places)) == {}
    assert len(list(verify("test/packed", places=places))) == 2


def test_a_file_that_cannot_be_read_is_told(sets, places):
    have(places, sets)
    path = fetch("frames", places=places)["a.bin"]
    path.unlink()
    path.mkdir()
    assert problems(verify("frames", places=places)) == {
        "a.bin": "can't be read: it isn't an ordinary file"
    }


def test_a_data_root_is_verified_too(sets, places, tmp_path):
    folder = tmp_path / "root/test/frames"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    rooted = Settings(cache=places.cache, roots=(tmp_path / "root",), manners=QUICK)
    assert problems(verify(places=rooted)) == {}
    assert len(list(verify(places=rooted))) == 2
    change(folder / "a.bin")
    (folder / "d/b c.bin").unlink()
    assert problems(verify(places=rooted)) == {
        "a.bin": "is not what it was: its checksum differs",
        "b c.bin": "is missing",
    }


# ------------------------------------------------------------------ prune


def pruned(**options) -> dict[str, bool]:
    return {stored.label: gone for stored, _, gone in prune(**options)}


def here(places: Settings) -> set[str]:
    return {stored.label for stored in Cache(places.cache, places.cache).stored()}


@pytest.mark.parametrize("name", ["frames", "test/frames"])
def test_a_set_is_removed_by_its_name(sets, places, name):
    have(places, sets)
    assert pruned(names=[name], places=places) == {"test/frames": True}
    assert here(places) == {"test/packed"}


def test_what_nobody_has_used_for_long_is_removed(sets, places):
    have(places, sets)
    unused(places, sets[0], 40)
    assert pruned(unused_days=90, places=places) == {}
    assert pruned(unused_days=30, places=places) == {"test/frames": True}
    assert here(places) == {"test/packed"}


def test_what_was_used_longest_ago_goes_until_the_rest_is_small_enough(sets, places):
    have(places, sets)
    unused(places, sets[1], 40)
    assert pruned(quota_bytes=12_900, places=places) == {"test/packed": True}
    assert pruned(quota_bytes=12_900, places=places) == {}
    assert here(places) == {"test/frames"}


def test_what_is_being_read_is_kept_and_told(sets, places):
    have(places, sets)
    files = fetch("frames", places=places)
    assert pruned(unused_days=0, places=places) == {"test/frames": False, "test/packed": True}
    assert files["a.bin"].read_bytes() == FILES["a.bin"]


# ------------------------------------------------------------------ mirror


def mirrored(folder: Path, sets, places) -> dict[str, object]:
    return {known.label: result for known, result in mirror(folder, sets, places=places)}


def test_a_mirror_has_every_file_and_says_what_they_are(sets, places, tmp_path):
    found = mirrored(tmp_path / "mirror", sets, places)
    assert [len(result) for result in found.values()] == [2, 2]
    for known, files in zip(sets, (FILES, INSIDE), strict=True):
        folder = tmp_path / "mirror" / known.label
        assert {name: (folder / name).read_bytes() for name in files} == files
        about = json.loads((folder / LISTING).read_text())
        assert about["data_set"] == known.label
        assert {f["name"]: f["sha256"] for f in about["files"]} == {
            name: sha256(data) for name, data in files.items()
        }
        assert {f["of"] for f in about["files"]} == ({"all.tar"} if files is INSIDE else {*FILES})
        assert folder.stat().st_mode & 0o777 == 0o755
    assert problems(verify_mirror(tmp_path / "mirror")) == {}
    assert len(list(verify_mirror(tmp_path / "mirror"))) == 4


def test_a_mirror_is_used_in_place_as_a_data_root(sets, places, tmp_path, server):
    mirrored(tmp_path / "mirror", sets, places)
    before = server.count()
    rooted = Settings(cache=tmp_path / "other", roots=(tmp_path / "mirror",), manners=QUICK)
    for known, files in zip(sets, (FILES, INSIDE), strict=True):
        found = fetch(known.name, places=rooted)
        assert found.folder == tmp_path / "mirror" / known.label
        assert {p.relative_to(found.folder).as_posix(): p.read_bytes() for p in found} == files
    assert server.count() == before


@pytest.mark.parametrize("kind", ["file", "http"])
def test_a_mirror_is_fetched_from_in_the_publishers_place(sets, places, tmp_path, server, kind):
    mirrored(tmp_path / "mirror", sets, places)
    before = server.count()
    with DataServer(folder=tmp_path / "mirror") as web:
        address = f"file://{tmp_path}/mirror" if kind == "file" else web.url()
        remote = Settings(cache=tmp_path / "other", mirrors=(address,), manners=QUICK)
        for known, files in zip(sets, (FILES, INSIDE), strict=True):
            found = fetch(known.name, places=remote, progress=False)
            assert {p.relative_to(found.folder).as_posix(): p.read_bytes() for p in found} == files
            assert tmp_path / "other" in found.folder.parents
    assert server.count() == before


def test_a_mirror_that_is_whole_is_not_fetched_again(sets, places, tmp_path, server):
    mirrored(tmp_path / "mirror", sets, places)
    before = server.count()
    elsewhere = Settings(cache=tmp_path / "empty", manners=QUICK)
    found = mirrored(tmp_path / "mirror", sets, elsewhere)
    assert [files.source for files in found.values()] == ["in the mirror already"] * 2
    assert server.count() == before


def test_damage_to_a_mirror_is_found_and_mended(sets, places, tmp_path):
    mirrored(tmp_path / "mirror", sets, places)
    folder = tmp_path / "mirror/test"
    for path in (folder / "frames/a.bin", folder / "packed/run/1.bin"):
        data = path.read_bytes()
        path.unlink()  # else the cache's file, which is the same one, changes too
        path.write_bytes(data)
        change(path)
    (folder / "packed/run/2.bin").unlink()
    assert problems(verify_mirror(tmp_path / "mirror")) == {
        "a.bin": "is not what it was: its checksum differs",
        "1.bin": "is not what it was: its checksum differs",
        "2.bin": "is missing",
    }
    mirrored(tmp_path / "mirror", sets, places)
    assert problems(verify_mirror(tmp_path / "mirror")) == {}


def test_damage_never_becomes_the_mirrors_truth(sets, places, tmp_path):
    mirrored(tmp_path / "mirror", sets, places)
    listing = (tmp_path / "mirror/test/frames" / LISTING).read_bytes()
    change(tmp_path / "mirror/test/frames/a.bin")  # and by that, the cache's
    found = mirrored(tmp_path / "mirror", sets, places)
    problem = found["test/frames"]
    assert isinstance(problem, DataError)
    assert "a.bin is not what it was: its checksum differs. Remove test/frames" in str(problem)
    assert isinstance(found["test/packed"], Files)
    assert (tmp_path / "mirror/test/frames" / LISTING).read_bytes() == listing
    assert problems(verify_mirror(tmp_path / "mirror"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": [{"name": "../x"}]}', '{"files": 3}'])
def test_a_damaged_listing_is_told(sets, places, tmp_path, text):
    mirrored(tmp_path / "mirror", sets[:1], places)
    (tmp_path / "mirror/test/frames" / LISTING).write_text(text)
    assert problems(verify_mirror(tmp_path / "mirror")) == {LISTING: "can't be read"}


def test_what_cannot_be_had_is_told_and_the_rest_mirrored(sets, places, tmp_path, server):
    server.put("a.bin", b"other")
    found = mirrored(tmp_path / "mirror", sets, places)
    assert isinstance(found["test/frames"], DataError)
    assert len(found["test/packed"]) == 2
    assert not (tmp_path / "mirror/test/frames" / LISTING).exists()


def test_what_nobody_can_verify_is_mirrored_only_by_its_name(tmp_path, sets, places, server):
    unknown = known_set(tmp_path / "uc", server, FILES, sha256="unknown")
    offer_in_manifest(tmp_path / "shipped", unknown)
    [(_, problem)] = mirror(tmp_path / "mirror", sets_of(["test"]), places=places)
    assert "Nobody has published a checksum" in str(problem)
    [(_, files)] = mirror(tmp_path / "mirror", sets_of(["test"]), ["frames"], places=places)
    assert len(files) == 2
    listing = json.loads((tmp_path / "mirror/test/frames" / LISTING).read_text())
    assert listing["files"][0]["sha256"] == sha256(FILES["a.bin"])


def test_a_use_case_without_data_is_told_with_those_that_have_some(sets):
    assert sets_of([]) == sets_of(["test"])
    with pytest.raises(DataError, match=r"no use case 'tset' with data\. There are test\."):
        sets_of(["tset"])


# ------------------------------------------------------------------ a second place


def test_files_appear_in_a_second_folder_without_a_second_copy(sets, places, tmp_path):
    files = fetch("frames", places=places, into=tmp_path / "mine")
    assert {p.name for p in (tmp_path / "mine").rglob("*.bin")} == {"a.bin", "b c.bin"}
    for name in FILES:
        assert (tmp_path / "mine" / name).samefile(files[name])
    (tmp_path / "mine/d/b c.bin").unlink()
    (tmp_path / "mine/d/b c.bin").symlink_to(tmp_path / "gone")
    fetch("frames", places=places, into=tmp_path / "mine")
    assert (tmp_path / "mine/d/b c.bin").read_bytes() == FILES["d/b c.bin"]


def test_a_link_to_what_was_fetched_before_is_replaced_and_a_file_of_ones_own_is_not(
    sets, places, tmp_path
):
    mine, older = tmp_path / "mine", tmp_path / "older"
    mine.mkdir()
    older.write_text("of another seed")
    older.chmod(0o444)
    (mine / "a.bin").hardlink_to(older)
    fetch("frames", places=places, into=mine)
    assert (mine / "a.bin").read_bytes() == FILES["a.bin"]
    assert older.read_text() == "of another seed"
    (mine / "a.bin").unlink()
    (mine / "a.bin").write_text("my own")
    with pytest.raises(DataError, match=r"a\.bin is there already, and it isn't the file"):
        fetch("frames", places=places, into=mine)
    assert (mine / "a.bin").read_text() == "my own"


def test_another_file_system_gets_symbolic_links(sets, places):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == places.cache.parent.stat().st_dev:
        pytest.skip("there is no second file system")
    files = fetch("frames", places=places)
    target = memory / f"beamhub-test-{os.getpid()}"
    try:
        link_into(files, target)
        assert (target / "a.bin").is_symlink()
        assert (target / "d/b c.bin").read_bytes() == FILES["d/b c.bin"]
    finally:
        for path in (*target.rglob("*.bin"), target / "d", target):
            path.unlink() if path.is_symlink() else path.rmdir()
