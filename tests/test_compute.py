"""Parallel work, with a real cluster of processes: chunks that resume, and files as they arrive."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from workbench import compute
from workbench.compute import Progress, fingerprint, run_chunks, watch
from workbench.compute import progress as progress_module
from workbench.here import here

CHUNKS = {f"part-{n}": {"number": n} for n in range(4)}


@pytest.fixture(scope="module")
def client():
    with compute.cluster(cores=2, memory_gib=1) as client:
        yield client


def square(item, folder):
    """Write a square; tell how many were written."""
    (folder / "square.txt").write_text(str(item["number"] ** 2))
    with (folder.parent / "calls.txt").open("a") as calls:
        calls.write(f"{item['number']}\n")
    return {"squares": 1}


def fails_at_two(item, folder):
    (folder / "half.txt").write_text("half")
    if item["number"] == 2:
        raise ValueError("two is no good")
    return {"squares": 1}


def silent(progress: Progress) -> None:
    pass


def test_a_cluster_has_the_cores_and_memory_it_was_given(client):
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    assert [worker["nthreads"] for worker in workers] == [1, 1]
    assert [worker["memory_limit"] for worker in workers] == [2**29, 2**29]
    assert client.submit(os.getpid).result() != os.getpid()


def test_nobody_else_can_read_along_or_hand_in_work(client):
    from distributed import Client
    from distributed.comm.core import CommClosedError

    assert client.scheduler.address.startswith("tls://127.0.0.1:")
    assert all(w.startswith("tls://127.0.0.1:") for w in client.scheduler_info(-1)["workers"])
    plain = client.scheduler.address.replace("tls://", "tcp://")
    with pytest.raises((OSError, CommClosedError)):
        Client(plain, timeout="2s", set_as_default=False)


def test_by_itself_it_takes_what_the_server_has(monkeypatch):
    monkeypatch.setenv("BEAMHUB_MEMORY_GIB", "1")
    with compute.cluster() as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert len(workers) == here().cores
        assert sum(worker["memory_limit"] for worker in workers) <= 2**30


def test_every_chunk_has_a_folder_and_counts_are_added_up(client, tmp_path):
    states = []
    batch = run_chunks(
        square, CHUNKS, folder=tmp_path, client=client, show=lambda p: states.append(p.words())
    )
    assert [chunk.name for chunk in batch.done] == list(CHUNKS)
    assert [(c.folder / "square.txt").read_text() for c in batch.done] == ["0", "1", "4", "9"]
    assert (batch.counts, batch.failed) == ({"squares": 4}, {})
    assert states[0] == "0 of 4 chunks"
    assert states[-1].startswith("4 of 4 chunks, 4 squares, ")
    assert "per s" in states[-1]


def test_what_is_finished_is_kept_and_what_failed_is_tried_again(client, tmp_path):
    first = run_chunks(fails_at_two, CHUNKS, folder=tmp_path, client=client, show=silent)
    assert first.failed == {"part-2": "ValueError: two is no good"}
    assert len(first.done) == 3
    assert not list(tmp_path.glob(".part-*"))
    second = run_chunks(square, CHUNKS, folder=tmp_path, client=client, show=silent)
    assert [chunk.reused for chunk in second.done] == [True, True, False, True]
    assert (tmp_path / "calls.txt").read_text().split() == ["2"]


def test_when_all_is_there_no_cluster_is_started(client, tmp_path, monkeypatch):
    run_chunks(square, CHUNKS, folder=tmp_path, client=client, show=silent)
    monkeypatch.setattr("workbench.compute.workers.cluster", None)
    again = run_chunks(square, CHUNKS, folder=tmp_path, show=silent)
    assert all(chunk.reused for chunk in again.done)


def test_a_changed_item_is_another_chunk(client, tmp_path):
    run_chunks(square, {"a": {"number": 2}}, folder=tmp_path, client=client, show=silent)
    other = run_chunks(square, {"a": {"number": 3}}, folder=tmp_path, client=client, show=silent)
    assert (other.done[0].folder / "square.txt").read_text() == "9"
    assert not other.done[0].reused
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1})


def test_a_chunk_that_was_cut_off_is_not_taken_for_finished(client, tmp_path):
    target = tmp_path / f"part-1-{fingerprint(CHUNKS['part-1'])}"
    target.mkdir()  # without the record that comes last
    batch = run_chunks(square, CHUNKS, folder=tmp_path, client=client, show=silent)
    assert not any(chunk.reused for chunk in batch.done)
    assert not batch.failed
    assert (target / "square.txt").read_text() == "1"


def test_progress_tells_rate_and_time_left_of_what_is_new(monkeypatch):
    clock = iter([0.0, *[10.0] * 20])
    # In its own module only: a cluster of this session's asks the same clock from other threads.
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    progress = Progress("frames", 100)
    progress.add(20, {"indexed": 18}, reused=True)
    progress.begin()
    progress.add(20, {"indexed": 19})
    assert progress.words() == (
        "40 of 100 frames, 37 indexed, 20 frames kept from before, 2 frames per s, 30 s left"
    )
    progress.fail("frames-7", 10, "OSError: gone")
    assert progress.words().endswith("25 s left, 1 chunks failed")
    assert progress.failures() == ["frames-7: OSError: gone"]


def stops(item, folder):
    """Take the worker's process out of the cluster's reach, as a busy machine may."""
    (folder.parent / "reached").touch()
    os.kill(os.getpid(), signal.SIGSTOP)


def raises_in_a_page_of_code(item, folder):
    raise ValueError("the file ends after 3 of 5 frames")


def failed(function, folder):
    """Say what is told of a chunk that fails."""
    with compute.cluster(cores=1) as client:
        batch = run_chunks(function, {"a": 1}, folder=folder, client=client, show=silent)
    sys.stdout.write(str(batch.failed))


def interrupted(function, folder):
    """Leave a cluster while a chunk is being worked on."""

    def leave():
        while not (folder / "reached").exists():
            time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=leave).start()
    try:
        with compute.cluster(cores=1) as client:
            run_chunks(function, {"a": 1}, folder=folder, client=client, show=silent)
    except KeyboardInterrupt:
        sys.stdout.write("interrupted")


SAID = f"""
import signal
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_compute as this

if __name__ == "__main__":
    # Runs in the background of a shell, and under nohup, inherit that it's ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    function, folder = getattr(this, sys.argv[1]), Path(sys.argv[2])
    this.interrupted(function, folder) if function is this.stops else this.failed(function, folder)
"""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("raises_in_a_page_of_code", "{'a': 'ValueError: the file ends after 3 of 5 frames'}"),
        ("stops", "interrupted"),
    ],
)
def test_a_reader_is_told_a_sentence_and_not_dasks_log(tmp_path, monkeypatch, function, told):
    monkeypatch.setenv("BEAMHUB_MEMORY_GIB", "1")
    (tmp_path / "said.py").write_text(SAID)
    words = [sys.executable, tmp_path / "said.py", function, tmp_path / "chunks"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == (told, "")


BATCH = """
from workbench import compute

if __name__ == "__main__":
    with compute.cluster(cores=2, memory_gib=1) as client:
        print("ready", flush=True)
        client.scheduler_info()
        input()
"""


def test_workers_end_with_a_batch_that_is_killed(tmp_path):
    (tmp_path / "batch.py").write_text(BATCH)
    words = [sys.executable, tmp_path / "batch.py"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as batch:
        assert batch.stdout is not None
        assert batch.stdout.readline() == b"ready\n"
        left = psutil.Process(batch.pid).children(recursive=True)
        assert len(left) >= 2
        batch.kill()
    _, alive = psutil.wait_procs(left, timeout=120)
    assert alive == []


def test_sizes_are_what_is_counted(client, tmp_path):
    states = []
    run_chunks(
        square,
        CHUNKS,
        folder=tmp_path,
        client=client,
        sizes=dict.fromkeys(CHUNKS, 25),
        unit="frames",
        show=lambda p: states.append(p.words()),
    )
    assert states[-1].startswith("100 of 100 frames, ")


def length(path: Path) -> int:
    if path.name == "bad.h5":
        raise OSError("truncated")
    return len(path.read_bytes())


def test_files_are_taken_as_they_arrive_each_once_and_whole(client, tmp_path):
    folder = tmp_path / "incoming"

    def beamline():
        folder.mkdir()
        (folder / "a.h5").write_bytes(b"12345")
        (folder / "notes.txt").write_text("no frame")
        with (folder / "slow.h5").open("wb") as slow:
            for _ in range(4):
                slow.write(b"x" * 100)
                slow.flush()
                time.sleep(0.2)
        (folder / "bad.h5").write_bytes(b"")
        (folder / "b.h5").write_bytes(b"1234567")

    writer = threading.Thread(target=beamline)
    writer.start()
    arrivals = list(
        watch(folder, "*.h5", length, client=client, idle_s=3, settled_s=0.5, every_s=0.05)
    )
    writer.join()
    assert {a.path.name: a.value for a in arrivals} == {
        "a.h5": 5,
        "slow.h5": 400,
        "b.h5": 7,
        "bad.h5": None,
    }
    assert len(arrivals) == 4
    assert {a.path.name: a.error for a in arrivals if a.error} == {"bad.h5": "OSError: truncated"}


def test_watching_ends_when_nothing_comes(client, tmp_path):
    (tmp_path / "gone.h5").symlink_to(tmp_path / "nowhere")
    began = time.monotonic()
    assert list(watch(tmp_path, "*.h5", length, client=client, idle_s=0.5)) == []
    assert time.monotonic() - began < 5


def test_whoever_stops_watching_ends_it(client, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.h5").write_bytes(b"1")
    watching = watch(tmp_path, "*.h5", length, client=client, settled_s=0, every_s=0.05)
    assert next(watching).value == 1
    watching.close()
