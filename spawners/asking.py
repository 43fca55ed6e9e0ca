"""How much is asked of Docker at once: no user's slow work holds up another's."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from docker.errors import APIError

Answer = TypeVar("Answer")
THREADS = 12
EACH = 2
"""So many of them one user can have at a time."""


class Asking:
    """Threads for one kind of work, of which each user can have a few.

    Parameters
    ----------
    threads : int, optional
        How many there are.
    each : int, optional
        How many one user can have at a time.
    """

    def __init__(self, threads: int = THREADS, each: int = EACH) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="docker")
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(each)
        )

    async def ask(self, user: str, call: Callable[[], Answer]) -> Answer:
        """Return what a call returns that may take long, without blocking the hub.

        Parameters
        ----------
        user : str
            For whom.
        call : callable
            What is done in a thread.
        """
        turn = self._turns[user]
        await turn.acquire()
        doing = asyncio.get_running_loop().run_in_executor(self._pool, call)
        # Whoever gives up waiting doesn't free the thread.
        doing.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(doing)


LOOKING = Asking()
MAKING = Asking()
ENDING = Asking()
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Daemon:
    """Docker's daemon, as one user's servers ask it.

    Parameters
    ----------
    user : str
        For whom.
    client : callable
        Returns Docker's client; the first call asks the daemon.
    """

    user: str
    client: Callable[[], Any]

    async def look(self, call: Callable[[Any], Answer]) -> Answer:
        """Ask what is known in a moment: the state of a container, its last words."""
        return await LOOKING.ask(self.user, lambda: call(self.client()))

    async def make(self, call: Callable[[Any], Answer]) -> Answer:
        """Have something made: networks, walls, containers."""
        return await MAKING.ask(self.user, lambda: call(self.client()))

    async def end(self, call: Callable[[Any], Answer]) -> Answer:
        """Have something ended or removed."""
        return await ENDING.ask(self.user, lambda: call(self.client()))

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return what is known of a container, given by its name or id."""
        about: dict[str, Any] = await self.look(lambda client: client.inspect_container(container))
        return about

    async def remove(self, container: str) -> None:
        """Remove a container, where it's still there, whatever it does."""
        try:
            await self.end(lambda client: client.remove_container(container, v=True, force=True))
        except APIError as error:
            # Gone, or about to be.
            if error.status_code not in (404, 409):
                raise

    async def until(self, check: Callable[[Any], bool], seconds: float) -> None:
        """Wait until something is true of the daemon; no thread waits meanwhile.

        Raises
        ------
        TimeoutError
            It still isn't.
        """
        async with asyncio.timeout(seconds):
            while not await self.look(check):  # noqa: ASYNC110 - the daemon tells no event of it
                await asyncio.sleep(LOOK_EVERY_S)
