"""The ways between portal and servers elsewhere: who gets in, who hears, what outlasts a fall."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cli.serve import can_listen, own_state
from hub.tunnels.process import MODULE
from hub.tunnels.server import HELLO, LOCK, STRANGERS_MAX
from spawners import child_processes
from spawners.reserved_accounts import PROXY
from spawners.tunnels import Tunnels
from workbench.tunnel import Portal, Tunnel

PATIENCE_S = 60.0
LISTENS = "00010000"
SERVER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    peer, _ = listener.accept()
    asked = peer.recv(65536)
    size = int(asked.split()[1][1:])
    try:
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size + bytes(size))
    except OSError:
        pass
    peer.close()
"""
"""Answers /N with N bytes."""


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Asking(HTTPConnection):
    """The portal's side."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE_S)
        try:
            made.connect(str(self._path))
        except OSError:
            made.close()
            raise
        self.sock = made


def ask(path: Path, size: int) -> int:
    """Return how many bytes come of so many that are asked for."""
    with closing(Asking(path)) as asking:
        asking.request("GET", f"/{size}")
        return len(asking.getresponse().read())


@pytest.fixture
def served(reports: Any, tmp_path: Path) -> Iterator[Path]:
    """A server that has dialled in; where the portal finds it."""
    tunnel = Tunnel(Portal.read(reports.tunnel), tmp_path)
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(tunnel.server_socket)])
    tunnel.start()
    until(tunnel.server_socket.exists, "the server")
    tunnel.open()
    path = reports.tunnels.socket(tunnel.portal.name)
    until(path.exists, "its way")
    yield path
    server.kill()
    server.wait()


def stranger(reports: Any, hello: bytes) -> bytes:
    """Return all that somebody hears who dials in with these words."""
    context = ssl._create_unverified_context()
    with (
        socket.create_connection(("127.0.0.1", reports.port)) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        wrapped.settimeout(PATIENCE_S)
        try:
            wrapped.sendall(hello)
            return wrapped.recv(1)
        except TimeoutError:
            raise
        except OSError:
            return b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's proxy has another account")
def test_roots_proxy_reaches_a_server_and_no_secret(served):
    def group_may(path: Path, mode: int) -> bool:
        found = path.stat()
        return (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, PROXY, mode)

    until(lambda: group_may(served, 0o660), "the proxy's right to connect")
    until(lambda: group_may(served.parent, 0o710), "the proxy's right to pass")
    for secret in (served.with_suffix(".key"), served.with_name("certificate.pem")):
        assert secret.stat().st_mode & 0o077 == 0


def test_the_portal_asks_the_server_many_things_at_once(served):
    found: list[int] = []
    asking = [threading.Thread(target=lambda: found.append(ask(served, 9999))) for _ in range(40)]
    for one in asking:
        one.start()
    for one in asking:
        one.join(PATIENCE_S)
    assert found == [9999] * 40
    table = Path("/proc/net/unix").read_text().splitlines()
    assert [line.split()[3] for line in table if line.endswith(f" {served}")].count(LISTENS) == 1


def test_a_large_file_comes_whole(served):
    assert ask(served, 200_000_000) == 200_000_000


def test_who_shows_no_secret_or_another_servers_gets_nothing(reports, served):
    name, secret = reports.tunnel.split()[2:4]
    other = "f" * 16
    theirs = reports.tunnels.open(other)
    for what in ("serve", "hub"):
        for hello in (
            f"{what} {name} {theirs}\n",
            f"{what} {other} {secret}\n",
            f"{what} {name} \n",
            f"{what} ../{LOCK} {secret}\n",
            "GET / HTTP/1.1\r\n\r\n",
            "x" * 1_000_000,
        ):
            assert stranger(reports, hello.encode()) == b""
    assert reports.got == []
    assert ask(served, 10) == 10  # and nobody took the server's place


def test_hundreds_who_dial_in_and_say_nothing_keep_no_server_out(reports):
    """However long they stay: of those who have shown nothing, the last to come are heard."""
    context = ssl._create_unverified_context()
    address = ("127.0.0.1", reports.port)
    process = psutil.Process(int((reports.tunnels.folder / LOCK).read_text()))
    with ExitStack() as open_:
        for _ in range(STRANGERS_MAX + 50):
            plain = open_.enter_context(socket.create_connection(address))
            open_.enter_context(context.wrap_socket(plain))
        for _ in range(300):
            open_.enter_context(socket.create_connection(address))
        plain = open_.enter_context(socket.create_connection(address))
        server = open_.enter_context(context.wrap_socket(plain))
        hello = " ".join(["serve", *reports.tunnel.split()[2:4]])
        server.sendall(f"{hello}\n".encode())
        until(reports.tunnels.socket(reports.tunnel.split()[2]).exists, "the server's way")
        assert process.num_fds() < STRANGERS_MAX + 40


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that other accounts may pass, as a portal wants it."""
    with TemporaryDirectory(prefix="bh-tunnels-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "state"


def test_what_a_killed_portal_has_left_is_ended_before_its_port_is_looked_at(state):
    with own_state(state), socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    where = (f"--state={state}", "--host=127.0.0.1", f"--port={port}", "--hub=http://127.0.0.1:9")
    assert Tunnels(state).certificate.der
    left = subprocess.Popen(child_processes.python_command(MODULE, *where))
    until(lambda: not can_listen("127.0.0.1", port), "the process")
    threading.Thread(target=left.wait, daemon=True).start()  # as init does for one that is left
    with own_state(state):
        assert can_listen("127.0.0.1", port)


def test_a_server_tells_nobody_who_has_not_the_portals_certificate(reports, tmp_path):
    heard: list[bytes] = []
    host, _, name, secret, _ = reports.tunnel.split()
    thief = Tunnels(tmp_path / "thief")
    thief.folder.parent.mkdir()
    context = thief.certificate.context()
    with socket.create_server((host, 0)) as listener:

        def listen() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                try:
                    heard.append(context.wrap_socket(peer, server_side=True).recv(100))
                except OSError:
                    heard.append(b"")

        thread = threading.Thread(target=listen)
        thread.start()
        told = reports.tunnels.told(name, secret, host, listener.getsockname()[1])
        tunnel = Tunnel(Portal.read(told), tmp_path)
        tunnel.start()
        tunnel.open()
        thread.join(PATIENCE_S)
    assert heard == [b"", b""]


def test_a_way_that_is_closed_cuts_off_what_goes_through_it(reports, served):
    name = reports.tunnel.split()[2]
    asking = Asking(served)
    asking.request("GET", "/500000000")
    answer = asking.getresponse()
    assert answer.read(1000)
    reports.tunnels.close(name)
    until(lambda: not answer.read(1 << 20), "the end")
    assert answer.length  # something was still to come
    asking.close()
    with pytest.raises(OSError, match="No such file"):
        ask(served, 10)
    hello = " ".join(["serve", *reports.tunnel.split()[2:4]])
    assert stranger(reports, f"{hello}\n".encode()) == b""


def test_who_waits_for_a_server_is_let_go_when_its_way_is_closed(reports):
    name = reports.tunnel.split()[2]
    hello = " ".join(["serve", *reports.tunnel.split()[2:4]])
    context = ssl._create_unverified_context()
    with (
        socket.create_connection(("127.0.0.1", reports.port)) as plain,
        context.wrap_socket(plain) as silent,
    ):
        silent.sendall(f"{hello}\n".encode())
        path = reports.tunnels.socket(name)
        until(path.exists, "the way")
        with closing(Asking(path)) as one, closing(Asking(path)) as other:
            for asking in (one, other):  # the first is passed on, the other waits for its turn
                asking.request("GET", "/1")
            reports.tunnels.close(name)
            for asking in (one, other):
                with pytest.raises(ConnectionError):
                    asking.getresponse()


def test_a_process_that_is_killed_is_started_again_and_the_server_dials_in_again(reports, served):
    lock = reports.tunnels.folder / LOCK
    before = int(lock.read_text())
    os.kill(before, signal.SIGKILL)
    until(lambda: lock.read_text() not in ("", str(before)), "another process")

    def answers() -> bool:
        try:
            return ask(served, 10) == 10
        except OSError:
            return False

    until(answers, "the server")


def test_only_the_portals_account_can_read_what_is_kept_and_no_secret_is(reports):
    secret = reports.tunnel.split()[3]
    for path in (reports.tunnels.folder, *reports.tunnels.folder.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            assert secret not in path.read_text()


@given(st.binary())
def test_who_is_let_in_has_said_three_words(said):
    found = HELLO.fullmatch(said)
    assert not found or len(said.split()) == 3


def test_a_state_folder_with_too_long_a_path_is_said(tmp_path):
    assert Tunnels(tmp_path / ("x" * 100)).problem()
    assert not Tunnels(Path("/var/lib/beamhub")).problem()
