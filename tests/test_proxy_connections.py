"""Who ends a connection by a Unix socket: whoever asked, since it has still to say a last word."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, RequestHandler

from hub.incoming import PortalServer
from workbench.proxy_connections import ProxiedServer

ASKED = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyes"


class Answer(RequestHandler):
    def post(self) -> None:
        self.write(b"done")


async def answers(
    server: HTTPServer, connect: Callable[[], Any], times: int
) -> tuple[list[bytes], bytes]:
    """Ask so many times by one connection; return the answers, and what came with the end."""
    reader, writer = await connect()
    heard = []
    try:
        for _ in range(times):
            writer.write(ASKED)
            await reader.readuntil(b"\r\n\r\n")
            heard.append(await reader.readexactly(4))
        writer.write_eof()
        return heard, await reader.read()
    finally:
        writer.close()
        server.stop()


@pytest.mark.parametrize("kind", [ProxiedServer, PortalServer])
def test_a_unix_socket_stays_open_until_the_proxy_ends_it(kind: type[HTTPServer], tmp_path: Path):
    async def ask() -> tuple[list[bytes], bytes]:
        server = kind(Application([("/", Answer)]))
        path = str(tmp_path / "server.sock")
        server.add_socket(bind_unix_socket(path))
        return await answers(server, lambda: asyncio.open_unix_connection(path), 3)

    assert asyncio.run(ask()) == ([b"done"] * 3, b"")


def test_at_a_port_a_connection_ends_as_it_was_asked_for():
    async def ask(times: int) -> tuple[list[bytes], bytes]:
        server = ProxiedServer(Application([("/", Answer)]))
        [listener] = bind_sockets(0, "127.0.0.1")
        server.add_socket(listener)
        port = listener.getsockname()[1]
        return await answers(server, lambda: asyncio.open_connection("127.0.0.1", port), times)

    assert asyncio.run(ask(1)) == ([b"done"], b"")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        asyncio.run(ask(2))


def test_who_speaks_an_older_http_is_told_the_end_by_the_end(tmp_path: Path):
    async def ask() -> bytes:
        server = ProxiedServer(Application([("/", Answer)]))
        path = str(tmp_path / "server.sock")
        server.add_socket(bind_unix_socket(path))
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(ASKED.replace(b"HTTP/1.1", b"HTTP/1.0"))
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()
            server.stop()

    assert asyncio.run(ask()).endswith(b"done")
