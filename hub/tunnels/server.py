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
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

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
"""Connections that haven't shown a secret yet."""
LOOK_S = 1.0


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

    async def listen(self) -> None:
        """Show the server to the portal, from its first connection on."""
        if self._server is None:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._use, self.path, limit=CHUNK)

    def offer(self, server: Streams) -> None:
        """Take a connection of the server's, for whoever wants it next."""
        while self._wanted:
            if not (first := self._wanted.popleft()).done():
                first.set_result(server)
                return
        self._idle.append(server)
        self._drop_ended()
        if len(self._idle) > IDLE_MAX:
            self._idle.popleft()[1].close()

    def close(self) -> None:
        """Cut off everything."""
        if self._server:
            self._server.close()
        self.path.unlink(missing_ok=True)
        for task in self._used:
            task.cancel()
        while self._idle:
            self._idle.pop()[1].close()

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
        return await asyncio.wait_for(wanted, WAIT_S)

    def _drop_ended(self) -> None:
        # A server says nothing before it is asked.
        for server in [one for one in self._idle if one[0].at_eof() or one[1].is_closing()]:
            self._idle.remove(server)
            server[1].close()


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
        self._strangers = 0

    async def run(self, host: str, port: int) -> None:
        """Take connections until the process ends."""
        server = await asyncio.start_server(
            self._greet,
            host,
            port,
            ssl=self.tunnels.certificate.context(),
            ssl_handshake_timeout=HELLO_S,
            limit=CHUNK,
            backlog=1024,
        )
        async with server:
            while True:
                await asyncio.sleep(LOOK_S)
                self.close_those_not_open()

    def close_those_not_open(self) -> None:
        """Cut off servers that the portal has stopped."""
        for name in [name for name in self.ways if not self.tunnels.is_open(name)]:
            self.ways.pop(name).close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear who dials in; whoever can't show a secret is told nothing."""
        found = None
        if self._strangers < STRANGERS_MAX:
            self._strangers += 1
            try:
                async with asyncio.timeout(HELLO_S):
                    found = HELLO.fullmatch(await reader.readline())
            except (OSError, ValueError):
                pass
            finally:
                self._strangers -= 1
        what, name, secret = (part.decode() for part in found.groups()) if found else ("", "", "")
        if not self.tunnels.admits(name, secret):
            writer.close()
            return
        keep_alive(writer)
        way = self.ways.setdefault(name, Way(self.tunnels.socket(name)))
        if what == "hub":
            await way.keep(self._ask_hub(way, (reader, writer)))
        else:
            await way.listen()
            way.offer((reader, writer))

    async def _ask_hub(self, way: Way, server: Streams) -> None:
        if way.asking_hub >= HUB_MAX:
            server[1].close()
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
