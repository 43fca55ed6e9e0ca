"""No trust rests on a port: what another account of the machine can do to those between the parts.

Eve has an account beside Ada's. What she tries runs as the account of her own servers.
"""

import json
import os
import pwd
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from kernels import Kernel, in_a_terminal
from portals import PATIENCE_S, RunningPortal

from hub.proxy import PROGRAM, proxy_command, unreadable
from hub.sockets import Sockets, sockets_of
from spawners.reserved_accounts import HUB, PROXY

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root gives users accounts of their own"),
]
BASE = "/user/agnes/pyfai/"


@dataclass
class Victim:
    """Ada's running server."""

    portal: RunningPortal
    client: httpx.Client
    kernel: Kernel

    @property
    def sockets(self) -> Sockets:
        return sockets_of(self.portal.state)

    @property
    def process(self) -> psutil.Process:
        (found,) = [
            process
            for process in psutil.Process(self.portal.process.pid).children(recursive=True)
            if self.account == process.username() and "singleuser" in " ".join(process.cmdline())
        ]
        return found

    @property
    def account(self) -> str:
        home = self.portal.state / "homes/agnes"
        return pwd.getpwuid(home.stat().st_uid).pw_name

    @property
    def listener(self) -> Path:
        """The socket of her server."""
        routes = self.process.environ()["JUPYTERHUB_SERVICE_URL"]
        name = routes.removeprefix("http+unix://").partition("/")[0].rpartition("%2F")[2]
        return self.sockets.servers / name


@pytest.fixture(scope="module")
def ada(portal: RunningPortal) -> Iterator[Victim]:
    """Ada, under a name that no other test has: her server is killed here."""
    client = portal.login("agnes")
    portal.start_server(client, "pyfai", size="small")
    yield Victim(portal, client, Kernel(portal, client, BASE))
    portal.stop_server(client, "pyfai")


@pytest.fixture(scope="module")
def eve(portal: RunningPortal) -> str:
    """Eve's account, which her first server has made."""
    client = portal.login("edgar")
    portal.start_server(client, "pyfai", size="small")
    portal.stop_server(client, "pyfai")
    return pwd.getpwuid((portal.state / "homes/edgar").stat().st_uid).pw_name


def attempt(account: str | int, code: str) -> str:
    """Return what another account's try ends in: its output, or the name of the error."""
    wrapped = f"import os, socket\ntry:\n    {code}\nexcept OSError as e: print(type(e).__name__)"
    command = ["/usr/bin/python3", "-c", wrapped]
    done = subprocess.run(
        command,
        user=account,
        group=account,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_nothing_but_the_portals_own_port_listens_on_the_network(ada: Victim) -> None:
    """Kernels have one, for the output of their own children, which must know a random word."""
    portal = psutil.Process(ada.portal.process.pid)
    listening = {
        connection.laddr.port
        for process in [portal, *portal.children(recursive=True)]
        if "ipykernel" not in " ".join(process.cmdline())
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {ada.portal.port}


def test_the_owner_comes_in_by_the_front_door(ada: Victim) -> None:
    """So that what is refused below is refused to Eve, and not to everybody."""
    assert ada.listener.is_socket()
    assert ada.client.get(f"{BASE}api/status").status_code == 200


CONNECT = "s = socket.socket(socket.AF_UNIX); s.connect({path!r}); print('connected')"


def test_another_account_reaches_the_hub_only(ada: Victim, eve: str) -> None:
    sockets = ada.sockets
    answers = {
        path: attempt(eve, CONNECT.format(path=str(path)))
        for path in (sockets.hub, ada.listener, sockets.orders)
    }
    assert answers == {
        sockets.hub: "connected",
        ada.listener: "PermissionError",
        sockets.orders: "PermissionError",
    }


def test_another_account_can_put_nothing_in_the_place_of_any(ada: Victim, eve: str) -> None:
    sockets = ada.sockets
    places = [sockets.folder, sockets.hub, sockets.orders, sockets.servers, ada.listener]
    before = [path.lstat().st_ino for path in places]
    mine = f"/tmp/eve-{os.getpid()}"
    for path in map(str, places):
        for code in (
            f"os.unlink({path!r})",
            f"os.rename({path!r}, {mine!r})",
            f"os.rename({mine!r}, {path!r})",
            f"os.chmod({path!r}, 0o777)",
            f"os.symlink({mine!r}, {path!r} + '.new')",
            f"socket.socket(socket.AF_UNIX).bind({path!r} + '.new')",
            f"socket.socket(socket.AF_UNIX).bind({path!r})",
        ):
            assert attempt(eve, code + "; print('done')") in (
                "PermissionError",
                "FileNotFoundError",
                "FileExistsError",
                "OSError",
            ), code
    assert [path.lstat().st_ino for path in places] == before


LISTEN = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
socket.connect(f"ipc://{sys.argv[1]}")
print("ready", flush=True)
print("heard" if socket.poll(int(sys.argv[2])) else "nothing")
"""


def within(process: psutil.Process, account: str) -> list[str]:
    """Return how a command begins that sees what a server sees, as another account."""
    number = str(pwd.getpwnam(account).pw_uid)
    begin = ["nsenter", f"--target={process.pid}", "--mount"]
    return [*begin, "setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]


def test_a_kernel_cannot_be_overheard(ada: Victim, eve: str) -> None:
    """Another account hears nothing where the kernel's owner hears all.

    It doesn't see the folder of the sockets, which lies in the server's own /tmp. Where it would,
    as in a portal that can't confine its servers, it may not enter it.
    """
    code = "import ipykernel; print(ipykernel.get_connection_file())"
    file = Path(ada.kernel.run(code).strip())
    seen = Path(f"/proc/{ada.process.pid}/root", file.relative_to("/"))
    connection = json.loads(seen.read_text())
    assert connection["transport"] == "ipc"
    assert stat.S_IMODE(seen.parent.stat().st_mode) & 0o077 == 0
    path = f"{connection['ip']}-{connection['iopub_port']}"
    refused = ("PermissionError", "FileNotFoundError")
    assert attempt(eve, CONNECT.format(path=path)) in refused
    assert attempt(eve, f"print(os.listdir('/proc/{ada.process.pid}/root'))") in refused
    python = ada.process.cmdline()[0]  # the environments seem to lie elsewhere from within
    ears = [
        subprocess.Popen(
            [*within(ada.process, account), python, "-c", LISTEN, path, str(wait_ms)],
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
        )
        for account, wait_ms in ((eve, 4000), (ada.account, 60_000))
    ]
    for ear in ears:
        assert ear.stdout and ear.stdout.readline() == "ready\n"
    ada.kernel.run("import time; time.sleep(1); print('secret')")
    assert [ear.communicate(timeout=PATIENCE_S)[0].strip() for ear in ears] == ["nothing", "heard"]


def test_neither_kernel_nor_terminal_gets_the_servers_socket(ada: Victim) -> None:
    assert "BEAMHUB_SOCKET" not in ada.kernel.run("import os; print(sorted(os.environ))")
    lines = Path("/proc/net/unix").read_text().splitlines()
    inodes = {line.split()[6] for line in lines if line.endswith(str(ada.listener))}
    assert inodes

    def holders() -> set[str]:
        """The programs that have it open."""
        found = set()
        for process in psutil.Process(ada.portal.process.pid).children(recursive=True):
            for link in Path(f"/proc/{process.pid}/fd").iterdir():
                try:
                    target = str(link.readlink())
                except OSError:
                    continue
                if target in {f"socket:[{inode}]" for inode in inodes}:
                    found.add(process.pid)
        return found

    in_a_terminal(ada.portal, ada.client, BASE, "true")
    assert holders() == {ada.process.pid}


def test_the_culler_reaches_the_hub(ada: Victim) -> None:
    log = ada.portal.state / "logs/portal.log"
    end = time.monotonic() + PATIENCE_S
    while "(idle-culler@" not in (text := log.read_text()):
        assert time.monotonic() < end, text[-2000:]
        time.sleep(0.5)


def assert_no_rights(process: psutil.Process, number: int, groups: list[int]) -> None:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == [str(number)] * 4
    assert status["Groups"] == list(map(str, groups))
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind][0], 16) == 0
    assert status["NoNewPrivs"] == ["1"]


def test_the_hub_has_no_rights_of_roots(ada: Victim) -> None:
    """Whoever takes it over has its state, and what the helper does; not the machine."""
    portal, state = ada.portal, ada.portal.state
    if "runs with root's rights" in "".join(portal.lines):
        pytest.skip("an account without rights can't read the portal's code")
    for process in (portal.hub, *portal.hub.children(recursive=True)):
        assert_no_rights(process, HUB, [PROXY])
    # The helper listens nowhere and has no code of the web's.
    helper = psutil.Process(portal.process.pid)
    assert not [c for c in helper.net_connections("unix") if c.laddr]
    assert not helper.net_connections("inet")
    code = Path(f"/proc/{helper.pid}/maps").read_text() + " ".join(helper.cmdline())
    assert "spawners.rights.helper" in code
    assert "/tornado/" not in code and "/sqlalchemy/" not in code
    home = state / "homes/agnes"
    tries = {
        "open('/etc/shadow')": "PermissionError",
        "os.setuid(0)": "PermissionError",
        f"os.kill({helper.pid}, 0)": "PermissionError",
        f"os.kill({ada.process.pid}, 0)": "PermissionError",
        f"os.listdir({str(home)!r})": "PermissionError",
        f"os.listdir({str(state / 'rights')!r})": "PermissionError",
        f"os.mkdir({str(state / 'homes/no-such-account')!r})": "PermissionError",
        f"os.mkdir({str(state / 'usecases/x')!r})": "PermissionError",
        f"os.rename({str(state / 'homes')!r}, {str(state / 'moved')!r})": "PermissionError",
        f"os.unlink({str(state / 'lock')!r})": "PermissionError",
        f"open({str(state / 'portal.sqlite')!r}); print('its own')": "its own",
    }
    assert {code: attempt(HUB, code) for code in tries} == tries


def test_the_proxy_has_no_rights_of_roots(ada: Victim) -> None:
    """Whoever takes it over has neither the machine nor what the portal knows."""
    if found := unreadable(proxy_command()):
        pytest.skip(f"an account without rights can't read {found}")
    (proxy,) = [
        process
        for process in psutil.Process(ada.portal.process.pid).children()
        if process.status() != psutil.STATUS_ZOMBIE and PROGRAM in " ".join(process.cmdline())
    ]
    assert_no_rights(proxy, PROXY, [])
    state = ada.portal.state
    tries = {
        f"open({str(state / 'portal.sqlite')!r})": "PermissionError",
        f"open({str(state / 'cookie_secret')!r})": "PermissionError",
        f"os.listdir({str(ada.sockets.servers)!r})": "PermissionError",
        f"os.unlink({str(ada.listener)!r})": "PermissionError",
        f"os.unlink({str(ada.sockets.hub)!r})": "PermissionError",
        f"os.kill({ada.portal.process.pid}, 0)": "PermissionError",
        CONNECT.format(path=str(ada.listener)): "connected",
        CONNECT.format(path=str(ada.sockets.hub)): "connected",
    }
    assert {code: attempt(PROXY, code) for code in tries} == tries


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_after_its_end_the_way_leads_to_nobody(ada: Victim, eve: str, how: str) -> None:
    listener = ada.listener
    if how == "stopped":
        ada.portal.stop_server(ada.client, "pyfai")
    else:
        os.kill(ada.process.pid, signal.SIGKILL)
    bind = f"socket.socket(socket.AF_UNIX).bind({str(listener)!r}); print('took it')"
    assert attempt(eve, bind) in ("PermissionError", "OSError")
    end = time.monotonic() + PATIENCE_S
    while "is not running" not in (page := ada.client.get(f"{BASE}lab").text):
        assert time.monotonic() < end, page
        time.sleep(0.2)
    assert ("by signal 9" in page) == (how == "killed")
    assert not listener.exists()
    assert attempt(eve, bind) == "PermissionError"
    ada.portal.start_server(ada.client, "pyfai", size="small")
    assert ada.listener != listener
