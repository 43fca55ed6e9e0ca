"""A question that is asked seldom, on demand, for everybody at once, and its last answer."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from .commands import CommandError

LOG = logging.getLogger(__name__)
BACKOFF_MAX_S = 120.0
Answer = TypeVar("Answer")


class Question(Generic[Answer]):
    """Whoever wants to know gets the last answer; an old one is asked for again first.

    Parameters
    ----------
    ask : callable
        Asks.
    answer : object
        What stands for an answer before the first one.
    interval_s : float
        Seconds between two questions.

    Attributes
    ----------
    answer : object
        The last answer.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[Answer]], answer: Answer, interval_s: float
    ) -> None:
        self.answer = answer
        self._ask = ask
        self._interval_s = interval_s
        self._asked_at = self._next = float("-inf")
        self._failures = 0
        self._asking = asyncio.Lock()

    async def fresh(self) -> Answer:
        """Return an answer that is not old, or the last one where nobody answers."""
        async with self._asking:
            if time.monotonic() >= self._next:
                await self._renew()
        return self.answer

    @property
    def due(self) -> bool:
        """Whether the answer is old, and nobody asks at the moment."""
        return time.monotonic() >= self._next and not self._asking.locked()

    def doubt(self, after_s: float) -> None:
        """Let the next who wants to know ask again, unless the answer is younger than that."""
        if not self._failures:
            self._next = min(self._next, self._asked_at + after_s)

    async def _renew(self) -> None:
        self._asked_at = time.monotonic()
        try:
            self.answer = await self._ask()
        except CommandError as error:
            self._failures += 1
            self._next = time.monotonic() + backoff(self._interval_s, self._failures)
            LOG.warning("Slurm does not answer: %s", error)
            return
        self._failures = 0
        self._next = time.monotonic() + self._interval_s


def backoff(interval_s: float, failures: int) -> float:
    """Return in how many seconds to ask again: later each time, and not all hubs at once."""
    longest = max(interval_s, BACKOFF_MAX_S)
    wait: float = min(longest, interval_s * 2 ** min(failures, 10))
    return wait * random.uniform(0.5, 1)  # noqa: S311
