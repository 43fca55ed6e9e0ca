"""What a request may bring, and from where it comes: settled before any page sees it.

A body is held in memory until it is whole, also one that nobody asked for. So bodies are small
before a page says otherwise, as the one for archives does once it knows its user.
"""

import os
import resource
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network
from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream
from tornado.log import app_log

from workbench.proxy_connections import Request, is_unix

LARGEST_BODY = 256 << 10
"""Of any request; the largest that is of use is a batch job's report of 20,000 characters."""
LARGEST_FORM = 64 << 10
"""Of a form: each of its fields costs time before it is looked at."""
LARGEST_HEADERS = 32 << 10
"""Beyond what the proxy lets through, which is 16 KB."""
BODY_S = 30
"""How long a body may take to come."""
MOST_OF_ONE = 128
"""Connections at once of one account of the machine, or of one address: servers have a few each."""
FORM = "application/x-www-form-urlencoded"
PEER = struct.Struct("3i")
"""What Linux tells of a Unix socket's other side: process, account, group."""
FORWARDED, REAL = "X-Forwarded-For", "X-Real-Ip"


class PortalServer(HTTPServer):
    """Tornado's server with our limits, which believes of a sender's address only what proxies say.

    JupyterHub makes a stock `HTTPServer`; `serve_with_limits` puts this in its place.
    """

    def initialize(
        self,
        *args: Any,
        proxies: int = 1,
        any_peer: bool = False,
        proxy_pid: Callable[[], int | None] = lambda: None,
        **more: Any,
    ) -> None:
        """Take how many proxies of the site a request has passed, and which are believed.

        Parameters
        ----------
        *args, **more
            As the stock server takes them.
        proxies : int
            How many entries of ``X-Forwarded-For``, from its end, were written by proxies of ours.
        any_peer : bool
            Whether a proxy of ours may have any address, as in a container, or is on this machine.
        proxy_pid : callable
            Returns the number of the process that is believed at a Unix socket, where what users
            send comes through other processes of the portal's account too; None for no process.
        """
        super().initialize(*args, **more)
        self.proxies = proxies
        self.any_peer = any_peer
        self.proxy_pid = proxy_pid
        self.open_of: Counter[str] = Counter()
        self._whose: dict[IOStream, str] = {}

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Take a connection, unless whoever makes it has many already.

        Each takes a file of this process's, of which there may be a thousand.
        """
        if whose := self.whose(stream.socket):
            if self.open_of[whose] >= MOST_OF_ONE:
                stream.close()
                return
            self.open_of[whose] += 1
            self._whose[stream] = whose
            if self.open_of[whose] == MOST_OF_ONE:
                app_log.warning("%s has %i connections to the hub", whose, MOST_OF_ONE)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        """Count a connection no more."""
        super().on_close(server_conn)
        assert isinstance(server_conn, HTTP1ServerConnection)
        if whose := self._whose.pop(server_conn.stream, ""):
            self.open_of[whose] -= 1
            if not self.open_of[whose]:
                del self.open_of[whose]

    def whose(self, connection: socket.socket) -> str:
        """Return who has made a connection; empty for the portal itself, and what may be a proxy.

        A proxy's are those of all users.
        """
        if connection.family == socket.AF_UNIX:
            pid, account, _ = peer(connection)
            ours = account == os.geteuid() or pid == self.proxy_pid()
            return "" if ours else f"account {account}"
        if self.any_peer:
            return ""
        try:
            address = ip_address(connection.getpeername()[0])
        except OSError:  # it's gone again
            return ""
        return "" if address.is_loopback else network_of(str(address))

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Put our rules before the stock ones."""
        inner = super().start_request(server_conn, request_conn)
        believed = self.any_peer or self.is_proxy(request_conn)
        return Incoming(inner, request_conn, self.proxies if believed else 0)

    def is_proxy(self, connection: Any) -> bool:
        """Return whether a connection can be the proxy's: by TCP, whether it's of this machine."""
        if is_unix(connection):
            return bool(peer(connection.stream.socket)[0] == self.proxy_pid())
        return ip_address(connection.context.remote_ip).is_loopback


class Incoming(Request):
    """One request as it comes in."""

    def __init__(self, inner: HTTPMessageDelegate, connection: Any, proxies: int) -> None:
        super().__init__(inner, connection)
        self.proxies = proxies

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Keep of what is said about the sender what can be believed; bound forms further."""
        keep_sender(headers, self.proxies)
        if headers.get("Content-Type", "").startswith(FORM):
            self.connection.set_max_body_size(LARGEST_FORM)
        return super().headers_received(start_line, headers)


def peer(connection: socket.socket) -> tuple[int, int, int]:
    """Return process, account and group on the other side of a Unix socket."""
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    process, account, group = PEER.unpack(said)
    return process, account, group


def keep_sender(headers: HTTPHeaders, proxies: int) -> None:
    """Leave in the headers one address of the sender at most, written by a proxy of ours.

    Each proxy appends from whom it has a request. What stands before those entries, and another
    header that the stock server believes even more, anybody can send.
    """
    said = [part.strip() for part in headers.get(FORWARDED, "").split(",") if part.strip()]
    for name in (FORWARDED, REAL):
        headers.pop(name, None)
    if proxies and said:
        headers[FORWARDED] = said[max(-proxies, -len(said))]


def network_of(address: str) -> str:
    """Return whom to count together: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped or found.version == 4:
        return str(mapped or found)
    return str(ip_network((found, 64), strict=False))


def serve_with_limits(*, proxies: int, any_peer: bool, proxy_pid: Callable[[], int | None]) -> None:
    """Let JupyterHub's web server, the only one of this process, be `PortalServer`."""
    # Usually a thousand, kept for programs that can't count further: many people's connections.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    HTTPServer.configure(
        PortalServer,
        max_body_size=LARGEST_BODY,
        max_header_size=LARGEST_HEADERS,
        body_timeout=BODY_S,
        proxies=proxies,
        any_peer=any_peer,
        proxy_pid=proxy_pid,
    )
