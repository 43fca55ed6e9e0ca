"""How far a fetch is: counted here, shown by `display`."""

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from ..words import size_text, time_text

RATE_OVER_S = 5


@dataclass(frozen=True)
class State:
    """What a fetch looks like at one moment.

    Parameters
    ----------
    label : str
        The data set.
    source : str
        Where it comes from, in words.
    done_bytes : int
    total_bytes : int or None
        None while nobody knows.
    rate : float
        Bytes per second, over the last seconds.
    note : str
        What it waits for, if anything.
    files : int
        Files that are complete.
    """

    label: str
    source: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    rate: float = 0.0
    note: str = ""
    files: int = 0

    @property
    def fraction(self) -> float | None:
        """The part that is done, None while the whole isn't known."""
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at this rate."""
        if not self.total_bytes or self.rate <= 0:
            return None
        return max(0.0, self.total_bytes - self.done_bytes) / self.rate

    def words(self) -> str:
        """Return the state as one line."""
        amount = size_text(self.done_bytes)
        if self.total_bytes:
            amount += f" of {size_text(self.total_bytes)}"
        parts = [amount]
        if self.rate:
            parts.append(f"{size_text(self.rate)}/s")
        if self.left_s is not None:
            parts.append(f"{time_text(self.left_s)} left")
        if self.source:
            parts.append(f"from {self.source}")
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)


class Progress:
    """Counts for one data set, from any number of threads.

    Parameters
    ----------
    label : str
        The data set.
    total_bytes : int, optional
        What is to come, where it is known.
    """

    def __init__(self, label: str, total_bytes: int | None = None) -> None:
        self._state = State(label, total_bytes=total_bytes)
        self._totals: dict[str, int] = {}
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self.began = time.monotonic()
        self.received = 0

    @property
    def state(self) -> State:
        """The present state."""
        with self._lock:
            return replace(self._state, rate=self._state.rate or self._rate())

    def say(self, **about: Any) -> None:
        """Change anything of the state."""
        with self._lock:
            self._state = replace(self._state, **about)

    def here(self, size_bytes: int) -> None:
        """Count what an earlier try has left."""
        self._add(size_bytes)

    def add(self, size_bytes: int) -> None:
        """Count bytes that have come."""
        with self._lock:
            self.received += size_bytes
        self._add(size_bytes)

    def _add(self, size_bytes: int) -> None:
        with self._lock:
            done = self._state.done_bytes + size_bytes
            self._state = replace(self._state, done_bytes=done, note="")

    def learn(self, file: str, total_bytes: int | None, files: int) -> None:
        """Take a file's size from its server; the whole is known once each of `files` is."""
        with self._lock:
            if total_bytes is not None:
                self._totals[file] = total_bytes
            if self._state.total_bytes is None and len(self._totals) == files:
                self._state = replace(self._state, total_bytes=sum(self._totals.values()))

    def arrived(self) -> None:
        """Count a file that is complete."""
        with self._lock:
            self._state = replace(self._state, files=self._state.files + 1)

    def summary(self) -> str:
        """Return what was done, once it is."""
        seconds = time_text(time.monotonic() - self.began)
        state = self.state
        if not state.done_bytes:
            return f"done in {seconds}"
        source = f" from {state.source}" if state.source else ""
        return f"{size_text(state.done_bytes)}{source} in {seconds}"

    def _rate(self) -> float:
        now = time.monotonic()
        if not self._recent or now - self._recent[-1][0] > 0.2:
            self._recent.append((now, self.received))
        while now - self._recent[0][0] > RATE_OVER_S and len(self._recent) > 1:
            self._recent.popleft()
        since, before = self._recent[0]
        return (self.received - before) / (now - since) if now - since > 0.2 else 0.0
