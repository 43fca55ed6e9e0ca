"""Processes that fetch the same data at once, and those that die in the middle of it."""

import hashlib
import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data_helpers import contents_of, known_set, make_fetch, noise, tar_of
from tests.data_processes import Child, Processes, dying_fetch, fetch_in, until
from tests.data_server import Behaviour, DataServer
from workbench.data.errors import DataError
from workbench.data.settings import Manners, Settings

PATIENT = Manners(pause_s=0.02, timeout_s=20)
FILES = {f"d/{n}.bin": noise(300_000 + n, n) for n in range(10)}
TOTAL = sum(map(len, FILES.values()))
PEOPLE = 30


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


OFFERED = {
    "plain": {"frames.h5": noise(3_000_000)},
    "tar": {"frames.tar": tar_of(FILES)},
    "tar.gz": {"frames.tar.gz": tar_of(FILES, "w:gz")},
    "zip": {"frames.zip": zip_of(FILES)},
    "many": {f"{n}.bin": noise(200_000, n) for n in range(15)},
}
TWICE = dict.fromkeys(["plain", "tar", "tar.gz", "zip"], 2_000_000)
"""Bytes that may be sent twice: what was on its way, and a piece that wasn't written."""


class Stall(threading.Event):
    """Ends the stall of a server, and knows whether that has begun."""

    reached = False

    def is_set(self) -> bool:
        self.reached = True
        return super().is_set()


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as found:
        yield found


def declared(folder: Path, server: DataServer, kind: str):
    files = OFFERED[kind]
    archives = [name for name in files if ".tar" in name or name.endswith(".zip")]
    return known_set(folder, server, files, unpack=archives)


def wanted(kind: str) -> dict[str, bytes]:
    return OFFERED[kind] if kind in ("plain", "many") else FILES


@settings(max_examples=4)
@given(part=st.floats(0, 1))
@pytest.mark.parametrize("kind", OFFERED)
def test_a_fetch_goes_on_where_another_process_was_killed(processes, kind, part):
    """It is killed once the server has sent a part that hypothesis chooses."""
    files = OFFERED[kind]
    name = list(files)[int(part * (len(files) - 1))]
    stop = int(part * len(files[name]))
    with TemporaryDirectory() as path, DataServer(files) as server:
        folder = Path(path)
        stalled = Stall()
        server.behave(name, Behaviour(stall_after=stop, until=stalled))
        known = declared(folder / "uc", server, kind)
        places = Settings(cache=folder / "cache", manners=PATIENT)
        child = processes.start(fetch_in, known, places, folder / "memory")
        until(lambda: stalled.reached)
        time.sleep(0.15)  # for what is on its way to arrive
        child.kill()
        stalled.set()
        until(lambda: not server.in_flight)
        server.behave(name, Behaviour())
        entry = make_fetch(known, folder).run()
        assert contents_of(entry) == wanted(kind)
        beyond = server.bytes_sent() - sum(map(len, files.values()))
        assert beyond <= TWICE.get(kind, len(files[name]) + 8 * 200_000)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "many"])
@pytest.mark.parametrize("after", [1, 4])
def test_it_goes_on_after_a_death_while_files_are_put_in_their_place(
    processes, tmp_path, kind, after
):
    """The process is killed by itself, at a file that it moves."""
    with DataServer(OFFERED[kind]) as server:
        known = declared(tmp_path / "uc", server, kind)
        for moment in ("before", "after"):
            folder = tmp_path / moment
            places = Settings(cache=folder / "cache", manners=PATIENT)
            child = processes.start(
                dying_fetch, known, places, folder / "memory", moment, "place", after
            )
            with pytest.raises(AssertionError, match="the process has died"):
                child.result()
            assert contents_of(make_fetch(known, folder).run()) == wanted(kind)


@pytest.mark.parametrize("kind", ["tar", "zip", "many"])
@pytest.mark.parametrize("step", ["finish", "write", "publish", "tidy up"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_it_goes_on_after_a_death_at_any_step_of_the_end(processes, tmp_path, kind, step, moment):
    with DataServer(OFFERED[kind]) as server:
        known = declared(tmp_path / "uc", server, kind)
        places = Settings(cache=tmp_path / "cache", manners=PATIENT)
        child = processes.start(dying_fetch, known, places, tmp_path / "memory", moment, step, 1)
        with pytest.raises(AssertionError, match="the process has died"):
            child.result()
        before = server.bytes_sent()
        assert contents_of(make_fetch(known, tmp_path).run()) == wanted(kind)
        if step != "write" and kind != "many":
            assert server.bytes_sent() - before < 20_480, "all was here already"


# ------------------------------------------------------------------ many people at once


def test_thirty_people_fetch_it_once_and_all_see_how_far_it_is(processes, tmp_path):
    files = {"frames.h5": noise(6_000_000), "dark.h5": noise(300_000)}
    with DataServer(files, total_cap_bytes_s=4e6) as server:
        known = known_set(tmp_path / "uc", server, files)
        found = [child.result() for child in everybody(processes, tmp_path, known)]
        assert {name: server.count("GET", name) for name in files} == dict.fromkeys(files, 1)
    assert len({each["folder"] for each in found}) == 1
    assert len({tuple(sorted(each["inodes"].items())) for each in found}) == 1
    assert {mode for each in found for mode in each["modes"]} == {0o444}
    entry = make_fetch(known, tmp_path).run()
    assert contents_of(entry) == files
    waiting = [each for each in found if not each["received"]]
    assert len(waiting) == PEOPLE - 1
    partly = [each for each in waiting if any(0 < done < 6_300_000 for done, _ in each["seen"])]
    assert len(partly) > PEOPLE / 2, "most of those who waited saw how far it was"
    sources = {source for each in partly for done, source in each["seen"] if done}
    assert f"127.0.0.1:{server.port}" in sources


def everybody(processes: Processes, folder: Path, known) -> list[Child]:
    """Let everybody ask at the same moment."""
    places = Settings(cache=folder / "cache", manners=PATIENT)
    gate = folder / "gate"
    people = [
        processes.start(fetch_in, known, places, folder / "memory", gate) for _ in range(PEOPLE)
    ]
    gate.touch()
    return people


def test_another_takes_over_from_one_who_is_killed_and_goes_on_in_the_middle(processes, tmp_path):
    files = {"frames.h5": noise(6_000_000)}
    stall = Stall()
    with DataServer(files, total_cap_bytes_s=8e6) as server:
        stalling = Behaviour(stall_after=3_000_000, until=stall)
        server.behave("frames.h5", [stalling, Behaviour()])
        known = known_set(tmp_path / "uc", server, files)
        people = everybody(processes, tmp_path, known)
        until(lambda: stall.reached)
        time.sleep(0.1)
        lease = tmp_path / f"cache/{os.geteuid()}/held/test.frames.{known.digest}.lock"
        holder = until(lambda: holding(people, lease))
        holder.kill()
        stall.set()
        others = [child.result() for child in people if child is not holder]
        assert server.count("GET") == 2
        first, second = sorted(server.of("frames.h5"), key=lambda request: request.at)
        assert second.at - first.at < 10
        assert second.range is not None
        assert second.range[0] > 1_000_000
    assert len({tuple(each["inodes"].items()) for each in others}) == 1
    assert contents_of(make_fetch(known, tmp_path).run()) == files
    assert sum(1 for each in others if each["received"]) == 1


def holding(people: list[Child], lease: Path) -> Child | None:
    """Return who has the lock of a file, as the kernel tells."""
    inode = f":{lease.stat().st_ino} "
    for line in Path("/proc/locks").read_text().splitlines():
        if inode in line and "->" not in line and "FLOCK" in line:
            pid = int(line.split()[4])
            return next((child for child in people if child.pid == pid), None)
    return None


def test_the_others_are_told_when_the_one_who_fetches_fails(processes, tmp_path):
    """Each tries in turn, as another's reason may have been its own."""
    files = {"frames.h5": noise(50_000)}
    with DataServer(files) as server:
        server.behave("frames.h5", Behaviour(corrupt_at=7))
        known = known_set(tmp_path / "uc", server, files)
        places = Settings(cache=tmp_path / "cache", manners=PATIENT)
        people = [processes.start(fetch_in, known, places, tmp_path / "memory") for _ in range(4)]
        for child in people:
            with pytest.raises(DataError, match="arrived with the SHA-256"):
                child.result()
    assert hashlib.sha256(files["frames.h5"]).hexdigest() == known.data.files[0].sha256
