"""One of many does the work; the others see how far it is, and take over when it dies.

Among processes of one account a lock of the file system decides; it lies in that account's own
folder, where no other can open it. Among accounts a queue does: each writes into a file of its own
when it came and, twice a second, that it is alive; the first in the queue works. Whoever lies
there can only make others wait, and nobody waits longer than `patience_s` for another account.

Two at once would waste a download and break nothing: each writes into a folder of its own
account, and what is published has been verified.
"""

import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import DataError

BEAT_S = 0.5
DEAD_AFTER_S = 30
DEAD_HERE_AFTER_S = 5
"""On one machine the clock is the same for all, and a beat is seen at once."""
ROOM = 1024
"""Bytes that a line of progress fills, so that it is written at one stroke."""

Told = dict[str, Any]


def machine() -> str:
    """Return what differs between two running kernels, and not between containers of one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


MACHINE = machine()


class Lease:
    """The right to fetch one data set, and what its holder tells the others.

    Parameters
    ----------
    path : Path
        This account's file for it, in a folder that no other account can write.
    others : callable, optional
        Returns what other accounts tell of the same data set, by account.
    account : int, optional
        This account, for the place in the queue.
    dead_after_s : float, optional
        How long a holder on another machine may be silent.
    patience_s : float, optional
        How long to wait for other accounts.
    """

    def __init__(
        self,
        path: Path,
        others: Callable[[], Mapping[int, Told]] = dict,
        *,
        account: int = 0,
        dead_after_s: float = DEAD_AFTER_S,
        patience_s: float = float("inf"),
    ) -> None:
        self._path, self._others, self._account = path, others, account
        self._dead_after_s = dead_after_s
        self._token = uuid.uuid4().hex
        self._seen: dict[int, tuple[object, float]] = {}
        self._began = time.monotonic()
        self._patience_s = patience_s
        self._lock = self._line = -1
        self._since = 0.0
        self._about: Callable[[], Told] = dict
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None

    def take(self) -> bool:
        """Return whether nobody else has it; then it is this process's until `release`.

        Raises
        ------
        DataError
            Nobody can tell, as the file can't be written.
        """
        try:
            return self._claimed() and self._first_in_the_queue() is None
        except OSError as problem:
            raise DataError(
                f"Who fetches what can't be agreed on: {self._path} can't be written "
                f"({problem.strerror}). Is the disk full? Else have it removed, or set "
                "BEAMHUB_DATA_CACHE to a folder of your own."
            ) from None

    def tell(self, what: Callable[[], Told]) -> None:
        """Tell the others what `what` returns, from the claim until `release`."""
        self._about = what

    def told(self) -> Told:
        """Return what the holder tells, of this account or another; empty where there is none."""
        return self._first_in_the_queue() or ({} if self._lock >= 0 else read(self._path))

    def release(self) -> None:
        """Let others have it."""
        self._stop.set()
        if self._beat:
            self._beat.join()
        if self._line >= 0:
            with suppress(OSError):
                os.ftruncate(self._line, 0)
        for descriptor in (self._line, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._line = self._lock = -1

    def _claimed(self) -> bool:
        """Return whether this process stands in the queue for its account."""
        if self._lock >= 0:
            return True
        lock = own_file(self._path.with_name(f"{self._path.name}.lock"), 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        told = read(self._path)
        if told.get("machine") != MACHINE and self._alive(self._account, told):
            os.close(lock)
            return False
        try:
            self._line = own_file(self._path, 0o644)
        except OSError:
            os.close(lock)
            raise
        self._lock, self._since = lock, time.time()
        self._write(0)
        self._beat = threading.Thread(target=self._tell, daemon=True)
        self._beat.start()
        return True

    def _first_in_the_queue(self) -> Told | None:
        """Return what the living account tells that came first, None where this one did."""
        if time.monotonic() - self._began > self._patience_s:
            return None
        mine = (self._since, self._account) if self._lock >= 0 else (float("inf"), 0)
        first: Told | None = None
        for account, told in self._others().items():
            place = (since_of(told), account)
            if place < mine and self._alive(account, told):
                mine, first = place, told
        return first

    def _alive(self, account: int, told: Told) -> bool:
        """Return whether whoever told this still goes on."""
        if not told:
            return False
        now = time.monotonic()
        at, here = told.get("at"), told.get("machine") == MACHINE
        if here and type(at) is float and at <= now:
            return now - at < DEAD_HERE_AFTER_S
        sign = (told.get("token"), told.get("beat"))
        seen = self._seen.get(account)
        if seen is None or seen[0] != sign:
            self._seen[account] = seen = (sign, now)
        return now - seen[1] < self._dead_after_s

    def _tell(self) -> None:
        count = 0
        while not self._stop.wait(BEAT_S if count else 0):
            count += 1
            with suppress(OSError):  # a full disk; the lock still holds
                self._write(count)

    def _write(self, count: int) -> None:
        mine = {"machine": MACHINE, "token": self._token, "beat": count, "since": self._since}
        mine["at"] = time.monotonic()
        line = json.dumps(mine | self._about()).encode()
        if len(line) >= ROOM:
            line = json.dumps(mine).encode()
        os.pwrite(self._line, line.ljust(ROOM - 1) + b"\n", 0)


def own_file(path: Path, mode: int) -> int:
    """Return a descriptor of a file of this account, made where there is none."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    if mode & 0o044:
        os.fchmod(descriptor, mode)  # whatever the umask is
    return descriptor


def read(path: Path) -> Told:
    """Return the line in this account's own file; empty where it is none."""
    try:
        with path.open("rb") as file:
            return line_of(file.read(ROOM))
    except OSError:
        return {}


def line_of(data: bytes) -> Told:
    """Return what a holder's line says; empty where it is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def since_of(told: Told) -> float:
    """Return when a claim was made; one that doesn't say so comes last."""
    since = told.get("since")
    return since if type(since) is float else float("inf")
