"""What is believed of a sender's address, and how much a request may bring."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.netutil import bind_unix_socket
from tornado.testing import bind_unused_port

from hub.incoming import (
    LARGEST_BODY,
    LARGEST_FORM,
    MOST_OF_ONE,
    keep_sender,
    network_of,
    serve_with_limits,
)


@pytest.mark.parametrize(
    ("said", "proxies", "kept"),
    [
        ("203.0.113.9", 1, "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", 1, "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 127.0.0.1", 2, "203.0.113.9"),
        ("203.0.113.9", 2, "203.0.113.9"),
        ("6.6.6.6", 0, None),
        (" , ", 1, None),
    ],
)
def test_only_proxies_of_ours_are_believed(said, proxies, kept):
    headers = HTTPHeaders({"X-Forwarded-For": said, "X-Real-Ip": "6.6.6.6"})
    keep_sender(headers, proxies)
    assert headers.get("X-Forwarded-For") == kept
    assert "X-Real-Ip" not in headers


def test_a_header_that_is_sent_twice_hides_nothing():
    headers = HTTPHeaders()
    for value in ("6.6.6.6", "203.0.113.9"):
        headers.add("X-Forwarded-For", value)
    keep_sender(headers, 1)
    assert headers.get_list("X-Forwarded-For") == ["203.0.113.9"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("nonsense", "unknown"),
    ],
)
def test_a_subscriber_of_ipv6_counts_as_one(address, network):
    assert network_of(address) == network


ASK = """
import http.client, socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect(sys.argv[1])
    asking.sendall(sys.stdin.buffer.read())
    answer = http.client.HTTPResponse(asking)
    answer.begin()
    print(answer.read().decode().splitlines()[-1])
"""


def test_at_the_hubs_socket_only_the_proxys_process_is_believed():
    """Everybody's servers reach it: who could say to be the proxy there could guess for ever.

    Jobs of a cluster reach it through a process of the portal's own account.
    """

    async def told() -> list[str]:
        believed = []
        with TemporaryDirectory() as folder:
            server, path = server_with_limits(lambda: believed[-1]), f"{folder}/hub.sock"
            server.add_socket(bind_unix_socket(path))
            found = []
            for is_proxy in (True, False):
                pipe = asyncio.subprocess.PIPE
                asking = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", ASK, path), stdin=pipe, stdout=pipe
                )
                believed.append(asking.pid if is_proxy else os.getpid())
                said, _ = await asking.communicate(post(4, "X-Forwarded-For: 203.0.113.9"))
                found.append(said.decode().strip())
            server.stop()
            return found

    assert asyncio.run(told()) == ["4 203.0.113.9", "4 0.0.0.0"]


FLOOD = """
import os, select, socket, sys, time
os.setgid(65534)
os.setuid(65534)
made = [socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[2]))]
for one in made:
    one.connect(sys.argv[1])
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    # Whoever is sent away can read that.
    away = select.select(made, [], [], 1)[0]
    if len(away) >= int(sys.argv[3]):
        break
print(len(made) - len(away), flush=True)
sys.stdin.read()
"""


@contextmanager
def passable() -> Iterator[str]:
    """Give a folder that other accounts can pass, unlike the test's own."""
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_no_account_takes_all_connections():
    """Whoever opens thousands at the hub's socket would leave it no file to open."""

    async def told() -> tuple[str, bytes]:
        with passable() as folder:
            server, path = server_with_limits(), f"{folder}/hub.sock"
            server.add_socket(bind_unix_socket(path, 0o666))
            pipe = asyncio.subprocess.PIPE
            more = 20
            words = (sys.executable, "-c", FLOOD, path, str(MOST_OF_ONE + more), str(more))
            flood = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
            kept = (await flood.stdout.readline()).decode().strip()
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(post(4))
            answer = await reader.read(4096)
            writer.close()
            await flood.communicate(b"")
            while server.open_of:  # noqa: ASYNC110 - Tornado tells nobody
                await asyncio.sleep(0.01)
            server.stop()
            return kept, answer

    kept, answer = asyncio.run(told())
    assert kept == str(MOST_OF_ONE)
    assert answer.startswith(b"HTTP/1.1 200")


class Echo(web.RequestHandler):
    def post(self) -> None:
        self.finish(f"{len(self.request.body)} {self.request.remote_ip}")


def server_with_limits(proxy_pid=lambda: None) -> HTTPServer:
    """Return what JupyterHub makes, once it has been told of our limits."""
    serve_with_limits(proxies=1, any_peer=False, proxy_pid=proxy_pid)
    try:
        return HTTPServer(web.Application([("/", Echo)]), xheaders=True)
    finally:
        HTTPServer.configure(None)


async def answers(*requests: bytes) -> list[bytes]:
    """Return what a server with our limits answers."""
    server = server_with_limits()
    listening, port = bind_unused_port()
    server.add_socket(listening)
    found = []
    for request in requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        found.append(await reader.read(4096))
        writer.close()
    server.stop()
    return found


def post(size: int, *headers: str, sent: bool = True) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {size}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + b"x" * (size if sent else 0)


FORM = "Content-Type: application/x-www-form-urlencoded"


def test_a_large_body_is_refused_before_it_is_read():
    large, form, small = asyncio.run(
        answers(
            post(LARGEST_BODY + 1, sent=False),
            post(LARGEST_FORM + 1, FORM, sent=False),
            post(1000, "X-Forwarded-For: 6.6.6.6, 203.0.113.9", "X-Real-Ip: 6.6.6.6"),
        )
    )
    assert large.startswith(b"HTTP/1.1 400") and form.startswith(b"HTTP/1.1 400")
    assert small.startswith(b"HTTP/1.1 200") and small.endswith(b"1000 203.0.113.9")


def test_so_is_one_in_chunks():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    (answer,) = asyncio.run(answers(head + chunk * (LARGEST_BODY // 0x10000 + 1)))
    assert answer.startswith(b"HTTP/1.1 400")
