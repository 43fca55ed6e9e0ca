"""How much is asked of Docker at once."""

import asyncio
import threading

import pytest

from spawners.asking import Asking


class Slow:
    """Work that goes on until it's told to end."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self) -> str:
        self.begun.release()
        self.over.wait()
        return "slow"


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.over.set()


@pytest.mark.asyncio
async def test_one_user_s_slow_work_leaves_threads_to_others(slow):
    asking = Asking(threads=3, each=2)
    tasks = [asyncio.create_task(asking.ask("eve", slow)) for _ in range(20)]
    assert await asking.ask("ada", lambda: "quick") == "quick"
    slow.over.set()
    assert await asyncio.gather(*tasks) == ["slow"] * 20


@pytest.mark.asyncio
async def test_who_gives_up_waiting_gets_no_more_threads(slow):
    asking = Asking(threads=3, each=2)
    for _ in range(20):
        task = asyncio.create_task(asking.ask("eve", slow))
        await asyncio.sleep(0)
        task.cancel()
    assert await asking.ask("ada", lambda: "quick") == "quick"


@pytest.mark.asyncio
async def test_ten_users_who_end_slowly_keep_nobody_from_starting(slow):
    from spawners.asking import ENDING, MAKING

    tasks = [asyncio.create_task(ENDING.ask(f"user{n}", slow)) for n in range(40) for _ in range(3)]
    await asyncio.to_thread(slow.begun.acquire)
    assert await MAKING.ask("ada", lambda: "quick") == "quick"
    slow.over.set()
    await asyncio.gather(*tasks)
