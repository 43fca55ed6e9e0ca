import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawners.process_end import end_of


@pytest.fixture
def waiting() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when it is written to."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_the_end_of_a_process_is_noticed_when_it_comes(waiting):
    async def watched() -> bool:
        watch = asyncio.ensure_future(end_of(waiting.pid))
        await asyncio.sleep(0.1)
        before = watch.done()
        waiting.stdin.write(b"\n")
        waiting.stdin.flush()
        await asyncio.wait_for(watch, 60)
        return before

    assert asyncio.run(watched()) is False
    assert waiting.wait() == 0


def test_a_process_that_is_no_more_has_ended():
    process = subprocess.Popen(["true"])
    process.wait()
    asyncio.run(asyncio.wait_for(end_of(process.pid), 60))


def test_nothing_is_left_open_by_a_watch_that_is_given_up(waiting):
    def open_files() -> int:
        return len([*Path("/proc/self/fd").iterdir()])

    async def given_up() -> tuple[int, int]:
        watch = asyncio.ensure_future(end_of(waiting.pid))
        await asyncio.sleep(0)
        during = open_files()
        watch.cancel()
        await asyncio.wait([watch])
        return during, open_files()

    during, after = asyncio.run(given_up())
    assert after == during - 1
