"""Starts of servers wait here for their turn, and say so on their pages; see `hub.admission`."""

import asyncio
from functools import cache
from typing import Any

from jupyterhub.utils import utcnow

from spawners.times import KeptTimes

from .admission import Admission, Start
from .audit import note_start
from .timing import Stopwatch

SLOW_S = 30
"""A start that takes longer waits for something else than this machine's cores, as a rule: for
software to be installed, for an image. It goes on, and the next one begins."""
TELL_S = 0.2
STOPPED = (
    "The portal was stopped or restarted before it was this server's turn to start. Open it again."
)


class Turns:
    """The turns of a portal's starts.

    Parameters
    ----------
    at_once : int, optional
        So many start at the same time; None for as many as there are.
    times : KeptTimes
        How long starts take here.
    """

    def __init__(self, at_once: int | None, times: KeptTimes) -> None:
        self._admission = Admission(at_once) if at_once else None
        self._times = times
        self._turns: dict[Start, tuple[Any, asyncio.Future[None]]] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._closed = False

    async def wait(self, spawner: Any) -> None:
        """Wait until a server may start; who gives up leaves the queue."""
        if self._admission is None:
            return
        start, turn = Start(spawner.user.name, spawner.name), asyncio.Future[None]()
        self._turns[start] = spawner, turn
        self._admission.enter(start)
        self._go_on()
        try:
            if not turn.done():
                await self._wait(spawner, turn)
        except BaseException:
            self._leave(start)
            raise
        finally:
            del self._turns[start]
        asyncio.get_running_loop().call_later(SLOW_S, self._leave, start)
        # However the start ends: it is up, it failed, or its user has stopped it.
        spawner._spawn_future.add_done_callback(lambda _: self._leave(start))

    async def _wait(self, spawner: Any, turn: "asyncio.Future[None]") -> None:
        """Wait for a turn. It counts neither as time to start nor as time of the server's."""
        asked = utcnow(with_tz=False)
        spawner.waited_s = 0.0
        # Found by the hub of the next start, where this one ends meanwhile.
        keep_ending(spawner, STOPPED)
        try:
            await turn
        except asyncio.CancelledError:
            # Who gave up by themselves know why.
            spawner.ending = STOPPED if self._closed else ""
            raise
        now = utcnow(with_tz=False)
        spawner.waited_s = (now - asked).total_seconds()
        spawner.orm_spawner.started = now
        keep_ending(spawner, "")

    async def close(self) -> None:
        """Give no more turns, and end the wait of all, whose pages say why."""
        self._closed = True
        starts = [
            spawner._spawn_future for spawner, turn in self._turns.values() if not turn.done()
        ]
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)

    def _leave(self, start: Start) -> None:
        assert self._admission is not None
        self._admission.leave(start)
        self._go_on()

    def _go_on(self) -> None:
        """Let those begin whose turn has come, and tell the others where they are."""
        assert self._admission is not None
        if self._closed:
            return
        for start in self._admission.admit():
            _, turn = self._turns[start]
            if not turn.done():
                turn.set_result(None)
        if self._telling is None:
            # Once for all who come and go at the same moment.
            self._telling = asyncio.get_running_loop().call_later(TELL_S, self._tell)

    def _tell(self) -> None:
        assert self._admission is not None
        self._telling = None
        for start, outlook in self._admission.outlooks(cache(self._times.usual)):
            spawner, _ = self._turns[start]
            if hasattr(spawner, "tell_place"):  # a backend of others may have a spawner of its own
                spawner.tell_place(str(outlook))


async def before_start(spawner: Any) -> None:
    """Write down that a server is to start, and let it wait for its turn.

    JupyterHub's ``pre_spawn_hook``: what is waited for here is no part of ``start_timeout``.
    """
    watch = Stopwatch(spawner)
    spawner._spawn_future.add_done_callback(watch.end)
    note_start(spawner)
    await spawner.user.settings["turns"].wait(spawner)
    watch.begin()


def keep_ending(spawner: Any, why: str) -> None:
    """Keep with a server why it will have ended, if nothing more is heard of it."""
    spawner.ending = why
    spawner.orm_spawner.state = spawner.get_state()
    spawner.db.commit()
