"""Ask for copies of a process that has imported what servers have in common, one an environment.

Where there is none, or it isn't ready, or anything about it fails, a server is started as if there
were none of all this.
"""

import json
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from . import child_processes
from .entering import Entry
from .forkserver import NOBODY, READY, ROOM_BYTES, THERE, packed
from .rights import wire
from .rights.records import began, sent
from .state_folders import READY as MADE
from .told_variables import told_names

CODE = Path(__file__).resolve().parent
BEGIN = """\
import sys, types
package = sys.modules["spawners"] = types.ModuleType("spawners")
package.__path__ = [sys.argv[1]]
from spawners.forkserver import main
main(sys.argv[2:])
"""
"""Finds these modules and nothing beside them: what else the portal has is none of a server's."""
COPY_S = 10.0
"""How long a copy may take to be there."""
STATUS_S = 10.0
"""How long to wait for how a server ended, once it has."""
STEP_MS = 50
MOST = 8
"""Environments that have one at a time: each takes about 100 MB."""


class Forked:
    """A server that is a copy, as `subprocess.Popen` shows a process.

    Parameters
    ----------
    forkserver : Forkserver
        What it is a copy of.
    pid : int
        Its number.
    """

    def __init__(self, forkserver: "Forkserver", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forkserver = forkserver
        self._began = began(pid)

    def poll(self) -> int | None:
        """Return None while it runs, its exit status otherwise: 0 where nobody knows it."""
        if self.returncode is None and (not self._began or began(self.pid) != self._began):
            self.returncode = self._forkserver.status(self.pid)
        return self.returncode

    def signalled(self, number: int) -> bool:
        """Send it a signal; return whether it still runs."""
        return sent(self.pid, number, self._began)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class Forkserver:
    """The process of one environment that is copied.

    Parameters
    ----------
    environment : Path
        Where its Python is.
    """

    def __init__(self, environment: Path) -> None:
        self.made = made(environment)
        self.begun = False
        self._begun: list[int] = []
        self._running: set[int] = set()
        self._given_up = False
        self._statuses: dict[int, int] = {}
        self._lock = threading.Lock()
        self._control, theirs = wire.pair()
        packages = packages_of(environment)
        python = [str(environment / "bin/python"), "-I", "-S", "-c", BEGIN, str(CODE)]
        with theirs:
            self._process = child_processes.begin(
                [*python, str(packages), str(theirs.fileno())],
                env=variables(),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        """Return whether it can be copied by now."""
        with self._lock:
            self._listen()
        return self.begun

    def has_ended(self) -> bool:
        """Return whether there is no such process any more."""
        return self._process.poll() is not None

    def refuses(self) -> bool:
        """Return whether it has ended since it can't be copied, and so will another."""
        return self.has_ended() and not self.begun and self._process.returncode > 0

    def give_up(self) -> None:
        """Copy it no more; it ends as soon as none of its copies runs, whose ends it tells."""
        self._given_up = True
        if not self._running:
            self._control.close()
            self._process.kill()
            self._process.wait()

    def copied(
        self, entry: Entry, arguments: Sequence[str], variables: Mapping[str, str], files: list[int]
    ) -> Forked:
        """Start a server.

        Parameters
        ----------
        entry : Entry
            What its process does to itself before it runs.
        arguments : sequence of str
            Of the server.
        variables : mapping of str to str
            All that it has.
        files : list of int
            Its socket and its log.

        Raises
        ------
        OSError
            It couldn't be; there is no process then.
        """
        said = packed(entry, arguments, dict(variables))
        try:
            ours, theirs = wire.pair()
            with ours:
                with theirs:
                    wire.send(self._control, {}, [said, *files, theirs.fileno()])
                # While it is still root's, so that its number can't be another's by now.
                forked = Forked(self, self._number())
                ours.settimeout(COPY_S)
                if ours.recv(len(THERE)) != THERE:
                    raise OSError("a copy ended at once")
                ours.send(THERE)
                self._running.add(forked.pid)
                return forked
        finally:
            os.close(said)

    def _number(self) -> int:
        """Return the number of the copy that was asked for."""
        deadline = time.monotonic() + COPY_S
        while True:
            with self._lock:
                heard = self._listen()
                if self._begun:
                    number = self._begun.pop()
                    break
            if not heard or time.monotonic() > deadline:
                raise OSError("there is no copy")
            self._wait()
        if number == NOBODY:
            raise OSError("there is no room for one more process")
        return number

    def status(self, pid: int) -> int:
        """Return how a copy that has ended did so, 0 where that isn't known."""
        status = self._status(pid)
        self._running.discard(pid)
        if self._given_up:
            self.give_up()
        return status

    def _status(self, pid: int) -> int:
        deadline = time.monotonic() + STATUS_S
        while True:
            with self._lock:
                heard = self._listen()
                if pid in self._statuses:
                    return self._statuses.pop(pid)
            if not heard or time.monotonic() > deadline:
                return 0
            self._wait()

    def _wait(self) -> None:
        """Wait a moment for it to say something."""
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        waiting.poll(STEP_MS)

    def _listen(self) -> bool:
        """Take what it has said by now; return whether there can be more."""
        while True:
            try:
                said = self._control.recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not said:
                return False
            if said == READY:
                self.begun = True
            else:
                told = json.loads(said)
                if "begun" in told:
                    self._begun.append(told["begun"])
                else:
                    self._statuses[told["ended"]] = told["status"]


class Forkservers:
    """The processes that are copied, one an environment."""

    def __init__(self) -> None:
        self._all: dict[Path, Forkserver] = {}
        self._lock = threading.Lock()

    def start(
        self,
        environment: Path,
        entry: Entry,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        files: list[int],
    ) -> Forked | None:
        """Start a server as a copy, see `Forkserver.copied`; None where it has to start by itself.

        The first start in an environment begins what later ones are copies of.
        """
        with self._lock:
            try:
                found = self._of(environment)
                if found.is_ready() and not found.has_ended():
                    return found.copied(entry, arguments, variables, files)
            except (OSError, wire.WireError):
                # Of what has failed once nobody knows what it would do next.
                self._drop(environment)
        return None

    def _of(self, environment: Path) -> Forkserver:
        found = self._all.get(environment)
        if found is not None and (found.made != made(environment) or gone(found)):
            self._drop(environment)
            found = None
        if found is None:
            trusted(environment)
            found = Forkserver(environment)
        # The one asked last is the last to go.
        self._all.pop(environment, None)
        self._all[environment] = found
        while len(self._all) > MOST:
            self._drop(next(iter(self._all)))
        return found

    def _drop(self, environment: Path) -> None:
        if found := self._all.pop(environment, None):
            found.give_up()

    def end(self) -> None:
        """Have no copies made any more."""
        with self._lock:
            for environment in list(self._all):
                self._drop(environment)


def gone(found: Forkserver) -> bool:
    """Return whether one has ended that another can replace."""
    return found.has_ended() and not found.refuses()


def made(environment: Path) -> tuple[int, int]:
    """Return what tells an environment from one made later in its place."""
    found = (environment / MADE).stat()
    return found.st_ino, found.st_mtime_ns


def packages_of(environment: Path) -> Path:
    """Return where an environment's packages are."""
    for found in environment.glob("lib/python*/site-packages"):
        return found
    raise FileNotFoundError(f"there are no packages in {environment}")


def trusted(environment: Path) -> None:
    """Refuse an environment that others can change: what is imported is imported as this account.

    Raises
    ------
    OSError
        They can.
    """
    packages = packages_of(environment)
    if any(map(child_processes.changed_by_others, (environment / "bin", packages, CODE))):
        raise PermissionError(f"others can change {environment}")


def variables() -> dict[str, str]:
    """Return the variables of a process that is copied: nothing of a user's, and room for that."""
    kept = {name: os.environ[name] for name in told_names() if name in os.environ}
    # Threads of libraries that compute would be lost in copies; kernels have settings of their own.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    own = {"HOME": "/nonexistent", "PATH": child_processes.trusted_path()}
    return {**kept, **threads, **own, "BEAMHUB_ROOM": "x" * ROOM_BYTES}
