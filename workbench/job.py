"""Run a user's server as a batch job: find a port, tell the portal, watch over the end.

Run as ``python -m workbench.job``, by the user's own account, on a node of the cluster. The portal
learns the port only once the server itself has it: nobody else on the node can take its place.
"""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

from .here import setting

TAIL_BYTES = 16_384
PATIENCE_S = 600
"""How long a hub that is away is told again: it may be updated just now."""
LISTENING = "0A"
"""The state of a socket that listens, in /proc/net/tcp."""
LOOK_S = 5.0
NO_HOME = (
    "The job could not write into your home folder ({reason}), so JupyterLab can't run. Make room "
    "there, or ask whoever runs the file system."
)
FULL = re.compile("No space left on device|Disk quota exceeded")
CGROUPS = Path("/sys/fs/cgroup")


def main() -> int:
    """Run the server until it ends, and return its exit status."""
    problem = home_problem()
    if problem:
        report({"problem": problem})
        return 1
    limit_memory()
    port = free_port()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "workbench.start"],
            env={**os.environ, "JUPYTERHUB_SERVICE_URL": service_url(port)},
            cwd=Path.home(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        # Slurm's signal before the end goes to this process alone: the server stops in order.
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        if wait_for(server, port):
            report({"port": port})
        status = watch(server)
        if status > 0:
            output = tail(log)
            report({"problem": home_problem() or ending(status, output), "output": output})
    return status


def home_problem() -> str:
    """Return why nothing can be written at home, empty where all is well."""
    try:
        with tempfile.TemporaryFile(dir=Path.home()) as file:
            file.write(bytes(65_536))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return NO_HOME.format(reason=error.strerror)
    return ""


def limit_memory() -> None:
    """Let an array too large be a MemoryError in its notebook, not the end of the job."""
    wanted = setting("MEMORY_GIB")
    if wanted:
        memory_bytes = int(float(wanted) * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def service_url(port: int) -> str:
    """Return where the server shall listen: as the portal says, with our port."""
    told = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    return urlunsplit(told._replace(netloc=f"0.0.0.0:{port}"))


def wait_for(server: "subprocess.Popen[bytes]", port: int) -> bool:
    """Return whether the server listens; it may end before."""
    while server.poll() is None:
        if listens_here(port):
            return True
        time.sleep(0.1)
    return False


def listens_here(port: int) -> bool:
    """Return whether a process of this account listens on a port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, _, _, _, uid, *_ = line.split()
            ours = int(uid) == os.getuid() and state == LISTENING
            if ours and int(local.rpartition(":")[2], 16) == port:
                return True
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


def ending(status: int, output: str) -> str:
    """Return in words how the server ended by itself."""
    if reason := FULL.search(output):
        return NO_HOME.format(reason=reason[0])
    return f"JupyterLab ended by itself, with exit status {status}."


def tail(log: IO[bytes]) -> str:
    """Return the end of what the server said."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
    return log.read().decode("utf-8", "replace")


def report(what: dict[str, object]) -> None:
    """Tell the portal; a hub that is just starting is told again."""
    user, server = (os.environ[f"JUPYTERHUB_{name}"] for name in ("USER", "SERVER_NAME"))
    url = f"{os.environ['JUPYTERHUB_API_URL']}/beamhub/jobs/{user}/{server}"
    headers = {
        "Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(url, json.dumps(what).encode(), headers)  # noqa: S310
    # Not through the site's proxy: the hub is on the cluster's own network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    waited, pause = 0, 1
    while waited < PATIENCE_S:
        try:
            opener.open(request, timeout=20).close()
            return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return  # it was heard, and isn't wanted any more
        except OSError:
            pass  # nobody is there now
        time.sleep(pause)
        waited, pause = waited + pause, min(2 * pause, 15)


if __name__ == "__main__":
    sys.exit(main())
