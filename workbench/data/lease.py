"""One of many does the work; the others see how far it is, and take over when it dies.

A lock of the file system tells the holder's death at once, on one machine. Between machines that
share a file system without such locks, a holder that has not written for half a minute is dead.
Two holders at once would waste a download and break nothing: each writes into a folder of its own
account, and what is published has been verified.
"""

import errno
import fcntl
import json
import os
import stat
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import DataError

BEAT_S = 0.5
DEAD_AFTER_S = 30
ROOM = 1024
"""Bytes that a line of progress fills, so that it is written at one stroke."""


def machine() -> str:
    """Return what differs between two running kernels, and not between containers of one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


MACHINE = machine()


def open_for_all(path: Path) -> int:
    """Return a descriptor of a file that every account may write; made where there is none.

    Linux refuses to open with O_CREAT what another account has made in a folder for everybody
    (fs.protected_regular), so that is tried last. What another account may have put there in the
    file's place, a link to one of this account's own files among others, is refused.
    """
    while True:
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            about = os.fstat(descriptor)
            if stat.S_ISREG(about.st_mode) and about.st_nlink <= 1:
                return descriptor
            os.close(descriptor)
            raise PermissionError(errno.EPERM, "it is not a file of this cache alone", str(path))
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(descriptor, 0o666)
            return descriptor


class Lease:
    """The right to fetch one data set, and what its holder tells the others.

    Parameters
    ----------
    path : Path
        A file that all who share the cache can write.
    dead_after_s : float, optional
        How long a holder on another machine may be silent.
    """

    def __init__(self, path: Path, dead_after_s: float = DEAD_AFTER_S) -> None:
        self._path, self._dead_after_s = path, dead_after_s
        self._descriptor = -1
        self._token = uuid.uuid4().hex
        self._seen: tuple[object, float] = (None, time.monotonic())
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None

    def take(self) -> bool:
        """Return whether nobody else has it; then it is this process's until `release`.

        Raises
        ------
        DataError
            Nobody can tell, as the file can't be opened.
        """
        try:
            descriptor = open_for_all(self._path)
        except OSError as problem:
            raise DataError(
                f"Who fetches what can't be agreed on: {self._path} can't be opened "
                f"({problem.strerror}). Have it removed, or set BEAMHUB_DATA_CACHE to a folder of "
                "your own."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        if self._held_elsewhere(read(descriptor)):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def told(self) -> dict[str, Any]:
        """Return what the holder tells; empty where there is none."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return {}
        try:
            return read(descriptor)
        finally:
            os.close(descriptor)

    def tell(self, what: Callable[[], dict[str, Any]]) -> None:
        """Keep telling the others what `what` returns, until `release`."""
        self._beat = threading.Thread(target=self._tell, args=(what,), daemon=True)
        self._beat.start()

    def release(self) -> None:
        """Let others have it."""
        self._stop.set()
        if self._beat:
            self._beat.join()
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1

    def _tell(self, what: Callable[[], dict[str, Any]]) -> None:
        count = 0
        while True:
            count += 1
            mine = {"machine": MACHINE, "token": self._token, "beat": count}
            line = json.dumps(mine | what()).encode()
            if len(line) >= ROOM:
                line = json.dumps(mine).encode()
            with suppress(OSError):  # a full disk; the lock still holds
                os.pwrite(self._descriptor, line.ljust(ROOM - 1) + b"\n", 0)
            if self._stop.wait(BEAT_S):
                return

    def _held_elsewhere(self, told: dict[str, Any]) -> bool:
        """Return whether a holder on another machine, whose lock isn't seen here, is alive."""
        if not told or told.get("machine") == MACHINE:
            return False
        sign = (told.get("token"), told.get("beat"))
        now = time.monotonic()
        if sign != self._seen[0]:
            self._seen = (sign, now)
        return now - self._seen[1] < self._dead_after_s


def read(descriptor: int) -> dict[str, Any]:
    """Return the holder's line; empty where it is none."""
    try:
        found = json.loads(os.pread(descriptor, ROOM, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
