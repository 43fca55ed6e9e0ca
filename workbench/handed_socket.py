"""A server that was handed the socket to listen at takes it, instead of a port.

An extension of Jupyter's server, switched on by `workbench.start`. A portal on the same machine
makes the socket itself, so that nobody else can listen where it expects the server.
"""

import os
import socket
from typing import Any

VARIABLE = "BEAMHUB_SOCKET"
"""The number of the socket's descriptor; unset where the server has a port."""


def take(server: Any, listener: socket.socket) -> bool:
    """Let the server listen there."""
    server.http_server.add_socket(listener)
    return True


def _load_jupyter_server_extension(server: Any) -> None:
    """Put the socket in the place of the one that the server would make for itself."""
    # Neither kernels nor terminals get it: they inherit variables, and descriptors marked so.
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return
    listener = socket.socket(fileno=int(number))
    listener.set_inheritable(False)
    listener.setblocking(False)
    server.sock = listener.getsockname()
    # Jupyter's server calls this once all extensions are there.
    server._bind_http_server_unix = lambda: take(server, listener)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.handed_socket"}]
