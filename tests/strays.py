"""What a run of the tests leaves behind: processes of its own that outlive it."""

import os
import threading
import time

import psutil

LOOK_S = 3.0
PATIENCE_S = 15.0
"""Some end only when they notice that what they belonged to is gone."""
OWN = "multiprocessing.resource_tracker"
"""Python's own helper, which ends with the process that it helps."""


class Watch:
    """Knows all descendants of this process that lived for some seconds, whoever's they are now."""

    def __init__(self) -> None:
        self._seen: set[psutil.Process] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def begin(self) -> None:
        """Look now and then from now on."""
        self._thread.start()

    def look(self) -> None:
        """Look once: whose parent has ended is nobody's descendant any more."""
        self._seen.update(psutil.Process().children(recursive=True))

    def left(self) -> dict[str, psutil.Process]:
        """Return what is still there after a while, by number and command; watch no more."""
        self._over.set()
        self._thread.join()
        self.look()
        end = time.monotonic() + PATIENCE_S
        while (found := self._left()) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look()

    def _left(self) -> dict[str, psutil.Process]:
        found = {}
        for process in self._seen:
            try:
                command = " ".join(process.cmdline())
                own = OWN in command and process.ppid() == os.getpid()
                # Empty where it has ended and nobody has asked how.
                if command and not own and process.is_running():
                    found[f"{process.pid}: {command[:300]}"] = process
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found
