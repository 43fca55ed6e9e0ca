"""Copy a process that has imported what servers have in common, once for each server.

Run by `spawners.forkservers` in the Python of an environment, with ``-I -S``: nothing is imported
but Python's own library, these modules and the environment's packages; nothing of a home, of a
current folder or of what packages have run at each start of Python. It does nothing with what is a
user's: a start comes as open files, which only the copy reads.
"""

import ctypes
import fcntl
import gc
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from .confine import Walls
from .entering import Entry
from .rights import wire
from .system_accounts import Account

ROOM_BYTES = 32 << 10
"""How long all variables of a server together may be: those of a copy are written over others."""
READY, THERE = b"ready", b"there"
NOBODY = -1
"""Where there is no room for one more process."""
LISTENER, TOLD = 3, 4
"""The descriptors of a server's socket, and of what says that it is there."""
OTHER = 64
"""From here on descriptors are none that a server begins with."""
IDLE_S = 3600.0
"""How long one waits to be asked: it takes memory that others could use."""
UNTOLD_S = 1.0
PR_SET_DUMPABLE, PR_SET_NAME = 4, 15
NAME = b"jupyterhub-sing"
PROGRAM = "jupyterhub-singleuser"
"""What the process would be without a forkserver, and what administrators look for."""
COERCED = "LC_CTYPE"
"""Python sets it for itself and its children, where no language is told."""


def packed(entry: Entry, arguments: Sequence[str], variables: dict[str, str]) -> int:
    """Return an open file, for the copy alone, with what a server is to be.

    Raises
    ------
    OSError
        There are more variables than a copy has room for.
    """
    variables = {**variables, "BEAMHUB_SOCKET": str(LISTENER)}
    if len(block(variables)) > ROOM_BYTES:
        raise OSError("a server has too many variables to be copied")
    said = {**asdict(entry), "arguments": list(arguments), "variables": variables}
    file = os.memfd_create("server", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(file), "w", encoding="utf-8", errors="surrogateescape") as text:
        json.dump(said, text, default=str)
    return file


def unpacked(file: int) -> tuple[Entry, list[str], dict[str, str]]:
    """Return what `packed` has packed."""
    os.lseek(file, 0, os.SEEK_SET)
    with os.fdopen(file, encoding="utf-8", errors="surrogateescape") as text:
        said: dict[str, Any] = json.load(text)
    arguments, variables = said.pop("arguments"), said.pop("variables")
    account, walls = said.pop("account"), said.pop("walls")
    account["home"] = Path(account["home"])
    walls = {name: tuple(v) if isinstance(v, list) else v for name, v in walls.items()}
    return Entry(account=Account(**account), walls=Walls(**walls), **said), arguments, variables


def block(variables: dict[str, str]) -> bytes:
    """Return variables as the kernel shows those of a process."""
    return b"".join(os.fsencode(f"{name}={value}\0") for name, value in variables.items())


class Forkserver:
    """What makes copies of this process.

    Parameters
    ----------
    control : socket.socket
        To the one that asks for them, and is told of their ends.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.children: dict[int, int] = {}
        self.untold: list[dict[str, int]] = []

    def serve(self) -> list[int]:
        """Make copies until nobody asks any more; in a copy, return the files of its start."""
        asked = True
        while asked or self.children:
            waiting = select.poll()
            for file in (*self.children, *([self.control.fileno()] if asked else [])):
                waiting.register(file, select.POLLIN)
            ready = {file for file, _ in waiting.poll(1000 * (UNTOLD_S if self.untold else IDLE_S))}
            if not ready and not self.children and not self.untold:
                break
            self.reap(ready)
            self.tell()
            if self.control.fileno() in ready:
                files = self.taken()
                asked = files is not None
                if files and self.copied(files):
                    return files
        return []

    def taken(self) -> list[int] | None:
        """Return the files of a start; None where there will be no more."""
        try:
            received = wire.receive(self.control)
        except (OSError, wire.WireError):
            return None
        return received[1] if received else None

    def copied(self, files: list[int]) -> bool:
        """Make a copy; return whether this is the copy."""
        try:
            pid = os.fork()
        except OSError:
            pid = NOBODY
        if not pid:
            return True
        wire.close(files)
        if pid != NOBODY:
            self.children[os.pidfd_open(pid)] = pid
        # Not the copy itself says it: by then its account can make it say anything.
        self.untold.append({"begun": pid})
        self.tell()
        return False

    def reap(self, ready: set[int]) -> None:
        """Take note of copies that have ended, and how."""
        for file in ready & self.children.keys():
            pid = self.children.pop(file)
            os.close(file)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            self.untold.append({"ended": pid, "status": status})

    def tell(self) -> None:
        """Tell of copies that have begun or ended, as far as there is room for it."""
        while self.untold:
            try:
                self.control.send(json.dumps(self.untold[0]).encode(), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self.untold.clear()
                return
            self.untold.pop(0)


def become(files: Sequence[int]) -> list[str]:
    """Make this copy a server's process: its files, walls, account, variables.

    Parameters
    ----------
    files : sequence of int
        What it is to be, its socket, its log, and by which it says that it is there.

    Returns
    -------
    list of str
        The server's arguments.
    """
    os.setsid()
    above = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, OTHER) for file in files]
    said, listener, log, told = above
    for file, number in ((log, 1), (log, 2), (listener, LISTENER), (told, TOLD)):
        os.dup2(file, number)
    os.set_inheritable(TOLD, False)
    entry, arguments, variables = unpacked(said)
    close_others()
    entry()
    take(variables)
    # Else, after a change of account, all that the kernel shows of it would be root's.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with socket.socket(fileno=TOLD) as asker:
        asker.send(THERE)
        # Nobody waits for it any more: another has been started in its place.
        if not asker.recv(1):
            os._exit(1)
    return arguments


def close_others() -> None:
    """Close all files but those that a server begins with."""
    for file in open_files():
        if file > TOLD:
            # One of them was there to list them.
            with suppress(OSError):
                os.close(file)


def open_files() -> list[int]:
    """Return the descriptors of this process."""
    return [int(path.name) for path in Path("/proc/self/fd").iterdir()]


def take(variables: dict[str, str]) -> None:
    """Have these variables and no others, which the kernel shows too, with the name of a server."""
    told = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
    first_argument, last_argument, first, last = map(int, told.rpartition(")")[2].split()[45:49])
    coerced = {name: os.environ[name] for name in (COERCED,) if name in os.environ}
    os.environ.clear()
    write(block(variables), first, last)
    os.environ.update({**coerced, **variables})
    # No NUL as the last byte tells the kernel that a title stands there.
    title = f"{sys.executable} {Path(sys.executable).with_name(PROGRAM)}"
    write(os.fsencode(title), first_argument, last_argument - 1)
    ctypes.memset(last_argument - 1, 1, 1)
    ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)


def write(text: bytes, first: int, last: int) -> None:
    """Write a text into this process's memory, with NULs up to the end of its place."""
    size = last - first
    ctypes.memmove(first, text[: size - 1].ljust(size, b"\0"), size)


def unsafe(control: int) -> str:
    """Return why this process can't be copied, empty where it can."""
    if threading.active_count() > 1 or len(list(Path("/proc/self/task").iterdir())) > 1:
        return "a package begins threads while it is imported"
    for file in set(open_files()) - {0, 1, 2, control}:
        with suppress(FileNotFoundError):
            there = Path(f"/proc/self/fd/{file}").readlink()
            return f"a package opens {there} while it is imported"
    return ""


def main(arguments: list[str]) -> None:
    """Make copies of this process, each of which becomes a server.

    Parameters
    ----------
    arguments : list of str
        The folder of the environment's packages, and the number of an open socket.
    """
    packages, control = arguments
    sys.path.append(packages)
    sys.prefix = sys.exec_prefix = str(Path(packages).parents[2])
    os.umask(0o022)
    preloaded = import_module("workbench.preloading").Preloaded()
    with socket.socket(fileno=int(control)) as asker:
        asker.set_inheritable(False)
        if problem := unsafe(asker.fileno()):
            sys.exit(f"Each server starts in a Python of its own: {problem}.")
        gc.collect()
        gc.freeze()
        asker.send(READY)
        files = Forkserver(asker).serve()
    if files:
        own = become(files)
        import_module("workbench.start").main_preloaded(own, preloaded)
