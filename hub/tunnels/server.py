"""Take the connections of servers that dial in, and show each to the portal as a Unix socket.

Run as ``python -m hub.tunnels.server``, by the portal, as a process of its own: large downloads
don't hold up the hub, and servers go on being reached while the hub is restarted.
"""

import argparse
import asyncio
import fcntl
import os
import re
import resource
import signal
import socket
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from spawners.server_socket import open_to_proxy
from spawners.tunnels import Tunnels
from workbench.tunnel import CHUNK, Streams, join, keep_alive

LOCK = "lock"
"""Held by the process that runs, whose number is in it."""
HELLO = re.compile(rb"(serve|hub) ([0-9a-f]{16}) ([A-Za-z0-9_-]{1,100})\n")
HELLO_S = 10.0
WAIT_S = 5.0
"""How long the portal waits for a server whose connections are all in use."""
IDLE_MAX = 16
"""Connections of one server that wait to be used."""
HUB_MAX = 64
"""Connections of one server to the hub."""
STRANGERS_MAX = 256
"""Connections that haven't shown a secret yet; of more, the one that has waited longest goes."""
BACKLOG = 1024
LOOK_S = 1.0
PAUSE_S = 0.1


class Way:
    """The way to one server.

    Parameters
    ----------
    path : Path
        Where the portal finds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asking_hub = 0
        self._idle: deque[Streams] = deque()
        self._wanted: deque[asyncio.Future[Streams]] = deque()
        self._used: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._opening = asyncio.Lock()

    async def listen(self) -> None:
        """Show the server to the portal, from its first connection on."""
        async with self._opening:  # several come at once
            if self._server is None:
                self.path.unlink(missing_ok=True)
                self._server = await asyncio.start_unix_server(self._use, self.path, limit=CHUNK)
                open_to_proxy(self.path, 0o660)
                open_to_proxy(self.path.parent, 0o710)

    def offer(self, server: Streams) -> None:
        """Take a connection of the server's, for whoever wants it next."""
        while self._wanted:
            if not (first := self._wanted.popleft()).done():
                first.set_result(server)
                return
        self._idle.append(server)
        self._drop_ended()
        if len(self._idle) > IDLE_MAX:
            cut_off(self._idle.popleft())

    def close(self) -> None:
        """Cut off everything."""
        if self._server:
            self._server.close()
        self.path.unlink(missing_ok=True)
        for task in self._used:
            task.cancel()
        while self._idle:
            cut_off(self._idle.pop())

    def keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that ends when the way is closed."""
        task = asyncio.ensure_future(work)
        self._used.add(task)
        task.add_done_callback(self._used.discard)
        return task

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection of the portal's on to the server."""
        await self.keep(self._pass_on((reader, writer)))

    async def _pass_on(self, portal: Streams) -> None:
        try:
            await join(portal, await self._take())
        except TimeoutError:
            pass
        finally:
            portal[1].close()

    async def _take(self) -> Streams:
        self._drop_ended()
        if self._idle:
            return self._idle.pop()
        wanted: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        self._wanted.append(wanted)
        try:
            async with asyncio.timeout(WAIT_S):
                return await wanted
        except BaseException:
            if wanted.done() and not wanted.cancelled():  # it has come at the same moment
                cut_off(wanted.result())
            raise
        finally:
            with suppress(ValueError):
                self._wanted.remove(wanted)

    def _drop_ended(self) -> None:
        # A server says nothing before it is asked.
        for server in [one for one in self._idle if one[0].at_eof() or one[1].is_closing()]:
            self._idle.remove(server)
            cut_off(server)


class TunnelServer:
    """All ways.

    Parameters
    ----------
    tunnels : Tunnels
        Which are open, and to whom.
    hub : str
        The hub's address: ``http://127.0.0.1:8081`` or ``http+unix://...``.
    """

    def __init__(self, tunnels: Tunnels, hub: str) -> None:
        self.tunnels = tunnels
        self.hub = hub
        self.ways: dict[str, Way] = {}
        self._context = tunnels.certificate.context()
        self._strangers: dict[asyncio.Task[None], None] = {}

    async def run(self, host: str, port: int) -> None:
        """Take connections until the process ends."""
        listener = socket.create_server((host, port), backlog=BACKLOG)
        listener.setblocking(False)
        with listener:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take(listener))
                group.create_task(self._look())

    async def _take(self, listener: socket.socket) -> None:
        """Take connections; whoever says nothing keeps nobody else out."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                plain, _ = await loop.sock_accept(listener)
            except OSError:  # it's gone again, or this process has too many files open
                await asyncio.sleep(PAUSE_S)
                continue
            task = loop.create_task(self._greet(plain))
            self._strangers[task] = None
            task.add_done_callback(self._is_no_stranger)
            if len(self._strangers) > STRANGERS_MAX:
                longest = next(iter(self._strangers))
                self._is_no_stranger(longest)
                longest.cancel()

    def _is_no_stranger(self, task: "asyncio.Task[None] | None") -> None:
        if task:
            self._strangers.pop(task, None)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.close_those_not_open()

    def close_those_not_open(self) -> None:
        """Cut off servers that the portal has stopped."""
        for name in [name for name in self.ways if not self.tunnels.is_open(name)]:
            self.ways.pop(name).close()

    async def _greet(self, plain: socket.socket) -> None:
        """Hear who dials in; whoever can't show a secret is told nothing."""
        try:
            async with asyncio.timeout(HELLO_S):
                server = await self._encrypted(plain)
                what, name = await self._hear(server)
        except (OSError, ValueError):
            return
        self._is_no_stranger(asyncio.current_task())
        keep_alive(server[1])
        way = self.ways.setdefault(name, Way(self.tunnels.socket(name)))
        if what == "hub":
            await way.keep(self._ask_hub(way, server))
        else:
            await way.listen()
            way.offer(server)
            if self.ways.get(name) is not way:  # closed meanwhile
                way.close()

    async def _encrypted(self, plain: socket.socket) -> Streams:
        """Return a connection once it is encrypted."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=CHUNK, loop=loop)
        transport, protocol = await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader, loop=loop), plain, ssl=self._context
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _hear(self, stranger: Streams) -> tuple[str, str]:
        """Return what somebody wants, and the name of the way that their secret opens.

        Raises
        ------
        ValueError
            They can't show one.
        """
        try:
            found = HELLO.fullmatch(await stranger[0].readline())
            what, name, secret = (part.decode() for part in found.groups()) if found else ("",) * 3
            if not self.tunnels.admits(name, secret):
                raise ValueError("no secret")
        except BaseException:
            cut_off(stranger)
            raise
        return what, name

    async def _ask_hub(self, way: Way, server: Streams) -> None:
        if way.asking_hub >= HUB_MAX:
            cut_off(server)
            return
        way.asking_hub += 1
        try:
            await join(server, await self._open_hub())
        except OSError:
            pass  # it's away for a moment
        finally:
            server[1].close()
            way.asking_hub -= 1

    async def _open_hub(self) -> Streams:
        url = urlsplit(self.hub)
        if url.scheme == "http+unix":
            return await asyncio.open_unix_connection(unquote(url.netloc), limit=CHUNK)
        return await asyncio.open_connection(url.hostname, url.port, limit=CHUNK)


def cut_off(peer: Streams) -> None:
    """End a connection at once: one that is closed in order waits for what the other side says."""
    peer[1].transport.abort()


def hold(folder: Path) -> int:
    """Return the folder's lock, held: there is one such process for each portal.

    Raises
    ------
    BlockingIOError
        Another one runs.
    """
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hub", required=True)
    told = parser.parse_args()
    os.umask(0o077)
    # Ctrl-C in the terminal is for the portal, which ends this process in its turn.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    tunnels = Tunnels(told.state)
    lock = hold(tunnels.folder)
    with suppress(KeyboardInterrupt):
        asyncio.run(TunnelServer(tunnels, told.hub).run(told.host, told.port))
    os.close(lock)


if __name__ == "__main__":
    main()
