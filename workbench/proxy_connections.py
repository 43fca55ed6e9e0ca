"""Connections of the proxy's by Unix sockets: it ends them when it has the answer, not the server.

The proxy says ``Connection: close`` on each. A server that does so as soon as it has answered can
be too quick on a busy machine: the proxy has still to say that its request was whole, hears that
nobody listens any more, and sends the browser a 503 in place of the answer. Yet what was asked for
is done.
"""

import socket
from collections.abc import Awaitable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)


class Request(HTTPMessageDelegate):
    """A request as it comes in."""

    def __init__(self, inner: HTTPMessageDelegate, connection: Any) -> None:
        self.inner, self.connection = inner, connection

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Leave the end to the other side, where that is a program of this machine."""
        # The proxy speaks 1.1. Before that, an answer's end could be the connection's.
        if start_line.version == "HTTP/1.1" and is_unix(self.connection):
            # Settled by Tornado just before, with no public way to say otherwise.
            self.connection._disconnect_on_finish = False
        return self.inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Hand it on."""
        return self.inner.data_received(chunk)

    def finish(self) -> None:
        """Hand it on."""
        self.inner.finish()

    def on_connection_close(self) -> None:
        """Hand it on."""
        self.inner.on_connection_close()


class ProxiedServer(HTTPServer):
    """Tornado's server, behind a proxy that may reach it by a Unix socket."""

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Let the proxy end its connections."""
        return Request(super().start_request(server_conn, request_conn), request_conn)


def is_unix(connection: Any) -> bool:
    """Return whether a connection has come by a Unix socket."""
    found: socket.socket | None = connection.stream.socket
    return found is not None and found.family == socket.AF_UNIX


def _load_jupyter_server_extension(server: Any) -> None:
    """Have Jupyter's server, which makes a stock `HTTPServer` after this, be a `ProxiedServer`."""
    del server
    HTTPServer.configure(ProxiedServer)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.proxy_connections"}]
