"""What a spawner tells: the steps of a start, and why a server ended."""

import asyncio

import pytest

from hub.launching import launcher
from spawners.process import EnvironmentSpawner
from spawners.telling import LOG_TAIL_BYTES, ending_by_status, last_output, log_path


@pytest.fixture
def spawner(laptop, a_user) -> EnvironmentSpawner:
    assert launcher(laptop)
    return a_user(laptop).get_or_create_spawner("pyfai", "pyfai")


def test_steps_are_told_to_whoever_comes_late_too_and_once(spawner):
    async def watch():
        spawner.report(5, "Looking")
        spawner.report(5, "Looking")
        spawner.report(9, "Building", "step 1")
        steps = spawner.progress()
        first, second = await anext(steps), await anext(steps)
        waiting = asyncio.create_task(anext(steps))
        await asyncio.sleep(0)
        spawner.report(9, "Building", "step 2")
        return first, second, await waiting

    first, second, third = asyncio.run(watch())
    assert first == {"progress": 5, "message": "Looking"}
    assert second == {"progress": 9, "message": "Building", "detail": "step 1"}
    assert third["detail"] == "step 2"


def test_why_it_ended_is_kept_with_the_server_until_the_next_start(spawner):
    spawner.tell_ending("It was ended from outside.")
    spawner.clear_state()  # as JupyterHub does
    kept = spawner.get_state()
    again = spawner.user._new_spawner("pyfai")
    again.load_state(kept)
    assert again.ending == "It was ended from outside."
    again.begin_telling()
    assert "ending" not in again.get_state()


def test_an_end_that_somebody_wanted_is_no_surprise(spawner):
    spawner._stop_pending = True
    spawner.tell_ending("It was ended by signal 15.")
    assert spawner.ending == ""


@pytest.mark.parametrize(
    ("status", "output", "words"),
    [
        (0, "", "shut down from inside"),
        (-9, "", "by signal 9"),
        (2, "Traceback", "with exit status 2"),
        (1, "cp: error writing 'x': No space left on device", "disk that holds your files is full"),
        (1, "OSError: [Errno 122] Disk quota exceeded", "disk that holds your files is full"),
        (1, "x\nBeamHub can't start: ~/beamhub is a file.\n", "~/beamhub is a file."),
        (
            1,
            "[C] Bad config encountered during initialization: The 'contents_manager_class' trait "
            "of a ServerApp instance must be a type, but 'lost.Manager' could not be imported",
            "your own, in ~/.jupyter, and names something that this use case's software doesn't "
            "have: The 'contents_manager_class' trait",
        ),
    ],
)
def test_how_a_process_ended_in_words(status, output, words):
    assert words in ending_by_status(status, output)


def test_of_a_long_log_the_end_is_read(tmp_path):
    path = log_path(tmp_path, 7, "pyfai")
    assert last_output(path) == ""
    path.parent.mkdir()
    path.write_bytes(b"x" * 2 * LOG_TAIL_BYTES + "the end: 5 µm".encode())
    assert last_output(path).endswith("the end: 5 µm")
    assert len(last_output(path)) <= LOG_TAIL_BYTES
