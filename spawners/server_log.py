"""What a server says, kept in a file of bounded size: its first and its last words.

A server writes into a pipe. A process beside the portal empties the pipes of all servers, slowly
enough to cost nothing where one floods, and goes on while the portal itself restarts. It is this
file, run by its path: it imports nothing but Python's own modules and has no rights of root's.
"""

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LARGEST_BYTES = 4 << 20
FIRST_BYTES = 256 << 10
LAST_BYTES = 1 << 20
PIECE_BYTES = 64 << 10
PAUSE_S = 0.005
"""After each round: a server that floods has to wait for its own output, at some 10 MB/s."""
PART = "log keeper"
"""What the helper calls it, see `spawners.rights`."""
LEFT_OUT = b"\n[... what was said here is left out: it was too much ...]\n"


class Keeper:
    """The process that empties the pipes, started when the first server is."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def take(self, pipe: int, file: int) -> None:
        """Hand over the reading end of a pipe and the file that its bytes go to."""
        try:
            self._send(pipe, file)
        except OSError:
            # It isn't there, or not any more.
            self._start()
            self._send(pipe, file)

    def _send(self, pipe: int, file: int) -> None:
        if self._control is None:
            raise OSError("not started")
        socket.send_fds(self._control, [b"."], [pipe, file])

    def _start(self) -> None:
        # Not where this file is run by its path, without packages.
        from .reserved_accounts import LOG_KEEPER
        from .rights import asking

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, Path(os.devnull).open("rb") as nothing:
            if asking.helper is not None:
                asking.begin(PART, (nothing.fileno(), 1, 2, theirs.fileno()))
            else:
                self._process = subprocess.Popen(
                    [*keeper_command(LOG_KEEPER), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C at the portal's terminal is not for it: servers have last words.
                    start_new_session=True,
                )
        if self._control is not None:
            self._control.close()
        self._control = ours


keeper = Keeper()
"""The one of this portal."""


@contextlib.contextmanager
def bounded_log(path: Path) -> Iterator[IO[bytes]]:
    """Have a server's output kept in a file, begun anew; what is yielded is for the server."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    reading, writing = os.pipe()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(writing, "wb") as end:
        try:
            keeper.take(reading, file)
        finally:
            os.close(reading)
            os.close(file)
        yield end


class Kept:
    """One server's output and the file that it is kept in."""

    def __init__(self, pipe: int, file: int) -> None:
        self.pipe, self.file = pipe, file
        self.size = 0

    def take(self) -> bool:
        """Keep what is there, a piece at most; return whether more may come."""
        try:
            piece = os.read(self.pipe, PIECE_BYTES)
        except BlockingIOError:
            return True
        if not piece:
            return False
        # A full disk isn't a reason to hold up the server.
        with contextlib.suppress(OSError):
            self.size += os.pwrite(self.file, piece, self.size)
            if self.size > LARGEST_BYTES:
                self.shorten()
        return True

    def shorten(self) -> None:
        """Leave the first part and the last."""
        last = os.pread(self.file, LAST_BYTES, self.size - LAST_BYTES)
        os.ftruncate(self.file, FIRST_BYTES)
        kept = LEFT_OUT + last
        self.size = FIRST_BYTES + os.pwrite(self.file, kept, FIRST_BYTES)

    def close(self) -> None:
        """Let go of both."""
        os.close(self.pipe)
        os.close(self.file)


def keep(control: socket.socket) -> None:
    """Empty pipes until there are none, and no portal that could send more."""
    chosen = selectors.DefaultSelector()
    chosen.register(control, selectors.EVENT_READ)
    while chosen.get_map():
        for key, _ in chosen.select():
            if key.data is None:
                if (taken := received(control)) is None:
                    chosen.unregister(control)
                else:
                    chosen.register(taken.pipe, selectors.EVENT_READ, taken)
            elif not key.data.take():
                chosen.unregister(key.data.pipe)
                key.data.close()
        time.sleep(PAUSE_S)


def received(control: socket.socket) -> Kept | None:
    """Return what the portal hands over, None where the portal has ended."""
    message, descriptors, *_ = socket.recv_fds(control, 1, 2)
    if not message:
        return None
    pipe, file = descriptors
    os.set_blocking(pipe, False)
    return Kept(pipe, file)


def keeper_command(number: int) -> list[str]:
    """Return the command of the process, before the number of the socket to the portal."""
    return [sys.executable, "-I", "-S", __file__, str(number)]


def main(number: int, control: int) -> None:
    """Keep what the portal hands over at a socket, with no rights of root's but as a number."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    with socket.socket(fileno=control) as portal:
        keep(portal)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
