"""Keep the process that servers dial in at running for as long as the portal runs."""

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spawners import child_processes
from spawners.launch import BackendError
from spawners.tunnels import Tunnels

from ..state import own_file
from .server import LOCK

MODULE = "hub.tunnels.server"
PAUSE_S = 1.0
END_S = 5.0


@contextmanager
def serving(state: Path, host: str, port: int, hub: str) -> Iterator[None]:
    """Let servers dial in while the portal runs.

    Parameters
    ----------
    state : Path
        The portal's state folder.
    host, port : str, int
        Where they dial in.
    hub : str
        The hub's own address.

    Raises
    ------
    BackendError
        The state folder isn't a place for sockets.
    """
    tunnels = Tunnels(state)
    if problem := tunnels.problem():
        raise BackendError(problem)
    _ = tunnels.certificate  # made before the process looks for it
    where = (f"--state={state}", f"--host={host}", f"--port={port}", f"--hub={hub}")
    kept = Kept(child_processes.python_command(MODULE, *where))
    try:
        yield
    finally:
        kept.end()


class Kept:
    """A child process that is started again if it ends by itself.

    Parameters
    ----------
    command : list of str
        Its program and arguments.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._process = self._begin()
        threading.Thread(target=self._watch, daemon=True).start()

    def end(self) -> None:
        """End it for good."""
        with self._lock:
            self._over.set()
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _begin(self) -> "subprocess.Popen[bytes]":
        return child_processes.begin_outliving(self._command, stdin=subprocess.DEVNULL)

    def _watch(self) -> None:
        while True:
            self._process.wait()
            if self._over.wait(PAUSE_S):
                return
            with self._lock:
                if not self._over.is_set():
                    self._process = self._begin()


def end_leftover_tunnels(state: Path) -> None:
    """End the process of a portal that was killed, where it has left one: it holds the port."""
    path = Tunnels(state).folder / LOCK
    if not own_file(path):
        return
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor) as lock:
        end = time.monotonic() + 2 * END_S
        while time.monotonic() < end:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                how = signal.SIGTERM if time.monotonic() < end - END_S else signal.SIGKILL
                with suppress(ValueError, ProcessLookupError):
                    os.kill(int(path.read_text(encoding="ascii")), how)
                time.sleep(0.1)
            else:
                return
