"""The proxy that a hub starts: whose process it is, and what it gets to read."""

import contextlib
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import proxy
from hub.proxy import SILENCE, proxy_command, proxy_of_hub, unreadable, why_root
from hub.serving import Serving
from hub.sockets import Sockets, ready_sockets
from spawners.certificates import Certificate
from spawners.child_processes import unprivileged
from spawners.reserved_accounts import LOG_KEEPER, PROXY, READER
from spawners.server_socket import listening_socket, socket_url

PATIENCE_S = 60
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


@pytest.fixture
def own_tls(tmp_path: Path) -> Serving:
    """A portal's TLS, by a key that root alone can read."""
    file = Certificate.kept(tmp_path / "private").path
    return Serving(tls="own", certificate=file, key=file, public_url="https://a.example.org")


def test_each_part_has_a_number_of_its_own():
    assert len({READER, LOG_KEEPER, PROXY}) == 3


TRY = """
import os, sys
print(os.getresuid(), os.getresgid(), os.getgroups())
print(open("/dev/fd/10").read(), open("/dev/fd/11").read())
try:
    open(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
"""


@only_root
def test_what_is_started_without_rights_reads_only_what_it_is_given(tmp_path):
    files = [tmp_path / "one", tmp_path / "other"]
    for file in files:
        file.touch(mode=0o600)
        file.write_text(file.name)
    command = unprivileged(["/usr/bin/python3", "-c", TRY, str(files[0])], PROXY, files)
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    numbers = (PROXY,) * 3
    assert done.stdout == f"{numbers} {numbers} []\none other\nPermissionError\n"


def test_a_file_that_is_not_there_is_told(tmp_path):
    command = unprivileged([sys.executable, "-c", "print('started')"], PROXY, [tmp_path / "none"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"can't be given {tmp_path / 'none'}: No such file" in done.stderr


def needs_readable() -> None:
    if found := unreadable(proxy_command()):
        pytest.skip(f"an account without rights can't read {found}")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def running(serving: Serving, folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Have the proxy running as JupyterHub starts it."""
    made = proxy_of_hub(serving)
    told = ("--ip=127.0.0.1", f"--port={port}", f"--api-socket={folder}/orders.sock")
    tls = ("--ssl-key", made.key, "--ssl-cert", made.certificate) if made.key else ()
    environment = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": "known"}
    process = subprocess.Popen([*made.command, *told, *tls], cwd="/", env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def shown(port: int, process: "subprocess.Popen[bytes]") -> bytes:
    """Return the certificate that is shown at a port, once anything is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain,
                context.wrap_socket(plain) as encrypted,
            ):
                return encrypted.getpeercert(binary_form=True) or b""
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)


@only_root
def test_it_encrypts_with_a_key_that_its_account_cannot_read(own_tls, tmp_path):
    needs_readable()
    assert own_tls.key is not None and own_tls.certificate is not None
    assert stat.S_IMODE(own_tls.key.stat().st_mode) == 0o600
    folder = tmp_path / "orders"
    folder.mkdir()
    os.chown(folder, PROXY, PROXY)
    tmp_path.chmod(0o755)
    for above in tmp_path.parents[:2]:
        above.chmod(0o711)
    with running(own_tls, folder, port := free_port()) as process:
        assert shown(port, process) == Certificate(own_tls.certificate).der
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{PROXY}\t" in status
        assert str(own_tls.key) not in Path(f"/proc/{process.pid}/cmdline").read_text()


def asked(path: Path, method: str, where: str, body: str = "") -> int:
    """Return the status of an answer at a socket, as the hub asks the proxy."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(PATIENCE_S)
        one.connect(str(path))
        head = f"{method} {where} HTTP/1.0\r\nContent-Length: {len(body)}\r\n"
        one.sendall(f"{head}Authorization: token known\r\n\r\n{body}".encode())
        return int(one.makefile("rb").readline().split()[1])


@only_root
def test_it_takes_the_hubs_orders_and_leads_to_a_servers_socket():
    needs_readable()
    with (
        tempfile.TemporaryDirectory(prefix="beamhub-proxy-") as made,
        ready_sockets(Sockets(Path(made, "run"))),
    ):
        Path(made).chmod(0o755)
        sockets = Sockets(Path(made, "run"))
        with (
            listening_socket(sockets.servers) as server,
            running(Serving(), sockets.orders.parent, port := free_port()) as process,
        ):
            end = time.monotonic() + PATIENCE_S
            while not sockets.orders.is_socket():
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.1)
            order = json.dumps({"target": socket_url(server.getsockname())})
            assert asked(sockets.orders, "POST", "/api/routes/ada", order) == 201
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as browser:
                browser.sendall(b"GET /ada/x HTTP/1.0\r\n\r\n")
                server.settimeout(PATIENCE_S)
                with server.accept()[0] as come:
                    assert come.recv(100).startswith(b"GET /ada/x ")
            Path(server.getsockname()).unlink()


def test_an_ordinary_accounts_proxy_is_that_account(own_tls, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    made = proxy_of_hub(own_tls)
    assert made.command == [*proxy_command(), *SILENCE]
    assert (made.certificate, made.key) == (str(own_tls.certificate), str(own_tls.key))
    assert why_root(own_tls) == ""


def test_a_proxy_that_others_cannot_read_keeps_roots_rights_and_that_is_said(tmp_path, monkeypatch):
    place = tmp_path / "node_modules"
    (place / "configurable-http-proxy/bin").mkdir(parents=True)
    (place / "configurable-http-proxy/bin/configurable-http-proxy").touch()
    package = place / "configurable-http-proxy/package.json"
    package.touch(mode=0o644)
    node = tmp_path / "node"
    node.touch(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(proxy, "PLACES", (place,))
    monkeypatch.setattr(proxy, "node", lambda: str(node))
    monkeypatch.setattr(proxy, "readable_by_others", lambda path: place.stat().st_mode & 0o001)
    assert str(PROXY) in proxy_of_hub(Serving()).command
    assert why_root(Serving()) == ""
    for closed, before, after in ((package, 0o644, 0o600), (place, 0o755, 0o700)):
        closed.chmod(after)
        assert proxy_of_hub(Serving()).command == [*proxy_command(), *SILENCE]
        assert f"can't read {package}" in why_root(Serving()) or closed == place
        assert "runs with root's rights" in why_root(Serving())
        closed.chmod(before)
