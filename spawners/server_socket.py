"""The sockets at which users' servers on this machine listen: made by the portal, one a server.

Each lies in a folder that only hub and proxy may enter, and is handed to its server open. So nobody
but that server is ever behind its address, and nobody but these two can connect to it.
"""

import errno
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import quote

from .reserved_accounts import PROXY
from .rights.asking import has_roots_rights

PATH_BYTES_MAX = 107
"""Of a Unix socket's path, on Linux."""
WAITING = 128
"""How many connections may wait until a server that begins takes them."""


def socket_url(path: Path | str) -> str:
    """Return the address of a Unix socket as JupyterHub and its proxy write it."""
    return f"http+unix://{quote(str(path), safe='')}"


def listening_socket(folder: Path) -> socket.socket:
    """Return a socket that listens at a new path in `folder`."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = folder / f"{secrets.token_hex(8)}.sock"
        made.bind(str(path))
        open_to_proxy(path, 0o660)
        made.listen(WAITING)
    except OSError:
        made.close()
        raise
    return made


def open_to_proxy(path: Path, mode: int) -> None:
    """Let the proxy reach a socket, or pass a folder of sockets: root's has another account.

    Parameters
    ----------
    path : Path
        In a folder that nobody else can change.
    mode : int
        What the proxy's group may do is in it.
    """
    if has_roots_rights():
        # A hub without rights is in the proxy's group.
        os.chown(path, -1, PROXY)
        path.chmod(mode)


def is_dead(path: Path) -> bool:
    """Return whether nobody listens at a socket any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Where many wait to be let in already, one that waits with them would wait long.
        probe.setblocking(False)
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED
