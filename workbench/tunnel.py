"""The way between a server and its portal: the server dials, and nobody listens for others.

Nothing here waits at a port. The server and its portal's address inside are Unix sockets in a
folder of this account alone; what goes between the machines is encrypted, to the one certificate
that the portal has told of, and begins with the secret of this server's start.
"""

import asyncio
import base64
import contextlib
import secrets
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

CHUNK = 1 << 18
IDLE = 4
"""So many connections wait to be used: JupyterLab's page asks for several things at once."""
DIAL_S = 20.0
PAUSE_S = (0.2, 10.0)
"""Before dialling again: at first, and at most."""
LASTING_S = 5.0
"""One that held for so long was welcome."""
CHANCE = secrets.SystemRandom()
"""Not the process's own generator, whose sequence a program may have fixed for itself."""
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class DialError(OSError):
    """Who answered is not the portal."""


@dataclass(frozen=True)
class Portal:
    """Whom to dial, and what to show there."""

    host: str
    port: int
    name: str
    secret: str
    certificate: bytes

    @classmethod
    def read(cls, told: str) -> "Portal":
        """Return what the portal has told: see `spawners.tunnels.Tunnels.told`."""
        host, port, name, secret, certificate = told.split()
        return cls(host, int(port), name, secret, base64.b64decode(certificate))

    @cached_property
    def context(self) -> ssl.SSLContext:
        """How to dial: one certificate is trusted, whatever its name and its dates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.load_verify_locations(cadata=self.certificate)
        return context

    async def dial(self, what: str) -> Streams:
        """Return a connection to the portal.

        Parameters
        ----------
        what : str
            ``serve``: the portal will ask the server through it; ``hub``: the server asks the hub.

        Raises
        ------
        OSError
            Nobody answers, or somebody who isn't the portal: then nothing was said.
        """
        async with asyncio.timeout(DIAL_S):
            reader, writer = await asyncio.open_connection(
                self.host, self.port, ssl=self.context, limit=CHUNK
            )
        if writer.get_extra_info("ssl_object").getpeercert(binary_form=True) != self.certificate:
            writer.close()
            raise DialError("another certificate")
        keep_alive(writer)
        writer.write(f"{what} {self.name} {self.secret}\n".encode())
        return reader, writer


class Tunnel:
    """Both ways of one server, in a thread of their own.

    Parameters
    ----------
    portal : Portal
        Whom to dial.
    folder : Path
        Where the sockets are; this account's alone.
    """

    def __init__(self, portal: Portal, folder: Path) -> None:
        self.portal = portal
        self.server_socket = folder / "server.sock"
        self.hub_socket = folder / "hub.sock"
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def hub_origin(self) -> str:
        """Where the server finds the hub."""
        return origin(self.hub_socket)

    def start(self) -> None:
        """Let the hub be asked from now on."""
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        listening = asyncio.start_unix_server(self._ask_hub, self.hub_socket, limit=CHUNK)
        asyncio.run_coroutine_threadsafe(listening, self._loop).result()

    def open(self) -> None:
        """Let the portal ask the server from now on."""
        for _ in range(IDLE):
            self._loop.call_soon_threadsafe(self._begin, self._offer())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _offer(self) -> None:
        """Have one connection wait for the portal, for ever."""
        pause, longest = PAUSE_S
        while True:
            begun = time.monotonic()
            used = await self._wait_for_use()
            if used or time.monotonic() - begun > LASTING_S:
                pause = PAUSE_S[0]
            if used:
                self._begin(self._answer(*used))
            else:
                await asyncio.sleep(pause * CHANCE.uniform(0.5, 1))
                pause = min(2 * pause, longest)

    async def _wait_for_use(self) -> tuple[Streams, bytes] | None:
        """Return a connection and what the portal says there first, None where it ended before."""
        try:
            portal = await self.portal.dial("serve")
        except OSError:
            return None
        with contextlib.suppress(OSError):
            if first := await portal[0].read(CHUNK):
                return portal, first
        portal[1].close()
        return None

    async def _answer(self, portal: Streams, first: bytes) -> None:
        try:
            server = await asyncio.open_unix_connection(self.server_socket, limit=CHUNK)
        except OSError:  # it has ended
            portal[1].close()
            return
        server[1].write(first)
        await join(portal, server)

    async def _ask_hub(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hub = await self.portal.dial("hub")
        except OSError:
            writer.close()
            return
        await join((reader, writer), hub)


def origin(path: Path) -> str:
    """Return a Unix socket as JupyterHub and its proxy have it in addresses."""
    return f"http+unix://{quote(str(path), safe='')}"


def private_folder() -> Path:
    """Return a new folder of this account alone, on this machine and with a short name."""
    return Path(tempfile.mkdtemp(prefix="beamhub-", dir="/tmp"))


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Notice that the other machine is gone, and let no firewall forget the connection."""
    made: socket.socket = writer.get_extra_info("socket")
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def join(one: Streams, other: Streams) -> None:
    """Pass on what either says, until one of them has ended."""
    ways = [
        asyncio.ensure_future(copy(one[0], other[1])),
        asyncio.ensure_future(copy(other[0], one[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for _, writer in (one, other):
            writer.close()  # what is still to be sent is sent first


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what is read until there is no more."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
