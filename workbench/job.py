"""Run a user's server as a batch job: dial in at the portal, tell it, watch over the end.

Run as ``python -m workbench.job``, by the user's own account, on a node of the cluster. Nothing of
it listens where another account of the node could, see `workbench.tunnel`.
"""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from . import own_hub
from .here import setting
from .home import obstacle
from .tunnel import Portal, Tunnel, origin, private_folder

TUNNEL_VARIABLE = "BEAMHUB_TUNNEL"

TAIL_BYTES = 16_384
PATIENCE_S = 600
"""How long a hub that is away is told again: it may be updated just now."""
REPORT_S = 20.0
LOOK_S = 5.0
PROBLEM_CHARACTERS_MAX = 500
"""The portal takes no more."""
CGROUPS = Path("/sys/fs/cgroup")


def main() -> int:
    """Run the server until it ends, and return its exit status."""
    folder = private_folder()
    try:
        return run_server(begin_tunnel(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def begin_tunnel(folder: Path) -> Tunnel:
    """Dial in at the portal, and let all that runs here know the way."""
    # Nothing but this process has to know the secret.
    tunnel = Tunnel(Portal.read(os.environ.pop(TUNNEL_VARIABLE)), folder)
    for name in ("API_URL", "ACTIVITY_URL"):
        path = urlsplit(os.environ[f"JUPYTERHUB_{name}"]).path
        os.environ[f"JUPYTERHUB_{name}"] = f"{tunnel.hub_origin}{path}"
    # With a port in it, JupyterHub's part would have the server listen there too.
    path = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).path
    os.environ["JUPYTERHUB_SERVICE_URL"] = f"{origin(tunnel.server_socket)}{path}"
    tunnel.start()
    return tunnel


def run_server(tunnel: Tunnel) -> int:
    """Run the server until it ends, and return its exit status."""
    if problem := obstacle(Path.home(), setting("USE_CASE")):
        report({"problem": plain(problem)})
        return 1
    limit_memory()
    listen = f"--ServerApp.sock={tunnel.server_socket}"
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "workbench.start", listen],
            cwd=Path.home(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        # Slurm's signal before the end goes to this process alone: the server stops in order.
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        if wait_for(server, tunnel.server_socket):
            tunnel.open()
            report({"listening": True})
        status = watch(server)
        if status > 0:
            output = tail(log)
            problem = obstacle(Path.home(), setting("USE_CASE"))
            told = problem or f"JupyterLab ended by itself, with exit status {status}."
            report({"problem": plain(told), "output": output})
    return status


def plain(text: str) -> str:
    """Return a text as the portal takes it: on one line, and not too long."""
    return " ".join(text.split())[:PROBLEM_CHARACTERS_MAX]


def limit_memory() -> None:
    """Let an array too large be a MemoryError in its notebook, not the end of the job."""
    wanted = setting("MEMORY_GIB")
    if wanted:
        memory_bytes = int(float(wanted) * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def wait_for(server: "subprocess.Popen[bytes]", path: Path) -> bool:
    """Return whether the server listens; it may end before."""
    while server.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return True
        time.sleep(0.1)
    return False


def watch(server: "subprocess.Popen[bytes]") -> int:
    """Return the server's exit status; meanwhile tell when something was ended for its memory."""
    told = memory_kills()
    while True:
        try:
            return server.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            now = memory_kills()
        if now > told:
            report({"memory_full": True})
            told = now


def memory_kills(table: Path = Path("/proc/self/cgroup"), root: Path = CGROUPS) -> int:
    """Return how many of the job's processes the kernel has ended because its memory was full.

    Parameters
    ----------
    table : Path, optional
        The control groups of this process: ``number:controllers:path`` a line.
    root : Path, optional
        Where control groups are mounted.

    Returns
    -------
    int
        0 too where nothing limits the job's memory.
    """
    try:
        lines = table.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    kills = 0
    for _, controllers, path in (line.split(":", 2) for line in lines):
        # The second version has one hierarchy, the first has one of each kind.
        kind, name = ("memory", "memory.oom_control") if controllers else (".", "memory.events")
        if controllers in ("", "memory"):
            kills += kills_in(root / kind / path.lstrip("/") / name)
    return kills


def kills_in(file: Path) -> int:
    """Return the number behind ``oom_kill`` in a control group's file."""
    try:
        found = re.search(r"^oom_kill (\d+)$", file.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def tail(log: IO[bytes]) -> str:
    """Return the end of what the server said."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
    return log.read().decode("utf-8", "replace")


def report(what: dict[str, object]) -> None:
    """Tell the portal; a hub that is just starting is told again."""
    waited, pause = 0, 1
    while waited < PATIENCE_S:
        try:
            if own_hub.tell("jobs", what, timeout_s=REPORT_S) < 500:
                return  # it was heard, or isn't wanted any more
        except (OSError, HTTPException):
            pass  # nobody is there now
        time.sleep(pause)
        waited, pause = waited + pause, min(2 * pause, 15)


if __name__ == "__main__":
    sys.exit(main())
