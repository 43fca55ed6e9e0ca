"""What many look at at once is read once for all of them."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
PAUSE_S = 0.5
"""However much is told, nothing is read more often."""


@dataclass
class Kept(Generic[Value]):
    """What was read last of something."""

    value: Value
    at: float
    stale: bool = False


class Shared(Generic[Key, Value]):
    """Values by key, each read again after news, or when it is old, by the next who looks.

    None, for what is gone, is not kept.

    Parameters
    ----------
    oldest_s : float, optional
        After so long it is read again without news too.
    clock : callable
        Returns the time in seconds; it never goes back.
    """

    def __init__(
        self, oldest_s: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._oldest_s, self._clock = oldest_s, clock
        self._kept: dict[Key, Kept[Value]] = {}

    def tell(self, key: Key) -> None:
        """Say that there is news."""
        if kept := self._kept.get(key):
            kept.stale = True

    def of(self, key: Key, read: Callable[[], Value]) -> Value:
        """Return what is known, read by the function that is given where that is due."""
        kept, now = self._kept.get(key), self._clock()
        if kept is None or now - kept.at >= (PAUSE_S if kept.stale else self._oldest_s):
            kept = self._kept[key] = Kept(read(), now)
        if kept.value is None:
            del self._kept[key]
        return kept.value
