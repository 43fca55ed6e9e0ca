"""Attacks by users of containers on the walls around them, and what becomes of the walls."""

import asyncio
import http.server
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import docker as docker_package
import httpx
import psutil
import pytest
from conftest import DEBIAN, REGISTRY, Docker
from kernels import Kernel
from portals import PATIENCE_S, RunningPortal, xsrf

from hub.images.docker import environment
from spawners import networks
from spawners.asking import Daemon
from spawners.labels import PORTAL_LABEL, USER_LABEL, Owner
from spawners.shield import ShieldError, build, open_ways, raise_walls

pytestmark = [
    pytest.mark.docker,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
IMAGE = f"{REGISTRY}/pyfai:1.0.0"
METADATA = "169.254.77.77"
"""An address of this machine, as closed as those at which clouds tell its secrets."""


def said(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def about(*names: str) -> list[dict]:
    found: list[dict] = json.loads(said("docker", "inspect", *names))
    return found


@pytest.fixture(scope="module")
def prefix(docker_site: Path) -> str:
    return docker_site.read_text().partition("prefix: ")[2].partition(",")[0]


@pytest.fixture(scope="module")
def identity(docker_portal: RunningPortal) -> str:
    return (docker_portal.state / "identity").read_text()


def refused(portal: RunningPortal, client: httpx.Client, user: str) -> str:
    """Return the page of a start that must not come to be."""
    token = xsrf(client.get("/hub/open/pyfai").text)
    client.post("/hub/open/pyfai", data={"_xsrf": token, "size": "tiny"})
    end = time.monotonic() + PATIENCE_S
    while "did not start" not in (page := client.get(f"/hub/spawn-pending/{user}/pyfai").text):
        assert time.monotonic() < end, page
        time.sleep(0.5)
    return page


# The first moments.


@pytest.fixture
def metadata() -> Iterator[int]:
    """The port of a server that tells secrets to whoever asks, at an address that is closed."""
    if os.geteuid() != 0:
        pytest.skip("only root can give this machine another address")
    # A route makes it this machine's; an address more would be taken for connections of its own.
    said("ip", "route", "add", "local", METADATA, "dev", "lo")
    with http.server.ThreadingHTTPServer((METADATA, 0), http.server.SimpleHTTPRequestHandler) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield s.server_port
        s.shutdown()
    said("ip", "route", "del", "local", METADATA, "dev", "lo")


HAMMER = """
import os, socket, sys, threading, time
def hammer(what):
    end = time.monotonic() + 4
    while time.monotonic() < end:
        try:
            socket.create_connection(({host!r}, {port}), 0.2).close()
            word = "read"
        except OSError:
            word = "closed"
        with open("/home/jovyan/tries.txt", "a") as file:
            print(word, what, file=file)
        time.sleep(0.02)
"""
BEGIN = "threading.Thread(target=hammer, args=(%r,)).start()\n"


SLOW_IP = """\
#!/bin/sh
case "$*" in *add*|*replace*)
    if mkdir /dev/shm/once 2>/dev/null; then
        for i in $(seq {tries}); do
            grep -q ':22B8 .* 0A ' /proc/net/tcp && break
            sleep 0.2
        done
    fi
esac
exec /usr/bin/ip.real "$@"
"""
"""The program that closes ways, as slow as can be: it waits until JupyterLab listens there."""


@pytest.fixture
def slow_portal(
    docker_site: Path, state_folder: Callable[[], Path], tmp_path: Path
) -> Iterator[RunningPortal]:
    other = f"127.0.0.1:9/slow{os.getpid()}"
    (tmp_path / "ip").write_text(SLOW_IP.format(tries=40))
    (tmp_path / "Dockerfile").write_text(
        f"FROM {IMAGE}\nUSER root\nRUN mv /usr/bin/ip /usr/bin/ip.real\n"
        "COPY --chmod=755 ip /usr/bin/ip\nUSER jovyan\n"
    )
    command = ["docker", "build", f"--tag={other}/pyfai:1.0.0", str(tmp_path)]
    subprocess.run(command, check=True, env=environment())
    profile = docker_site.with_name("slow.yaml")
    profile.write_text(docker_site.read_text().replace(REGISTRY, other))
    running = RunningPortal(state_folder(), str(profile))
    yield running
    running.stop()
    said("docker", "image", "rm", "--force", f"{other}/pyfai:1.0.0")


def test_a_user_s_own_configuration_reaches_nothing_closed_from_its_first_instruction(
    slow_portal: RunningPortal, prefix: str, metadata: int
) -> None:
    with socket.create_connection((METADATA, metadata)):
        pass  # from this machine it is there
    client = slow_portal.login("mallory")
    identity = (slow_portal.state / "identity").read_text()
    labels = [f"--label={PORTAL_LABEL}={identity}", f"--label={USER_LABEL}=mallory"]
    said("docker", "volume", "create", *labels, f"{prefix}-mallory")
    code = HAMMER.format(host=METADATA, port=metadata)
    plant = f"""
from pathlib import Path
for name in (".jupyter/jupyter_server_config.py", ".ipython/profile_default/startup/00.py"):
    place = Path.home() / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text({code!r} + {BEGIN!r} % place.name)
"""
    home = f"--volume={prefix}-mallory:/home/jovyan"
    said("docker", "run", "--rm", home, "--entrypoint=python", IMAGE, "-c", plant)
    slow_portal.start_server(client, "pyfai", size="tiny")
    kernel = Kernel(slow_portal, client, "/user/mallory/pyfai/")
    kernel.run("import time; time.sleep(1)")
    tries = kernel.run("print(open('/home/jovyan/tries.txt').read())").splitlines()
    assert {line.split()[1] for line in tries if line} == {"jupyter_server_config.py", "00.py"}
    assert not [line for line in tries if line.startswith("read")], "it was reached"
    slow_portal.stop_server(client, "pyfai")


def closed_inside(container: str) -> bool:
    """Return whether routes inside a server lead to the hub's side only, as they have to."""
    ask = ["docker", "exec", container, "ip", "route", "get"]
    gateway = about(f"{container}--walls")[0]["NetworkSettings"]["Networks"].values()
    way = subprocess.run([*ask, next(iter(gateway))["Gateway"]], capture_output=True)
    assert way.returncode == 0, way.stderr
    found = [
        subprocess.run([*ask, address], capture_output=True).returncode
        for address in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")
    ]
    return 0 not in found


@pytest.fixture
def unwatched(docker_site: Path) -> Iterator[tuple[str, str]]:
    """The names of a network and a server as portals make them, that no hub takes away."""
    name = f"bht-unwatched-{os.getpid()}"
    server = f"{name}--pyfai"
    with walled(name, f"{server}--walls", IMAGE) as walls:
        inside = [f"--network=container:{walls}", "--entrypoint=sleep"]
        said("docker", "run", "--detach", f"--name={server}", *inside, IMAGE, "infinity")
        yield name, server
        said("docker", "rm", "--force", server)


@contextmanager
def walled(network: str, name: str, image: str) -> Iterator[str]:
    """Make walls in a network of their own; yields their id."""
    client = docker_package.APIClient(version="auto", **docker_package.utils.kwargs_from_env())
    owner = Owner("a portal", "ada", "ada")
    networks.ensure(client, network, networks.Plan(IPv4Network("10.199.0.0/16"), {}), owner)
    making = raise_walls(
        Daemon("ada", lambda: client),
        image,
        name,
        network,
        hub_ip="",
        unreachable=["169.254.0.0/16", "100.100.100.200/32"],
        labels=owner.labels,
    )
    try:
        walls = asyncio.run(making)
        try:
            yield walls.id
        finally:
            client.remove_container(walls.id, force=True)
    finally:
        # Which it can't be while anything is in it.
        client.remove_network(network)


def test_closed_ways_stay_closed_whatever_is_done_to_containers_and_networks(
    unwatched: tuple[str, str],
) -> None:
    network, server = unwatched
    assert closed_inside(server)
    said("docker", "network", "disconnect", network, f"{server}--walls")
    said("docker", "network", "connect", network, f"{server}--walls")
    assert closed_inside(server)
    said("docker", "restart", "--time=1", server)
    assert closed_inside(server)
    # Its owner anew, and then it: what an administrator does who starts all that has ended.
    said("docker", "stop", "--time=1", f"{server}--walls")
    assert subprocess.run(["docker", "restart", "-t1", server], capture_output=True).returncode
    said("docker", "start", f"{server}--walls", server)
    end = time.monotonic() + PATIENCE_S
    while not closed_inside(server):
        assert time.monotonic() < end


def test_walls_that_are_not_those_seen_closed_end_the_server(
    docker_portal: RunningPortal, prefix: str
) -> None:
    client = docker_portal.login("mona")
    docker_portal.start_server(client, "pyfai", size="tiny")
    said("docker", "restart", "--time=1", f"{prefix}-mona--pyfai--walls")
    end = time.monotonic() + PATIENCE_S
    while "Its network was taken away from outside" not in client.get("/hub/home").text:
        assert time.monotonic() < end
        time.sleep(1)


def test_walls_that_cannot_be_made_are_no_start(docker_site: Path) -> None:
    """Debian's image lacks the program 'ip', as one that a site made itself may."""
    name = f"bht-nowalls-{os.getpid()}"
    refusal = pytest.raises(ShieldError, match=r"could not be closed .* ip: not found")
    with refusal, walled(name, f"{name}--walls", DEBIAN):
        pass
    with walled(name, f"{name}--walls", IMAGE):
        pass


def test_an_open_way_is_seen(docker: Docker, docker_site: Path) -> None:
    client = docker_package.APIClient(version="auto", **docker_package.utils.kwargs_from_env())
    name = f"bht-open-{os.getpid()}"
    walls = build(client, IMAGE, name, "bridge", rules=[], labels={})
    try:
        [network] = about(name)[0]["NetworkSettings"]["Networks"].values()
        found = None
        end = time.monotonic() + PATIENCE_S
        while found is None and time.monotonic() < end:
            found = open_ways(client, walls, ["169.254.169.254"], network["Gateway"])
        assert found == ["169.254.169.254"]
        assert open_ways(client, walls, ["169.254.169.254"], "fd00::1") is None
    finally:
        client.remove_container(walls, force=True)


# Many at once.


def test_ten_first_starts_at_once_have_ten_networks(docker: Docker) -> None:
    plan = networks.Plan(IPv4Network("10.198.0.0/16"), {})
    names = [f"bht-many-{os.getpid()}-{number}" for number in range(10)]
    client = docker_package.APIClient(version="auto", **docker_package.utils.kwargs_from_env())

    def begin(name: str) -> None:
        networks.ensure(client, name, plan, Owner("a portal", name, name))

    try:
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(begin, names))
        found = [networks.subnet_of(client, name) for name in names]
        assert len(set(found)) == 10
    finally:
        for name in names:
            subprocess.run(["docker", "network", "rm", name], capture_output=True)


# Names and numbers.


WATCH = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
made = []
while len(made) < {most} and (number := libc.inotify_init()) >= 0:
    made.append(number)
print(len(made), os.getuid(), end="")
"""


def test_one_user_does_not_use_up_what_the_kernel_gives_to_another(
    docker_portal: RunningPortal,
) -> None:
    other = docker_portal.login("greta")
    docker_portal.start_server(other, "pyfai", size="tiny")
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    greedy = Kernel(docker_portal, other, "/user/greta/pyfai/")
    made, taken = map(int, greedy.run(WATCH.format(most=most + 1)).split())
    assert made <= most
    docker_portal.start_server(client := docker_portal.login("hans"), "pyfai", size="tiny")
    modest = Kernel(docker_portal, client, "/user/hans/pyfai/")
    got, own = map(int, modest.run(WATCH.format(most=3)).split())
    assert got == 3
    assert taken != own
    assert min(taken, own) > 2_000_000_000
    code = "import getpass, os, pwd; me = pwd.getpwuid(os.getuid())\n"
    code += "print(getpass.getuser(), me.pw_name, me.pw_dir, os.access(me.pw_dir, os.W_OK))"
    assert modest.run(code) == "hans hans /home/jovyan True\n"
    docker_portal.stop_server(other, "pyfai")
    docker_portal.stop_server(client, "pyfai")


@pytest.mark.parametrize("kind", ["volume", "network", "container"])
def test_what_is_another_s_is_not_used_and_that_is_said(
    docker_portal: RunningPortal, prefix: str, identity: str, kind: str
) -> None:
    user = f"vera{kind}"
    name = f"{prefix}-{user}" + ("--pyfai" if kind == "container" else "")
    labels = [f"--label={PORTAL_LABEL}={identity}", f"--label={USER_LABEL}=somebody"]
    more = [f"--name={name}", IMAGE] if kind == "container" else [name]
    said("docker", kind, "create", *labels, *more)
    client = docker_portal.login(user)
    page = refused(docker_portal, client, user)
    assert f"has a {kind} &#39;{name}&#39; here that belongs to another user" in page
    said("docker", kind, "rm", name)  # it's still there
    docker_portal.start_server(client, "pyfai", size="tiny")
    docker_portal.stop_server(client, "pyfai")


def test_files_of_an_earlier_version_come_along(
    docker_portal: RunningPortal, prefix: str, identity: str
) -> None:
    """Volumes had the user's short name as label, and everybody's files the number 1000."""
    labels = [f"--label={PORTAL_LABEL}={identity}", f"--label={USER_LABEL}=olaf"]
    said("docker", "volume", "create", *labels, f"{prefix}-olaf")
    make = "mkdir a; echo mine > a/work; ln -s /etc/shadow a/link; ln -s / a/root"
    home = f"--volume={prefix}-olaf:/home/jovyan"
    said("docker", "run", "--rm", home, "--entrypoint=sh", IMAGE, "-c", make)
    client = docker_portal.login("olaf")
    docker_portal.start_server(client, "pyfai", size="tiny")
    code = """
import os
for name in ("a", "a/work", "a/link"):
    print(os.lstat(name).st_uid == os.getuid(), end=" ")
print(open("a/work").read(), os.stat("/etc/shadow").st_uid)
open("a/work", "w")
"""
    kernel = Kernel(docker_portal, client, "/user/olaf/pyfai/")
    kernel.run("import os; os.chdir('/home/jovyan')")
    assert kernel.run(code) == "True True True mine\n 0\n"
    docker_portal.stop_server(client, "pyfai")


# The way to a server, and its address.


def test_an_address_is_nobody_else_s_while_a_way_leads_to_it(
    docker_portal: RunningPortal, prefix: str
) -> None:
    client = docker_portal.login("petra")
    docker_portal.start_server(client, "pyfai", size="tiny")
    cookie = {"X-XSRFToken": client.cookies.get("_xsrf", path="/hub/") or ""}
    token = client.post("/hub/api/users/petra/tokens", headers=cookie).json()["token"]
    name = f"{prefix}-petra"
    [network] = about(f"{name}--pyfai--walls")[0]["NetworkSettings"]["Networks"].values()
    proxy = psutil.Process(int((docker_portal.state / "proxy.pid").read_text()))
    parts = [proxy, *proxy.children(recursive=True)]
    for part in parts:
        part.suspend()
    try:
        hub = f"http://{hub_ip(docker_portal)}:{docker_portal.port + 81}"
        asked = {"Authorization": f"token {token}"}
        httpx.delete(f"{hub}/hub/api/users/petra/servers/pyfai", headers=asked, timeout=PATIENCE_S)
        end = time.monotonic() + PATIENCE_S
        while (
            subprocess.run(["docker", "inspect", f"{name}--pyfai"], capture_output=True).returncode
            == 0
        ):
            assert time.monotonic() < end
            time.sleep(0.2)
        # Its way still leads there: the proxy can't have taken it away.
        time.sleep(2)
        [held] = about(f"{name}--pyfai--walls")[0]["NetworkSettings"]["Networks"].values()
        assert held["IPAddress"] == network["IPAddress"]
    finally:
        for part in parts:
            part.resume()
    while (
        subprocess.run(["docker", "network", "inspect", name], capture_output=True).returncode == 0
    ):
        assert time.monotonic() < end
        time.sleep(0.2)


def hub_ip(portal: RunningPortal) -> str:
    """Return where the hub listens."""
    [listening] = {
        c.laddr.ip
        for c in psutil.Process(portal.process.pid).net_connections()
        if c.status == "LISTEN" and c.laddr.port == portal.port + 81
    }
    return str(listening)
