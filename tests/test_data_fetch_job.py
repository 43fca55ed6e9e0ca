"""One data set: from the first source that delivers, verified, or not published at all."""

import gzip
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data_helpers import (
    MB,
    contents_of,
    known_set,
    make_fetch,
    md5,
    noise,
    offer_in_manifest,
    published,
    sha256,
    tar_of,
    visible,
    without_proxies,
)
from tests.data_server import Behaviour, DataServer
from workbench.data.availability import LISTING
from workbench.data.errors import DataError, Refused
from workbench.data.fetch_job import Fetch
from workbench.data.settings import Manners, Settings
from workbench.data.transfer.http_client import Cancelled
from workbench.data.upkeep import mirror

SMALL = noise(300_000)
LARGE = noise(10 * MB)
OTHER = noise(300_000, 1)
IMPATIENT = Manners(pause_s=0.02, timeout_s=0.5, tries=3)
PASSWORD = "hunter2-Xq9"


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    without_proxies(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer({"a.bin": SMALL, "big.bin": LARGE}) as running:
        yield running


def at(server: DataServer) -> str:
    return f"127.0.0.1:{server.port}"


def brought(work: Fetch) -> dict[str, bytes]:
    """What the cache holds once the work is done; what was counted is what is there."""
    entry = work.run()
    found = contents_of(entry)
    for file in entry.record.files:
        assert file.sha256 == sha256(found[file.name])
    assert work.progress.state.files == len(found)
    return found


def refusal(work: Fetch, kind: type[DataError] = DataError) -> str:
    """Why it can't be had; then nothing of it can be seen as complete."""
    with pytest.raises(kind) as caught:
        work.run()
    assert list((work.cache.own / "sets").glob("*/*/*.json")) == []
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def left_of(work: Fetch) -> list[int]:
    """The sizes of what is half done."""
    parts = work.cache.own.glob("sets/*/*/*.work/parts/**/*")
    return [path.stat().st_size for path in parts if path.is_file()]


@pytest.mark.parametrize("name", ["a.bin", "big.bin"])
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(),
        Behaviour(ignore_ranges=True),
        Behaviour(full_for_range=True),
        Behaviour(no_content_length="chunked"),
        Behaviour(etag=None),
        Behaviour(etag=None, last_modified=None),
        [Behaviour(truncate_after=100_001), Behaviour()],
        [Behaviour(reset_after=100_001), Behaviour()],
        [Behaviour(stall_after=100_001), Behaviour()],
        [Behaviour(status=500), Behaviour(status=503), Behaviour()],
    ],
)
def test_a_file_is_published_once_it_is_right(server, tmp_path, name, behaviour):
    data = {"a.bin": SMALL, "big.bin": LARGE}[name]
    server.behave(name, behaviour)
    work = make_fetch(known_set(tmp_path, server, {name: data}), tmp_path)
    assert brought(work) == {name: data}
    assert work.progress.state.done_bytes == len(data)
    assert published(tmp_path) != []
    assert left_of(work) == []


@pytest.mark.parametrize("name", ["a.bin", "big.bin"])
@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (Behaviour(html=True), "answered with a web page instead of the file"),
        (Behaviour(status=401), "asks for a log-in (HTTP 401)."),
        (Behaviour(status=404), "does not have the file (HTTP 404)."),
        (Behaviour(status=503), "is busy (HTTP 503)."),
        (Behaviour(status=429, retry_after=7200), "asks to come back in 2.0 h."),
        (Behaviour(redirect="/a.bin"), "sends from one address to the next without end."),
        (Behaviour(redirect="ftp://x"), "sends to an address that is not one of the web."),
        (Behaviour(content=b"x" * 99), "offers 99 bytes where"),
        (Behaviour(stall_after=0), "stopped sending."),
    ],
)
def test_a_file_that_does_not_come_is_told_with_its_source(server, tmp_path, name, behaviour, text):
    data = {"a.bin": SMALL, "big.bin": LARGE}[name]
    server.behave("*", behaviour)
    work = make_fetch(known_set(tmp_path, server, {name: data}), tmp_path, manners=IMPATIENT)
    said = refusal(work)
    first, second = said.splitlines()[:2]
    assert first == f"{name} of test/frames could not be had."
    assert second.startswith(f"  {at(server)} ")
    assert text in second
    assert "is kept; the next" not in said
    assert visible(tmp_path) == {}


# ---------------------------------------------------------------------- servers as they are


@pytest.mark.parametrize("size_bytes", [0, None])
def test_an_empty_file_is_a_file(server, tmp_path, size_bytes):
    server.put("empty", b"")
    known = known_set(tmp_path, server, {"empty": b""}, size_bytes=size_bytes)
    assert brought(make_fetch(known, tmp_path)) == {"empty": b""}


@pytest.mark.parametrize("name", ["a.bin", "big.bin"])
@pytest.mark.parametrize("size", ["declared", "unknown"])
@pytest.mark.parametrize(
    "behaviour",
    [
        [Behaviour(truncate_after=100_001), Behaviour(wrong_content_range=(0, None))],
        Behaviour(wrong_content_range=(0, None)),
        Behaviour(part_status=200),
    ],
    ids=["earlier after a break", "earlier than asked", "200 with a range"],
)
def test_a_part_that_is_told_in_another_way_is_taken_for_what_it_is(
    server, tmp_path, name, size, behaviour
):
    data = {"a.bin": SMALL, "big.bin": LARGE}[name]
    each = behaviour if isinstance(behaviour, list) else [behaviour]
    whole = [
        replace(b, wrong_content_range=(0, len(data) - 1)) if b.wrong_content_range else b
        for b in each
    ]
    server.behave(name, whole if len(whole) > 1 else whole[0])
    about = {} if size == "declared" else {"size_bytes": None}
    known = known_set(tmp_path, server, {name: data}, **about)
    assert brought(make_fetch(known, tmp_path)) == {name: data}


def test_a_redirect_may_be_written_in_utf_8(server, tmp_path):
    server.put("Daten/größe 1.bin", SMALL)
    target = "/Daten/größe 1.bin".encode().decode("latin-1")
    server.behave("a.bin", Behaviour(redirect=target))
    known = known_set(tmp_path, server, {"a.bin": SMALL})
    assert brought(make_fetch(known, tmp_path)) == {"a.bin": SMALL}


@pytest.mark.parametrize("path", ["download/1234", "records/7/content", "get?name=frames.tar.gz"])
def test_an_archive_that_its_server_labels_as_compressed_is_taken_as_it_is(server, tmp_path, path):
    files = {"a.bin": SMALL}
    packed = gzip.compress(tar_of(files))
    server.put(path.partition("?")[0], packed)
    server.behave("*", Behaviour(headers={"Content-Encoding": "gzip"}))
    urls = {"frames.tar.gz": [server.url("") + path]}
    known = known_set(tmp_path, urls, {"frames.tar.gz": packed}, ["frames.tar.gz"])
    assert brought(make_fetch(known, tmp_path)) == files


def test_a_challenge_to_robots_is_told_with_what_to_do(server, tmp_path):
    server.behave("a.bin", Behaviour(status=202, body=b"<script>are you human?</script>"))
    said = refusal(make_fetch(known_set(tmp_path, server, {"a.bin": SMALL}), tmp_path))
    assert "asks to prove that a person asks (HTTP 202). Open its page in a browser" in said
    assert server.count() == 1


# ---------------------------------------------------------------------- checksums


@pytest.mark.parametrize("at_byte", [0, 150_000, 299_999])
def test_a_damaged_file_is_thrown_away(server, tmp_path, at_byte):
    server.behave("a.bin", Behaviour(corrupt_at=at_byte))
    work = make_fetch(known_set(tmp_path, server, {"a.bin": SMALL}), tmp_path)
    said = refusal(work)
    damaged = bytearray(SMALL)
    damaged[at_byte] ^= 0xFF
    assert said == (
        "a.bin of test/frames could not be had.\n"
        f"  {at(server)}: a.bin arrived with the SHA-256 {sha256(damaged)[:16]}…, and the manifest "
        f"declares {sha256(SMALL)[:16]}…: the publisher has changed it, or it was damaged on the "
        "way. It has been thrown away."
    )
    assert (visible(tmp_path), left_of(work)) == ({}, [])
    assert server.count() == 1
    assert work.progress.state.done_bytes == 0


def test_the_next_address_is_tried_where_the_first_one_is_damaged(server, tmp_path):
    with DataServer({"a.bin": SMALL}) as second:
        server.behave("a.bin", Behaviour(corrupt_at=7))
        urls = {"a.bin": [server.url("a.bin"), second.url("a.bin")]}
        work = make_fetch(known_set(tmp_path, urls, {"a.bin": SMALL}), tmp_path)
        assert brought(work) == {"a.bin": SMALL}
        assert work.progress.state.done_bytes == len(SMALL)
        assert [server.count(), second.count()] == [1, 1]
        [entry] = [path.read_text() for path in published(tmp_path)]
        assert json.loads(entry)["source"] == at(second)


def test_all_addresses_and_the_twin_are_named_where_none_delivers(server, tmp_path):
    with DataServer({"a.bin": SMALL}) as second, DataServer() as third:
        server.behave("a.bin", Behaviour(corrupt_at=7))
        second.behave("a.bin", Behaviour(status=403))
        urls = {"a.bin": [server.url("a.bin"), second.url("a.bin")]}
        known = known_set(tmp_path, urls, {"a.bin": SMALL}, twin="made")
        work = make_fetch(known, tmp_path, mirrors=(third.url(), "file:///no/such"))
        lines = refusal(work).splitlines()
    assert lines[1] == f"  {at(third)} does not have the file (HTTP 404)."
    assert lines[2] == "  /no/such/test/frames/a.bin: it isn't there."
    assert lines[3].startswith(f"  {at(server)}: a.bin arrived with the SHA-256 ")
    assert lines[4] == f"  {at(second)} does not allow it (HTTP 403)."
    assert lines[5] == 'Without it, the simulated data.fetch("made") can stand in.'


def test_a_file_without_an_address_is_said_so(tmp_path):
    work = make_fetch(known_set(tmp_path, {"a.bin": []}, {"a.bin": SMALL}), tmp_path)
    assert refusal(work).endswith("there is no address to fetch it from.")


def test_a_file_that_nobody_can_verify_is_refused_with_how_to_consent(server, tmp_path):
    files = {"a.bin": SMALL, "big.bin": LARGE}
    known = known_set(tmp_path, server, files, sha256="unknown", twin="made")
    assert refusal(make_fetch(known, tmp_path), Refused) == (
        "Nobody has published a checksum of a.bin, big.bin, so that a damaged or changed file "
        "could not be told from the right one. If you want test/frames all the same, say so by "
        'its name: data.fetch("frames", unverified="frames"). Without it, the simulated '
        'data.fetch("made") can stand in.'
    )
    assert server.count() == 0


def test_whoever_consents_gets_an_unverified_file_that_others_do_not(server, tmp_path):
    known = known_set(tmp_path, server, {"a.bin": SMALL}, sha256="unknown")
    work = make_fetch(known, tmp_path, unverified=True)
    assert brought(work) == {"a.bin": SMALL}
    [record] = published(tmp_path)
    assert json.loads(record.read_text())["verified"] is False
    with pytest.raises(Refused, match="Nobody has published a checksum"):
        make_fetch(known, tmp_path).run()
    assert published(tmp_path) == [record]
    assert visible(tmp_path)["a.bin"] == SMALL
    assert brought_again(known, tmp_path) == SMALL
    assert server.count() == 1


def brought_again(known, tmp_path) -> bytes:
    return contents_of(make_fetch(known, tmp_path, unverified=True).run())["a.bin"]


def test_an_md5_verifies_where_the_publisher_states_only_that(server, tmp_path):
    known = known_set(tmp_path, server, {"a.bin": SMALL}, sha256="unknown", md5=md5(SMALL))
    assert brought(make_fetch(known, tmp_path)) == {"a.bin": SMALL}
    [record] = [json.loads(path.read_text()) for path in published(tmp_path)]
    assert record["verified"] is True
    assert record["files"][0]["sha256"] == sha256(SMALL)


@pytest.mark.parametrize("unverified", [True, False])
def test_a_wrong_md5_is_refused_whoever_consents(server, tmp_path, unverified):
    known = known_set(tmp_path, server, {"a.bin": SMALL}, sha256="unknown", md5=md5(OTHER))
    said = refusal(make_fetch(known, tmp_path, unverified=unverified))
    assert f"arrived with the MD5 {md5(SMALL)[:16]}…, and the manifest declares" in said


# ---------------------------------------------------------------------- going on


def interrupted(server, known, tmp_path, after: int) -> Fetch:
    """Work that was cancelled once so many bytes had come."""
    work = make_fetch(known, tmp_path)
    counted = work.progress.add

    def add(size_bytes: int) -> None:
        counted(size_bytes)
        if work.progress.received >= after:
            work.cancel()

    work.progress.add = add
    with pytest.raises(Cancelled):
        work.run()
    assert published(tmp_path) == []
    return work


@pytest.mark.parametrize("after", [1, 3 * MB, 9 * MB])
def test_a_cancelled_fetch_goes_on_where_it_ended(tmp_path, after):
    with DataServer({"big.bin": LARGE}, cap_bytes_s=20 * MB) as server:
        known = known_set(tmp_path, server, {"big.bin": LARGE})
        work = interrupted(server, known, tmp_path, after)
        [kept] = left_of(work)
        assert kept > 0  # what waited for its turn in memory is gone
        again = make_fetch(known, tmp_path)
        assert brought(again) == {"big.bin": LARGE}
        assert again.progress.state.done_bytes == len(LARGE)
        assert again.progress.received == len(LARGE) - kept
        starts = [r.range[0] for r in server.requests]
        assert kept in starts


def test_a_fetch_whose_process_died_goes_on(server, tmp_path):
    known = known_set(tmp_path, server, {"big.bin": LARGE})
    work = make_fetch(known, tmp_path)
    part = work.cache.own_folder(known)
    part = part.with_name(f"{part.name}.work") / "parts" / "big.bin"
    part.parent.mkdir(parents=True)
    part.write_bytes(LARGE[: 7 * MB])
    assert brought(work) == {"big.bin": LARGE}
    assert server.bytes_sent() == 3 * MB


def test_what_an_earlier_try_left_damaged_is_fetched_once_more(server, tmp_path):
    known = known_set(tmp_path, server, {"a.bin": SMALL})
    work = make_fetch(known, tmp_path)
    part = work.cache.own_folder(known)
    part = part.with_name(f"{part.name}.work") / "parts" / "a.bin"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 200_000)
    assert brought(work) == {"a.bin": SMALL}
    assert [r.range for r in server.requests] == [(200_000, None), None]
    assert work.progress.state.done_bytes == len(SMALL)


@pytest.mark.parametrize(
    ("behaviour", "size"),
    [(Behaviour(), 10 * MB), (Behaviour(etag=None), 10 * MB), (Behaviour(), None)],
    ids=["by its tag", "by its date", "of unknown size"],
)
def test_a_file_that_has_changed_between_two_tries_is_begun_again(tmp_path, behaviour, size):
    new = noise(10 * MB, 1)
    with DataServer({"big.bin": LARGE}, cap_bytes_s=20 * MB) as server:
        server.behave("big.bin", behaviour)
        known = known_set(tmp_path, server, {"big.bin": new}, size_bytes=size)
        interrupted(server, known, tmp_path, 3 * MB)
        server.behave("big.bin", Behaviour(content=new, etag=behaviour.etag))
        before = server.bytes_sent()
        work = make_fetch(known, tmp_path)
        assert brought(work) == {"big.bin": new}
        assert work.progress.state.done_bytes == len(new)
        assert server.bytes_sent() - before <= 10 * MB + 9 * MB


def test_a_change_that_nothing_tells_is_found_by_the_checksum(tmp_path):
    silent = {"etag": None, "last_modified": None}
    new = noise(10 * MB, 1)
    with DataServer({"big.bin": LARGE}, cap_bytes_s=20 * MB) as server:
        server.behave("big.bin", Behaviour(**silent))
        known = known_set(tmp_path, server, {"big.bin": new})
        interrupted(server, known, tmp_path, 3 * MB)
        server.behave("big.bin", Behaviour(content=new, **silent))
        assert brought(make_fetch(known, tmp_path)) == {"big.bin": new}


def test_a_file_that_has_become_shorter_is_begun_again(server, tmp_path):
    server.put("a.bin", OTHER)
    known = known_set(tmp_path, server, {"a.bin": SMALL[:1000]}, size_bytes=None)
    work = make_fetch(known, tmp_path)
    part = work.cache.own_folder(known)
    part = part.with_name(f"{part.name}.work") / "parts" / "a.bin"
    part.parent.mkdir(parents=True)
    part.write_bytes(OTHER)
    server.put("a.bin", SMALL[:1000])
    assert brought(work) == {"a.bin": SMALL[:1000]}


def test_a_file_that_is_another_one_at_every_request_is_given_up(server, tmp_path):
    changes = [Behaviour(content=noise(300_000, n), truncate_after=100_000) for n in range(2, 12)]
    server.behave("a.bin", changes)
    said = refusal(make_fetch(known_set(tmp_path, server, {"a.bin": SMALL}), tmp_path))
    assert f"{at(server)} now has another version of the file, again and again." in said
    assert server.count() <= 6


def test_what_is_left_of_another_address_is_used_too(server, tmp_path):
    with DataServer({"big.bin": LARGE}) as second:
        server.behave("big.bin", [Behaviour(truncate_after=5 * MB), Behaviour(status=404)])
        urls = {"big.bin": [server.url("big.bin"), second.url("big.bin")]}
        work = make_fetch(known_set(tmp_path, urls, {"big.bin": LARGE}), tmp_path)
        assert brought(work) == {"big.bin": LARGE}
        assert work.progress.state.done_bytes == len(LARGE)
        assert second.bytes_sent() < len(LARGE)


def test_what_has_arrived_is_kept_where_the_rest_does_not_come(server, tmp_path):
    server.behave("b.bin", Behaviour(status=404, slow_first_byte=0.5))
    known = known_set(tmp_path, server, {"a.bin": SMALL, "b.bin": OTHER})
    said = refusal(make_fetch(known, tmp_path))
    assert said.endswith("What has arrived is kept; the next try goes on from there.")
    assert visible(tmp_path) == {"a.bin": SMALL}
    server.behave("b.bin", Behaviour(content=OTHER))
    assert brought(make_fetch(known, tmp_path)) == {"a.bin": SMALL, "b.bin": OTHER}
    assert server.count(name="a.bin") == 1


def test_a_cancelled_fetch_does_not_wait_for_a_silent_server(server, tmp_path):
    server.behave("big.bin", Behaviour(stall_after=MB))
    known = known_set(tmp_path, server, {"big.bin": LARGE})
    work = make_fetch(known, tmp_path, manners=Manners(timeout_s=60))
    timer = threading.Timer(0.4, work.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        work.run()
    assert 0 < left_of(work)[0] <= MB


# ---------------------------------------------------------------------- many small files


def test_many_small_files_come_side_by_side_over_few_connections(tmp_path):
    files = {f"frames/{n:03}.bin": noise(20_000, n) for n in range(60)}
    with DataServer(files) as server:
        server.behave("*", Behaviour(slow_first_byte=0.02))
        manners = Manners(connections=6, timeout_s=5)
        work = make_fetch(known_set(tmp_path, server, files), tmp_path, manners=manners)
        assert brought(work) == files
        assert server.count("GET") == server.count() == 60
        assert {r.path for r in server.requests} == files.keys()
        assert server.connections <= 6
        assert 3 <= server.most_at_once <= 6


def test_nothing_more_is_asked_for_once_a_file_can_not_be_had(tmp_path):
    files = {f"{n:03}.bin": noise(20_000, n) for n in range(100)}
    with DataServer(files) as server:
        server.behave("002.bin", Behaviour(status=404))
        server.behave("*", Behaviour(slow_first_byte=0.02))
        said = refusal(make_fetch(known_set(tmp_path, server, files), tmp_path))
        assert said.startswith("002.bin of test/frames could not be had.")
        assert server.count() < 60


# ---------------------------------------------------------------------- mirrors


@pytest.fixture
def site(monkeypatch, tmp_path):
    """Declares a data set in a use case, mirrors it, and returns the mirror's folder."""

    def mirrored(known, unverified=()) -> Path:
        folder = offer_in_manifest(tmp_path / "use-case", known)
        monkeypatch.setenv("BEAMHUB_NOTEBOOKS", str(folder))
        monkeypatch.setenv("BEAMHUB_USE_CASE", "test")
        places = Settings(cache=tmp_path / "first", manners=IMPATIENT)
        [(_, files)] = mirror(tmp_path / "mirror", [known], unverified, places=places)
        assert not isinstance(files, DataError), files
        return tmp_path / "mirror"

    return mirrored


FRAMES = {f"frames/{n}.bin": noise(50_000, n) for n in range(5)}


@pytest.mark.parametrize("by", ["http", "file"])
def test_a_mirror_serves_what_it_lists_without_the_publisher(tmp_path, site, by):
    files = {"a.bin": SMALL, "frames.tar": tar_of(FRAMES)}
    with DataServer(files) as publisher:
        known = known_set(tmp_path, publisher, files, unpack=["frames.tar"])
        folder = site(known)
        asked = publisher.count()
        with DataServer(folder=folder) as server:
            address = server.url() if by == "http" else folder.as_uri()
            work = make_fetch(known, tmp_path, mirrors=(address,))
            assert brought(work) == {"a.bin": SMALL, **FRAMES}
            listings = [r for r in server.requests if r.path.endswith(LISTING)]
            assert len(listings) == (1 if by == "http" else 0)
        assert publisher.count() == asked


def test_a_mirrors_list_is_read_once(tmp_path, site):
    files = {f"{n}.bin": noise(1000, n) for n in range(6)}
    with DataServer(files) as publisher:
        known = known_set(tmp_path, publisher, files, sha256="unknown")
        folder = site(known, ["frames"])
    with DataServer(folder=folder) as server:
        work = make_fetch(known, tmp_path, mirrors=(server.url(),))
        assert brought(work) == files
        assert server.count() == 7
    [record] = published(tmp_path)
    assert json.loads(record.read_text())["verified"] is True


def test_a_mirror_without_a_list_is_a_folder_of_files(tmp_path):
    files = {"a.bin": SMALL, "frames.tar": tar_of(FRAMES)}
    with DataServer() as publisher:
        known = known_set(tmp_path, publisher, files, unpack=["frames.tar"])
        with DataServer({f"test/frames/{n}": d for n, d in files.items()}) as server:
            work = make_fetch(known, tmp_path, mirrors=(server.url(),))
            assert brought(work) == {"a.bin": SMALL, **FRAMES}
        assert publisher.count() == 0


@pytest.mark.parametrize("listing", [b"", b"{}", b"[]", b'{"files": [3]}', b'{"files": [{}]}'])
def test_a_mirror_with_a_damaged_list_is_none(tmp_path, listing):
    files = {"frames.tar": tar_of(FRAMES)}
    with DataServer(files) as publisher:
        known = known_set(tmp_path, publisher, files, unpack=["frames.tar"])
        with DataServer({f"test/frames/{LISTING}": listing}) as server:
            work = make_fetch(known, tmp_path, mirrors=(server.url(),))
            assert brought(work) == FRAMES


def test_what_a_mirror_lacks_comes_from_the_publisher(server, tmp_path):
    known = known_set(tmp_path, server, {"a.bin": SMALL})
    with DataServer() as empty:
        work = make_fetch(known, tmp_path, mirrors=(empty.url(), "file:///no/such/folder"))
        assert brought(work) == {"a.bin": SMALL}
        assert empty.count() == 1
    assert json.loads(published(tmp_path)[0].read_text())["source"] == at(server)


def test_a_mirror_that_is_not_there_is_passed_over(server, tmp_path):
    with DataServer() as gone:
        pass
    files = {"a.bin": SMALL, "frames.tar": tar_of(FRAMES)}
    server.put("frames.tar", files["frames.tar"])
    known = known_set(tmp_path, server, files, unpack=["frames.tar"])
    work = make_fetch(known, tmp_path, mirrors=(gone.url(),))
    assert brought(work) == {"a.bin": SMALL, **FRAMES}


def test_a_mirror_with_wrong_contents_is_passed_over(server, tmp_path):
    known = known_set(tmp_path, server, {"a.bin": SMALL})
    with DataServer({"test/frames/a.bin": OTHER}) as wrong:
        work = make_fetch(known, tmp_path, mirrors=(wrong.url(),))
        assert brought(work) == {"a.bin": SMALL}
        assert work.progress.state.done_bytes == len(SMALL)
        server.behave("a.bin", Behaviour(status=404))
        shutil.rmtree(tmp_path / "cache")
        lines = refusal(make_fetch(known, tmp_path, mirrors=(wrong.url(),))).splitlines()
    assert lines[1].startswith(f"  {at(wrong)}: a.bin arrived with the SHA-256 {sha256(OTHER)[:9]}")
    assert lines[2] == f"  {at(server)} does not have the file (HTTP 404)."


@pytest.mark.parametrize("damage", ["missing", "wrong"])
def test_an_archive_that_a_mirror_lists_and_can_not_give_comes_from_the_publisher(
    tmp_path, site, damage
):
    files = {"frames.tar": tar_of(FRAMES)}
    with DataServer(files) as publisher:
        known = known_set(tmp_path, publisher, files, unpack=["frames.tar"])
        folder = site(known)
        path = folder / "test/frames/frames/3.bin"
        path.unlink()
        if damage == "wrong":
            path.write_bytes(noise(50_000, 77))
        work = make_fetch(known, tmp_path, mirrors=(folder.as_uri(),))
        entry = work.run()
        assert contents_of(entry) == FRAMES
        assert entry.record.source == at(publisher)
        assert work.progress.state.done_bytes == len(files["frames.tar"])


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_mirrors_list_can_not_name_a_file_elsewhere(tmp_path, name):
    listed = [{"name": name, "size_bytes": 4, "sha256": sha256(b"evil"), "of": "frames.tar"}]
    files = {"frames.tar": tar_of(FRAMES)}
    lists = {f"test/frames/{LISTING}": json.dumps({"files": listed}).encode()}
    with DataServer(files) as publisher, DataServer(lists) as server:
        known = known_set(tmp_path, publisher, files, unpack=["frames.tar"])
        assert brought(make_fetch(known, tmp_path, mirrors=(server.url(),))) == FRAMES


# ---------------------------------------------------------------------- files of this machine


def test_a_file_of_this_machine_needs_no_server(tmp_path):
    (tmp_path / "data/test/frames").mkdir(parents=True)
    (tmp_path / "data/test/frames/a.bin").write_bytes(SMALL)
    known = known_set(tmp_path, {"a.bin": []}, {"a.bin": SMALL})
    places = ((tmp_path / "none").as_uri(), (tmp_path / "data").as_uri())
    assert brought(make_fetch(known, tmp_path, mirrors=places)) == {"a.bin": SMALL}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "it isn't there."),
        (b"x" * 9, "it has 9 bytes there, not 300000."),
        (OTHER, f"a.bin arrived with the SHA-256 {sha256(OTHER)[:16]}…"),
    ],
)
def test_a_file_of_this_machine_that_is_wrong_is_said_so(tmp_path, data, text):
    path = tmp_path / "test/frames/a.bin"
    path.parent.mkdir(parents=True)
    if data:
        path.write_bytes(data)
    known = known_set(tmp_path, {"a.bin": []}, {"a.bin": SMALL})
    said = refusal(make_fetch(known, tmp_path, mirrors=(tmp_path.as_uri(),)))
    assert said.splitlines()[1].startswith(f"  {path}: {text}")


# ---------------------------------------------------------------------- passwords


def test_nothing_that_is_kept_or_said_holds_a_password(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("http_proxy", f"http://ada:{PASSWORD}@127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    mirrors = (f"http://ada:{PASSWORD}@{at(server)}/",)
    known = known_set(tmp_path, server, {"big.bin": LARGE, "a.bin": SMALL})
    assert brought(make_fetch(known, tmp_path, mirrors=mirrors)) == {
        "big.bin": LARGE,
        "a.bin": SMALL,
    }
    server.behave("*", Behaviour(redirect="ftp://nowhere"))
    shutil.rmtree(tmp_path / "cache")
    assert at(server) in refusal(make_fetch(known, tmp_path, mirrors=mirrors))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()
    assert PASSWORD not in caplog.text


# ---------------------------------------------------------------------- simulated


def simulated(folder: Path, code: str, **about):
    folder.mkdir(exist_ok=True)
    (folder / "simulation.py").write_text(code, encoding="utf-8")
    about = {"generator": "simulation:make", "makes": ["a.txt"]} | about
    return known_set(folder, {}, {}, source="simulated", **about)


GOOD = "def make(folder, seed):\n    (folder / 'a.txt').write_text(f'seed {seed}')\n"


def test_a_simulated_set_is_made_by_its_generator_with_its_seed(tmp_path):
    known = simulated(tmp_path, GOOD, seed=42)
    entry = make_fetch(known, tmp_path).run()
    assert contents_of(entry) == {"a.txt": b"seed 42"}
    assert entry.record.source == "simulation:make, seed 42"
    assert hashlib.sha256(b"seed 42").hexdigest() == entry.record.files[0].sha256


def test_a_generator_that_lacks_a_package_says_where_it_runs(tmp_path):
    known = simulated(tmp_path, "import no_such_package\n" + GOOD)
    assert refusal(make_fetch(known, tmp_path)) == (
        "test/frames is computed with no_such_package, which isn't installed here. Fetch it inside "
        "a server of the use case, where all that it needs is."
    )


def test_a_generator_that_makes_less_than_declared_is_said_so(tmp_path):
    known = simulated(tmp_path, GOOD, makes=["a.txt", "b.txt"])
    said = refusal(make_fetch(known, tmp_path))
    assert said == "The generator of test/frames made no file 'b.txt'."


def test_a_generator_with_another_code_makes_another_set(tmp_path):
    first = make_fetch(simulated(tmp_path, GOOD), tmp_path).run()
    # Of another length: Python takes what it compiled in the same second of a file as large.
    second = make_fetch(simulated(tmp_path, GOOD.replace("seed {", "sown with {")), tmp_path).run()
    assert contents_of(first) == {"a.txt": b"seed 1"}
    assert contents_of(second) == {"a.txt": b"sown with 1"}
