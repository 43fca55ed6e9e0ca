"""Servers that are copies of a process: their own in all, and started anew when that is gone."""

import json
import os
import pwd
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from kernels import Kernel
from portals import PATIENCE_S, RunningPortal

pytestmark = [pytest.mark.portal, pytest.mark.slow]
BASE = "/user/clara/pyfai/"
CONFIGURATION = """
import json, os
from pathlib import Path
from jupyterlab.commands import get_user_settings_dir
from send2trash.plat_other import HOMETRASH
told = {"account": os.getresuid(), "user": os.environ["USER"], "trash": HOMETRASH}
told["settings"] = get_user_settings_dir()
(Path.home() / "told.json").write_text(json.dumps(told))
"""


def forkservers(portal: RunningPortal) -> list[psutil.Process]:
    """Return the processes that a portal's servers are copies of."""
    return [process for process, command in portal.commands() if "spawners.forkserver" in command]


def server_of(portal: RunningPortal, user: str) -> psutil.Process:
    """Return the process of a user's one server, by what the kernel shows of it."""
    prefix = f"/user/{user}/pyfai/"
    (found,) = [
        process
        for process, command in portal.commands()
        if "jupyterhub-singleuser" in command
        and process.environ().get("JUPYTERHUB_SERVICE_PREFIX") == prefix
    ]
    return found


def copied(portal: RunningPortal, client: httpx.Client, user: str) -> psutil.Process:
    """Start a server, again and again until it is a copy: there has to be something to copy."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        portal.stop_server(client, "pyfai")
        portal.start_server(client, "pyfai", size="small")
        server = server_of(portal, user)
        if server.parent() in forkservers(portal):
            return server
    raise AssertionError(f"no server of {user}'s was a copy:\n{portal.log()}")


def picture(server: psutil.Process) -> dict[str, object]:
    """Return what the kernel says of a server, as far as it is alike for each start of it."""
    folder = Path(f"/proc/{server.pid}")
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    kept = [n for n in status if n.startswith(("Uid", "Gid", "Groups", "Umask", "Cap", "NoNew"))]
    signals = [n for n in status if n in ("SigBlk", "SigIgn", "SigCgt", "Seccomp")]
    links = {name: (folder / name).readlink() for name in ("cwd", "root", "exe")}
    # Others of the machine's come and go while tests run beside these.
    own = ("/tmp", "/var/tmp", "/proc")
    lines = (folder / "mountinfo").read_text().splitlines()
    mounts = [m for m in (line.split()[4] for line in lines) if m in own or m.startswith("/dev")]
    groups = [line.rpartition(".")[0] for line in (folder / "cgroup").read_text().splitlines()]
    begins = server.environ()
    ones = {"BEAMHUB_SOCKET", "JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"}
    # Set by the start itself, which shows with a Python of its own only: and Python's own.
    ones |= {"JUPYTER_RUNTIME_DIR", "JUPYTER_PATH", "JUPYTERLAB_WORKSPACES_DIR", "LC_CTYPE"}
    return {
        "status": {name: status[name] for name in (*kept, *signals)},
        "limits": (folder / "limits").read_text(),
        "links": links,
        "mounts": sorted(mounts),
        "groups": groups,
        "variables": {name: value for name, value in begins.items() if name not in ones},
        "cores": len(server.cpu_affinity()),
        "session": [os.getsid(server.pid) == server.pid, os.getpgid(server.pid) == server.pid],
        "program": server.cmdline()[0],
        "owner": folder.stat().st_uid,
        "name": (folder / "comm").read_text(),
    }


@pytest.fixture(scope="module")
def clara(portal: RunningPortal) -> Iterator[httpx.Client]:
    client = portal.login("clara")
    yield client
    portal.stop_server(client, "pyfai")


def test_a_copy_is_what_a_server_with_a_python_of_its_own_is(
    portal: RunningPortal, clara: httpx.Client
) -> None:
    for process in forkservers(portal):
        process.kill()
    portal.start_server(clara, "pyfai", size="small")
    home = portal.state / "homes/clara"
    settings = home / ".jupyter"
    settings.mkdir(exist_ok=True)
    (settings / "jupyter_server_config.py").write_text(CONFIGURATION)
    os.chown(settings, home.stat().st_uid, home.stat().st_gid)
    direct = picture(server_of(portal, "clara"))
    portal.stop_server(clara, "pyfai")
    server = copied(portal, clara, "clara")
    assert picture(server) == direct
    told = json.loads((home / "told.json").read_text())
    assert told["account"] == [home.stat().st_uid] * 3
    assert (told["user"], told["settings"], told["trash"]) == (
        pwd.getpwuid(home.stat().st_uid).pw_name,
        str(home / ".jupyter/lab/user-settings"),
        str(home / ".local/share/Trash"),
    )
    # Its kernels too are in no way another's, and it is stopped as any other.
    kernel = Kernel(portal, clara, BASE)
    assert kernel.run("import os; print(os.getuid())") == f"{home.stat().st_uid}\n"
    for process in forkservers(portal):
        process.kill()
    assert kernel.run("print(1)") == "1\n"
    portal.stop_server(clara, "pyfai")
    psutil.wait_procs([server], timeout=PATIENCE_S)
    assert not server.is_running()


def test_the_end_of_a_copy_is_noticed_and_told(portal: RunningPortal, clara: httpx.Client) -> None:
    copied(portal, clara, "clara").send_signal(signal.SIGKILL)
    end = time.monotonic() + PATIENCE_S
    while "by signal 9" not in clara.get("/hub/home").text:
        assert time.monotonic() < end
        time.sleep(0.3)
