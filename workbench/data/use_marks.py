"""Files that say that a data set is being read, so that nobody prunes it meanwhile."""

import fcntl
import os
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

TOUCH_S = 60
"""Their time is renewed so often."""


class Use:
    """Keeps a data set from being pruned while it is read.

    A lock of the file system says so on this machine; on others that share it without such locks
    the file's time does, which is renewed as long as this lives.

    Parameters
    ----------
    path : Path
        A file of this account, None where it can't have one: a cache that can only be read is
        pruned by nobody here.
    """

    def __init__(self, path: Path | None) -> None:
        self._stop = threading.Event()
        self._descriptor = -1
        with suppress(OSError):
            if path is not None:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(path, flags, 0o644)
                os.fchmod(self._descriptor, 0o644)
        if self._descriptor < 0:
            return
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        renew = partial(renew_time, self._descriptor, self._stop)
        threading.Thread(target=renew, daemon=True, name="data-use").start()

    def close(self) -> None:
        """Say that it's no longer used."""
        self._stop.set()


def renew_time(descriptor: int, stop: threading.Event) -> None:
    """Set a file's time to now, again and again, and close it at the end."""
    while True:
        with suppress(OSError):
            os.utime(descriptor)
        if stop.wait(TOUCH_S):
            os.close(descriptor)
            return
