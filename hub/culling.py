"""Stop servers that nobody uses: jupyterhub-idle-culler, by the hub's socket where it has one.

Run as ``python -P -m hub.culling``, a service of the hub.
"""

import os
import socket
import sys
from typing import Any
from urllib.parse import unquote, urlsplit

from jupyterhub_idle_culler import IdleCuller
from tornado.netutil import Resolver

API_URL = "JUPYTERHUB_API_URL"


class SocketResolver(Resolver):
    """Finds every host at one Unix socket; Tornado's client knows no address of such."""

    def initialize(self, path: str) -> None:
        """Take the socket's path."""
        self.path = path

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """Return where the socket is."""
        del host, port, family
        return [(socket.AF_UNIX, self.path)]


def main() -> None:
    """Run the culler with this process's arguments."""
    arguments = sys.argv[1:]
    url = urlsplit(os.environ[API_URL])
    if url.scheme == "http+unix":
        Resolver.configure(SocketResolver, path=unquote(url.netloc))
        arguments.append(f"--url=http://hub{url.path}")
    IdleCuller.launch_instance(arguments)


if __name__ == "__main__":
    main()
