"""The hub of the server that this process runs in: one call, with the server's own token."""

import json
import os
import socket
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import SplitResult, quote, unquote, urlsplit

VARIABLES = tuple(f"JUPYTERHUB_{n}" for n in ("API_URL", "API_TOKEN", "USER", "SERVER_NAME"))


def is_there() -> bool:
    """Return whether a portal has started the server that this process runs in."""
    return all(os.environ.get(name) for name in VARIABLES)


def tell(what: str, body: object, *, timeout_s: float) -> int:
    """Send something about the server to the hub.

    Parameters
    ----------
    what : str
        Which of the hub's calls of ``/hub/api/beamhub``.
    body : object
        What is sent, as JSON.
    timeout_s : float
        How long each step may take, in seconds.

    Returns
    -------
    int
        The HTTP status of the answer.

    Raises
    ------
    OSError, HTTPException
        Nobody answers.
    """
    address, token, user, server = (os.environ[name] for name in VARIABLES)
    url = urlsplit(address)
    hub = connection(url, timeout_s)
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    path = f"{url.path}/beamhub/{what}/{quote(user, safe='')}/{quote(server, safe='')}"
    try:
        hub.request("POST", path, json.dumps(body), headers)
        return hub.getresponse().status
    finally:
        hub.close()


def connection(url: SplitResult, timeout_s: float) -> HTTPConnection:
    """Return a connection that isn't open yet, as the hub's address asks for."""
    if url.scheme == "http+unix":
        return UnixConnection(unquote(url.netloc), timeout_s)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return kind(url.netloc, timeout=timeout_s)


class UnixConnection(HTTPConnection):
    """HTTP through a Unix socket.

    Parameters
    ----------
    path : str
        The socket.
    timeout_s : float
        How long each step may take, in seconds.
    """

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
